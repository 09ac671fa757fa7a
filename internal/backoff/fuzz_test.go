package backoff_test

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/backoff"
)

// However often something failed, the wait is within the cap, the random part of it is a part, and it never shrinks from one failure to the next.
func FuzzDelay(f *testing.F) {
	f.Add(int64(time.Second), int64(time.Hour), 1, 0.5)
	f.Add(int64(1), int64(1<<62), 62, 0.999)
	f.Add(int64(time.Hour), int64(time.Minute), 3, 0.0)
	f.Fuzz(func(t *testing.T, base, most int64, failures int, random float64) {
		b := backoff.Exponential{Base: time.Duration(base), Cap: time.Duration(most)}
		if base <= 0 || most <= 0 || failures < 0 || failures > 1<<20 || !(random >= 0 && random < 1) {
			return // no settings, and no lot that is drawn
		}
		wait := b.Delay(failures, random)
		if wait < 0 || wait > b.Cap || failures < 2 && wait > b.Base {
			t.Errorf("a wait of %v", wait)
		}
		if next := b.Delay(failures+1, random); next < wait {
			t.Errorf("a wait of %v after %d failures, and then of %v", wait, failures, next)
		}
		if less := b.Delay(failures, random/2); less > wait {
			t.Errorf("a smaller part of it is %v, and not within %v", less, wait)
		}
	})
}
