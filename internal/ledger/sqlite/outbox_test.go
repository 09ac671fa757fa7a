package sqlite

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

// TestPlansOfTheOutbox: neither a long backlog nor years of events make a delivery, a status or the end of a sink any slower.
func TestPlansOfTheOutbox(t *testing.T) {
	s := open(t, ledgerPath(t), Options{})
	ofSink, bySink := deliveryQuery(ledger.DeliveryQuery{Sink: "port", Since: noon, Fates: []ledger.Fate{ledger.FateParked}, Limit: 9})
	ofEvent, byEvent := deliveryQuery(ledger.DeliveryQuery{EventID: "a", Sink: "port"})
	newest, ofAll := deliveryQuery(ledger.DeliveryQuery{Limit: 9})
	owe, ofOwe := selection(`SELECT seq FROM events`, ledger.EventQuery{UIDs: []string{"a", "b"}, Since: noon})
	for name, test := range map[string]struct {
		query string
		args  []any
		want  []string
	}{
		"what is due":           {pickQuery, []any{"port"}, []string{"SEARCH outbox USING COVERING INDEX outbox_by_sink (sink=? AND parked=?)"}},
		"its events":            {dueQuery, []any{`[1]`, "port"}, []string{"outbox_by_sink (sink=? AND parked=? AND seq=?)", "SEARCH e USING INTEGER PRIMARY KEY"}},
		"the log of a delivery": {logQuery, []any{"delivered", 1, 1, "", "{}", "port"}, []string{"outbox_by_sink (sink=? AND parked=? AND seq=?)", "SEARCH e USING INTEGER PRIMARY KEY", "SEARCH c USING INTEGER PRIMARY KEY"}},
		"delivered rows":        {settleQuery, []any{"port", "{}"}, []string{"outbox_by_sink (sink=? AND parked=? AND seq=?)", "SEARCH commits USING INTEGER PRIMARY KEY"}},
		"rows that stay":        {againQuery, []any{1, "port", "{}"}, []string{"outbox_by_sink (sink=? AND parked=? AND seq=?)"}},
		"rows that failed":      {failedQuery, []any{"port"}, []string{"SEARCH outbox USING INDEX outbox_failed (sink=?"}},
		"rows at once":          {hastenQuery, []any{1, "port", "[]"}, []string{"outbox_by_sink (sink=? AND parked=? AND seq=?)"}},
		"a sink's log":          {ofSink, bySink, []string{"SEARCH deliveries USING INDEX deliveries_by_sink (sink=?)"}},
		"an event's log":        {ofEvent, byEvent, []string{"SEARCH deliveries USING INDEX deliveries_by_event (event_id=?)"}},
		"old records":           {oldDeliveriesQuery, []any{"port", 9}, []string{"SEARCH deliveries USING COVERING INDEX deliveries_by_sink (sink=?)"}},
		"records to drop":       {dropDeliveriesQuery, []any{"[]"}, []string{"SEARCH deliveries USING INTEGER PRIMARY KEY"}},
		"rows of a gone sink":   {forgetRows, []any{"port", "port", 1, 9}, []string{"SEARCH outbox USING PRIMARY KEY (seq=? AND sink=?)", "SEARCH outbox USING INDEX outbox_by_sink (sink=?)"}},
		"its records":           {forgetRecords, []any{"port", 9}, []string{"SEARCH deliveries USING INTEGER PRIMARY KEY", "SEARCH deliveries USING COVERING INDEX deliveries_by_sink (sink=?)"}},
		"what is owed anew":     {owe, ofOwe, []string{"events_by_subject (uid=? AND occurred_at>?)"}},
		"and its rows":          {oweQuery, []any{"port", 1, 1, "[]"}, []string{"SEARCH events USING INTEGER PRIMARY KEY"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			plan := explain(t, s, test.query, test.args...)
			for _, want := range test.want {
				g.Expect(plan).To(ContainSubstring(want))
			}
			g.Expect(strings.NewReplacer("SCAN json_each", "", "SCAN told", "").Replace(plan)).NotTo(ContainSubstring("SCAN"))
		})
	}
	g := NewWithT(t)
	g.Expect(explain(t, s, pickQuery, "port")).NotTo(ContainSubstring("TEMP B-TREE"))
	for _, query := range []string{ofSink, ofEvent, newest} {
		g.Expect(explain(t, s, query, map[string][]any{ofSink: bySink, ofEvent: byEvent, newest: ofAll}[query]...)).NotTo(ContainSubstring("TEMP B-TREE"))
	}
	figures := explain(t, s, sinksQuery)
	for _, want := range []string{
		"SEARCH outbox USING COVERING INDEX outbox_by_sink (sink=? AND parked=?)", "SEARCH outbox USING COVERING INDEX outbox_oldest (sink=?)",
		"SEARCH outbox USING INDEX outbox_failed (sink=? AND failed_at>?)",
	} {
		g.Expect(figures).To(ContainSubstring(want))
	}
}

