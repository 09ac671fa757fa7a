// Package record joins deciding and keeping: what internal/deploy decides about an observation is written to the ledger in
// one transaction, and only then told to anybody.
//
// # Guarantees
//
//   - One observation of a subject is decided at a time, and one subject of a service: they share ranks, failures and homes.
//     Subjects of different services go side by side, and the ledger groups their writes.
//   - A state is written over the version that it was read at. If someone else wrote meanwhile, nothing of the decision is kept:
//     the states are read again, and decided again.
//   - What was decided is remembered in memory only after the ledger has it. After an error, whose outcome may not be known, the
//     states are read again before the next decision.
//   - An observation that changes nothing reads nothing from the ledger and writes nothing to it.
//
// # The way of one observation
//
//	Record ─▶ lock subject ─▶ lock service ─▶ Decide ─┬─ nothing changed ──────────────────────────▶ Result
//	                 ▲                                └─ Commit ─┬─ kept ─▶ remember in memory ────▶ Result
//	                 └────────── read again ◀────────────────────┴─ ErrConflict (a few times)
//
// The first record of a ledger is written when it is opened for the first time, not when the first subject is seen: from
// then on somebody was watching (docs/concepts.md, rule 1).
package record

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

// Store is what the recorder needs of a ledger.
type Store interface {
	ReadState(ctx context.Context, key string) (ledger.State, error)
	Commit(ctx context.Context, change ledger.Change) error
	Since(ctx context.Context) (time.Time, error)
	Subjects(ctx context.Context, q ledger.SubjectQuery) ([]ledger.Subject, error)
	Ping(ctx context.Context) error
}

// attempts is how often a decision is made again after somebody else wrote one of its states.
const attempts = 5

// Recorder decides about observations of one cluster and keeps what follows. There must be one for each ledger.
type Recorder struct {
	store    Store
	cluster  string
	metrics  Metrics
	since    time.Time
	subjects *keyed[string, subject]
	services *keyed[serviceID, service]
	memory   *directory
	totals   totals
	failing  atomic.Bool // the last commit did not reach the ledger
	tracer   *tracing.Tracer
}

// Open reads what the ledger remembers of a cluster's subjects. A nil metrics counts nothing.
func Open(ctx context.Context, store Store, cluster string, metrics Metrics) (*Recorder, error) {
	if metrics == nil {
		metrics = NopMetrics{}
	}
	since, err := begin(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("cannot begin the ledger: %w", err)
	}
	rows, err := store.Subjects(ctx, ledger.SubjectQuery{Cluster: cluster})
	if err != nil {
		return nil, fmt.Errorf("cannot list the subjects of the ledger: %w", err)
	}
	if err := ownLedger(ctx, store, cluster, len(rows)); err != nil {
		return nil, err
	}
	return &Recorder{
		store: store, cluster: cluster, metrics: metrics, since: since,
		subjects: newKeyed[string, subject](), services: newKeyed[serviceID, service](),
		memory: newDirectory(rows),
	}, nil
}

// ErrOtherCluster says that the ledger is of another cluster. Under another name everything that the cluster ever deployed would be counted again.
var ErrOtherCluster = errors.New("the ledger is of another cluster")

// ownLedger refuses a ledger that has subjects, and none of them of this cluster.
func ownLedger(ctx context.Context, store Store, cluster string, own int) error {
	if own > 0 {
		return nil
	}
	all, err := store.Subjects(ctx, ledger.SubjectQuery{})
	if err != nil {
		return fmt.Errorf("cannot list the subjects of the ledger: %w", err)
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%w: it is that of %q, and this one is called %q; start with --cluster=%s (in the chart: cluster), or with another ledger",
		ErrOtherCluster, all[0].Cluster, cluster, all[0].Cluster)
}

// beginning is the state that makes the first record of a ledger.
const beginning = "beginning"

// begin makes sure that the ledger has a first record and returns when it was written.
func begin(ctx context.Context, store Store) (time.Time, error) {
	since, err := store.Since(ctx)
	if err != nil || !since.IsZero() {
		return since, err
	}
	err = store.Commit(ctx, ledger.Change{States: []ledger.State{{Key: beginning, Data: []byte("{}")}}})
	if err != nil && !errors.Is(err, ledger.ErrConflict) {
		return time.Time{}, err
	}
	return store.Since(ctx)
}

// Since is when the ledger wrote its first record.
func (r *Recorder) Since() time.Time { return r.since }

// Record decides about one observation and keeps what follows: states, events, decisions, the subject's row and one outbox row for
// every sink. policy.FollowedSince is when the first target that selects the subject was created; the ledger's own beginning
// is taken into account here. The result must not be modified. It is returned only after the ledger has it.
func (r *Recorder) Record(
	ctx context.Context, obs *deploy.Observation, labels map[string]string, policy deploy.Policy, sinks []string, now time.Time,
) (deploy.Result, error) {
	if policy.FollowedSince.Before(r.since) {
		policy.FollowedSince = r.since
	}
	l := look{obs: obs, labels: labels, policy: policy, sinks: sinks, now: now.UTC().Truncate(time.Microsecond)}
	if r.tracer != nil {
		l.times = &times{began: time.Now()}
	}
	s := r.subjects.of(obs.Subject.UID)
	s.mu.Lock()
	defer s.mu.Unlock()
	for range attempts {
		result, err := r.decide(ctx, s, &l)
		if errors.Is(err, ledger.ErrConflict) {
			continue
		}
		s.looked.Store(err == nil)
		if obs.Deleting {
			s.known = false // it is not asked about often any more
			r.subjects.drop(obs.Subject.UID)
		}
		return result, err
	}
	return deploy.Result{}, fmt.Errorf("cannot record %s %s/%s: %w",
		obs.Subject.Kind, obs.Subject.Namespace, obs.Subject.Name, ledger.ErrConflict)
}

