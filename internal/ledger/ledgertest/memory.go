package ledgertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Memory is a ledger in memory: plain loops over plain slices, so that a reader can see that it is right.
// The zero value is not ready; see NewMemory.
type Memory struct {
	mu           sync.Mutex
	now          func() time.Time
	closed       bool
	states       map[string]ledger.State
	subjects     map[[2]string]ledger.Subject // by cluster and uid
	events       []ledger.Row                 // by sequence
	decisions    []ledger.Decision
	outbox       []*owed // by sequence
	sinks        map[string]*ledger.SinkState
	log          []ledger.DeliveryRecord         // by sequence
	commits      map[int64]*search               // by sequence of the event
	observations map[string][]ledger.Observation // by uid, as they were made
	marks        map[int64][]dora.Mark           // by sequence of the event, as they were made
	cache        []cached                        // by age
	histories    map[ledger.History]int64        // the revision, by the rest of it
	cacheSize    int
	seq          int64
	revision     int64
	since        time.Time
}

// owed is an outbox row.
type owed struct {
	ledger.Delivery // without its event

	service          string
	recorded, failed time.Time
	parked           bool
}

var _ ledger.Store = (*Memory)(nil)

// NewMemory makes an empty ledger whose records are stamped by now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now:          func() time.Time { return micro(now()) },
		states:       map[string]ledger.State{},
		subjects:     map[[2]string]ledger.Subject{},
		sinks:        map[string]*ledger.SinkState{},
		commits:      map[int64]*search{},
		marks:        map[int64][]dora.Mark{},
		observations: map[string][]ledger.Observation{},
		histories:    map[ledger.History]int64{},

		cacheSize: ledger.DefaultCached,
	}
}

// LimitCache bounds the cache to n entries, instead of ledger.DefaultCached.
func (m *Memory) LimitCache(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cacheSize = n
}

// OpenAgain makes a closed ledger usable again, with what it held.
func (m *Memory) OpenAgain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}

// enter locks the ledger, unless it is closed or the context has ended.
func (m *Memory) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, ledger.ErrClosed
	}
	return m.mu.Unlock, nil
}

// ReadState implements ledger.Writer.
func (m *Memory) ReadState(ctx context.Context, key string) (ledger.State, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return ledger.State{}, err
	}
	defer leave()
	state := m.states[key]
	return ledger.State{Key: key, Version: state.Version, Data: bytes.Clone(state.Data)}, nil
}

// Commit implements ledger.Writer.
func (m *Memory) Commit(ctx context.Context, change ledger.Change) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if len(change.States)+len(change.Events)+len(change.Facts)+len(change.Marks)+len(change.Decisions) == 0 && change.Subject == nil &&
		change.Observation == nil {
		return nil
	}
	for _, event := range change.Events {
		if err := valid(event); err != nil {
			return err
		}
	}
	for _, mark := range change.Marks {
		if !mark.Verdict.Known() {
			return fmt.Errorf("event %q is marked with the unknown verdict %q", mark.EventID, mark.Verdict)
		}
	}
	for _, state := range change.States {
		if m.states[state.Key].Version != state.Version {
			return fmt.Errorf("%w: %s", ledger.ErrConflict, state.Key)
		}
	}
	m.keep(change)
	m.grow()
	return nil
}

// valid refuses what a real store's constraints refuse.
func valid(event dora.Event) error {
	switch event.Type {
	case dora.TypeDeploy, dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange:
	default:
		return fmt.Errorf("event %q has the unknown type %q", event.ID, event.Type)
	}
	outcomes := []dora.Outcome{""}
	if event.Type == dora.TypeDeploy {
		outcomes = []dora.Outcome{dora.Succeeded, dora.Failed, dora.RolledBack, dora.Unknown}
	}
	if event.ID == "" || !slices.Contains(outcomes, event.Outcome) {
		return fmt.Errorf("event %q has no id, or not the outcome that its type needs", event.ID)
	}
	return nil
}

func (m *Memory) keep(change ledger.Change) {
	for _, s := range change.States {
		m.states[s.Key] = ledger.State{Key: s.Key, Version: s.Version + 1, Data: bytes.Clone(s.Data)}
	}
	if s := change.Subject; s != nil {
		kept := *s
		kept.Labels = maps.Clone(s.Labels)
		kept.FollowedSince, kept.DeletedAt = micro(s.FollowedSince), micro(s.DeletedAt)
		m.subjects[[2]string{s.Cluster, s.UID}] = kept
	}
	for _, event := range change.Events {
		if !slices.ContainsFunc(m.events, func(r ledger.Row) bool { return r.Event.ID == event.ID }) {
			m.keepEvent(event, change)
		}
	}
	for _, facts := range change.Facts {
		m.keepFacts(facts, change.Sinks)
	}
	for _, mark := range change.Marks {
		m.keepMark(mark, change.Sinks)
	}
	if o := change.Observation; o != nil {
		m.keepObservation(*o, change.Events)
	}
	for _, d := range change.Decisions {
		m.seq++
		d.Seq, d.At = m.seq, micro(d.At)
		m.decisions = append(m.decisions, d)
	}
}

func (m *Memory) keepEvent(event dora.Event, change ledger.Change) {
	m.seq++
	m.events = append(m.events, ledger.Row{Seq: m.seq, Event: clone(event)})
	m.touch(event)
	m.owe(m.seq, event.Service, change.Sinks, m.now())
	if change.Resolve && event.Type == dora.TypeDeploy && event.Change == dora.ChangeImage {
		m.commits[m.seq] = &search{recorded: m.now(), next: m.now()}
	}
}

