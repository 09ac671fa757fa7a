package filter_test

import (
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/filter"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// An expression is refused in one line, or says the same whenever it is asked; and figures that it rules out are of nothing whose events it wants.
func FuzzNew(f *testing.F) {
	for _, seed := range []string{
		`event.service == "cart"`, `[1].all(x, x > 0)`, "event.", `"a".matches("(")`, `event.success ? true : event.unplanned`, "true &&\n (", "\x00",
		`event.service.startsWith("c") && !(event.outcome in ["failed", "unknown"])`, `event.enviroment == "a"`, `dyn(event.service) == 1`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		one, err := filter.New(expression)
		if err != nil {
			if text := err.Error(); strings.Contains(text, "\n") || text == "" {
				t.Errorf("%q: %q", expression, text)
			}
			return
		}
		other, err := filter.New(expression)
		if err != nil {
			t.Fatalf("%q is refused the second time: %v", expression, err)
		}
		figures := sinktest.Figures()[0] // of cart in production, as all the events are
		passes, figuresErr := one.Figures(&figures)
		for _, e := range sinktest.Events() {
			wanted, err := one.Event(&e)
			again, errAgain := other.Event(&e)
			if wanted != again || (err == nil) != (errAgain == nil) {
				t.Errorf("%q says of %s %v, %v, and then %v, %v", expression, e.ID, wanted, err, again, errAgain)
			}
			if wanted && figuresErr == nil && !passes {
				t.Errorf("%q wants %s, and rules figures of its service out", expression, e.ID)
			}
		}
	})
}
