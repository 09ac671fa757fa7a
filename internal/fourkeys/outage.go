package fourkeys

import (
	"cmp"
	"slices"
	"time"
)

// unended is for how long a failure that nobody has told the end of takes others for the same outage. Without an end to that, a single
// incident that somebody forgot to resolve would hide all failures after it.
const unended = 7 * 24 * time.Hour

// outage is failures of a service that overlap, such as a Degraded and the incidents of those who were paged for it: production was down
// once, from the beginning of the first to the end of the last.
type outage struct {
	began time.Time
	ended *time.Time // nil while one of them is open
	// cause is the first that is known: that of the earliest failure which has one.
	cause *attempt
	// incident says that no deployment that counts caused any of them.
	incident bool
	// reach is until when others that begin belong to it.
	reach time.Time
}

// outagesOf puts failures together that overlap. One that begins when another ends does not.
func outagesOf(failures []failure) []outage {
	failures = slices.Clone(failures)
	slices.SortStableFunc(failures, func(a, b failure) int {
		return cmp.Or(a.began.OccurredAt.Compare(b.began.OccurredAt), b.reach().Compare(a.reach()))
	})
	var outages []outage
	for _, f := range failures {
		if n := len(outages); n > 0 && f.began.OccurredAt.Before(outages[n-1].reach) {
			outages[n-1].join(f)
			continue
		}
		outages = append(outages, f.outage())
	}
	return outages
}

// outage is the failure alone.
func (f failure) outage() outage {
	o := outage{began: f.began.OccurredAt, incident: f.incident, reach: f.reach()}
	if f.ended != nil {
		o.ended = &f.ended.OccurredAt
	}
	if f.known() {
		o.cause = f.cause
	}
	return o
}

func (o *outage) join(f failure) {
	switch {
	case o.ended == nil || f.ended == nil:
		o.ended = nil
	case f.ended.OccurredAt.After(*o.ended):
		o.ended = &f.ended.OccurredAt
	}
	if o.cause == nil && f.known() {
		o.cause = f.cause
	}
	o.incident = o.incident && f.incident
	if reach := f.reach(); reach.After(o.reach) {
		o.reach = reach
	}
}

// known says that a deployment caused it of which the verdict is known.
func (f failure) known() bool { return f.cause != nil && f.cause.class != unknown }

func (f failure) reach() time.Time {
	if f.ended == nil {
		return f.began.OccurredAt.Add(unended)
	}
	return f.ended.OccurredAt
}
