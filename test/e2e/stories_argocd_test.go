//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
)

// historyOf keeps that many entries of the history.
func historyOf(entries int64) func(*service) {
	return func(v *service) { v.spec = func(spec map[string]any) { spec["revisionHistoryLimit"] = entries } }
}

// updated lets an image updater patch the Application, whose manifests stay as they are.
func (v *service) updated(name string) {
	v.Helper()
	v.want(name)
	v.notef("image updater: %s", name)
	images := []any{"web=" + v.releases[name].image}
	v.patch(map[string]any{"spec": map[string]any{"source": map[string]any{"kustomize": map[string]any{"images": images}}}})
	v.healthy(name)
}

// threeVersions is the plainest story of all.
func threeVersions(v *service) {
	v.first("v1")
	v.next("v2")
	v.healthy("v2")
	v.next("v3")
	v.healthy("v3")
	v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1", "deploy succeeded v3 after v2")
}

// thenTwo ends a story in which nothing came after the first version.
func thenTwo(v *service) {
	v.Helper()
	v.next("v2")
	v.healthy("v2")
	v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
}

// argoStories are told of what Argo CD does to Applications, and people to Argo CD.
var argoStories = []story{
	{name: "renamed", tell: func(v *service) {
		v.first("v1")
		v.deleteApplication(false)
		v.callItOtherwise()
		v.makeApplication()
		v.synced()
		thenTwo(v)
	}},
	{name: "renamed-with-a-new-version", tell: func(v *service) {
		v.first("v1")
		v.deleteApplication(false)
		v.callItOtherwise()
		v.want("v2")
		v.commit("v2")
		v.makeApplication()
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "recreated-with-cascade", tell: func(v *service) {
		v.first("v1")
		v.deleteApplication(true)
		v.makeApplication()
		v.synced()
		thenTwo(v)
	}},
	{name: "moved-to-a-project", tell: func(v *service) {
		v.first("v1")
		v.check(v.MakeProject(v.Context(), "project-"+v.name))
		v.move("project-"+v.name, "Healthy")
		thenTwo(v)
	}},
	{name: "moved-to-no-project", tell: func(v *service) {
		v.first("v1")
		v.move("project-"+v.name, "Unknown")
		v.move("default", "Healthy")
		thenTwo(v)
	}},
	{name: "service-renamed", tell: func(v *service) {
		v.first("v1")
		v.formerly = []string{v.labels["service"]}
		v.relabel("service", v.name+"-now")
		thenTwo(v)
	}},
	{name: "environment-renamed", tell: func(v *service) {
		v.first("v1")
		v.relabel("env", "live")
		thenTwo(v)
	}},
	{name: "history-of-one", with: historyOf(1), tell: threeVersions},
	{name: "history-of-none", with: historyOf(0), tell: threeVersions},
	{name: "image-updater", with: func(v *service) { v.layout = kustomization }, tell: func(v *service) {
		v.first("v1")
		v.updated("v2")
		v.updated("v3")
		v.updated("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy succeeded v3 after v2",
			"deploy rolled_back v2 after v3, v2 runs",
		)
	}},
	{name: "self-heal-fight", tell: func(v *service) {
		v.first("v1")
		for i := range 3 {
			v.operation(func() { v.edit(fmt.Sprintf("by-hand-%d", i)) })
			v.healthy("v1")
		}
		thenTwo(v)
	}},
	{name: "self-heal-fight-in-mid-deployment", with: slow, tell: func(v *service) {
		v.first("v1")
		v.workload.readyAfter = "20s"
		v.next("v2")
		v.goingOut()
		v.operation(func() { v.kubectl("scale", "deployment/web", "--replicas=3") })
		v.operation(func() { v.kubectl("scale", "deployment/web", "--replicas=4") })
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "wave-hook-failed", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hook.yaml"] = wave("1", hook("Sync", true))
		v.next("v2")
		v.healthIs("Healthy")
		v.files["deploy/hook.yaml"] = ""
		v.next("v3")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy failed v2 after v1",
			"deploy succeeded v3 after v2, unplanned",
		)
	}},
	{name: "early-wave-hook-failed", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hook.yaml"] = wave("-1", hook("Sync", true))
		v.next("v2")
		v.files["deploy/hook.yaml"] = ""
		thenTwo(v)
	}},
	{name: "hpa-degrades-a-deployment", tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hpa.yaml"] = hpa("nobody")
		v.next("v2")
		v.degraded()
		v.files["deploy/hpa.yaml"] = ""
		v.change("no hpa")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy failed v2 after v1", "degraded by v2", "recovered")
	}},
	{name: "hpa-blips-in-a-deployment", with: func(v *service) { v.degradedFor = "" }, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hpa.yaml"] = hpa("nobody")
		v.next("v2")
		v.degraded()
		v.files["deploy/hpa.yaml"] = ""
		v.change("no hpa")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "never-synced", with: byHand, tell: func(v *service) {
		kept := strings.Replace(configMap("kept"), "{}", "{argocd.argoproj.io/sync-options: Prune=false}", 1)
		v.files["deploy/kept.yaml"] = kept
		v.first("v1")
		v.files["deploy/kept.yaml"] = ""
		v.next("v2")
		v.healthy("v2")
		v.next("v3")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1", "deploy succeeded v3 after v2")
		if is := v.field("status", "sync", "status"); is != "OutOfSync" {
			v.Errorf("the Application is %s: the story is not what it says", is)
		}
	}},
}
