package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func TestStoppingIsNoFailure(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Answer(func(ctx context.Context, _ []dora.Event) error { <-ctx.Done(); return ctx.Err() })
		f.start(s)
		f.record(port, "a1")
		f.stop()
		due, err := f.Due(f.ctx, "port", noon, 9)
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(due).To(HaveExactElements(And(HaveField("Attempts", 0), HaveField("LastError", ""))))
	})
}

func TestWhatArrivesWhileStoppingIsRecorded(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Answer(func(ctx context.Context, _ []dora.Event) error { <-ctx.Done(); return nil })
		f.start(s)
		f.record(port, "a1")
		f.stop()
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(1)), HaveField("Pending", int64(0))))
	})
}

func TestStartingTwiceIsAnError(t *testing.T) {
	story(t, func(f *fixture) {
		f.start()
		f.Expect(f.d.Start(f.ctx)).To(MatchError(ContainSubstring("started before")))
		f.Expect(f.d.NeedLeaderElection()).To(BeTrue())
		f.stop()
		f.d.Register(sinktest.NewScripted("late"), Route{}) // starts nothing any more
	})
}

func TestSinksComeAndGo(t *testing.T) {
	story(t, func(f *fixture) {
		f.start()
		f.record(port, "a1")
		s := sinktest.NewScripted("port")
		f.d.Register(s, Route{})
		synctest.Wait()
		f.Expect(s.Calls()).To(Equal([][]string{{"a1"}}))
		f.d.Remove("port")
		f.d.Remove("none")
		f.record(port, "a2")
		f.Expect(s.Calls()).To(BeEmpty())
		f.Expect(f.figures("port").Pending).To(Equal(int64(1)), "what it is owed stays")
		f.d.Register(s, Route{})
		synctest.Wait()
		f.Expect(s.Calls()).To(Equal([][]string{{"a2"}}))
		f.stop()
	})
}

// TestNeverTwoWorkersOnOneSink: however a sink is replaced, its successor waits for the attempt in hand.
func TestNeverTwoWorkersOnOneSink(t *testing.T) {
	for name, replace := range map[string]func(*fixture, sink.Sink){
		"registered again": func(f *fixture, s sink.Sink) { f.d.Register(s, Route{}) },
		"registered again, repeatedly": func(f *fixture, s sink.Sink) {
			f.d.Register(s, Route{})
			f.d.Register(s, Route{})
			f.d.Register(s, Route{})
		},
		"removed and registered":       func(f *fixture, s sink.Sink) { f.d.Remove("port"); f.d.Register(s, Route{}) },
		"removed twice and registered": func(f *fixture, s sink.Sink) { f.d.Remove("port"); f.d.Remove("port"); f.d.Register(s, Route{}) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(f *fixture) {
				first, second := sinktest.NewScripted("port"), sinktest.NewScripted("port")
				release := make(chan struct{})
				var stopped atomic.Bool
				first.Answer(func(ctx context.Context, _ []dora.Event) error {
					<-release // it does not heed its context at once
					stopped.Store(ctx.Err() != nil)
					return ctx.Err()
				})
				f.start(first)
				f.record(port, "a1")
				replace(f, second)
				synctest.Wait()
				f.Expect(second.Calls()).To(BeEmpty())
				close(release)
				synctest.Wait()
				f.Expect(stopped.Load()).To(BeTrue(), "the first was told to end")
				f.Expect(second.Calls()).To(Equal([][]string{{"a1"}}))
				f.stop()
			})
		})
	}
}

// flaky is a ledger that fails while it is told to, and counts how often it is asked.
type flaky struct {
	ledger.Outbox

	err   atomic.Pointer[error]
	asked atomic.Int64
}

func (f *flaky) fail(err error) { f.err.Store(&err) }

func (f *flaky) failure() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *flaky) Due(ctx context.Context, name string, now time.Time, limit int) ([]ledger.Delivery, error) {
	f.asked.Add(1)
	if err := f.failure(); err != nil {
		return nil, err
	}
	return f.Outbox.Due(ctx, name, now, limit)
}

func (f *flaky) Delivered(ctx context.Context, name string, a ledger.Attempt, sent ...ledger.Delivery) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.Outbox.Delivered(ctx, name, a, sent...)
}

func (f *flaky) Sinks(ctx context.Context) ([]ledger.SinkState, error) {
	if err := f.failure(); err != nil {
		return nil, err
	}
	return f.Outbox.Sinks(ctx)
}

func TestALedgerThatFailsIsAskedAgainLater(t *testing.T) {
	story(t, func(f *fixture) {
		outbox := &flaky{Outbox: f.Memory}
		f.use(outbox)
		s := sinktest.NewScripted("port")
		f.start(s)
		s.Answer(func(context.Context, []dora.Event) error {
			outbox.fail(errors.New("disk full"))
			return nil
		})
		f.record(port, "a1")
		f.Expect(s.Calls()).To(HaveLen(1))
		asked := outbox.asked.Load()
		f.wait(time.Second)
		f.wait(2 * time.Second)
		f.wait(time.Second)
		f.Expect(outbox.asked.Load()-asked).To(Equal(int64(2)), "ever less often")
		f.Expect(testutil.CollectAndCount(f.registry, "dora_sink_delivered_total")).To(Equal(1), "the other metrics are there")
		f.Expect(testutil.CollectAndCount(f.registry, "dora_sink_pending")).To(BeZero())

		outbox.fail(nil)
		s.Fail(nil)
		f.wait(time.Minute)
		f.Expect(s.Calls()).To(Equal([][]string{{"a1"}}), "it is sent again, as nobody knows that it arrived")
		f.Expect(f.figures("port").Delivered).To(Equal(int64(1)))
		f.stop()
	})
}

