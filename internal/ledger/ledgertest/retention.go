package ledgertest

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// retention: what Prune drops, and what it must not.
func retention(t *testing.T, open Open) {
	t.Helper()
	future := start.AddDate(1, 0, 0)
	verify(t, open, []spec{
		{"events that occurred before the bound go, and are counted", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 4)})
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(2 * time.Minute)})).To(Equal(int64(2)))
			f.Expect(f.ids(ledger.EventQuery{})).To(Equal([]string{"e3", "e4"}))
		}},
		{"no bound keeps all events", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 4)})
			f.Expect(f.Prune(f.ctx, ledger.Retention{})).To(BeZero())
			f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(4))
		}},
		{"an event that a sink is owed stays", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 3), Sinks: []string{"port", "lake"}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"), f.row("e2"), f.row("e3"))).To(Succeed())
			f.Expect(f.Delivered(f.ctx, "lake", sentAt(start), f.row("e1"))).To(Succeed())
			f.Expect(f.Retry(f.ctx, "lake", f.seq("e2"), future, failed("busy"))).To(Succeed())
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: future})).To(Equal(int64(1)))
			f.Expect(f.ids(ledger.EventQuery{})).To(Equal([]string{"e2", "e3"}))
			f.step(2 * 366 * 24 * time.Hour)
			f.Expect(f.due("lake", 9)).To(Equal([]string{"e2"}))
			f.Expect(f.figures("lake").Pending).To(Equal(int64(2)))
		}},
		{"an event that is parked for one sink and owed to another stays", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port", "lake"}})
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: future})).To(BeZero())
			f.Expect(f.figures("port").Parked).To(Equal(int64(1)))
			f.Expect(f.due("lake", 9)).To(Equal([]string{"e1"}))
		}},
		{"a parked row goes with its event", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1), Sinks: []string{"port"}})
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: future})).To(Equal(int64(1)))
			f.Expect(f.figures("port")).To(And(HaveField("Parked", int64(0)), HaveField("LastError", "")))
			f.Expect(f.Requeue(f.ctx, "port")).To(BeZero())
		}},
		{"pruning does not lower what was delivered", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2), Sinks: []string{"port"}})
			f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"), f.row("e2"))).To(Succeed())
			before := f.figures("port")
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: future})).To(Equal(int64(2)))
			f.Expect(f.figures("port")).To(Equal(before))
		}},
		{"more events go than one step takes", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1234)})
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(1000 * time.Minute)})).To(Equal(int64(1000)))
			f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(234))
		}},
		{"the newest decisions of each subject stay", keepsNewestDecisions},
		{"decisions are bounded by default", boundsDecisions},
		{"states and subjects stay", func(f *fixture) {
			f.commit(wholeChange())
			f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(2)))
			f.Expect(f.Forget(f.ctx, "lake", time.Time{})).To(Equal(int64(2)))
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: future})).To(Equal(int64(2)))
			f.Expect(f.state("a").Version).To(Equal(int64(1)))
			f.Expect(f.Subjects(f.ctx, ledger.SubjectQuery{})).To(HaveLen(1))
		}},
	})
}

func keepsNewestDecisions(f *fixture) {
	for i := range 5 {
		f.commit(ledger.Change{Decisions: []ledger.Decision{
			Decision("cart", fmt.Sprintf("C%d", i), start), Decision("pay", fmt.Sprintf("P%d", i), start),
		}})
	}
	f.commit(ledger.Change{Decisions: []ledger.Decision{Decision("search", "S0", start)}})
	f.Expect(f.Prune(f.ctx, ledger.Retention{DecisionsPerSubject: 2})).To(BeZero())
	for uid, want := range map[string][]string{"uid-cart": {"C4", "C3"}, "uid-pay": {"P4", "P3"}, "uid-search": {"S0"}} {
		decisions, err := f.Decisions(f.ctx, uid, 0)
		f.Expect(err).NotTo(HaveOccurred())
		reasons := []string{}
		for _, d := range decisions {
			reasons = append(reasons, d.Reason)
		}
		f.Expect(reasons).To(Equal(want))
	}
}

func boundsDecisions(f *fixture) {
	var many []ledger.Decision
	for i := range ledger.DefaultDecisions + 50 {
		many = append(many, Decision("cart", fmt.Sprintf("R%d", i), start))
	}
	f.commit(ledger.Change{Decisions: many})
	f.Expect(f.Prune(f.ctx, ledger.Retention{})).To(BeZero())
	decisions, err := f.Decisions(f.ctx, "uid-cart", 0)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(decisions).To(HaveLen(ledger.DefaultDecisions))
	f.Expect(decisions[0].Reason).To(Equal(many[len(many)-1].Reason))
}
