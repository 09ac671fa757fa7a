package ledgertest

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// lifetime: what is left after closing, and what a closed store answers.
func lifetime(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a store that is opened again holds what it held", func(f *fixture) {
			f.commit(wholeChange())
			f.Expect(f.Park(f.ctx, "port", f.seq("e1"), failed("refused"))).To(Succeed())
			f.Expect(f.Retry(f.ctx, "lake", f.seq("e1"), start, failed("busy"))).To(Succeed())
			before, due := f.fingerprint("uid-cart"), f.due("lake", 9)
			f.reopen()
			f.Expect(f.fingerprint("uid-cart")).To(Equal(before))
			f.Expect(f.due("lake", 9)).To(Equal(due))
			f.Expect(f.state("a")).To(Equal(ledger.State{Key: "a", Version: 1, Data: []byte("A")}))
			f.Expect(f.Commit(f.ctx, wholeChange())).To(MatchError(ledger.ErrConflict))
		}},
		{"numbers go on after opening again", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2)})
			last, revision := f.seq("e2"), f.revision()
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.AddDate(1, 0, 0)})).To(Equal(int64(2)))
			f.reopen()
			f.commit(ledger.Change{Events: deployments("f", "cart", 1)})
			f.Expect(f.seq("f1")).To(BeNumerically(">", last))
			f.Expect(f.revision()).To(BeNumerically(">", revision))
		}},
		{"an open store can be written", func(f *fixture) { f.Expect(f.Ping(f.ctx)).To(Succeed()) }},
		{"a closed store says so, to writers and to readers", func(f *fixture) {
			f.Expect(f.Close()).To(Succeed())
			f.Expect(f.readAll(f.ctx)).To(HaveEach(MatchError(ledger.ErrClosed)))
			f.Expect(f.writeAll()).To(HaveEach(MatchError(ledger.ErrClosed)))
		}},
		{"closing twice is no error", func(f *fixture) {
			f.Expect(f.Close()).To(Succeed())
			f.Expect(f.Close()).To(Succeed())
		}},
		{"a change that meets the closing is written exactly if it is acknowledged", func(f *fixture) {
			acknowledged := make([]error, writers)
			f.atOnce(func(i int) {
				if i == writers/2 {
					acknowledged[i] = f.Close()
					return
				}
				acknowledged[i] = f.Commit(f.ctx, ledger.Change{Events: deployments(string(rune('a'+i)), "cart", 1)})
			})
			f.reopen()
			want := 0
			for i, err := range acknowledged {
				f.Expect(err).To(Or(Succeed(), MatchError(ledger.ErrClosed)))
				if err == nil && i != writers/2 {
					want++
				}
			}
			f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(want))
		}},
	})
}

// writeAll calls every method that writes, and returns their errors.
func (f *fixture) writeAll() []error {
	_, requeue := f.Requeue(f.ctx, "port")
	_, prune := f.Prune(f.ctx, ledger.Retention{EventsBefore: start})
	_, reopen := f.Reopen(f.ctx, ledger.ReopenQuery{}, start)
	_, hurry := f.Hurry(f.ctx, ledger.ResolutionQuery{}, start)
	_, hasten := f.Hasten(f.ctx, "port", start)
	_, owe := f.Owe(f.ctx, "port", ledger.EventQuery{}, start)
	_, forget := f.Forget(f.ctx, "port", time.Time{})
	return []error{
		f.Commit(f.ctx, ledger.Change{Events: deployments("e", "cart", 1)}),
		f.Delivered(f.ctx, "port", sentAt(start), ledger.Delivery{Seq: 1}),
		f.Retry(f.ctx, "port", 1, start, failed("busy")),
		f.Park(f.ctx, "port", 1, failed("refused")),
		f.Pass(f.ctx, "port", ledger.Delivery{Seq: 1}),
		f.Gone(f.ctx, "port", start),
		f.PutOff(f.ctx, "e1", start, "Busy", ""),
		f.CachePut(f.ctx, "key", nil),
		f.Ping(f.ctx),
		requeue, prune, reopen, hurry, hasten, owe, forget,
	}
}
