package ledgertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// search is what became of the search for the commits of an event: pending, or ended with facts.
type search struct {
	ended           bool
	recorded, next  time.Time
	attempts        int
	reason, message string
	facts           *dora.CommitFacts // kept while it is pending again
	content         int64
}

// cached is an entry of the cache.
type cached struct {
	key   string
	value []byte
}

// event is the row of that sequence, as it was recorded.
func (m *Memory) event(seq int64) ledger.Row {
	i := slices.IndexFunc(m.events, func(r ledger.Row) bool { return r.Seq == seq })
	return m.events[i]
}

// read is a copy of an event with its facts and its newest mark.
func (m *Memory) read(row ledger.Row) dora.Event {
	event := clone(row.Event)
	if s := m.commits[row.Seq]; s != nil && s.facts != nil {
		event.Enrich(*s.facts)
	}
	if said := m.marks[row.Seq]; len(said) > 0 {
		event.Say(said[len(said)-1])
	}
	return event
}

// search is what became of the search for the commits of an event.
func (m *Memory) search(seq int64) ledger.Search {
	switch s := m.commits[seq]; {
	case s == nil:
		return ""
	case !s.ended:
		return ledger.SearchPending
	case s.reason == "":
		return ledger.SearchResolved
	}
	return ledger.SearchUnknown
}

func (m *Memory) content(seq int64) int64 {
	marked := int64(len(m.marks[seq]))
	if s := m.commits[seq]; s != nil {
		return s.content + marked
	}
	return marked
}

func (m *Memory) keepFacts(facts dora.CommitFacts, sinks []string) {
	i := slices.IndexFunc(m.events, func(r ledger.Row) bool { return r.Event.ID == facts.EventID })
	if i < 0 || m.events[i].Event.Type != dora.TypeDeploy {
		return
	}
	row := m.events[i]
	before := m.read(row)
	s := m.commits[row.Seq]
	if s == nil {
		s = &search{recorded: m.now()}
		m.commits[row.Seq] = s
	}
	s.facts = cloneFacts(facts)
	after := m.read(row)
	s.ended, s.attempts, s.next = true, 0, time.Time{}
	s.reason, s.message = after.LeadTimeUnknown, facts.Message
	if s.reason == "" {
		s.message = ""
	}
	m.touch(row.Event)
	if !alike(before, after) {
		s.content++
		m.owe(row.Seq, row.Event.Service, sinks, m.now())
	}
}

// cloneFacts takes facts through their JSON form, as a real store does.
func cloneFacts(facts dora.CommitFacts) *dora.CommitFacts {
	text, err := json.Marshal(facts)
	if err != nil {
		panic(err) // facts have no fields that cannot be encoded
	}
	var copied dora.CommitFacts
	if err := json.Unmarshal(text, &copied); err != nil {
		panic(err)
	}
	return &copied
}

func alike(a, b dora.Event) bool {
	textA, errA := json.Marshal(a)
	textB, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(textA, textB)
}

// Unresolved implements ledger.Commits.
func (m *Memory) Unresolved(ctx context.Context, now time.Time, limit int) ([]ledger.Resolution, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var due []ledger.Resolution
	for _, row := range m.events {
		s := m.commits[row.Seq]
		if s == nil || s.ended || s.next.After(micro(now)) || len(due) >= limit {
			continue
		}
		due = append(due, ledger.Resolution{
			Seq: row.Seq, Event: m.read(row), Attempts: s.attempts, Reason: s.reason, Message: s.message,
			NextAt: s.next, RecordedAt: s.recorded,
		})
	}
	return due, nil
}

// NextUnresolved implements ledger.Commits.
func (m *Memory) NextUnresolved(ctx context.Context) (time.Time, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer leave()
	var next time.Time
	for _, s := range m.commits {
		if !s.ended && (next.IsZero() || s.next.Before(next)) {
			next = s.next
		}
	}
	return next, nil
}

// PutOff implements ledger.Commits.
func (m *Memory) PutOff(ctx context.Context, eventID string, next time.Time, reason, message string) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, row := range m.events {
		if s := m.commits[row.Seq]; row.Event.ID == eventID && s != nil && !s.ended {
			s.attempts++
			s.next, s.reason, s.message = micro(next), reason, message
			return nil
		}
	}
	return ledger.ErrNotFound
}

