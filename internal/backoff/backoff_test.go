package backoff

import (
	"math"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

var usual = Exponential{Base: time.Second, Cap: 5 * time.Minute}

func TestBackoff(t *testing.T) {
	g := NewWithT(t)
	var ceilings []time.Duration
	for failures := range 12 {
		ceilings = append(ceilings, usual.Delay(failures, 1))
	}
	const s = time.Second
	g.Expect(ceilings).To(Equal([]time.Duration{s, s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 300 * s, 300 * s}))
	g.Expect(usual.Delay(3, 0)).To(BeZero())
	g.Expect(usual.Delay(3, 0.5)).To(Equal(2 * s))
	g.Expect(Exponential{Base: time.Minute, Cap: s}.Delay(1, 1)).To(Equal(s), "the cap holds from the first failure on")
	g.Expect(Exponential{}.Delay(5, 1)).To(BeZero())
}

func TestBackoffNeverOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Exponential{
			Base: time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "base")),
			Cap:  time.Duration(rapid.Int64Range(1, math.MaxInt64/4).Draw(t, "cap")),
		}
		failures := rapid.IntRange(0, math.MaxInt-1).Draw(t, "failures")
		random := rapid.Float64Range(0, 1).Draw(t, "random")
		wait := b.Delay(failures, random)
		if wait < 0 || wait > b.Cap+time.Microsecond { // a float of that size is not exact to the nanosecond
			t.Fatalf("%v waits %v after %d failures", b, wait, failures)
		}
		if b.ceiling(failures+1) < b.ceiling(failures) {
			t.Fatalf("%v waits less after more than %d failures", b, failures)
		}
	})
}
