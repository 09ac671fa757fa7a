package dispatch

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What controller-runtime's manager asks of a leader's Runnable.
var _ interface {
	Start(ctx context.Context) error
	NeedLeaderElection() bool
} = (*Dispatcher)(nil)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is a dispatcher on a ledger in memory, with a clock that stands still until it is moved.
type fixture struct {
	*WithT
	*ledgertest.Memory

	ctx      context.Context //nolint:containedctx // the test's
	clock    *clocktesting.FakeClock
	d        *Dispatcher
	registry *prometheus.Registry
	stop     func()
}

// story tells what happens with a dispatcher. Jitter draws 1, so every wait is the longest that it may be.
func story(t *testing.T, tell func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		clock := clocktesting.NewFakeClock(noon)
		f := &fixture{
			WithT: NewWithT(t), Memory: ledgertest.NewMemory(clock.Now), ctx: t.Context(),
			clock: clock, registry: prometheus.NewRegistry(),
		}
		f.use(f.Memory)
		tell(f)
	})
}

func (f *fixture) use(outbox ledger.Outbox) {
	f.registry = prometheus.NewRegistry()
	f.d = New(outbox, Options{Clock: f.clock, Random: func() float64 { return 1 }, Registerer: f.registry})
}

// start runs the dispatcher until the story ends, or until stop.
func (f *fixture) start(sinks ...*sinktest.Scripted) {
	for _, s := range sinks {
		f.d.Register(s.Takes(4), Route{})
	}
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.d.Start(ctx) }()
	f.stop = func() {
		cancel()
		f.Expect(<-ended).To(Succeed())
	}
	synctest.Wait()
}

// record owes an event of each name to the sinks: "cart1" is one of service cart.
func (f *fixture) record(sinks []string, names ...string) {
	change := ledger.Change{Sinks: sinks}
	for _, row := range rows(names...) {
		change.Events = append(change.Events, ledgertest.Deployment(row.Event.ID, row.Event.Service, noon))
	}
	f.Expect(f.Commit(f.ctx, change)).To(Succeed())
	f.d.Notify()
	synctest.Wait()
}

// wait moves the clock and lets everybody do what is due then.
func (f *fixture) wait(d time.Duration) {
	time.Sleep(d) // of the bubble's time, by which attempts are limited
	f.clock.Step(d)
	synctest.Wait()
}

func (f *fixture) figures(name string) ledger.SinkState {
	states, err := f.Sinks(f.ctx)
	f.Expect(err).NotTo(HaveOccurred())
	for _, s := range states {
		if s.Sink == name {
			return s
		}
	}
	return ledger.SinkState{}
}

var (
	errBusy    = errors.New("busy")
	errRefused = &sink.PermanentError{Err: errors.New("refused")}
)

// port is the sink of most stories.
var port = []string{"port"}

func TestWhatIsOwedAtTheStartIsDelivered(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		f.record(port, "a1", "a2", "b1", "c1", "a3", "b2")
		f.start(s)
		f.Expect(s.Calls()).To(Equal([][]string{{"a1", "a2", "b1", "c1"}, {"a3", "b2"}}), "in batches, oldest first")
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(6)), HaveField("Pending", int64(0)), HaveField("LastDelivery", noon)))
		f.stop()
	})
}

func TestACommitWakesTheWorkers(t *testing.T) {
	story(t, func(f *fixture) {
		s, lake := sinktest.NewScripted("port"), sinktest.NewScripted("lake")
		f.start(s, lake)
		f.Expect(s.Calls()).To(BeEmpty())
		f.record([]string{"port", "lake"}, "a1")
		f.record(port, "a2")
		f.Expect(s.Calls()).To(Equal([][]string{{"a1"}, {"a2"}}))
		f.Expect(lake.Calls()).To(Equal([][]string{{"a1"}}))
		f.stop()
	})
}

