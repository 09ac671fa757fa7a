//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dora-controller/dora-controller/test/e2e/stand"
)

// disturbed is a story in three parts: before a part of the cluster is disturbed, meanwhile, and after.
type disturbed struct {
	name                  string
	with                  func(*service)
	before, during, after func(*service)
}

// under tells stories around one disturbance, each part of all of them at the same time.
func (l *live) under(t *testing.T, name string, begin, end func(*testing.T), stories []disturbed) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		services := map[string]*service{}
		for _, one := range stories {
			services[one.name] = l.service(t, story{name: one.name, with: one.with})
		}
		part := func(name string, tell func(disturbed) func(*service)) {
			t.Run(name, func(t *testing.T) {
				for _, one := range stories {
					t.Run(one.name, func(t *testing.T) {
						t.Parallel()
						services[one.name].T = t
						tell(one)(services[one.name])
					})
				}
			})
		}
		part("before", func(d disturbed) func(*service) { return d.before })
		if t.Failed() {
			return
		}
		l.Watch.Note(name + " begins")
		begin(t)
		part("during", func(d disturbed) func(*service) { return d.during })
		end(t)
		l.Watch.Note(name + " has ended")
		part("after", func(d disturbed) func(*service) { return d.after })
	})
}

// TestDisturbed tells what happens when the controller, Argo CD, Argo Rollouts or the API server is not there for a while.
func TestDisturbed(t *testing.T) {
	l := begin(t)
	nothing := func(*testing.T) {}
	kill := func(p *stand.Process) func(*testing.T) { return func(*testing.T) { p.Kill() } }
	start := func(p *stand.Process) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			l.must(t, p.Start(t.Context()))
		}
	}
	restart := func(end func(*stand.Process), p *stand.Process) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			end(p)
			start(p)(t)
		}
	}
	l.under(t, "the controller is down", kill(l.Dora), start(l.Dora), whileDown)
	l.under(t, "the leader is killed and another takes over", l.killLeader, nothing, whileKilled)
	l.under(t, "Argo CD is restarted", nothing, nothing, argoRestarted)
	l.under(t, "Argo Rollouts is restarted", restart((*stand.Process).Kill, l.Rollouts), nothing, rolloutsRestarted)
	l.under(t, "the API server is restarted", restart((*stand.Process).Stop, l.APIServer), nothing, serverRestarted)
	l.nothingMoreCame(t)
}

// killLeader starts a second replica, which waits, kills the first, and takes the second for the controller from then on. It is at work when the lease has run out.
func (l *live) killLeader(t *testing.T) {
	t.Helper()
	second, err := l.Standby(t.Context())
	l.must(t, err)
	l.Dora.Kill()
	l.Dora = second
}

