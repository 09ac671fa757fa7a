package deploy_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// simulator moves an Application, or a Rollout, or an Application with Rollouts, through states that Argo can write, and some
// that it should not. Every time in it lies at or before its clock.
type simulator struct {
	pick   func(n int) int // chooses one of n
	now    time.Time
	obs    deploy.Observation
	policy deploy.Policy
	uids   int
	wanted []string // images of what is no Rollout, as git has them
}

var pictures = []string{
	"registry.example.com/acme/shop:main-aaaaaaa", "registry.example.com/acme/shop:main-bbbbbbb", "registry.example.com/acme/shop:main-ccccccc",
	"registry.example.com/acme/shop:v1.2.3", "registry.example.com/acme/worker:main-aaaaaaa", "registry.example.com/acme/worker:main-bbbbbbb",
	"registry.example.com/acme/envoy@sha256:1111", "job", "",
}

func newSimulator(pick func(n int) int) *simulator {
	s := &simulator{pick: pick, now: clock("10:00:00"), policy: defaultPolicy()}
	s.policy.Service = "shop"
	s.policy.CountConfig = pick(4) == 0
	s.policy.DegradedFor = []time.Duration{0, time.Minute}[pick(2)]
	s.policy.VerdictTimeout = []time.Duration{time.Hour, 24 * time.Hour}[pick(2)]
	if pick(4) == 0 {
		s.policy.Exclude = []string{"*/envoy"}
	}
	s.create()
	return s
}

// create makes a subject, or makes it again.
func (s *simulator) create() {
	s.uids++
	kinds := s.pick(4)
	created := s.now
	if s.pick(2) == 0 {
		created = clock("0/08:00:00")
	}
	uid := fmt.Sprintf("uid-%d", s.uids)
	s.obs = deploy.Observation{Cluster: "test", CreatedAt: created, Destination: "in-cluster/shop"}
	if kinds > 0 {
		s.obs.Subject = dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "shop", UID: uid}
		s.obs.App = &deploy.App{Resources: []deploy.Resource{{Kind: "Deployment", Namespace: "shop", Name: "web"}}}
		s.wanted = []string{pictures[0]}
	} else {
		s.obs.Subject = dora.Subject{Kind: dora.KindRollout, Namespace: "shop", Name: "web", UID: uid}
		kinds = 2
	}
	for i := range kinds - 1 {
		r := deploy.Rollout{UID: fmt.Sprintf("%s-r%d", uid, i), Namespace: "shop", Name: fmt.Sprintf("web%d", i), CreatedAt: created, Desired: 4, Observed: true}
		if s.obs.App == nil {
			r.UID, r.Name = uid, "web"
		}
		r.BlueGreen, r.TrafficRouted = s.pick(4) == 0, s.pick(4) == 0
		s.obs.Rollouts = append(s.obs.Rollouts, r)
	}
}

// stamp is a time that Argo writes: now, or a few seconds ago, or none.
func (s *simulator) stamp() time.Time {
	switch s.pick(8) {
	case 0:
		return s.now.Add(-time.Duration(s.pick(5)) * time.Second)
	case 1:
		return s.now.Add(-time.Duration(s.pick(5)) * time.Hour)
	case 2:
		return time.Time{}
	default:
		return s.now
	}
}

// move changes one thing.
func (s *simulator) move() {
	switch n := s.pick(20); {
	case n == 0:
		s.now = s.now.Add(time.Duration(s.pick(3600*30)) * time.Second)
	case n < 4:
		s.now = s.now.Add(time.Duration(s.pick(90)) * time.Second)
	case n == 4 && s.pick(4) == 0:
		s.obs.Deleting = true
	case n == 5 && s.obs.Deleting:
		s.create()
	case n == 6 && s.pick(4) == 0:
		s.policy.Environment = []string{"prod", "staging"}[s.pick(2)]
	case n < 14 && s.obs.App != nil:
		s.moveApp(s.obs.App)
	case len(s.obs.Rollouts) > 0:
		s.moveRollout(&s.obs.Rollouts[s.pick(len(s.obs.Rollouts))])
	case s.obs.App != nil:
		s.moveApp(s.obs.App)
	}
}

var healths = []deploy.Health{deploy.Healthy, deploy.Healthy, deploy.Healthy, deploy.Progressing, deploy.Degraded, deploy.Suspended, deploy.Missing, deploy.HealthUnknown, "Perfect", ""}

func (s *simulator) moveApp(app *deploy.App) {
	switch s.pick(12) {
	case 0:
		if health := healths[s.pick(len(healths))]; health != app.Health {
			app.Health, app.HealthSince = health, s.stamp()
		}
	case 1:
		n := s.pick(5)
		app.Synced, app.OutOfSync, app.ReconciledAt = n < 3, n == 3, s.stamp()
	case 2:
		app.Images = slices.Clone(s.wanted)
	case 3:
		app.Images = append(slices.Clone(app.Images), pictures[s.pick(len(pictures))])
	case 4:
		s.wanted = []string{pictures[s.pick(len(pictures))]}
		app.OutOfSync, app.Synced = true, false
	case 5:
		app.Requested = &deploy.Request{Partial: s.pick(3) == 0, SelfHeal: s.pick(4) == 0, DryRun: s.pick(6) == 0}
		if s.pick(2) == 0 {
			app.Operation = nil
		}
	case 6, 7:
		s.operate(app)
	case 8:
		if op := app.Operation; op != nil {
			app.History = append(slices.Clone(app.History), deploy.HistoryEntry{ID: int64(len(app.History)), StartedAt: op.StartedAt, DeployedAt: s.stamp(), Images: s.named()})
		}
	case 9:
		app.History = app.History[s.pick(len(app.History)+1):]
	case 10:
		app.Stale = s.pick(5) == 0
	case 11:
		app.Resources = []deploy.Resource{{Kind: "Deployment", Namespace: "shop", Name: "web", Health: healths[s.pick(len(healths))]}}
	}
}