// owe adds the rows that sinks do not have.
func (m *Memory) owe(seq int64, service string, sinks []string, now time.Time) {
	for _, sink := range slices.Compact(slices.Sorted(slices.Values(sinks))) {
		if m.sinks[sink] == nil {
			m.sinks[sink] = &ledger.SinkState{Sink: sink}
		}
		if !slices.ContainsFunc(m.outbox, func(o *owed) bool { return o.Seq == seq && o.Sink == sink }) {
			delivery := ledger.Delivery{Seq: seq, Sink: sink, NextAt: now}
			m.outbox = append(m.outbox, &owed{Delivery: delivery, service: service, recorded: now})
		}
	}
	slices.SortStableFunc(m.outbox, func(a, b *owed) int { return cmp.Compare(a.Seq, b.Seq) })
}

func (m *Memory) grow() {
	m.revision++
	if m.since.IsZero() {
		m.since = m.now()
	}
}

// clone takes an event through its JSON form, as a real store does.
func clone(event dora.Event) dora.Event {
	text, err := json.Marshal(event)
	if err != nil {
		panic(err) // an event has no fields that cannot be encoded
	}
	var copied dora.Event
	if err := json.Unmarshal(text, &copied); err != nil {
		panic(err)
	}
	return copied
}

// micro is a time as stores keep it.
func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Events implements ledger.Reader.
func (m *Memory) Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		rows, err := m.selected(ctx, q)
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
			if err = ctx.Err(); err != nil {
				break
			}
		}
		if err != nil {
			yield(ledger.Row{}, err)
		}
	}
}

func (m *Memory) selected(ctx context.Context, q ledger.EventQuery) ([]ledger.Row, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	rows := m.choose(q)
	for i, row := range rows {
		rows[i].Event, rows[i].Search = m.read(row), m.search(row.Seq)
	}
	return rows, nil
}

// choose selects events, without their facts.
func (m *Memory) choose(q ledger.EventQuery) []ledger.Row {
	rows := slices.DeleteFunc(slices.Clone(m.events), func(r ledger.Row) bool { return !matches(r, q) })
	if q.Newest {
		slices.SortFunc(rows, func(a, b ledger.Row) int {
			return cmp.Or(micro(b.Event.OccurredAt).Compare(micro(a.Event.OccurredAt)), cmp.Compare(b.Seq, a.Seq))
		})
	}
	if q.Limit > 0 && len(rows) > q.Limit {
		rows = rows[:q.Limit]
	}
	return rows
}

func matches(r ledger.Row, q ledger.EventQuery) bool {
	at := micro(r.Event.OccurredAt)
	return (q.IDs == nil || slices.Contains(q.IDs, r.Event.ID)) &&
		(q.UIDs == nil || slices.Contains(q.UIDs, r.Event.Subject.UID)) &&
		(q.Types == nil || slices.Contains(q.Types, r.Event.Type)) &&
		(q.Cluster == "" || q.Cluster == r.Event.Cluster) &&
		(q.Service == "" || q.Service == r.Event.Service) &&
		(q.Environment == "" || q.Environment == r.Event.Environment) &&
		(q.Since.IsZero() || !at.Before(micro(q.Since))) &&
		(q.Until.IsZero() || at.Before(micro(q.Until))) &&
		r.Seq > q.AfterSeq
}

// touch notes that what is read of an event changes with the next revision.
func (m *Memory) touch(e dora.Event) {
	m.histories[ledger.History{UID: e.Subject.UID, Service: e.Service, Environment: e.Environment}] = m.revision + 1
}

// Histories implements ledger.Reader.
func (m *Memory) Histories(ctx context.Context, after int64) ([]ledger.History, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var changed []ledger.History
	for history, revision := range m.histories {
		if history.Changed = revision; revision > after {
			changed = append(changed, history)
		}
	}
	return changed, nil
}

// Subjects implements ledger.Reader.
func (m *Memory) Subjects(ctx context.Context, q ledger.SubjectQuery) ([]ledger.Subject, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []ledger.Subject
	for _, s := range m.subjects {
		if (q.Cluster == "" || q.Cluster == s.Cluster) && (q.Namespace == "" || q.Namespace == s.Namespace) &&
			(q.Kind == "" || q.Kind == s.Kind) && (q.UID == "" || q.UID == s.UID) {
			s.Labels = maps.Clone(s.Labels)
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b ledger.Subject) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return found, nil
}

// Decisions implements ledger.Reader.
func (m *Memory) Decisions(ctx context.Context, uid string, limit int) ([]ledger.Decision, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []ledger.Decision
	for _, d := range slices.Backward(m.decisions) {
		if d.UID == uid && (limit <= 0 || len(found) < limit) {
			found = append(found, d)
		}
	}
	return found, nil
}

// Revision implements ledger.Reader.
func (m *Memory) Revision(ctx context.Context) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	return m.revision, nil
}

// Since implements ledger.Reader.
func (m *Memory) Since(ctx context.Context) (time.Time, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer leave()
	return m.since, nil
}

// Ping implements ledger.Store.
func (m *Memory) Ping(ctx context.Context) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	leave()
	return nil
}

// Close implements ledger.Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
