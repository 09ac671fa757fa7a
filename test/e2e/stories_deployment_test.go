//go:build e2e

package e2e_test

import "time"

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
}