// look is what one call to Record was given.
type look struct {
	obs    *deploy.Observation
	labels map[string]string
	policy deploy.Policy
	sinks  []string
	now    time.Time

	times *times // nil where nobody wants to know how long it takes
}

func (r *Recorder) decide(ctx context.Context, s *subject, l *look) (deploy.Result, error) {
	if err := r.readSubject(ctx, s, l.obs.Subject.UID); err != nil {
		return deploy.Result{}, err
	}
	if l.obs.Deleting {
		if !s.state.Known {
			return deploy.Result{}, nil // nobody ever followed it
		}
		l.policy.Service, l.policy.Environment = s.state.Service, s.state.Environment
	}
	id := serviceID{l.policy.Service, l.policy.Environment}
	v := r.services.of(id)
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := r.readService(ctx, v, id); err != nil {
		return deploy.Result{}, err
	}
	deciding := r.tracer.Now()
	result := deploy.Decide(s.state, v.state, l.obs, &l.policy, l.now)
	l.times.decide(deciding)
	row := r.rowOf(l, &result.State)
	if !result.Changed && r.memory.same(&row) {
		s.state, v.state = result.State, result.Service
		r.memory.manage(l.obs)
		r.count(s, l.obs)
		return result, nil
	}
	kept := result // what is encoded moves to the heap; the result of most looks need not
	err := r.keep(ctx, s, v, id, l, &kept, row)
	r.trace(l, &kept, err)
	if err != nil {
		return deploy.Result{}, err
	}
	return kept, nil
}

// rowOf is what the ledger is to remember of the subject.
func (r *Recorder) rowOf(l *look, state *deploy.State) ledger.Subject {
	row := ledger.Subject{
		Subject: l.obs.Subject, Cluster: r.cluster, Labels: l.labels,
		Service: state.Service, Team: state.Team, Environment: state.Environment,
		FollowedSince: state.FollowedSince, Gaps: state.Gaps,
	}
	if l.obs.Deleting {
		before, _ := r.memory.lookup(l.obs.Subject.UID)
		if row.DeletedAt = before.DeletedAt; row.DeletedAt.IsZero() {
			row.DeletedAt = l.now
		}
	}
	return row
}

// keep commits a decision, and remembers it once the ledger has it.
func (r *Recorder) keep(
	ctx context.Context, s *subject, v *service, id serviceID, l *look, result *deploy.Result, row ledger.Subject,
) error {
	w, err := r.write(s, v, id, l, result, row)
	if err != nil {
		return err
	}
	if err := r.commit(ctx, w.change); err != nil {
		s.known, v.known = false, false
		return err
	}
	r.memory.manage(l.obs)
	s.state, s.stored = result.State, w.subject
	v.state, v.stored = result.Service, w.service
	r.memory.put(row)
	r.count(s, l.obs)
	r.metrics.Recorded(result)
	return nil
}

func (r *Recorder) commit(ctx context.Context, change ledger.Change) error {
	began := time.Now()
	err := r.store.Commit(ctx, change)
	r.metrics.Committed(time.Since(began), err)
	r.failing.Store(err != nil && !errors.Is(err, ledger.ErrConflict))
	if err != nil {
		return fmt.Errorf("cannot commit to the ledger: %w", err)
	}
	return nil
}

// Check says whether the ledger takes what is decided. It asks the ledger only if the last commit failed.
func (r *Recorder) Check(ctx context.Context) error {
	if !r.failing.Load() {
		return nil
	}
	if err := r.store.Ping(ctx); err != nil {
		return fmt.Errorf("cannot write to the ledger: %w", err)
	}
	r.failing.Store(false)
	return nil
}

// Bury records that a subject is gone. A subject that nobody followed leaves nothing to record.
func (r *Recorder) Bury(ctx context.Context, gone dora.Subject, now time.Time) error {
	row, ok := r.memory.lookup(gone.UID)
	if !ok || !row.DeletedAt.IsZero() {
		return nil
	}
	obs := deploy.Observation{Cluster: r.cluster, Subject: row.Subject, Deleting: true}
	_, err := r.Record(ctx, &obs, row.Labels, deploy.Policy{}, nil, now)
	return err
}

// Release forgets, in memory, a subject that no target follows any more. The ledger keeps what it knows, and learns its labels as
// they are now, so that it is later remembered by those. It may be followed again.
func (r *Recorder) Release(ctx context.Context, subject dora.Subject, labels map[string]string) error {
	row, ok := r.memory.lookup(subject.UID)
	if !ok {
		return nil
	}
	r.release(subject.UID)
	row.Labels, row.DeletedAt = labels, time.Time{}
	if r.memory.same(&row) {
		return nil
	}
	if err := r.commit(ctx, ledger.Change{Subject: &row}); err != nil {
		return err
	}
	r.memory.put(row)
	return nil
}
