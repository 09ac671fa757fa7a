package deploy

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/maphash"
	"slices"
	"time"
)

// seed makes fingerprints comparable within one process; they are never stored.
var seed = maphash.MakeSeed()

// fingerprint hashes what a decision depends on. Argo CD rewrites reconciledAt every few minutes; it counts only
// while something waits for a fresh comparison, so that an idle subject costs nothing.
func fingerprint(s *State, obs *Observation, p *Policy) uint64 {
	h := hasher{}
	h.h.SetSeed(seed)
	h.policy(p)
	h.text(obs.Subject.UID, obs.Subject.Namespace, obs.Subject.Name, obs.Destination)
	h.flag(obs.Deleting)
	if obs.App != nil {
		h.app(obs.App)
		if s.busy() {
			h.time(obs.App.ReconciledAt)
		}
	}
	for i := range obs.Rollouts {
		h.rollout(&obs.Rollouts[i])
	}
	return h.h.Sum64()
}

// busy says that something waits for the next comparison.
func (s *State) busy() bool {
	unsettled := s.HealthCode == Degraded && s.Failure == nil || !slices.Equal(s.Current, s.Settled)
	if !s.Based || unsettled || s.Pending != nil || (len(s.Ops) > 0 && !s.Ops[len(s.Ops)-1].Closed) {
		return true
	}
	for _, r := range s.Rollouts {
		if c := r.current(); c != nil && !c.Closed {
			return true
		}
	}
	return false
}

type hasher struct{ h maphash.Hash }

func (h *hasher) text(texts ...string) {
	for _, t := range texts {
		_, _ = h.h.WriteString(t)
		_ = h.h.WriteByte(0)
	}
}

func (h *hasher) list(texts []string) {
	h.text(texts...)
	_ = h.h.WriteByte(1)
}

func (h *hasher) num(n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // the bits are hashed, not the number
	_, _ = h.h.Write(b[:])
}

func (h *hasher) time(t time.Time) { h.num(t.Unix()) }

func (h *hasher) flag(bits ...bool) {
	for _, b := range bits {
		if b {
			_ = h.h.WriteByte(3)
		} else {
			_ = h.h.WriteByte(2)
		}
	}
}

func (h *hasher) policy(p *Policy) {
	h.text(p.Service, p.Team, p.Environment)
	h.list(p.Include)
	h.list(p.Exclude)
	h.text(p.CommitImage, p.Tags.String())
	h.flag(p.CountConfig)
	h.num(int64(p.DegradedFor))
	h.num(int64(p.FailureWindow))
	h.num(int64(p.VerdictTimeout))
}

func (h *hasher) app(a *App) {
	h.text(string(a.Health))
	h.time(a.HealthSince)
	h.flag(a.Synced, a.OutOfSync, a.Stale, a.Operation != nil, a.Requested != nil)
	h.list(a.Images)
	if o := a.Operation; o != nil {
		h.text(string(o.Phase))
		h.time(o.StartedAt)
		h.time(o.FinishedAt)
		h.flag(o.Partial, o.DryRun, o.SelfHeal)
		h.text(o.Message)
		h.list(o.Revisions)
		h.rows(o.Rows)
	}
	if r := a.Requested; r != nil {
		h.flag(r.Partial, r.DryRun, r.SelfHeal)
	}
	for i := range a.History {
		e := &a.History[i]
		h.num(e.ID)
		h.time(e.StartedAt)
		h.time(e.DeployedAt)
		h.list(e.Revisions)
		h.list(e.Images)
	}
	for i := range a.Resources {
		h.text(a.Resources[i].Kind, a.Resources[i].Namespace, a.Resources[i].Name, string(a.Resources[i].Health))
	}
}

func (h *hasher) rows(rows []Row) {
	for i := range rows {
		r := &rows[i]
		h.text(r.Kind, r.Namespace, r.Name)
		h.flag(r.Workload, r.Applied, r.Unchanged)
		h.list(r.Images)
	}
}

func (h *hasher) rollout(r *Rollout) {
	h.text(r.UID, string(r.Phase), r.CurrentHash, r.StableHash, r.ActiveHash)
	h.num(int64(r.Revision))
	h.flag(r.Observed, r.Aborted, r.TimedOut)
	h.time(r.AbortedAt)
	h.num(int64(r.Weight))
	h.num(int64(r.Desired))
	h.list(r.TemplateImages)
	h.flag(r.BlueGreen, r.TrafficRouted)
	for _, c := range [...]*Condition{&r.Progressing, &r.CompletedCond, &r.HealthyCond, &r.Available, &r.PausedCond} {
		h.text(string(c.Status), c.Reason)
		h.time(c.Since)
	}
	for i := range r.ReplicaSets {
		rs := &r.ReplicaSets[i]
		h.text(rs.Hash)
		h.list(rs.Images)
		h.flag(rs.Reused)
		h.time(rs.CreatedAt)
		h.num(int64(rs.Revision)<<40 | int64(rs.Replicas)<<20 | int64(rs.Available))
	}
}

// same compares what would be stored.
func (s *State) same(other *State) bool { return sameJSON(s, other) }

func (s *Service) same(other *Service) bool { return sameJSON(s, other) }

func sameJSON(a, b any) bool {
	ja, errA := json.Marshal(a)
	jb, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(ja, jb)
}
