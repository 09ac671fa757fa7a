package ledgertest

import (
	"cmp"
	"encoding/json"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// logging: what is kept of each attempt to deliver.
func logging(t *testing.T, open Open) {
	t.Helper()
	t.Run("each field of a query selects records", func(t *testing.T) { selectsRecords(newFixture(t, open)) })
	verify(t, open, []spec{
		{"each row of an attempt is logged, with what was answered", logged},
		{"times are kept in UTC to the microsecond", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			at := start.Add(1999 * time.Nanosecond).In(time.FixedZone("", 3600))
			f.Expect(f.Delivered(f.ctx, "port", ledger.Attempt{At: at, Took: 2999 * time.Nanosecond}, f.row("e1"))).To(Succeed())
			f.Expect(f.log("port")).To(HaveExactElements(And(
				HaveField("At", start.Add(time.Microsecond)), HaveField("Took", 2*time.Microsecond), HaveField("Answer", ""))))
			f.Expect(f.figures("port").LastDelivery).To(Equal(start.Add(time.Microsecond)))
		}},
		{"what is passed over is not logged", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: port})
			f.Expect(f.Park(f.ctx, "port", f.seq("e2"), failed("refused"))).To(Succeed())
			f.Expect(f.Pass(f.ctx, "port", f.row("e3"))).To(Succeed())
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"), f.row("e1"), f.row("e2"), f.row("e3"), ledger.Delivery{Seq: 4711})).To(Succeed())
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
			f.Expect(f.Delivered(f.ctx, "none", sentAt(start), f.row("e1"))).To(Succeed())
			f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start, failed("busy"))).To(MatchError(ledger.ErrNotFound))
			f.Expect(f.Park(f.ctx, "port", f.seq("e2"), failed("refused"))).To(MatchError(ledger.ErrNotFound))
			f.Expect(f.fates("")).To(Equal([]string{"e2 parked", "e1 delivered"}))
		}},
		{"what went out is logged as it was then, also if it settled nothing", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			old := f.owed("port")
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), old...)).To(Succeed())
			f.Expect(f.Retry(f.ctx, "port", old[0].Seq, start, failed("busy"))).To(Succeed())
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.owed("port")...)).To(Succeed())
			f.Expect(f.log("port")).To(HaveExactElements(
				And(HaveField("Fate", ledger.FateDelivered), HaveField("Content", int64(1))),
				And(HaveField("Fate", ledger.FateRetried), HaveField("Content", int64(1))),
				And(HaveField("Fate", ledger.FateDelivered), HaveField("Content", int64(0)))))
		}},
		{"of a row that is told twice the newest content counts", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			old := f.owed("port")[0]
			f.commit(ledger.Change{Facts: []dora.CommitFacts{Facts("e1", start)}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), old, f.owed("port")[0], old)).To(Succeed())
			f.Expect(f.due("port", 9)).To(BeEmpty())
			f.Expect(f.log("port")).To(HaveExactElements(HaveField("Content", int64(1))))
		}},
		{"a record outlives its event", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: port})
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e2"))).To(Succeed())
			before := f.log("port")
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.AddDate(1, 0, 0)})).To(Equal(int64(2)))
			f.reopen()
			f.Expect(f.log("port")).To(And(HaveLen(2), Equal(before)))
		}},
		{"the newest records of each sink stay", keepsNewestRecords},
		{"records are bounded by default", boundsRecords},
		{"numbers go on after the newest record is gone", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: port})
			f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start, failed("busy"))).To(Succeed())
			last := f.log("port")[0].Seq
			f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(1)))
			f.commit(ledger.Change{Events: deployments("f", "cart", 1), Sinks: port})
			f.Expect(f.Retry(f.ctx, "port", f.seq("f1"), start, failed("busy"))).To(Succeed())
			f.Expect(f.log("port")).To(HaveExactElements(HaveField("Seq", BeNumerically(">", last))))
		}},
		{"nothing of this grows the revision", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: port})
			before := f.revision()
			f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start, failed("busy"))).To(Succeed())
			f.Expect(f.Hasten(f.ctx, "port", start)).To(Equal(int64(1)))
			f.Expect(f.Pass(f.ctx, "port", f.row("e1"))).To(Succeed())
			f.Expect(f.Owe(f.ctx, "port", ledger.EventQuery{}, start)).To(Equal(int64(1)))
			f.Expect(f.Gone(f.ctx, "port", start)).To(Succeed())
			f.Expect(f.Prune(f.ctx, ledger.Retention{DeliveriesPerSink: 1})).To(BeZero())
			f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(3)))
			f.Expect(f.revision()).To(Equal(before))
		}},
		{"a record is written with its duration in seconds", func(f *fixture) {
			f.commit(ledger.Change{Events: []dora.Event{Degraded("e1", "cart", start)}, Sinks: port})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
			record := f.log("port")[0]
			record.Seq, record.EventSeq = 7, 9
			f.Expect(json.Marshal(record)).To(MatchJSON(`{"seq": 7, "sink": "port", "event_seq": 9, "event_id": "e1", "service": "cart",
				"type": "degraded", "fate": "delivered", "content": 0, "at": "2026-03-01T12:00:00Z", "took_seconds": 0.12, "answer": "202 Accepted"}`))
		}},
	})
}

