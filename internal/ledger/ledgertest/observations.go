package ledgertest

import (
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Observation is one of a subject, in a form that means nothing.
func Observation(service, data string, at time.Time) *ledger.Observation {
	return &ledger.Observation{UID: "uid-" + service, At: at, Data: []byte(data)}
}

// observing: what decisions rest on.
func observing(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"an observation is kept with what came of it", func(f *fixture) {
			f.commit(ledger.Change{Observation: Observation("cart", "a\x00b", start.Add(time.Nanosecond))})
			f.commit(ledger.Change{Observation: Observation("cart", "", start.Add(time.Second)), Events: deployments("e", "cart", 2)})
			f.commit(ledger.Change{Observation: Observation("pay", "c", start)})
			f.reopen()
			f.Expect(f.Observations(f.ctx, "uid-cart")).To(HaveExactElements(
				And(HaveField("UID", "uid-cart"), HaveField("N", int64(1)), HaveField("At", start), HaveField("Data", []byte("a\x00b")), HaveField("Events", BeEmpty())),
				And(HaveField("N", int64(2)), HaveField("At", start.Add(time.Second)), HaveField("Data", BeEmpty()), HaveField("Events", []string{"e1", "e2"})),
			))
			f.Expect(f.Observations(f.ctx, "uid-pay")).To(HaveLen(1))
			f.Expect(f.Observations(f.ctx, "none")).To(BeEmpty())
		}},
		{"a conflict keeps none", func(f *fixture) {
			f.Expect(f.Commit(f.ctx, ledger.Change{
				Observation: Observation("cart", "a", start), States: []ledger.State{{Key: "a", Version: 7}},
			})).To(MatchError(ledger.ErrConflict))
			f.Expect(f.Observations(f.ctx, "uid-cart")).To(BeEmpty())
		}},
		{"the newest of each subject are kept, and their numbers go on", func(f *fixture) {
			for i := range ledger.KeptObservations + 3 {
				f.commit(ledger.Change{Observation: Observation("cart", strconv.Itoa(i), start)})
			}
			f.commit(ledger.Change{Observation: Observation("pay", "a", start)})
			kept, err := f.Observations(f.ctx, "uid-cart")
			f.Expect(err).NotTo(HaveOccurred())
			f.Expect(kept).To(HaveLen(ledger.KeptObservations))
			f.Expect(kept[0]).To(And(HaveField("N", int64(4)), HaveField("Data", []byte("3"))))
			f.Expect(kept[len(kept)-1].Data).To(Equal([]byte(strconv.Itoa(ledger.KeptObservations + 2))))
			f.Expect(f.Observations(f.ctx, "uid-pay")).To(HaveLen(1))
		}},
		{"old ones go, also more than one step takes", func(f *fixture) {
			for i := range 30 {
				for j := range 20 {
					f.commit(ledger.Change{Observation: Observation("s"+strconv.Itoa(i), "a", start.Add(time.Duration(j)*time.Second))})
				}
			}
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(19 * time.Second)})).To(BeZero())
			f.Expect(f.Observations(f.ctx, "uid-s7")).To(HaveExactElements(HaveField("N", int64(20))))
			f.Expect(f.Prune(f.ctx, ledger.Retention{})).To(BeZero())
			f.Expect(f.Observations(f.ctx, "uid-s29")).To(HaveLen(1))
		}},
	})
}