func TestAFailedEventIsRetriedEverLater(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Fail(errBusy)
		f.start(s)
		f.record(port, "a1")
		f.Expect(s.Calls()).To(HaveLen(1))
		for _, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			f.wait(time.Duration(seconds)*time.Second - time.Microsecond)
			f.Expect(s.Calls()).To(BeEmpty())
			f.wait(time.Microsecond)
			f.Expect(s.Calls()).To(Equal([][]string{{"a1"}}))
		}
		f.Expect(f.figures("port").LastError).To(Equal("busy"))
		s.Fail(nil)
		f.wait(300 * time.Second)
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(1)), HaveField("LastError", "")))
		f.stop()
	})
}

func TestAServiceWaitsForItsFirstEvent(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		chokesOn := func(id string) {
			s.Answer(func(_ context.Context, events []dora.Event) error {
				for _, event := range events {
					if event.ID == id {
						return errBusy
					}
				}
				return nil
			})
		}
		chokesOn("a1")
		f.start(s)
		f.record(port, "a1", "b1", "a2")
		f.Expect(s.Calls()).To(Equal([][]string{{"a1", "b1", "a2"}}))
		f.wait(time.Second)
		f.Expect(s.Calls()).To(Equal([][]string{{"b1"}, {"a1"}}), "what failed less goes first, and what failed is sent alone")
		f.record(port, "c1")
		f.Expect(s.Calls()).To(Equal([][]string{{"c1"}}), "that one fails again is no reason to rest for a sink that takes others")
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(2)), HaveField("Pending", int64(2))))
		chokesOn("")
		f.wait(5 * time.Minute)
		f.Expect(s.Calls()).To(Equal([][]string{{"a1"}, {"a2"}}))
		f.stop()
	})
}

func TestADestinationMayAskForTime(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Fail(&sink.RetryableError{Err: errBusy, After: time.Minute})
		f.start(s)
		f.record(port, "a1")
		f.record(port, "b1")
		f.Expect(s.Calls()).To(HaveLen(1))
		f.wait(59 * time.Second)
		f.Expect(s.Calls()).To(BeEmpty(), "the whole sink rests, not the event alone")
		s.Fail(&sink.RetryableError{Err: errBusy, After: 1000 * time.Hour})
		f.wait(time.Second)
		f.Expect(s.Calls()).To(Equal([][]string{{"b1"}}))
		s.Fail(nil)
		f.wait(time.Hour)
		f.Expect(s.Calls()).To(HaveLen(2), "for an hour at most")
		f.Expect(f.figures("port")).To(HaveField("Delivered", int64(2)))
		f.stop()
	})
}

func TestARefusedEventIsParked(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Answer(func(_ context.Context, events []dora.Event) error {
			for _, event := range events {
				if event.Service == "bad" {
					return errRefused
				}
			}
			return nil
		})
		f.start(s)
		f.record(port, "a1", "bad1", "b1", "bad2", "c1")
		f.Expect(s.Calls()).To(Equal([][]string{
			{"a1", "bad1", "b1", "bad2"}, {"a1", "bad1"}, {"a1"}, {"bad1"}, {"b1", "bad2"}, {"b1"}, {"bad2"}, {"c1"},
		}), "a refused batch is sent again in halves")
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(3)), HaveField("Parked", int64(2)), HaveField("LastError", "refused")))

		s.Fail(nil)
		f.wait(24 * time.Hour)
		f.Expect(s.Calls()).To(BeEmpty(), "nobody sends it again")
		f.Expect(f.Requeue(f.ctx, "port")).To(Equal(int64(2)))
		f.d.Notify()
		synctest.Wait()
		f.Expect(s.Calls()).To(Equal([][]string{{"bad1", "bad2"}}), "until a person asks for it")
		f.stop()
	})
}

func TestAFailureAmongRefusalsEndsTheRound(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Answer(func(_ context.Context, events []dora.Event) error {
			if len(events) > 1 {
				return errRefused
			}
			return errBusy
		})
		f.start(s)
		f.record(port, "a1", "b1", "c1")
		f.Expect(s.Calls()).To(Equal([][]string{{"a1", "b1", "c1"}, {"a1"}}))
		f.Expect(f.figures("port")).To(And(HaveField("Parked", int64(0)), HaveField("Pending", int64(3))))
		f.stop()
	})
}

