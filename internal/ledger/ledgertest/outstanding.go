package ledgertest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Outstanding implements ledger.Reader.
func (m *Memory) Outstanding(ctx context.Context, q ledger.OutstandingQuery) ([]ledger.Outstanding, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []ledger.Outstanding
	for _, row := range m.outbox {
		event := m.event(row.Seq)
		if (q.Sink == "" || q.Sink == row.Sink) && (q.EventID == "" || q.EventID == event.Event.ID) &&
			(q.Service == "" || q.Service == row.service) && (q.Parked == nil || *q.Parked == row.parked) {
			o := ledger.Outstanding{Delivery: row.Delivery, Since: row.recorded, Parked: row.parked}
			o.Event, o.Content = m.read(event), m.content(row.Seq)
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b ledger.Outstanding) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Sink, b.Sink))
	})
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found, nil
}

// outstanding: what people are told of the outbox.
func outstanding(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a pending row and a parked one tell their event, their attempts and since when they are owed", tellsRows},
		{"each field of a query selects rows", selectsRows},
		{"a row of an event that was completed tells what the event holds now", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start.Add(-time.Hour))}, Sinks: []string{"port"}})
			rows, err := f.Outstanding(f.ctx, ledger.OutstandingQuery{})
			f.Expect(err).NotTo(HaveOccurred())
			f.Expect(rows).To(ConsistOf(And(HaveField("Content", int64(1)), HaveField("Event.FirstCommitAt", HaveValue(Equal(start.Add(-time.Hour)))))))
		}},
		{"what was delivered is not outstanding", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
			f.Expect(f.Outstanding(f.ctx, ledger.OutstandingQuery{})).To(BeEmpty())
		}},
	})
}

func tellsRows(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port"}})
	f.step(time.Minute)
	f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
	f.Expect(f.Retry(f.ctx, "port", f.seq("e2"), start.Add(time.Hour), failed("busy"))).To(Succeed())
	f.Expect(f.Outstanding(f.ctx, ledger.OutstandingQuery{})).To(Equal([]ledger.Outstanding{
		{
			Delivery: ledger.Delivery{
				Seq: f.seq("e1"), Sink: "port", Event: Deployment("e1", "cart", start), Attempts: 1, NextAt: start, LastError: "refused",
			},
			Since: start, Parked: true,
		},
		{
			Delivery: ledger.Delivery{
				Seq: f.seq("e2"), Sink: "port", Event: Deployment("e2", "cart", start.Add(time.Minute)), Attempts: 1,
				NextAt: start.Add(time.Hour), LastError: "busy",
			},
			Since: start,
		},
	}))
}

func selectsRows(f *fixture) {
	f.commit(ledger.Change{Events: append(deployments("c", "cart", 2), deployments("p", "pay", 1)...), Sinks: []string{"port", "lake"}})
	f.Expect(f.Park(f.ctx, "port", f.seq("c2"), failed("refused"))).To(Succeed())
	for _, test := range []struct {
		q    ledger.OutstandingQuery
		want []string
	}{
		{ledger.OutstandingQuery{}, []string{"c1 lake", "c1 port", "c2 lake", "c2 port", "p1 lake", "p1 port"}},
		{ledger.OutstandingQuery{Sink: "port"}, []string{"c1 port", "c2 port", "p1 port"}},
		{ledger.OutstandingQuery{EventID: "c2"}, []string{"c2 lake", "c2 port"}},
		{ledger.OutstandingQuery{Service: "pay"}, []string{"p1 lake", "p1 port"}},
		{ledger.OutstandingQuery{Parked: new(true)}, []string{"c2 port"}},
		{ledger.OutstandingQuery{Parked: new(false), Sink: "port"}, []string{"c1 port", "p1 port"}},
		{ledger.OutstandingQuery{Limit: 3}, []string{"c1 lake", "c1 port", "c2 lake"}},
		{ledger.OutstandingQuery{EventID: "c2", Sink: "lake", Service: "cart"}, []string{"c2 lake"}},
		{ledger.OutstandingQuery{EventID: "none"}, nil},
		{ledger.OutstandingQuery{Sink: "none"}, nil},
	} {
		rows, err := f.Outstanding(f.ctx, test.q)
		f.Expect(err).NotTo(HaveOccurred())
		var got []string
		for _, row := range rows {
			got = append(got, row.Event.ID+" "+row.Sink)
		}
		f.Expect(got).To(Equal(test.want), "%+v", test.q)
	}
}
