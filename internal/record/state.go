package record

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// stored says which version of a state the ledger has, by its number and by its content.
type stored struct {
	version int64
	sum     [sha256.Size]byte
}

// subject is the state of one subject, as the ledger has it.
type subject struct {
	mu    sync.Mutex
	known bool // state is what the ledger has
	state deploy.State
	stored
	counted figures
	looked  atomic.Bool // since the process started
}

// service is the state that all subjects of one service in one environment share, as the ledger has it.
type service struct {
	mu    sync.Mutex
	known bool
	state deploy.Service
	stored
}

type serviceID struct{ name, environment string }

// Keys of states. A label value holds no slash and neither does the name of an object, so these are unambiguous.
func (r *Recorder) subjectKey(uid string) string {
	return strings.Join([]string{"subject", r.cluster, uid}, "/")
}

func (r *Recorder) serviceKey(id serviceID) string {
	return strings.Join([]string{"service", r.cluster, id.environment, id.name}, "/")
}

func (r *Recorder) readSubject(ctx context.Context, s *subject, uid string) error {
	if s.known {
		return nil
	}
	s.state = deploy.State{}
	at, err := r.read(ctx, r.subjectKey(uid), &s.state)
	s.stored, s.known = at, err == nil
	return err
}

func (r *Recorder) readService(ctx context.Context, v *service, id serviceID) error {
	if v.known {
		return nil
	}
	v.state = deploy.Service{}
	at, err := r.read(ctx, r.serviceKey(id), &v.state)
	v.stored, v.known = at, err == nil
	return err
}

func (r *Recorder) read(ctx context.Context, key string, into any) (stored, error) {
	state, err := r.store.ReadState(ctx, key)
	if err != nil {
		return stored{}, fmt.Errorf("cannot read state %s: %w", key, err)
	}
	if state.Version == 0 {
		return stored{}, nil
	}
	if err := json.Unmarshal(state.Data, into); err != nil {
		return stored{}, fmt.Errorf("cannot decode state %s: %w", key, err)
	}
	return stored{version: state.Version, sum: sha256.Sum256(state.Data)}, nil
}

// written is a change and what the ledger will have of both states once it is committed.
type written struct {
	change           ledger.Change
	subject, service stored
}

// write makes the change that keeps a decision. A state whose content stays is not written again.
func (r *Recorder) write(s *subject, v *service, id serviceID, l *look, result *deploy.Result, row ledger.Subject) (written, error) {
	w := written{subject: s.stored, service: v.stored, change: ledger.Change{
		Subject: &row, Events: result.Events, Sinks: l.sinks, Resolve: l.policy.Sourced, Decisions: r.decisions(l, result),
	}}
	if err := w.state(r.subjectKey(l.obs.Subject.UID), &w.subject, &result.State); err != nil {
		return w, err
	}
	if err := w.state(r.serviceKey(id), &w.service, &result.Service); err != nil {
		return w, err
	}
	err := w.rest(s, v, l, result)
	return w, err
}

// rest keeps on what the decision rests, if it decided anything: what changes a row of the directory alone is no decision.
func (w *written) rest(s *subject, v *service, l *look, result *deploy.Result) error {
	if !result.Changed {
		return nil
	}
	before, err := encode(&s.state)
	if err != nil {
		return fmt.Errorf("cannot encode what was known of a subject: %w", err)
	}
	shared, err := encode(&v.state)
	if err != nil {
		return fmt.Errorf("cannot encode what was known of a service: %w", err)
	}
	data, err := evidence.Encode(&evidence.Evidence{
		Now: l.now, Observation: *l.obs, Policy: evidence.MakePolicy(&l.policy), State: before, Service: shared,
	})
	if err != nil {
		return err
	}
	w.change.Observation = &ledger.Observation{UID: l.obs.Subject.UID, At: l.now, Data: data}
	return nil
}

// encode writes a state as the ledger keeps it.
func encode(state any) ([]byte, error) { return json.Marshal(state) }

func (w *written) state(key string, at *stored, value any) error {
	data, err := encode(value)
	if err != nil {
		return fmt.Errorf("cannot encode state %s: %w", key, err)
	}
	sum := sha256.Sum256(data)
	if sum == at.sum {
		return nil
	}
	w.change.States = append(w.change.States, ledger.State{Key: key, Version: at.version, Data: data})
	*at = stored{version: at.version + 1, sum: sum}
	return nil
}

func (r *Recorder) decisions(l *look, result *deploy.Result) []ledger.Decision {
	rows := make([]ledger.Decision, 0, len(result.Decisions))
	for _, d := range result.Decisions {
		rows = append(rows, ledger.Decision{
			Cluster: r.cluster, UID: l.obs.Subject.UID, Service: result.State.Service, At: l.now,
			Attempt: d.Attempt, Reason: string(d.Reason), Message: d.Message, EventID: d.EventID,
		})
	}
	return rows
}

// release drops a subject's state from memory.
func (r *Recorder) release(uid string) {
	s := r.subjects.of(uid)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.totals.replace(&s.counted, figures{})
	s.known = false
	r.subjects.drop(uid)
}

// count keeps the totals that metrics show.
func (r *Recorder) count(s *subject, obs *deploy.Observation) {
	now := figures{kind: obs.Subject.Kind, gaps: s.state.Gaps}
	if s.state.Failure != nil {
		now.open = 1
	}
	if obs.Deleting {
		now = figures{}
	}
	r.totals.replace(&s.counted, now)
}

// keyed holds one value for each key, made when it is first asked for.
type keyed[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]*V
}

func newKeyed[K comparable, V any]() *keyed[K, V] { return &keyed[K, V]{values: map[K]*V{}} }

func (k *keyed[K, V]) of(key K) *V {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := k.values[key]
	if v == nil {
		v = new(V)
		k.values[key] = v
	}
	return v
}

func (k *keyed[K, V]) peek(key K) (*V, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.values[key]
	return v, ok
}

func (k *keyed[K, V]) drop(key K) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.values, key)
}

// figures are what one subject adds to the totals.
type figures struct {
	kind       dora.Kind // empty: it is not followed
	open, gaps int
}

// totals are summed over the followed subjects.
type totals struct {
	mu         sync.Mutex
	followed   map[dora.Kind]int
	open, gaps int
}

func (t *totals) replace(counted *figures, now figures) {
	if *counted == now {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.followed == nil {
		t.followed = make(map[dora.Kind]int, 2)
	}
	if counted.kind != "" {
		t.followed[counted.kind]--
	}
	if now.kind != "" {
		t.followed[now.kind]++
	}
	t.open += now.open - counted.open
	t.gaps += now.gaps - counted.gaps
	*counted = now
}