// whileDown are told while the controller is not there.
var whileDown = []disturbed{
	{
		name:   "down-for-three-deployments",
		before: func(v *service) { v.first("v1") },
		during: func(v *service) {
			for _, version := range []string{"v2", "v3", "v4"} {
				v.next(version)
				v.healthy(version)
			}
		},
		// Argo CD 2.14 keeps no images in its history, so v2 and v3 cannot be told, nor what ran before v4.
		after: func(v *service) {
			v.gaps = 2
			v.expect("deploy succeeded v1 after none", "deploy succeeded v4 after ? [history]")
		},
	},
	{
		name:   "down-for-one-deployment",
		before: func(v *service) { v.first("v1") },
		during: func(v *service) {
			v.next("v2")
			v.healthy("v2")
		},
		after: func(v *service) {
			v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1 [history]")
		},
	},
	{
		name:   "down-for-a-failure-and-its-fix",
		before: func(v *service) { v.first("v1") },
		during: func(v *service) {
			v.workload.pods = "never"
			v.next("v2")
			v.degraded()
			v.workload.pods = ""
			v.next("v3")
			v.healthy("v3")
		},
		// That v2 failed is told nowhere any more, and is not made up.
		after: func(v *service) {
			v.gaps = 1
			v.expect("deploy succeeded v1 after none", "deploy succeeded v3 after ? [history]")
		},
	},
	{
		name:   "down-when-a-failure-begins",
		before: func(v *service) { v.first("v1") },
		during: func(v *service) {
			v.workload.pods = "never"
			v.next("v2")
			v.degraded()
		},
		after: func(v *service) {
			v.await("the failure is told", func() error { return atLeast(3, v) })
			v.workload.pods = ""
			v.next("v3")
			v.healthy("v3")
			// Degraded still stood when it was looked at, and Argo's own transition says since when.
			v.expect(
				"deploy succeeded v1 after none",
				"deploy failed v2 after v1",
				"degraded by v2",
				"deploy succeeded v3 after v1, unplanned",
				"recovered",
			)
		},
	},
	{
		name: "down-when-a-failure-ends",
		before: func(v *service) {
			v.first("v1")
			v.workload.pods = "never"
			v.next("v2")
			v.degraded()
			v.await("the failure is told", func() error { return atLeast(3, v) })
		},
		during: func(v *service) {
			v.workload.pods = ""
			v.next("v3")
			v.healthy("v3")
		},
		after: func(v *service) {
			v.expect(
				"deploy succeeded v1 after none",
				"deploy failed v2 after v1",
				"degraded by v2",
				"deploy succeeded v3 after v1, unplanned [history]",
				"recovered",
			)
		},
	},
	{
		name: "down-for-a-rollback",
		before: func(v *service) {
			v.first("v1")
			v.next("v2")
			v.healthy("v2")
			v.await("both are told", func() error { return atLeast(2, v) })
		},
		during: func(v *service) {
			v.next("v1")
			v.healthy("v1")
		},
		after: func(v *service) {
			v.expect(
				"deploy succeeded v1 after none",
				"deploy succeeded v2 after v1",
				"deploy rolled_back v1 after v2, v1 runs [history]",
			)
		},
	},
	{
		name:   "down-for-a-short-history",
		with:   func(v *service) { v.spec = func(app map[string]any) { app["revisionHistoryLimit"] = int64(1) } },
		before: func(v *service) { v.first("v1") },
		during: func(v *service) {
			for _, version := range []string{"v2", "v3"} {
				v.next(version)
				v.healthy(version)
			}
		},
		after: func(v *service) {
			v.gaps = 1 // there was one at least
			v.expect("deploy succeeded v1 after none", "deploy succeeded v3 after ? [history]")
		},
	},
	{
		name:   "down-for-an-abort",
		with:   rollout(canaryThatWaits),
		before: func(v *service) { v.first("v1"); v.next("v2"); v.rolloutAwait("Paused") },
		during: func(v *service) {
			v.argoRollouts("abort")
			v.rolloutAwait("Degraded")
			v.stableServesAlone()
		},
		after: func(v *service) {
			v.await("the abort is told", func() error { return atLeast(4, v) })
			v.next("v3")
			v.rolloutAwait("Paused")
			v.argoRollouts("promote")
			v.healthy("v3")
			v.expect(
				"deploy succeeded v1 after none",
				"deploy rolled_back v2 after v1, exposed, v1 runs",
				"degraded by v2",
				"recovered",
				"deploy succeeded v3 after v1, unplanned",
			)
		},
	},
	{
		name:   "down-for-a-recreation",
		before: func(v *service) { v.first("v1") },
		during: func(v *service) {
			v.deleteApplication(true)
			v.makeApplication()
			v.healthy("v1")
		},
		after: func(v *service) {
			v.next("v2")
			v.healthy("v2")
			v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		},
	},
	{
		name:   "down-for-nothing",
		before: func(v *service) { v.first("v1") },
		during: func(v *service) { v.workload.env = "changed"; v.change("config only"); v.healthy("v1") },
		after: func(v *service) {
			v.next("v2")
			v.healthy("v2")
			v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		},
	},
}