// Reopen implements ledger.Commits.
func (m *Memory) Reopen(ctx context.Context, q ledger.ReopenQuery, now time.Time) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var reopened int64
	for _, row := range m.events {
		if !matches(row, ledger.EventQuery{UIDs: q.UIDs, Cluster: q.Cluster, Since: q.Since}) || !reopens(m.commits[row.Seq], row.Event, q) {
			continue
		}
		again := &search{recorded: micro(now), next: micro(now), content: m.content(row.Seq) - int64(len(m.marks[row.Seq]))}
		if s := m.commits[row.Seq]; s != nil {
			again.facts = s.facts
		}
		m.commits[row.Seq] = again
		m.touch(row.Event)
		reopened++
	}
	if reopened > 0 {
		m.revision++
	}
	return reopened, nil
}

func reopens(s *search, event dora.Event, q ledger.ReopenQuery) bool {
	if s == nil {
		return q.Missing && event.Type == dora.TypeDeploy && event.Change == dora.ChangeImage
	}
	return s.ended && s.reason != "" && (len(q.Reasons) == 0 || slices.Contains(q.Reasons, s.reason))
}

// Hurry implements ledger.Commits.
func (m *Memory) Hurry(ctx context.Context, q ledger.ResolutionQuery, now time.Time) (int64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	var hurried int64
	for _, row := range m.events {
		s := m.commits[row.Seq]
		if s != nil && !s.ended && s.attempts > 0 && matches(row, ledger.EventQuery{UIDs: q.UIDs, Cluster: q.Cluster, Since: q.Since}) {
			s.attempts, s.next, s.recorded, s.reason, s.message = 0, micro(now), micro(now), "", ""
			hurried++
		}
	}
	return hurried, nil
}

// Resolutions implements ledger.Commits.
func (m *Memory) Resolutions(ctx context.Context, q ledger.ResolutionQuery) (ledger.Resolutions, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return ledger.Resolutions{}, err
	}
	defer leave()
	var sum ledger.Resolutions
	failing, unknown := map[string]ledger.ReasonCount{}, map[string]ledger.ReasonCount{}
	for _, row := range m.events {
		s := m.commits[row.Seq]
		if s == nil || q.Queued && s.ended || !matches(row, ledger.EventQuery{UIDs: q.UIDs, Cluster: q.Cluster, Since: q.Since}) {
			continue
		}
		switch {
		case !s.ended:
			sum.Pending++
			if s.attempts > 0 {
				count(failing, s)
			}
		case s.reason == "":
			sum.Resolved++
		default:
			count(unknown, s)
		}
	}
	sum.Failing, sum.Unknown = byReason(failing), byReason(unknown)
	return sum, nil
}

func count(counts map[string]ledger.ReasonCount, s *search) {
	counts[s.reason] = ledger.ReasonCount{Reason: s.reason, Count: counts[s.reason].Count + 1, Message: s.message}
}

func byReason(counts map[string]ledger.ReasonCount) []ledger.ReasonCount {
	return slices.SortedFunc(maps.Values(counts), func(a, b ledger.ReasonCount) int { return cmp.Compare(a.Reason, b.Reason) })
}

// CacheGet implements ledger.Cache.
func (m *Memory) CacheGet(ctx context.Context, key string) ([]byte, bool, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	for _, entry := range m.cache {
		if entry.key == key {
			return bytes.Clone(entry.value), true, nil
		}
	}
	return nil, false, nil
}

// CachePut implements ledger.Cache.
func (m *Memory) CachePut(ctx context.Context, key string, value []byte) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if key == "" {
		return errors.New("an entry of the cache needs a key")
	}
	i := slices.IndexFunc(m.cache, func(c cached) bool { return c.key == key })
	if i >= 0 {
		m.cache[i].value = bytes.Clone(value)
		return nil
	}
	m.cache = append(m.cache, cached{key, bytes.Clone(value)})
	m.cache = m.cache[max(0, len(m.cache)-m.cacheSize):]
	return nil
}
