//go:build e2e

package e2e_test

func rollout(strategy string) func(*service) {
	return func(v *service) {
		v.workload.kind, v.workload.strategy, v.workload.replicas, v.workload.deadline = "Rollout", strategy, 4, 12
	}
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
		v.next("v2")
		v.rolloutAwait("Paused")
		v.argoRollouts("abort")
		v.rolloutAwait("Degraded")
		v.stableServesAlone()
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
}
