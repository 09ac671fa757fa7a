package kube

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

const (
	// inStep is how far the clocks of two machines may be apart without a word. An answer tells the time in whole seconds.
	inStep = 2 * time.Second

	// One answer proves nothing: it may be that of a proxy, or of the one API server of several whose clock is wrong. So many in a row have to tell the
	// same, for so long, and none the time that is gone by. At the start, when no answer has told that yet, so many are enough.
	doubts   = 3
	doubtFor = 10 * time.Second
)

var offsetDesc = prometheus.NewDesc("dora_clock_offset_seconds",
	"By how much the API server's clock is ahead of that of this process's machine; 0 while they are in step.", nil, nil)

// Clock tells the API server's time: the machine's clock, put right by the Date of the API server's answers where the two are more than two seconds
// apart, and all answers say so. How long a Degraded has lasted is the difference between Argo's time and ours, so a machine whose clock is a minute
// ahead would take it for over a minute too early. The lease is renewed every few seconds, so there is always a late answer.
//
// What waits for a duration is not touched: a timer needs no date.
type Clock struct {
	clock.WithDelayedExecution

	log    logr.Logger
	offset atomic.Int64 // nanoseconds

	mu        sync.Mutex
	confirmed bool // an answer has told the time that is gone by
	doubted   doubt
}

// doubt is what answers in a row tell that is not the time that is gone by: that the offset lies between two values.
type doubt struct {
	answers     int
	since       time.Time
	least, most time.Duration
}

// NewClock is as right as the machine's until an answer comes.
func NewClock(machine clock.WithDelayedExecution, log logr.Logger) *Clock {
	return &Clock{WithDelayedExecution: machine, log: log}
}

// Now implements clock.PassiveClock.
func (c *Clock) Now() time.Time {
	return c.WithDelayedExecution.Now().Add(time.Duration(c.offset.Load()))
}

// Since implements clock.PassiveClock.
func (c *Clock) Since(at time.Time) time.Duration { return c.Now().Sub(at) }

// Wrap reads the time in the answers of a transport.
func (c *Clock) Wrap(next http.RoundTripper) http.RoundTripper { return &timed{next, c} }

// Describe implements prometheus.Collector.
func (c *Clock) Describe(to chan<- *prometheus.Desc) { to <- offsetDesc }

// Collect implements prometheus.Collector.
func (c *Clock) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(offsetDesc, prometheus.GaugeValue, time.Duration(c.offset.Load()).Seconds())
}

// hear takes the time that an answer tells. It was written between the two moments, and its second may be nearly over.
func (c *Clock) hear(told, asked, answered time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := &c.doubted
	least, most := told.Sub(answered), told.Add(time.Second).Sub(asked)
	if known := time.Duration(c.offset.Load()); least-inStep <= known && known <= most+inStep {
		c.confirmed, *d = true, doubt{}
		return
	}
	if d.answers == 0 || most < d.least-inStep || d.most+inStep < least {
		*d = doubt{since: answered, least: least, most: most}
	}
	d.answers, d.least, d.most = d.answers+1, max(d.least, least), min(d.most, most)
	if d.answers < doubts || c.confirmed && answered.Sub(d.since) < doubtFor {
		return
	}
	c.set((d.least + d.most) / 2)
}

func (c *Clock) set(found time.Duration) {
	if found.Abs() <= inStep {
		found = 0
	}
	c.offset.Store(int64(found))
	c.confirmed, c.doubted = true, doubt{}
	c.log.Info("The clocks of this machine and of the API server are not what they were to each other; decisions go by the API server's",
		"offset", found.Round(time.Second).Seconds())
}

// answers tells whether it is the API server that answers, and not something on the way to it: it succeeds, in one of the forms of objects.
func answers(r *http.Response) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return r.StatusCode/100 == 2 && (kind == "application/json" || kind == "application/vnd.kubernetes.protobuf")
}

// timed is a transport whose answers tell the time.
type timed struct {
	next  http.RoundTripper
	clock *Clock
}

// RoundTrip implements http.RoundTripper.
func (t *timed) RoundTrip(r *http.Request) (*http.Response, error) {
	machine := t.clock.WithDelayedExecution
	asked := machine.Now()
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		return answer, err
	}
	if told, err := http.ParseTime(answer.Header.Get("Date")); err == nil && answers(answer) {
		t.clock.hear(told, asked, machine.Now())
	}
	return answer, nil
}

// WrappedRoundTripper is the transport within, for those who look for its settings.
func (t *timed) WrappedRoundTripper() http.RoundTripper { return t.next }