// named are the images that a row or an entry tells; older versions of Argo CD tell none.
func (s *simulator) named() []string {
	if s.pick(2) == 0 {
		return nil
	}
	return slices.Clone(s.wanted)
}

var phases = []deploy.Phase{deploy.Running, deploy.Completed, deploy.Completed, deploy.Completed, deploy.PhaseFailed, deploy.PhaseError, deploy.Terminating, "Odd", ""}

// operate starts an operation, or moves the one that runs.
func (s *simulator) operate(app *deploy.App) {
	op := deploy.Operation{Phase: deploy.Running, StartedAt: s.now}
	if last := app.Operation; last != nil {
		op.Rows = last.Rows
		if s.pick(3) > 0 {
			op = *last
			op.Phase = phases[s.pick(len(phases))]
		}
	}
	op.FinishedAt = time.Time{}
	if op.Phase != deploy.Running || s.pick(6) == 0 {
		op.FinishedAt = s.stamp()
	}
	if app.Requested != nil {
		op.Request = *app.Requested
	}
	if op.Phase == deploy.Completed || op.Phase == deploy.PhaseFailed {
		app.Requested = nil
		op.Rows = []deploy.Row{{Kind: "Deployment", Namespace: "shop", Name: "web", Workload: true, Applied: s.pick(4) > 0, Unchanged: s.pick(3) == 0, Images: s.named()}}
		for i := range s.obs.Rollouts {
			op.Rows = append(op.Rows, deploy.Row{Kind: "Rollout", Namespace: "shop", Name: s.obs.Rollouts[i].Name, Workload: true, Applied: s.pick(4) > 0})
		}
		if s.pick(4) == 0 {
			op.Rows = nil
		}
	}
	app.Operation = &op
}

var rolloutPhases = []deploy.RolloutPhase{
	deploy.RolloutHealthy, deploy.RolloutHealthy, deploy.RolloutProgressing, deploy.RolloutPaused, deploy.RolloutDegraded, "Odd", "",
}

func (s *simulator) moveRollout(r *deploy.Rollout) {
	switch s.pick(14) {
	case 0, 1:
		s.template(r)
	case 2:
		r.Observed = s.pick(3) > 0
	case 3:
		r.Phase = rolloutPhases[s.pick(len(rolloutPhases))]
	case 4:
		r.Aborted, r.AbortedAt = true, s.stamp()
		s.condition(&r.Progressing, deploy.False)
		r.Phase = deploy.RolloutDegraded
	case 5:
		r.Aborted, r.AbortedAt = false, time.Time{}
	case 6, 7: // promoted
		r.StableHash, r.ActiveHash, r.Phase, r.TimedOut = r.CurrentHash, r.CurrentHash, deploy.RolloutHealthy, false
		s.condition(&r.CompletedCond, deploy.True)
		s.condition(&r.HealthyCond, deploy.True)
	case 8: // the deadline passes
		s.condition(&r.Progressing, deploy.False)
		r.TimedOut, r.Phase = true, deploy.RolloutDegraded
	case 9:
		if n := len(r.ReplicaSets); n > 0 {
			set := &r.ReplicaSets[s.pick(n)]
			set.Replicas = s.pick(5)
			set.Available = s.pick(set.Replicas + 1)
		}
	case 10:
		s.condition([]*deploy.Condition{&r.Progressing, &r.CompletedCond, &r.HealthyCond, &r.Available, &r.PausedCond}[s.pick(5)], []deploy.ConditionStatus{deploy.True, deploy.False, deploy.NotTold, ""}[s.pick(4)])
	case 11:
		r.Weight, r.ActiveHash = s.pick(3)*50, []string{r.CurrentHash, r.StableHash}[s.pick(2)]
	case 12:
		if n := len(r.ReplicaSets); n > 0 && s.pick(4) == 0 {
			r.ReplicaSets = slices.Delete(slices.Clone(r.ReplicaSets), 0, 1)
		}
	case 13:
		r.Revision = s.pick(r.Revision + 2)
	}
}

// condition writes a status; its time moves only when the status does.
func (s *simulator) condition(c *deploy.Condition, status deploy.ConditionStatus) {
	if c.Status != status {
		c.Status, c.Since = status, s.stamp()
	}
}

// template gives a Rollout another template: a new ReplicaSet, or one that is there already.
func (s *simulator) template(r *deploy.Rollout) {
	image := pictures[s.pick(len(pictures))]
	hash := fmt.Sprintf("h%d-%d", slices.Index(pictures, image), s.pick(2))
	r.Revision++
	set := findSet(r, hash)
	if set == nil {
		r.ReplicaSets = append(slices.Clone(r.ReplicaSets), deploy.ReplicaSet{Hash: hash, CreatedAt: s.now, Images: []string{image}})
		set = findSet(r, hash)
	} else {
		set.Reused = true
	}
	set.Revision = r.Revision
	r.CurrentHash, r.Phase = hash, deploy.RolloutProgressing
	if r.StableHash == "" {
		r.StableHash = hash
	}
	if r.StableHash == hash {
		s.condition(&r.CompletedCond, deploy.True)
		return
	}
	s.condition(&r.CompletedCond, deploy.False)
	s.condition(&r.HealthyCond, deploy.False)
}