func TestNothingIsPolled(t *testing.T) {
	story(t, func(f *fixture) {
		outbox := &flaky{Outbox: f.Memory}
		f.use(outbox)
		s := sinktest.NewScripted("port")
		f.start(s)
		f.record(port, "a1")
		asked := outbox.asked.Load()
		for range 100 {
			f.wait(time.Hour)
		}
		f.Expect(outbox.asked.Load()).To(Equal(asked))
		f.stop()
	})
}

// TestADeadSinkIsLeftAlone: a hundred services wait for a destination that is down for an hour.
func TestADeadSinkIsLeftAlone(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Fail(errBusy)
		f.start(s)
		for i := range 100 {
			f.record(port, fmt.Sprintf("s%c%c1", 'a'+i/10, 'a'+i%10))
		}
		for range 3600 {
			f.wait(time.Second)
		}
		f.Expect(len(s.Calls())).To(BeNumerically("<", 30))
		s.Fail(nil)
		for range 600 {
			f.wait(time.Second)
		}
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(100)), HaveField("Pending", int64(0))))
		f.stop()
	})
}

func TestAForgottenSinkIsNoError(t *testing.T) {
	for name, answer := range map[string]error{"retried": errBusy, "parked": errRefused, "delivered": nil} {
		t.Run(name, func(t *testing.T) {
			story(t, func(f *fixture) {
				s := sinktest.NewScripted("port")
				s.Answer(func(ctx context.Context, _ []dora.Event) error {
					_, err := f.Forget(ctx, "port", time.Time{})
					f.Expect(err).NotTo(HaveOccurred())
					return answer
				})
				f.start(s)
				f.record(port, "a1")
				f.record(port, "a2")
				f.wait(time.Minute)
				f.Expect(f.Memory.Sinks(f.ctx)).To(BeEmpty())
				f.stop()
			})
		})
	}
}

func TestMetrics(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		f.d.Register(s, Route{})
		f.Expect(testutil.CollectAndCount(f.registry)).To(Equal(4), "the totals are there before the first event")
		f.start()
		f.record(port, "a1", "b1")
		s.Fail(errRefused)
		f.record(port, "c1")
		s.Fail(errBusy)
		f.record(port, "d1")
		f.clock.Step(500 * time.Millisecond)
		synctest.Wait()
		f.Expect(testutil.GatherAndCompare(f.registry, strings.NewReader(`
# HELP dora_sink_delivered_total Events that the sink took.
# TYPE dora_sink_delivered_total counter
dora_sink_delivered_total{sink="port"} 2
# HELP dora_sink_filtered_total Events that the sink's filter left out.
# TYPE dora_sink_filtered_total counter
dora_sink_filtered_total{sink="port"} 0
# HELP dora_sink_oldest_pending_seconds Age of the oldest event that the sink is still owed; 0 if it is owed none.
# TYPE dora_sink_oldest_pending_seconds gauge
dora_sink_oldest_pending_seconds{sink="port"} 0.5
# HELP dora_sink_parked Events that are set aside until they are requeued or pruned.
# TYPE dora_sink_parked gauge
dora_sink_parked{sink="port"} 1
# HELP dora_sink_parked_total Events that the sink refused for good and that were set aside.
# TYPE dora_sink_parked_total counter
dora_sink_parked_total{sink="port"} 1
# HELP dora_sink_pending Events that the sink is still owed.
# TYPE dora_sink_pending gauge
dora_sink_pending{sink="port"} 1
# HELP dora_sink_retried_total Attempts that failed and were put off.
# TYPE dora_sink_retried_total counter
dora_sink_retried_total{sink="port"} 1
`))).To(Succeed())
		f.d.Remove("port")
		f.Expect(f.Forget(f.ctx, "port", time.Time{})).To(Equal(int64(2)), "one is parked, one pending")
		f.Expect(testutil.CollectAndCount(f.registry)).To(BeZero())
		f.stop()
	})
}

func TestDefaults(t *testing.T) {
	g := NewWithT(t)
	opts := Options{}.withDefaults()
	g.Expect(opts).To(And(HaveField("Timeout", 30*time.Second), HaveField("Backoff", DefaultBackoff)))
	g.Expect(opts.Random()).To(And(BeNumerically(">=", 0), BeNumerically("<", 1)))
	g.Expect(opts.Clock).NotTo(BeNil())
	New(ledgertest.NewMemory(time.Now), Options{}).Notify() // nobody listens, nobody registers, nothing is logged
}
