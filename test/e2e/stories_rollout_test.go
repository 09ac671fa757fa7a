//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func rollout(strategy string) func(*service) {
	return func(v *service) {
		v.workload.kind, v.workload.strategy, v.workload.replicas, v.workload.deadline = "Rollout", strategy, 4, 60
	}
}

// with is all of these changes.
func with(changes ...func(*service)) func(*service) {
	return func(v *service) {
		for _, change := range changes {
			change(v)
		}
	}
}

func standalone(v *service) { v.standalone = true }

// gated has an analysis to ask.
func gated(v *service) { v.openGate() }

// colours are the Services of a blue-green Rollout.
func colours(v *service) { v.files["deploy/services.yaml"] = services(v.workload.name) }

// broken makes the next version one whose pods are never ready, and does not wait long for them.
func (v *service) broken() { v.workload.pods, v.workload.deadline = "never", 12 }

// mended makes the next version a good one.
func (v *service) mended() { v.workload.pods, v.workload.deadline = "", 60 }

// canaryAt brings a version out until its canary waits for somebody.
func (v *service) canaryAt(name string) {
	v.Helper()
	v.next(name)
	v.rolloutAwait("Paused")
}

// aborted waits until Argo Rollouts has taken a version back.
func (v *service) aborted() {
	v.Helper()
	v.rolloutAwait("Degraded")
	v.stableServesAlone()
}

// rolloutHas waits until a field of the Rollout has that value.
func (v *service) rolloutHas(want any, path ...string) {
	v.Helper()
	v.await(fmt.Sprintf("the Rollout's %v is %v", path, want), func() error {
		is, _, err := unstructured.NestedFieldNoCopy(v.rollout().Object, path...)
		if err != nil || is != want {
			return errors.Join(err, fmt.Errorf("it is %v", is))
		}
		return nil
	})
}

// restart restarts the Rollout's pods, and waits until Argo Rollouts has.
func (v *service) restart() {
	v.Helper()
	v.argoRollouts("restart")
	v.await("all pods are restarted", func() error {
		asked, _, _ := unstructured.NestedString(v.rollout().Object, "spec", "restartAt")
		done, _, _ := unstructured.NestedString(v.rollout().Object, "status", "restartedAt")
		if asked == "" || asked != done {
			return fmt.Errorf("asked at %q, done at %q", asked, done)
		}
		return nil
	})
}

// gateThat changes the analysis.
func gateThat(old, changed string) func(*service) {
	return func(v *service) {
		v.files["deploy/gate.yaml"] = strings.Replace(v.files["deploy/gate.yaml"], old, changed, 1)
	}
}

// routed shares the traffic out by an Ingress, so that a canary can be there without any of it.
func routed(v *service) {
	rollout("  strategy:\n    canary:\n      stableService: active\n      canaryService: preview\n      trafficRouting: {nginx: {stableIngress: web}}\n" +
		"      steps: [{setCanaryScale: {replicas: 1}}, {pause: {}}, {setWeight: 40}, {pause: {}}]\n")(v)
	colours(v)
	v.files["deploy/ingress.yaml"] = "apiVersion: networking.k8s.io/v1\nkind: Ingress\n" +
		"metadata: {name: web, annotations: {argocd.argoproj.io/ignore-healthcheck: \"true\"}}\n" + // nobody here gives it an address
		"spec:\n  ingressClassName: nginx\n  rules:\n    - host: web.example.com\n" +
		"      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: active, port: {number: 80}}}}]}\n"
}

// referring has a Rollout that takes its template from a Deployment without pods of its own.
func referring(v *service) {
	v.workload.replicas, v.workload.deadline = 0, 60
	v.files["deploy/rollout.yaml"] = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  replicas: 4\n" +
		"  selector: {matchLabels: {app: web}}\n  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n" + canaryThatWaits
}