func TestAPartialFailureKeepsWhatArrived(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Fail(&sink.PartialError{Failed: map[string]error{"a1": errBusy, "b1": errRefused}})
		f.start(s)
		f.record(port, "a1", "a2", "b1", "c1")
		f.Expect(f.figures("port")).To(And(
			HaveField("Delivered", int64(1)), HaveField("Parked", int64(1)), HaveField("Pending", int64(2))))
		s.Calls()
		s.Fail(nil)
		f.wait(time.Second)
		f.Expect(s.Calls()).To(Equal([][]string{{"a1"}, {"a2"}}))
		f.stop()
	})
}

func TestAnAttemptHasATimeLimit(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Answer(func(ctx context.Context, _ []dora.Event) error {
			<-ctx.Done()
			return ctx.Err()
		})
		f.start(s)
		f.record(port, "a1")
		f.wait(30*time.Second - 1)
		f.Expect(f.figures("port").LastError).To(BeEmpty())
		f.wait(1)
		f.Expect(f.figures("port").LastError).To(Equal("no answer in time (30s)"))
		f.stop()
	})
}

func TestWhatArrivedBeforeTimeWasUpIsNotSentAgain(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Answer(func(ctx context.Context, _ []dora.Event) error {
			<-ctx.Done()
			return &sink.PartialError{Failed: map[string]error{"b1": ctx.Err()}}
		})
		f.start(s)
		f.record(port, "a1", "b1")
		f.wait(30 * time.Second)
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(1)), HaveField("Pending", int64(1))))
		f.stop()
	})
}

func TestASlowSinkDelaysNoOther(t *testing.T) {
	story(t, func(f *fixture) {
		slow, quick := sinktest.NewScripted("slow"), sinktest.NewScripted("quick")
		slow.Answer(func(ctx context.Context, _ []dora.Event) error { <-ctx.Done(); return ctx.Err() })
		f.start(slow, quick)
		for i := range 5 {
			f.record([]string{"slow", "quick"}, fmt.Sprintf("a%d", i))
			f.Expect(quick.Calls()).To(HaveLen(1))
		}
		f.Expect(slow.Calls()).To(HaveLen(1))
		f.stop()
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Answer(func(context.Context, []dora.Event) error { panic("t0ken") })
		f.start(s)
		f.record(port, "a1")
		f.Expect(f.figures("port")).To(And(HaveField("LastError", "the sink panicked, see the log"), HaveField("Pending", int64(1))))
		s.Fail(nil)
		f.wait(time.Second)
		f.Expect(f.figures("port").Delivered).To(Equal(int64(1)))
		f.stop()
	})
}

func TestAnEventThatIsCompletedOnItsWayIsSentAgain(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		var told []string
		s.Answer(func(ctx context.Context, events []dora.Event) error {
			told = append(told, events[0].Version.Commit)
			if len(told) > 1 {
				return nil
			}
			return f.Commit(ctx, ledger.Change{Facts: []dora.CommitFacts{ledgertest.Facts("a1", noon.Add(-time.Hour))}, Sinks: port})
		})
		f.start(s)
		f.record(port, "a1", "b1")
		f.Expect(s.Calls()).To(Equal([][]string{{"a1", "b1"}, {"a1"}}), "what did not change is not sent again")
		f.Expect(told).To(Equal([]string{"4f5e6d7", ledgertest.Facts("a1", noon).Commit}))
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(2)), HaveField("Pending", int64(0))))

		f.Expect(f.Commit(f.ctx, ledger.Change{Facts: []dora.CommitFacts{{EventID: "b1", Reason: "NoBase"}}, Sinks: port})).To(Succeed())
		f.d.Notify()
		synctest.Wait()
		f.Expect(s.Calls()).To(Equal([][]string{{"b1"}}), "and what is completed after it arrived is sent again too")
		f.stop()
	})
}