// log is what is kept of the attempts of one sink, or of all, newest first.
func (f *fixture) log(sink string) []ledger.DeliveryRecord {
	f.t.Helper()
	records, err := f.Deliveries(f.ctx, ledger.DeliveryQuery{Sink: sink})
	f.Expect(err).NotTo(HaveOccurred())
	return records
}

// fates are the events of a log with what became of them, oldest first.
func (f *fixture) fates(sink string) []string {
	f.t.Helper()
	fates := []string{}
	for _, r := range f.log(sink) {
		fates = append([]string{r.EventID + " " + string(r.Fate)}, fates...)
	}
	return fates
}

func logged(f *fixture) {
	f.commit(ledger.Change{
		Events: []dora.Event{Deployment("c1", "cart", start), Degraded("p1", "pay", start), Deployment("c2", "cart", start)}, Sinks: port,
	})
	busy := ledger.Attempt{At: start.Add(time.Second), Took: time.Minute, Answer: "503 busy"}
	f.Expect(f.Retry(f.ctx, "port", f.seq("c2"), start, busy)).To(Succeed())
	took := ledger.Attempt{At: start.Add(time.Hour), Took: 250 * time.Millisecond, Answer: "202 Accepted"}
	f.Expect(f.Delivered(f.ctx, "port", took, f.row("p1"), f.row("c1"))).To(Succeed())
	refused := ledger.Attempt{At: start.Add(2 * time.Hour), Answer: "400 no such blueprint"}
	f.Expect(f.Park(f.ctx, "port", f.seq("c2"), refused)).To(Succeed())

	log := f.log("port")
	f.Expect(slices.IsSortedFunc(log, func(a, b ledger.DeliveryRecord) int { return cmp.Compare(b.Seq, a.Seq) })).To(BeTrue())
	for i := range log {
		f.Expect(log[i].Seq).NotTo(BeZero())
		log[i].Seq = 0
	}
	cart := ledger.DeliveryRecord{Sink: "port", Service: "cart", Type: dora.TypeDeploy, Outcome: dora.Succeeded}
	record := func(of ledger.DeliveryRecord, id string, fate ledger.Fate, a ledger.Attempt) ledger.DeliveryRecord {
		of.EventSeq, of.EventID, of.Fate, of.At, of.Took, of.Answer = f.seq(id), id, fate, a.At, a.Took, a.Answer
		return of
	}
	f.Expect(log).To(Equal([]ledger.DeliveryRecord{
		record(cart, "c2", ledger.FateParked, refused),
		record(ledger.DeliveryRecord{Sink: "port", Service: "pay", Type: dora.TypeDegraded}, "p1", ledger.FateDelivered, took),
		record(cart, "c1", ledger.FateDelivered, took), // in the order of the events, not in that of the call
		record(cart, "c2", ledger.FateRetried, busy),
	}))
}