// autoscaled leaves the number of pods to an autoscaler.
func autoscaled(v *service) {
	v.spec = func(app map[string]any) {
		replicas := map[string]any{"group": "argoproj.io", "kind": "Rollout", "jsonPointers": []any{"/spec/replicas"}}
		app["ignoreDifferences"] = []any{replicas}
		app["syncPolicy"].(map[string]any)["syncOptions"] = []any{"RespectIgnoreDifferences=true"}
	}
}

// scale does what an autoscaler does.
func (v *service) scale(replicas int) {
	v.Helper()
	v.notef("scale to %d", replicas)
	v.check(v.Kubectl(v.Context(), nil, "scale", "rollouts.argoproj.io/"+v.workload.name, fmt.Sprintf("--replicas=%d", replicas), "--namespace="+v.namespace))
	v.workload.replicas = replicas
}

// setImage changes the image past git.
func (v *service) setImage(name string) {
	v.Helper()
	v.want(name)
	v.notef("kubectl argo rollouts set image %s", v.workload.images[0])
	v.check(v.plugin("set", "image", v.workload.name, "c0="+v.workload.images[0]))
}

// healed waits until Argo CD has taken back what that does.
func (v *service) healed(do func()) {
	v.Helper()
	before := v.field("status", "operationState", "startedAt")
	do()
	v.ended(before)
}

// hasHealed waits until Argo CD has repaired what is there of the last commit.
func (v *service) hasHealed() {
	v.Helper()
	v.await("a repair of the last commit", func() error {
		sync, _, _ := unstructured.NestedMap(v.app().Object, "status", "operationState", "operation", "sync")
		if phase := v.field("status", "operationState", "phase"); sync["resources"] == nil || sync["revision"] != v.revision || phase != "Succeeded" {
			return fmt.Errorf("the last operation is %v, %s", sync, phase)
		}
		return nil
	})
}

// waitingRollout is a second workload whose canary waits for somebody.
func waitingRollout(w *workload) { w.kind, w.strategy, w.replicas = "Rollout", canaryThatWaits, 2 }

// workerAwait waits until the second Rollout is in that phase.
func (v *service) workerAwait(phase string) {
	v.Helper()
	v.await("the worker is "+phase, func() error {
		status, _, _ := unstructured.NestedMap(v.Watch.Rollout(v.namespace, "worker").Object, "status")
		if status["phase"] != phase {
			return fmt.Errorf("status is %v", status)
		}
		return nil
	})
}

