package dispatch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// rows are named service+number, as in "cart1".
func rows(names ...string) []ledger.Delivery {
	list := make([]ledger.Delivery, len(names))
	for i, name := range names {
		list[i] = ledger.Delivery{Seq: int64(i + 1), Event: dora.Event{ID: name, Service: strings.TrimRight(name, "0123456789")}}
	}
	return list
}

func TestJudge(t *testing.T) {
	busy, refused := errors.New("busy"), &sink.PermanentError{Err: errors.New("refused")}
	batch := rows("cart1", "pay1", "cart2", "pay2", "search1")
	for name, test := range map[string]struct {
		batch  []ledger.Delivery
		answer error
		want   []fate
		apart  bool
	}{
		"no error delivers all":                               {batch, nil, []fate{delivered, delivered, delivered, delivered, delivered}, false},
		"a failure puts off the first row":                    {batch, busy, []fate{retried, left, left, left, left}, false},
		"so does one that names a time":                       {batch, &sink.RetryableError{Err: busy, After: time.Hour}, []fate{retried, left, left, left, left}, false},
		"a refusal of several tells nothing about each":       {batch, refused, []fate{}, true},
		"a refusal of one parks it":                           {batch[:1], refused, []fate{parked}, false},
		"a wrapped refusal is one":                            {batch[:1], fmt.Errorf("send: %w", refused), []fate{parked}, false},
		"a partial failure tells the rows apart":              {batch, &sink.PartialError{Failed: map[string]error{"pay2": busy, "search1": refused}}, []fate{delivered, delivered, delivered, retried, parked}, false},
		"what arrived behind a failed row is sent again":      {batch, &sink.PartialError{Failed: map[string]error{"cart1": busy}}, []fate{retried, delivered, left, delivered, delivered}, false},
		"what arrived behind a refused row stays delivered":   {batch, &sink.PartialError{Failed: map[string]error{"cart1": refused}}, []fate{parked, delivered, delivered, delivered, delivered}, false},
		"a refusal behind a failed row is not recorded yet":   {batch, &sink.PartialError{Failed: map[string]error{"cart1": busy, "cart2": refused}}, []fate{retried, delivered, left, delivered, delivered}, false},
		"a partial failure of other events is a failure":      {batch[:1], &sink.PartialError{Failed: map[string]error{"else": busy}}, []fate{retried}, false},
		"a partial failure of nothing is a failure":           {batch[:1], &sink.PartialError{}, []fate{retried}, false},
		"a partial refusal of other events parks nobody here": {batch[:1], &sink.PartialError{Failed: map[string]error{"else": refused}}, []fate{retried}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			verdicts, apart := judge(test.batch, test.answer)
			fates := []fate{}
			for i, v := range verdicts {
				g.Expect(v.row).To(Equal(test.batch[i]))
				g.Expect(v.err != nil).To(Equal(v.fate == retried || v.fate == parked))
				fates = append(fates, v.fate)
			}
			g.Expect(fates).To(Equal(test.want))
			g.Expect(apart).To(Equal(test.apart))
		})
	}
}

func TestDivide(t *testing.T) {
	g := NewWithT(t)
	due := rows("a1", "b1", "c1", "a2", "d1")
	for i, ago := range map[int]time.Duration{1: time.Minute, 2: time.Hour, 4: time.Second} {
		due[i].Attempts, due[i].NextAt = 1, noon.Add(-ago)
	}
	fresh, suspect := divide(due)
	g.Expect(fresh).To(Equal([]ledger.Delivery{due[0], due[3]}))
	g.Expect(suspect).To(Equal([]ledger.Delivery{due[2]}), "the one that has been due longest")
	_, suspect = divide(due[:1])
	g.Expect(suspect).To(BeNil())
}

func TestBounded(t *testing.T) {
	g := NewWithT(t)
	g.Expect(bounded("busy")).To(Equal("busy"))
	long := bounded(strings.Repeat("ü", 1000))
	g.Expect(utf8.ValidString(long)).To(BeTrue())
	g.Expect(long).To(And(HaveSuffix("…"), HaveLen(maxReason+len("…"))))
	g.Expect(bounded("a\xffb")).To(Equal("ab"))
}