func selectsRecords(f *fixture) {
	f.commit(ledger.Change{Events: append(deployments("c", "cart", 2), deployments("p", "pay", 1)...), Sinks: []string{"port", "lake"}})
	at := func(hours int) ledger.Attempt { return ledger.Attempt{At: start.Add(time.Duration(hours) * time.Hour)} }
	f.Expect(f.Retry(f.ctx, "port", f.seq("c1"), start, at(0))).To(Succeed())
	f.Expect(f.Delivered(f.ctx, "port", at(1), f.row("c1"), f.row("p1"))).To(Succeed())
	f.Expect(f.Park(f.ctx, "lake", f.seq("c1"), at(2))).To(Succeed())
	f.Expect(f.Delivered(f.ctx, "lake", at(3), f.row("c2"))).To(Succeed())

	for name, test := range map[string]struct {
		query ledger.DeliveryQuery
		want  []string
	}{
		"nothing selects everything, newest first": {ledger.DeliveryQuery{}, []string{"c2 lake delivered", "c1 lake parked", "p1 port delivered", "c1 port delivered", "c1 port retried"}},
		"sink":                          {ledger.DeliveryQuery{Sink: "lake"}, []string{"c2 lake delivered", "c1 lake parked"}},
		"an unknown sink":               {ledger.DeliveryQuery{Sink: "none"}, []string{}},
		"event":                         {ledger.DeliveryQuery{EventID: "c1"}, []string{"c1 lake parked", "c1 port delivered", "c1 port retried"}},
		"event of a sink":               {ledger.DeliveryQuery{EventID: "c1", Sink: "port"}, []string{"c1 port delivered", "c1 port retried"}},
		"service":                       {ledger.DeliveryQuery{Service: "pay"}, []string{"p1 port delivered"}},
		"one fate":                      {ledger.DeliveryQuery{Fates: []ledger.Fate{ledger.FateRetried}}, []string{"c1 port retried"}},
		"fates":                         {ledger.DeliveryQuery{Fates: []ledger.Fate{ledger.FateRetried, ledger.FateParked}}, []string{"c1 lake parked", "c1 port retried"}},
		"an empty list of fates":        {ledger.DeliveryQuery{Fates: []ledger.Fate{}}, []string{}},
		"since is inclusive":            {ledger.DeliveryQuery{Since: at(2).At}, []string{"c2 lake delivered", "c1 lake parked"}},
		"limit":                         {ledger.DeliveryQuery{Limit: 2}, []string{"c2 lake delivered", "c1 lake parked"}},
		"a limit below zero is none":    {ledger.DeliveryQuery{Limit: -1, Service: "pay"}, []string{"p1 port delivered"}},
		"all fields together":           {ledger.DeliveryQuery{Sink: "port", EventID: "c1", Service: "cart", Fates: []ledger.Fate{ledger.FateDelivered, ledger.FateRetried}, Since: start, Limit: 1}, []string{"c1 port delivered"}},
		"values are never taken as SQL": {ledger.DeliveryQuery{Sink: "' OR 1=1 --"}, []string{}},
	} {
		f.t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			records, err := f.Deliveries(f.ctx, test.query)
			g.Expect(err).NotTo(HaveOccurred())
			got := []string{}
			for _, r := range records {
				got = append(got, r.EventID+" "+r.Sink+" "+string(r.Fate))
			}
			g.Expect(got).To(Equal(test.want))
		})
	}
}

func keepsNewestRecords(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 1234), Sinks: []string{"port", "lake", "audit"}})
	f.Expect(f.Delivered(f.ctx, "lake", sentAt(start), f.row("e1"), f.row("e2"), f.row("e3"))).To(Succeed())
	due, err := f.Due(f.ctx, "port", start, 9999)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), due...)).To(Succeed())
	f.Expect(f.Delivered(f.ctx, "lake", sentAt(start), f.row("e4"))).To(Succeed())
	f.Expect(f.Prune(f.ctx, ledger.Retention{DeliveriesPerSink: 3})).To(BeZero())
	f.Expect(f.fates("port")).To(Equal([]string{"e1232 delivered", "e1233 delivered", "e1234 delivered"}))
	f.Expect(f.fates("lake")).To(Equal([]string{"e2 delivered", "e3 delivered", "e4 delivered"}))
	f.Expect(f.fates("audit")).To(BeEmpty())
	f.Expect(f.figures("port").Delivered).To(Equal(int64(1234)), "the figures do not follow the log")
}

func boundsRecords(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 1000), Sinks: port})
	for range ledger.DefaultDeliveries/1000 + 1 {
		due, err := f.Due(f.ctx, "port", start, 1000)
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(f.Delivered(f.ctx, "port", sentAt(start), due...)).To(Succeed())
		f.Expect(f.Owe(f.ctx, "port", ledger.EventQuery{}, start)).To(Equal(int64(1000)))
	}
	newest := f.log("port")
	f.Expect(newest).To(HaveLen(ledger.DefaultDeliveries + 1000))
	f.Expect(f.Prune(f.ctx, ledger.Retention{})).To(BeZero())
	f.Expect(f.log("port")).To(Equal(newest[:ledger.DefaultDeliveries]))
}