// rolloutStories are told of Rollouts.
var rolloutStories = []story{
	{name: "canary", with: rollout(canary), tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "abort-retry", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("abort")
		v.aborted()
		v.argoRollouts("retry")
		v.rolloutAwait("Paused")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy succeeded v2 after v1, unplanned",
		)
	}},
	{name: "analysis-failed", with: with(rollout(canaryWithGate), gated), tell: func(v *service) {
		v.first("v1")
		v.gate.Store("no")
		v.next("v2")
		v.aborted()
		v.gate.Store("yes")
		v.next("v3")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy succeeded v3 after v1, unplanned",
		)
	}},
	{name: "deadline", with: rollout(canary), tell: func(v *service) {
		v.first("v1")
		v.broken()
		v.next("v2")
		v.degraded()
		v.mended()
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
	{name: "deadline-abort", with: rollout(canary), tell: func(v *service) {
		v.workload.abortAtDeadline = true
		v.first("v1")
		v.broken()
		v.next("v2")
		v.aborted()
		v.mended()
		v.next("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "canary-superseded", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.canaryAt("v3")
		v.argoRollouts("promote")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v3 after v1")
	}},
	{name: "revert-mid-canary", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.next("v1")
		v.healthy("v1")
		v.expect("deploy succeeded v1 after none", "deploy rolled_back v2 after v1, exposed, v1 runs")
	}},
	{name: "blue-green", with: with(rollout(blueGreen), colours), tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "blue-green-failed", with: with(rollout(blueGreenWithGate), colours, gated), tell: func(v *service) {
		v.first("v1")
		v.gate.Store("no")
		v.next("v2")
		v.rolloutAwait("Degraded")
		v.next("v1")
		v.healthy("v1")
		v.expect("deploy succeeded v1 after none", "deploy rolled_back v2 after v1, not exposed, v1 runs")
	}},
	{name: "scale-restart", with: rollout(canary), tell: func(v *service) {
		v.first("v1")
		v.workload.replicas = 6
		v.change("scale")
		v.rolloutHas(int64(6), "status", "availableReplicas")
		v.restart()
		v.healthy("v1")
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "undo-by-git", with: rollout(canary), tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.next("v3")
		v.healthy("v3")
		v.next("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy succeeded v3 after v2",
			"deploy rolled_back v1 after v3, v1 runs",
		)
	}},
	{name: "standalone", with: with(rollout(canary), standalone), tell: func(v *service) {
		v.first("v1")
		v.healthy("v1")
		v.next("v2")
		v.healthy("v2")
		v.broken()
		v.next("v3")
		v.rolloutAwait("Degraded")
		v.mended()
		v.next("v2")
		v.healthy("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy failed v3 after v2",
			"degraded by v3",
			"deploy rolled_back v2 after v3, v2 runs",
			"recovered",
		)
	}},
	{name: "undo", with: with(rollout(canary), byHand), tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.argoRollouts("undo")
		v.want("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v1 after v2, v1 runs",
		)
	}},
	{name: "rollout-crash-later", with: rollout(canary), tell: func(v *service) {
		v.workload.deadline = 20
		v.first("v1")
		v.crash(true)
		v.degraded()
		v.crash(false)
		v.healthIs("Healthy")
		v.expect("deploy succeeded v1 after none", "degraded by v1", "recovered")
	}},

	// What follows was not recorded.

	{name: "abort-git-revert", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("abort")
		v.aborted()
		v.next("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "abort-fix-forward", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("abort")
		v.aborted()
		v.canaryAt("v3")
		v.argoRollouts("promote")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy succeeded v3 after v1, unplanned",
		)
	}},
	{name: "abort-twice", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("abort")
		v.aborted()
		v.argoRollouts("retry")
		v.rolloutAwait("Paused")
		v.argoRollouts("abort")
		v.aborted()
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy rolled_back v2 after v1, unplanned, exposed, v1 runs",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "abort-with-default-policy", with: with(rollout(canaryThatWaits), func(v *service) { v.degradedFor = "" }), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("abort")
		v.aborted()
		v.next("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "crash-for-a-moment", with: with(rollout(canary), func(v *service) { v.degradedFor = "" }), tell: func(v *service) {
		v.workload.deadline = 20
		v.first("v1")
		v.crash(true)
		v.degraded()
		v.crash(false)
		v.healthIs("Healthy")
		v.expect("deploy succeeded v1 after none")
	}},
	// Without a router a canary always has traffic, so it cannot be aborted before; with one it can.
	{name: "abort-at-weight-0", with: routed, tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("abort")
		v.aborted()
		v.expect("deploy succeeded v1 after none", "deploy rolled_back v2 after v1, not exposed, v1 runs")
	}},
	{name: "canary-scale", with: routed, tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("promote")
		v.rolloutHas(int64(40), "status", "canary", "weights", "canary", "weight")
		v.rolloutAwait("Paused")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.canaryAt("v3")
		v.argoRollouts("promote")
		v.rolloutHas(int64(40), "status", "canary", "weights", "canary", "weight")
		v.rolloutAwait("Paused")
		v.argoRollouts("abort")
		v.aborted()
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v3 after v2, exposed, v2 runs",
			"degraded by v3",
			"recovered",
		)
	}},
	{name: "analysis-flaps", with: with(rollout(canaryWithGate), gated, gateThat("failureLimit: 0", "failureLimit: 1")), tell: func(v *service) {
		v.first("v1")
		v.gate.Store("no once")
		v.next("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "analysis-flaps-too-much", with: with(rollout(canaryWithGate), gated), tell: func(v *service) {
		v.first("v1")
		v.gate.Store("no once")
		v.next("v2")
		v.aborted()
		v.argoRollouts("retry")
		v.healthy("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy succeeded v2 after v1, unplanned",
		)
	}},
	{name: "analysis-inconclusive", with: with(rollout(canaryWithGate), gated, gateThat("failureLimit: 0", "failureCondition: result == \"no\"")), tell: func(v *service) {
		v.first("v1")
		v.gate.Store("perhaps")
		v.canaryAt("v2")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.canaryAt("v3")
		v.argoRollouts("abort")
		v.aborted()
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v3 after v2, exposed, v2 runs",
			"degraded by v3",
			"recovered",
		)
	}},
	{name: "analysis-in-background-failed", with: with(rollout(canaryThatWaits+"      analysis: {templates: [{templateName: gate}]}\n"), gated), tell: func(v *service) {
		v.first("v1")
		v.gate.Store("no")
		v.next("v2")
		v.aborted()
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "blue-green-failed-late", with: with(rollout(blueGreenWithLateGate), colours, gated), tell: func(v *service) {
		v.first("v1")
		v.gate.Store("no")
		v.next("v2")
		v.aborted()
		v.next("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "undo-under-self-heal", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.healed(func() { v.argoRollouts("undo") })
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "undo-then-sync", with: with(rollout(canary), byHand), tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		v.argoRollouts("undo")
		v.want("v1")
		v.healthy("v1")
		v.want("v2")
		v.sync()
		v.healthy("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v1 after v2, v1 runs",
			"deploy succeeded v2 after v1, unplanned",
		)
	}},
	{name: "undo-mid-canary", with: with(rollout(canaryThatWaits), byHand), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("undo")
		v.want("v1")
		v.healthy("v1")
		v.expect("deploy succeeded v1 after none", "deploy rolled_back v2 after v1, exposed, v1 runs")
	}},
	{name: "set-image-under-self-heal", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.healed(func() { v.setImage("v2") })
		v.want("v1")
		v.healthy("v1")
		v.expect("deploy succeeded v1 after none")
	}},
	{name: "set-image", with: with(rollout(canary), byHand), tell: func(v *service) {
		v.first("v1")
		v.setImage("v2")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "promote-full", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("promote", "--full")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "pause-in-git", with: rollout(canary), tell: func(v *service) {
		v.first("v1")
		v.workload.strategy += "  paused: true\n"
		v.canaryAt("v2")
		v.workload.strategy = canary
		v.change("go on")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "pause-by-hand", with: rollout(canary), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("pause")
		v.rolloutHas(true, "spec", "paused")
		v.rolloutAwait("Paused")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "restart-mid-canary", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.restart()
		v.rolloutAwait("Paused")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "scale-mid-canary", with: with(rollout(canaryThatWaits), autoscaled), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.scale(8)
		v.rolloutHas(int64(8), "status", "availableReplicas")
		v.rolloutAwait("Paused")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.scale(3)
		v.rolloutHas(int64(3), "status", "replicas")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "rollback-window", with: rollout(canaryThatWaits + "  rollbackWindow: {revisions: 3}\n"), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.next("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v1 after v2, v1 runs",
		)
	}},
	{name: "deadline-retry", with: rollout("  strategy: {canary: {maxSurge: 100%, maxUnavailable: 0}}\n"), tell: func(v *service) {
		v.first("v1")
		v.workload.deadline, v.workload.readyAfter = 12, "40s"
		v.next("v2")
		v.degraded()
		v.argoRollouts("retry") // for what was not aborted it does nothing
		v.healthy("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy failed v2 after v1",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "deadline-abort-retry", with: rollout("  strategy: {canary: {maxSurge: 100%, maxUnavailable: 0}}\n"), tell: func(v *service) {
		v.first("v1")
		v.workload.abortAtDeadline, v.workload.deadline, v.workload.readyAfter = true, 12, "20s"
		v.next("v2")
		v.aborted()
		v.workload.deadline = 60
		v.change("more time")
		v.rolloutHas(int64(60), "spec", "progressDeadlineSeconds")
		v.argoRollouts("retry")
		v.healthy("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy succeeded v2 after v1, unplanned",
		)
	}},
	{name: "rollout-recreated", with: rollout(canary), tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.healthy("v2")
		before := v.rollout().GetUID()
		v.check(v.Kubectl(v.Context(), nil, "delete", "rollouts.argoproj.io", v.workload.name, "--cascade=foreground", "--wait=false", "--namespace="+v.namespace))
		v.await("Argo CD makes the Rollout again", func() error {
			if now := v.rollout(); now == nil || now.GetUID() == before {
				return errors.New("it has not")
			}
			return nil
		})
		v.healthy("v2")
		v.next("v3")
		v.healthy("v3")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1", "deploy succeeded v3 after v2")
	}},
	{name: "workload-ref", with: referring, tell: func(v *service) {
		v.first("v1")
		v.next("v2")
		v.rolloutHas("Paused", "status", "phase")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.next("v3")
		v.rolloutHas("Paused", "status", "phase")
		v.argoRollouts("abort")
		v.rolloutHas("Degraded", "status", "phase")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v3 after v2, exposed, v2 runs",
			"degraded by v3",
			"recovered",
		)
	}},
	// One is promoted, the other aborted. By the rules running is then what ran before.
	{name: "two-rollouts", with: rollout(canary), tell: func(v *service) {
		v.worker("v1", waitingRollout)
		v.first("v1")
		v.worker("v2", waitingRollout)
		v.next("v2")
		v.rolloutAwait("Healthy")
		v.workerAwait("Paused")
		v.check(v.plugin("abort", "worker"))
		v.workerAwait("Degraded")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
		)
	}},
	{name: "rollout-and-deployment", with: rollout(canaryThatWaits), tell: func(v *service) {
		v.worker("v1", nil)
		v.first("v1")
		v.worker("v2", nil)
		v.canaryAt("v2")
		v.argoRollouts("promote")
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	}},
	{name: "standalone-abort", with: with(rollout(canaryThatWaits), standalone), tell: func(v *service) {
		v.first("v1")
		v.healthy("v1")
		v.canaryAt("v2")
		v.argoRollouts("abort")
		v.aborted()
		v.argoRollouts("retry")
		v.rolloutAwait("Paused")
		v.argoRollouts("promote", "--full")
		v.healthy("v2")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy succeeded v2 after v1, unplanned",
		)
	}},
	{name: "standalone-undo", with: with(rollout(canary), standalone), tell: func(v *service) {
		v.first("v1")
		v.healthy("v1")
		v.next("v2")
		v.healthy("v2")
		v.argoRollouts("undo")
		v.want("v1")
		v.healthy("v1")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy succeeded v2 after v1",
			"deploy rolled_back v1 after v2, v1 runs",
		)
	}},
	// Argo Rollouts takes a 0 out of the spec, and Argo CD puts it back, again and again.
	{name: "never-in-sync", with: rollout(canaryThatWaits + "  minReadySeconds: 0\n"), tell: func(v *service) {
		v.first("v1")
		v.canaryAt("v2")
		v.hasHealed()
		v.argoRollouts("abort")
		v.aborted()
		v.workload.strategy = canary
		v.next("v3")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy rolled_back v2 after v1, exposed, v1 runs",
			"degraded by v2",
			"recovered",
			"deploy succeeded v3 after v1, unplanned",
		)
	}},
}
