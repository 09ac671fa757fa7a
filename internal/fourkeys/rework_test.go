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

// None of these was recorded as rework: who decided, or took the reports in, knew nothing of what was reported, or came afterwards.
func TestAReportedFailureMakesRework(t *testing.T) {
	v1, v2, v3 := success("v1", 10), success("v2", 20, began(19)), success("v3", 30)
	incident := func(hour float64, cause string) dora.Event { return degraded("f", hour, cause, reported) }
	over := func(hour float64) dora.Event { return recovered("f", hour, "", reported) }
	for name, c := range map[string]struct {
		events []dora.Event
		want   int
	}{
		"it was over, and a deployment had caused it":     {[]dora.Event{v1, incident(11, "v1"), over(12), v2, v3}, 1},
		"it was over, and none had":                       {[]dora.Event{v1, incident(11, ""), over(12), v2, v3}, 0},
		"it was open when the next one began":             {[]dora.Event{v1, incident(18, ""), over(25), v2, v3}, 1},
		"it is open still":                                {[]dora.Event{v1, incident(18, ""), v2, v3}, 2},
		"it opened while the next one went out":           {[]dora.Event{v1, incident(19.5, ""), over(25), v2, v3}, 0},
		"it ended as the next one began":                  {[]dora.Event{v1, incident(18, ""), over(19), v2, v3}, 0},
		"nobody told its end for a week":                  {[]dora.Event{incident(10-7*24, ""), v1}, 0},
		"nobody told its end for less than a week":        {[]dora.Event{incident(10.5-7*24, ""), v1}, 1},
		"what caused it was not made because of it":       {[]dora.Event{v1, incident(18, "v2"), over(20.5), v2, v3}, 1},
		"its cause is not known here":                     {[]dora.Event{v1, incident(11, "v0"), over(12), v2, v3}, 0},
		"it was a drill":                                  {[]dora.Event{v1, marked(incident(11, "v1"), dora.Ignore), over(12), v2, v3}, 0},
		"it was open, and a drill":                        {[]dora.Event{v1, marked(incident(18, ""), dora.Ignore), over(25), v2, v3}, 0},
		"it was none":                                     {[]dora.Event{v1, marked(incident(11, "v1"), dora.NotAFailure), over(12), v2, v3}, 0},
		"its cause was none":                              {[]dora.Event{marked(v1, dora.NotAFailure), incident(11, "v1"), over(12), v2, v3}, 0},
		"its cause is ignored":                            {[]dora.Event{marked(v1, dora.Ignore), incident(11, "v1"), over(12), v2, v3}, 0},
		"people alone say so":                             {[]dora.Event{marked(success("v1", 10, reported), dora.Failure), v2, v3}, 0},
		"a failed deployment told after the success":      {[]dora.Event{v1, failure("v2b", 15, reported), v2, v3}, 1},
		"a rollback":                                      {[]dora.Event{v1, rollback("v0", "v1", 15, reported), v2, v3}, 1},
		"Argo's own failure, as it was decided":           {[]dora.Event{v1, degraded("f", 11, "v1"), recovered("f", 12, ""), v2, v3}, 0},
		"Argo's own, before a reported deployment":        {[]dora.Event{v1, degraded("f", 11, "v1"), recovered("f", 12, ""), success("v2", 20, reported), v3}, 1},
		"a failed attempt of Argo's, and a reported one":  {[]dora.Event{v1, failure("v2b", 15), success("v2", 20, reported), v3}, 1},
		"the deployment mended it, and the next one, too": {[]dora.Event{v1, incident(11, "v1"), over(30.5), v2, v3}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fourkeys.Compute(c.events, fourkeys.Window{From: at(-10 * 24), To: at(168)}).Rework.Part; got != c.want {
				t.Errorf("%d are rework, want %d", got, c.want)
			}
		})
	}
}
