package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// follow plays a story up to a line and returns what the controller knows, and what it looks at, by then.
func follow(b *testing.B, name, until string) (deploy.State, deploy.Service, deploy.Observation, deploy.Policy, time.Time) {
	b.Helper()
	for _, s := range stories(b) {
		if s.name != name {
			continue
		}
		w := newWorld(s.policy)
		for i := range s.lines {
			for _, step := range s.lines[i].steps {
				if err := w.happen(step); err != nil {
					b.Fatal(err)
				}
			}
			if strings.HasPrefix(s.lines[i].text, until) {
				break
			}
		}
		subject := w.subjects[w.names[0]]
		uid, key := subject.obs.Subject.UID, subject.policy.Service+"/"+subject.policy.Environment
		return w.states[uid], w.services[key], w.look(subject), subject.policy, w.now
	}
	b.Fatalf("there is no story %q", name)
	return deploy.State{}, deploy.Service{}, deploy.Observation{}, deploy.Policy{}, time.Time{}
}

// withHistory gives an Application as many entries as Argo CD keeps, and resources of its usual size.
func withHistory(obs *deploy.Observation) {
	for i := range 9 {
		start := clock("0/09:00:00").Add(time.Duration(i) * time.Minute)
		obs.App.History = append(obs.App.History, deploy.HistoryEntry{ID: int64(10 + i), StartedAt: start, DeployedAt: start.Add(time.Second), Revisions: []string{"5b4abf7"}})
	}
	for _, name := range []string{"api", "worker", "cron"} {
		obs.App.Resources = append(obs.App.Resources, deploy.Resource{Kind: "Deployment", Namespace: "shop", Name: name})
	}
}

// Argo CD rewrites every Application's status every few minutes; almost always nothing but reconciledAt has changed.
func BenchmarkDecideUnchanged(b *testing.B) {
	for name, story := range map[string]string{
		"Application": "a sync brings a new image, and it turns Healthy after a while",
		"Rollout":     "a canary is promoted, and the Application and its Rollout tell it once",
	} {
		b.Run(name, func(b *testing.B) {
			state, service, obs, policy, now := follow(b, story, "never")
			withHistory(&obs)
			r := deploy.Decide(state, service, &obs, &policy, now)
			r = deploy.Decide(r.State, r.Service, &obs, &policy, now)
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Minute)
				obs.App.ReconciledAt = now
				r = deploy.Decide(r.State, r.Service, &obs, &policy, now)
				if r.Changed {
					b.Fatal("nothing should change")
				}
			}
		})
	}
}

// The observation that ends a deployment: Progressing turns Healthy, and an event comes of it.
func BenchmarkDecideChange(b *testing.B) {
	state, service, obs, policy, now := follow(b, "a sync brings a new image, and it turns Healthy after a while", "10:00:20 images b")
	now = now.Add(time.Second)
	obs.App.Health, obs.App.HealthSince = deploy.Healthy, now
	b.ReportAllocs()
	for b.Loop() {
		if r := deploy.Decide(state, service, &obs, &policy, now); len(r.Events) != 1 {
			b.Fatalf("want one event, got %d", len(r.Events))
		}
	}
}
