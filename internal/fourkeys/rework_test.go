package fourkeys_test

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// began tells when an attempt began.
func began(hour float64) func(*dora.Event) {
	return func(e *dora.Event) { e.StartedAt = at(0).Add(time.Duration(hour * float64(time.Hour))) }
}

// Of two successes the second was recorded as rework. What had led to it is taken out, or not.
func TestWhatPeopleTakeOutMakesNoRework(t *testing.T) {
	good, hotfix := success("v1", 10), success("v3", 40, unplanned)
	inOutage := success("v3", 40, unplanned, began(39))
	for name, c := range map[string]struct {
		events []dora.Event
		want   int
	}{
		"nothing of it is known":                      {[]dora.Event{good, hotfix}, 1},
		"a failed attempt":                            {[]dora.Event{good, failure("v2", 20), hotfix}, 1},
		"a failed attempt in a drill":                 {[]dora.Event{good, marked(failure("v2", 20), dora.Ignore), hotfix}, 0},
		"one that was no failure":                     {[]dora.Event{good, marked(failure("v2", 20), dora.NotAFailure), hotfix}, 0},
		"an abort in a drill":                         {[]dora.Event{good, marked(abort("v2", 20), dora.Ignore), hotfix}, 0},
		"a rollback in a drill":                       {[]dora.Event{good, marked(rollback("v1", "v2", 20), dora.Ignore), hotfix}, 0},
		"a drill, and a failure afterwards":           {[]dora.Event{good, marked(failure("v2", 20), dora.Ignore), failure("v2b", 21), hotfix}, 1},
		"a drill, after a failure":                    {[]dora.Event{good, failure("v2", 20), marked(failure("v2b", 21), dora.Ignore), hotfix}, 1},
		"a failure that an earlier success mended":    {[]dora.Event{failure("v0", 5), good, marked(failure("v2", 20), dora.Ignore), hotfix}, 0},
		"an earlier success that people call failed":  {[]dora.Event{marked(good, dora.Failure), marked(failure("v2", 20), dora.Ignore), hotfix}, 1},
		"a failure that a deployment caused":          {[]dora.Event{good, degraded("f", 10.5, "v1"), recovered("f", 11, "v1"), hotfix}, 1},
		"such a one in a drill":                       {[]dora.Event{good, marked(degraded("f", 10.5, "v1"), dora.Ignore), recovered("f", 11, "v1"), hotfix}, 0},
		"such a one that was none":                    {[]dora.Event{good, marked(degraded("f", 10.5, "v1"), dora.NotAFailure), recovered("f", 11, "v1"), hotfix}, 0},
		"such a one of a deployment that is ignored":  {[]dora.Event{marked(good, dora.Ignore), degraded("f", 10.5, "v1"), recovered("f", 11, "v1"), hotfix}, 0},
		"such a one of another cause":                 {[]dora.Event{marked(good, dora.NotAFailure), degraded("f", 10.5, "v1"), recovered("f", 11, "v1"), hotfix}, 0},
		"an outage that lasts":                        {[]dora.Event{good, degraded("f", 38, ""), inOutage}, 1},
		"an outage that lasts, in a drill":            {[]dora.Event{good, marked(degraded("f", 38, ""), dora.Ignore), inOutage}, 0},
		"a drill before an outage that lasts":         {[]dora.Event{good, marked(failure("v2", 20), dora.Ignore), degraded("f", 38, ""), inOutage}, 1},
		"a drill before one that had ended":           {[]dora.Event{good, marked(failure("v2", 20), dora.Ignore), degraded("f", 38, ""), recovered("f", 39, "v1"), inOutage}, 0},
		"a drill before one that began afterwards":    {[]dora.Event{good, marked(failure("v2", 20), dora.Ignore), degraded("f", 39.5, ""), inOutage}, 0},
		"an outage of another cause that still lasts": {[]dora.Event{marked(good, dora.NotAFailure), degraded("f", 10.5, "v1"), inOutage}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fourkeys.Compute(c.events, week).Rework.Part; got != c.want {
				t.Errorf("%d are rework, want %d", got, c.want)
			}
		})
	}
}