// TestOweLooksAgain: what it found may be pending, delivered or pruned by the time it is written.
func TestOweLooksAgain(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{Now: func() time.Time { return noon }})
	for _, id := range []string{"pending", "parked", "delivered"} {
		g.Expect(s.Commit(t.Context(), deployment(id))).To(Succeed())
	}
	attempt := ledger.Attempt{At: noon, Answer: "refused"}
	g.Expect(s.Park(t.Context(), "port", 2, attempt)).To(Succeed())
	g.Expect(s.Delivered(t.Context(), "port", attempt, ledger.Delivery{Seq: 3})).To(Succeed())
	var n int64
	g.Expect(s.writer.Do(t.Context(), "owe", func(tx *connection) (err error) {
		n, err = tx.oweAgain("port", []int64{1, 2, 3, 4711}, noon)
		return err
	})).To(Succeed())
	g.Expect(n).To(Equal(int64(2)))
	g.Expect(s.Sinks(t.Context())).To(HaveExactElements(And(HaveField("Pending", int64(3)), HaveField("Parked", int64(0)))))
}

// TestHastenLooksAgain: what it found may be parked or delivered by the time it is written.
func TestHastenLooksAgain(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{Now: func() time.Time { return noon }})
	attempt := ledger.Attempt{At: noon, Answer: "busy"}
	for seq, id := range []string{"failed", "parked", "delivered", "fresh"} {
		g.Expect(s.Commit(t.Context(), deployment(id))).To(Succeed())
		if id != "fresh" {
			g.Expect(s.Retry(t.Context(), "port", int64(seq+1), noon.Add(time.Hour), attempt)).To(Succeed())
		}
	}
	g.Expect(s.Park(t.Context(), "port", 2, attempt)).To(Succeed())
	g.Expect(s.Delivered(t.Context(), "port", attempt, ledger.Delivery{Seq: 3})).To(Succeed())
	var n int64
	g.Expect(s.writer.Do(t.Context(), "hasten", func(tx *connection) (err error) {
		n, err = tx.hasten("port", []int64{1, 2, 3, 4}, noon)
		return err
	})).To(Succeed())
	g.Expect(n).To(Equal(int64(1)))
	g.Expect(s.Due(t.Context(), "port", noon, 9)).To(HaveExactElements(HaveField("Event.ID", "failed"), HaveField("Event.ID", "fresh")))
}

// TestForgetStoppedHalfWay: what one step dropped is dropped, the figures say so, and the sink can still be forgotten.
func TestForgetStoppedHalfWay(t *testing.T) {
	g := NewWithT(t)
	s := open(t, ledgerPath(t), Options{})
	change := ledger.Change{Sinks: []string{"port"}}
	for i := range rows.OwedRows + 100 {
		change.Events = append(change.Events, ledgertest.Deployment(fmt.Sprintf("e%d", i), "cart", noon))
	}
	g.Expect(s.Commit(t.Context(), change)).To(Succeed())
	var n int64
	var done bool
	g.Expect(s.writer.Do(t.Context(), "forget", func(tx *connection) (err error) {
		n, done, err = tx.forget("port", math.MaxInt64)
		return err
	})).To(Succeed())
	g.Expect(n).To(Equal(int64(rows.OwedRows)))
	g.Expect(done).To(BeFalse())
	g.Expect(s.Sinks(t.Context())).To(HaveExactElements(HaveField("Pending", int64(100))))
	g.Expect(s.Commit(t.Context(), deployment("meanwhile"))).To(Succeed())
	g.Expect(s.Forget(t.Context(), "port", time.Time{})).To(Equal(int64(101)))
	g.Expect(s.Sinks(t.Context())).To(BeEmpty())
}

// TestReadOnlyTellsDeliveries: a tool beside the controller reads what sinks answered.
func TestReadOnlyTellsDeliveries(t *testing.T) {
	g := NewWithT(t)
	path := ledgerPath(t)
	s := open(t, path, Options{})
	reading, err := OpenReadOnly(t.Context(), path)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(reading.Close()).To(Succeed()) }()
	g.Expect(reading.Deliveries(t.Context(), ledger.DeliveryQuery{})).To(BeEmpty())
	g.Expect(s.Commit(t.Context(), deployment("a"))).To(Succeed())
	attempt := ledger.Attempt{At: noon, Took: time.Second, Answer: "202 Accepted"}
	g.Expect(s.Delivered(t.Context(), "port", attempt, ledger.Delivery{Seq: 1})).To(Succeed())
	g.Expect(reading.Deliveries(t.Context(), ledger.DeliveryQuery{EventID: "a"})).To(Equal([]ledger.DeliveryRecord{{
		Seq: 1, Sink: "port", EventSeq: 1, EventID: "a", Service: "cart", Type: dora.TypeDeploy, Outcome: dora.Succeeded,
		Fate: ledger.FateDelivered, At: noon, Took: time.Second, Answer: "202 Accepted",
	}}))
}
