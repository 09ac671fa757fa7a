package ledgertest

import (
	"context"
	"slices"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func (m *Memory) keepMark(mark dora.Mark, sinks []string) {
	i := slices.IndexFunc(m.events, func(r ledger.Row) bool { return r.Event.ID == mark.EventID })
	if i < 0 {
		return
	}
	row := m.events[i]
	before := dora.Mark{}
	if said := m.marks[row.Seq]; len(said) > 0 {
		before = said[len(said)-1]
	}
	nothing := before.Verdict == dora.Withdrawn && mark.Verdict == dora.Withdrawn
	if nothing || before.Verdict != dora.Withdrawn && before.Says(&mark) {
		return
	}
	mark.At = mark.At.UTC()
	m.marks[row.Seq] = append(m.marks[row.Seq], mark)
	m.touch(row.Event)
	m.owe(row.Seq, row.Event.Service, sinks, m.now())
}

// Marks implements ledger.Reader.
func (m *Memory) Marks(ctx context.Context, q ledger.MarkQuery) ([]ledger.Marked, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []ledger.Marked
	for _, row := range m.choose(ledger.EventQuery{IDs: q.EventIDs, UIDs: q.UIDs}) {
		for i, mark := range m.marks[row.Seq] {
			newest := i == len(m.marks[row.Seq])-1
			if q.Source != "" && q.Source != mark.Source {
				continue
			}
			if !q.Standing || newest && mark.Verdict != dora.Withdrawn {
				found = append(found, ledger.Marked{Mark: mark, Seq: row.Seq, UID: row.Event.Subject.UID})
			}
		}
	}
	return found, nil
}