// whileKilled are told while a second replica takes over from one that was killed.
var whileKilled = []disturbed{
	{
		name:   "killed-in-mid-canary",
		with:   rollout(canaryThatWaits),
		before: func(v *service) { v.first("v1"); v.next("v2"); v.rolloutAwait("Paused") },
		during: func(v *service) { v.argoRollouts("promote") },
		after: func(v *service) {
			v.healthy("v2")
			v.expectLoosely("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		},
	},
	{
		name:   "killed-before-an-abort",
		with:   rollout(canaryThatWaits),
		before: func(v *service) { v.first("v1"); v.next("v2"); v.rolloutAwait("Paused") },
		during: func(v *service) { v.argoRollouts("abort") },
		after: func(v *service) {
			v.rolloutAwait("Degraded")
			v.stableServesAlone()
			v.expectLoosely(
				"deploy succeeded v1 after none",
				"deploy rolled_back v2 after v1, exposed, v1 runs",
				"degraded by v2",
				"recovered",
			)
		},
	},
	{
		name:   "killed-while-pods-start",
		before: func(v *service) { v.first("v1"); v.workload.readyAfter = "8s"; v.next("v2") },
		during: func(*service) {},
		after: func(v *service) {
			v.healthy("v2")
			v.expectLoosely("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		},
	},
}

// argoRestarted are told while Argo CD's application controller is killed, each at its own moment.
var argoRestarted = []disturbed{
	{
		name: "argo-cd-killed-in-mid-sync",
		before: func(v *service) {
			v.first("v1")
			v.files["deploy/hook.yaml"] = slowHook
			v.next("v2")
			v.await("the operation runs", func() error {
				if phase := v.field("status", "operationState", "phase"); phase != "Running" {
					return errors.New(phase)
				}
				return nil
			})
		},
		during: func(v *service) {
			v.ArgoCD.Kill()
			v.check(v.ArgoCD.Start(v.Context()))
		},
		after: func(v *service) {
			v.healthy("v2")
			v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		},
	},
	{
		name:   "argo-cd-killed-beside-it",
		before: func(v *service) { v.first("v1") },
		during: func(*service) {},
		after: func(v *service) {
			v.next("v2")
			v.healthy("v2")
			v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		},
	},
}

// slowHook is a PreSync hook that takes some seconds.
const slowHook = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: slow\n  annotations: {argocd.argoproj.io/hook: PreSync, argocd.argoproj.io/hook-delete-policy: BeforeHookCreation}\n" +
	"spec:\n  backoffLimit: 0\n  template:\n    metadata: {annotations: {e2e/ready-after: 8s}}\n    spec:\n      restartPolicy: Never\n" +
	"      containers: [{name: migrate, image: registry.example.com/acme/migrate:v1.0.0}]\n"

// rolloutsRestarted are told while the controller of Argo Rollouts is restarted.
var rolloutsRestarted = []disturbed{{
	name:   "rollouts-killed-in-mid-canary",
	with:   rollout(canary),
	before: func(v *service) { v.first("v1"); v.next("v2"); v.rolloutAwait("Paused") },
	during: func(*service) {},
	after: func(v *service) {
		v.healthy("v2")
		v.expect("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	},
}}

// serverRestarted are told while the API server is restarted.
var serverRestarted = []disturbed{
	{
		name:   "server-restarted-while-pods-start",
		before: func(v *service) { v.first("v1"); v.workload.readyAfter = "8s"; v.next("v2") },
		during: func(*service) {},
		after: func(v *service) {
			v.healthy("v2")
			v.expectLoosely("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
		},
	},
	{
		name: "server-restarted-during-a-failure",
		before: func(v *service) {
			v.first("v1")
			v.workload.pods = "never"
			v.next("v2")
			v.degraded()
		},
		during: func(*service) {},
		after: func(v *service) {
			v.workload.pods = ""
			v.next("v3")
			v.healthy("v3")
			v.expectLoosely(
				"deploy succeeded v1 after none",
				"deploy failed v2 after v1",
				"degraded by v2",
				"deploy succeeded v3 after v1, unplanned",
				"recovered",
			)
		},
	},
}

// atLeast waits for so many events.
func atLeast(n int, v *service) error {
	if got := v.words(v.events()); len(got) < n {
		return fmt.Errorf("there are %d so far: %v", len(got), got)
	}
	return nil
}

// TestShort is the proof that is short enough to be told with every change: a few stories in the middle of which the controller is killed.
func TestShort(t *testing.T) {
	l := begin(t)
	restart := func(t *testing.T) {
		t.Helper()
		l.Dora.Kill()
		l.must(t, l.Dora.Start(t.Context()))
	}
	l.under(t, "the controller is killed", restart, func(*testing.T) {}, whileKilled)
	l.nothingMoreCame(t)
}
