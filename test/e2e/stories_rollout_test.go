//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"

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
}
