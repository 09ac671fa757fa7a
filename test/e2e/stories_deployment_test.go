//go:build e2e

package e2e_test

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

func byHand(v *service) { v.byHand = true }

// deploymentStories are told of Deployments.
var deploymentStories = []story{
	{name: "success", tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.next("v3")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy succeeded v3 after v2",
		)
	}},
	{name: "fix-forward", tell: func(v *service) {
		v.first("v1")
		v.workload.pods = "never"
		v.next("v2")
		v.degraded()
		v.workload.pods = ""
		v.next("v3")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy failed v2 after v1",
			"degraded by v2",
			"deploy succeeded v3 after v1, unplanned",
			"recovered",
		)
	}},
	{name: "argocd-rollback", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.workload.pods = "never"
		v.next("v2")
		v.degraded()
		v.rollBack(0)
		v.healthy("v1")
		v.workload.pods = ""
		v.next("v3")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy failed v2 after v1",
			"degraded by v2",
			"deploy rolled_back v1 after v2, v1 runs",
			"recovered",
			"deploy succeeded v3 after v1, unplanned",
		)
	}},
	{name: "git-revert", tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.next("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v1 after v2, v1 runs",
		)
	}},
	{name: "semver", tell: func(v *service) {
		v.released("v1", "v1.4.0", time.Time{})
		v.released("v2", "v1.4.1", time.Time{})
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "self-heal", tell: func(v *service) {
		v.first("v1")
		v.operation(func() { v.kubectl("scale", "deployment/web", "--replicas=4") })
		v.synced()
		v.operation(func() { v.edit("by-hand") })
		v.synced()
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "config-only", tell: func(v *service) {
		v.first("v1")
		v.workload.env = "another"
		v.change("config only")
		v.synced()
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "config-counted", with: func(v *service) {
		v.changes = []dorav1alpha1.ChangeKind{dorav1alpha1.ChangeImage, dorav1alpha1.ChangeConfig}
	}, tell: func(v *service) {
		v.first("v1")
		v.workload.env = "another"
		v.change("config only")
		v.synced()
		v.expect("deploy succeeded v1 after none", "deploy succeeded v1 after v1, config")
		if commit := v.events()[1].Version.Commit; commit != v.revision {
			v.Errorf("the commit is %s, not that of the configuration, %s", commit, v.revision)
		}
	}},
	{name: "monorepo-unrelated", tell: func(v *service) {
		v.first("v1")
		for _, text := range []string{"one", "two"} {
			v.files["other/README"] = text
			v.change("unrelated " + text)
			v.synced()
		}
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "resync", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.sync()
		v.files["other/README"] = "unrelated"
		v.change("unrelated")
		v.synced()
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "sync-failed", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.workload.selector = "immutable"
		v.next("v2")
		v.workload.selector = ""
		v.next("v3")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v3 after v1")
	}},
	{name: "superseded", with: slow, tell: func(v *service) {
		v.first("v1")
		v.workload.pods = "never"
		v.next("v2")
		v.goingOut()
		v.workload.pods = ""
		v.next("v3")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v3 after v1")
	}},
	{name: "back-to-back", with: slow, tell: func(v *service) {
		v.first("v1")
		v.workload.readyAfter = "100s"
		v.next("v2")
		v.workload.readyAfter = ""
		v.next("v3")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v3 after v1")
	}},
	{name: "recreated", tell: func(v *service) {
		v.first("v1")
		v.deleteApplication(false)
		v.makeApplication()
		v.synced()
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	// Without metrics an HPA is Healthy to Argo CD 2.14 as soon as it finds what it scales.
	{name: "hpa-without-metrics", tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hpa.yaml"] = hpa("web")
		v.change("an hpa that has no metrics")
		v.synced()
		v.files["deploy/hpa.yaml"] = ""
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "hpa-degraded", tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hpa.yaml"] = hpa("nobody")
		v.change("an hpa that scales nothing")
		v.degraded()
		v.files["deploy/hpa.yaml"] = ""
		v.change("no hpa")
		v.synced()
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "degraded", "recovered", "deploy succeeded v2 after v1")
	}},
	{name: "hpa-blip", with: func(v *service) { v.degradedFor = "" }, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hpa.yaml"] = hpa("nobody")
		v.change("an hpa that scales nothing")
		v.degraded()
		v.files["deploy/hpa.yaml"] = ""
		v.change("no hpa")
		v.synced()
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "crash-later", tell: func(v *service) {
		v.first("v1")
		v.crash(true)
		v.healthIs("Progressing")
		v.crash(false)
		v.healthy("v1")
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "digest", tell: func(v *service) {
		v.released("v1", "sha256:"+strings.Repeat("a", 64), time.Time{})
		v.released("v2", "sha256:"+strings.Repeat("b", 64), time.Time{})
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "latest", tell: func(v *service) {
		v.released("v1", "latest", time.Time{})
		v.first("v1")
		v.workload.env = "another"
		v.change("pull it again")
		v.synced()
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "sidecar", with: func(v *service) { v.workload.images = []string{"", proxy + "v1.30.0"} }, tell: func(v *service) {
		v.first("v1")
		v.workload.images[1] = proxy + "v1.31.0"
		v.change("the sidecar only")
		v.synced()
		v.workload.images[1] = proxy + "v1.32.0"
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v1.31.0 after v1.30.0", "deploy succeeded v2 after v1")
	}},
	{name: "multi-source", with: twoSources, tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "helm", with: func(v *service) { v.layout = helmChart }, tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "kustomize", with: func(v *service) { v.layout = kustomization }, tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "hook-failed", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hook.yaml"] = hook("PreSync", true)
		v.next("v2")
		v.files["deploy/hook.yaml"] = ""
		v.change("v2 without the hook")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "postsync-failed", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hook.yaml"] = hook("PostSync", true)
		v.next("v2")
		v.healthIs("Healthy")
		v.files["deploy/hook.yaml"] = ""
		v.next("v3")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy failed v2 after v1", "deploy succeeded v3 after v2, unplanned")
	}},
	{name: "postsync-failed-then-retried", with: retries, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hook.yaml"] = waiting(hook("PostSync", false))
		v.next("v2")
		v.hookEnds(corev1.PodFailed)
		v.hookEnds(corev1.PodSucceeded)
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "selective-sync", with: byHand, tell: func(v *service) {
		v.files["deploy/config.yaml"] = configMap("one")
		v.first("v1")
		v.want("v2")
		v.files["deploy/config.yaml"] = configMap("another")
		v.show("v2 and another ConfigMap")
		v.sync(map[string]any{"group": "apps", "kind": "Deployment", "name": "web"})
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1 [partial_sync]")
	}},
	{name: "two-workloads", tell: func(v *service) {
		v.worker("v1", nil)
		v.first("v1")
		v.worker("v2", func(w *workload) { w.readyAfter = "5s" })
		v.next("v2")
		v.synced()
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "redeploy", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.rollBack(1)
		v.synced()
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "dry-run", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.want("v2")
		v.show("v2")
		v.operation(func() {
			v.operate(map[string]any{"revision": v.revision, "dryRun": true, "syncStrategy": map[string]any{"hook": map[string]any{}}})
		})
		v.sync()
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "terminated-before-it-applied", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hook.yaml"] = waiting(hook("PreSync", false))
		v.want("v2")
		v.show("v2 with a hook that waits")
		v.operation(func() { v.stopAtHook() })
		v.files["deploy/hook.yaml"] = ""
		v.change("v2 without the hook")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "terminated-after-it-applied", with: byHand, tell: func(v *service) {
		v.first("v1")
		v.files["deploy/hook.yaml"] = waiting(hook("PostSync", false))
		v.want("v2")
		v.show("v2 with a hook that waits")
		v.operation(func() { v.stopAtHook() })
		v.healthIs("Healthy")
		v.files["deploy/hook.yaml"] = ""
		v.next("v3")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy failed v2 after v1", "deploy succeeded v3 after v2, unplanned")
	}},
	// The wave behind it stays as it is, so Healthy comes before the operation that mends the first one is over.
	{name: "first-wave-degraded", with: byHand, tell: func(v *service) {
		w := workload{name: "worker", kind: "Deployment", replicas: 1, deadline: 10, images: []string{proxy + "v1.30.0"}}
		w.annotations = map[string]string{"argocd.argoproj.io/sync-wave": "1"}
		v.files["deploy/worker.yaml"] = w.yaml()
		v.first("v1")
		v.workload.pods = "never"
		v.next("v2")
		v.degraded()
		v.workload.pods = ""
		v.next("v3")
		v.synced()
		v.expect(
			"deploy succeeded v1 after none",
			"deploy failed v2 after v1",
			"degraded by v2",
			"recovered",
			"deploy succeeded v3 after v1, unplanned",
		)
	}},
	{name: "second-wave-slow", with: byHand, tell: func(v *service) {
		behind := func(w *workload) {
			w.annotations, w.readyAfter = map[string]string{"argocd.argoproj.io/sync-wave": "1"}, "5s"
		}
		v.worker("v1", behind)
		v.first("v1")
		v.worker("v2", behind)
		v.next("v2")
		v.synced()
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		for _, image := range v.events()[1].Version.Images {
			if !strings.HasSuffix(image, v.releases["v2"].tag) {
				v.Errorf("v2 is said to have %s: the second wave was not waited for", image)
			}
		}
	}},
	{name: "statefulset-stuck", with: func(v *service) { v.workload.kind = "StatefulSet" }, tell: func(v *service) {
		v.first("v1")
		v.workload.pods = "never"
		v.next("v2")
		v.goingOut()
		v.workload.pods = ""
		v.next("v3")
		v.goingOut()
		v.kubectl("delete", "pod", "web-1") // a StatefulSet waits for its stuck pod, even if that is of an older version
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v3 after v1")
	}},
}

const proxy = "registry.example.com/acme/proxy:"

// slow gives a version much time.
func slow(v *service) { v.workload.deadline = 300 }

// retries lets Argo CD try an operation that failed again.
func retries(v *service) {
	v.spec = func(spec map[string]any) {
		spec["syncPolicy"] = map[string]any{
			"automated": map[string]any{"prune": true, "selfHeal": true},
			"retry":     map[string]any{"limit": int64(2), "backoff": map[string]any{"duration": "3s", "factor": int64(1), "maxDuration": "10s"}},
		}
	}
}

// twoSources has more manifests in another repository.
func twoSources(v *service) {
	extra, err := v.Git.Make(v.Context(), "extra/"+v.name)
	v.check(err)
	_, err = extra.Commit(v.Context(), "extra", time.Now(), map[string]string{"deploy/extra.yaml": configMap("extra")})
	v.check(err)
	v.spec = func(spec map[string]any) {
		spec["sources"] = []any{spec["source"], map[string]any{"repoURL": extra.URL, "path": "deploy", "targetRevision": "main"}}
		delete(spec, "source")
	}
}

// stopAtHook syncs, and terminates the operation when its hook runs.
func (v *service) stopAtHook() {
	v.Helper()
	v.operate(map[string]any{"revision": v.revision, "syncStrategy": map[string]any{"hook": map[string]any{}}})
	v.hookRuns()
	v.terminate()
}
