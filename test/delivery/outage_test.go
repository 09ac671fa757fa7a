package delivery

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
)

const (
	outage      = 7 * 24 * time.Hour
	owedAtEnd   = 100_000 / scale
	commitsOf   = 500
	mostGrowth  = 32 << 20
	measurement = 10 // so often while events wait, and while they go out
)

// heap is what is alive of the heap: a collection may leave to the next one what was freed while it ran.
func heap() uint64 {
	var stats runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// longest makes every wait the longest that it may be.
func longest() float64 { return 1 }

// gauge watches the heap.
type gauge struct{ before, most uint64 }

func (g *gauge) measure() { g.most = max(g.most, heap()) }

// growth is how much the heap has grown since the first measurement, at most.
func (g *gauge) growth() int64 { return int64(g.most) - int64(g.before) }

// TestAWeekOfOutage: PostgreSQL cannot be reached for seven days, in which 100,000 events are recorded. Then all arrive, and none of it is kept in
// memory, neither while they wait nor while they go out.
func TestAWeekOfOutage(t *testing.T) {
	w := newWorld(t, longest, sinkName)
	d := newDatabase(t)
	p := before(t, fmt.Sprintf("%s:%d", d.options.Host, d.options.Port))
	through := d.options
	through.Port = p.port()
	s, err := postgres.New(through)
	w.Expect(err).NotTo(HaveOccurred())
	g := &gauge{}
	w.dispatcher.Register(&watched{Sink: s, gauge: g}, dispatch.Route{})
	w.start()
	teller := newStoryteller(lots(1, 1), 1)
	w.record(teller.event(w.Now()))
	w.pass(time.Minute) // one has arrived, so everything is set up
	w.Expect(w.pending()).To(BeZero())
	g.before = heap()

	p.deal(func() fate { return fate{refused: true} })
	began := w.Now()
	for commits := range owedAtEnd / commitsOf {
		events := make([]dora.Event, commitsOf)
		for i := range events {
			events[i] = teller.event(w.Now())
		}
		w.record(events...)
		w.pass(outage / (owedAtEnd / commitsOf))
		if commits%(owedAtEnd/commitsOf/measurement) == 0 {
			g.measure()
		}
	}
	w.Expect(w.Now().Sub(began)).To(Equal(outage))
	w.Expect(w.pending()).To(Equal(int64(owedAtEnd)))
	attempts := w.attempts(ledger.FateRetried)
	w.Expect(attempts).To(BeNumerically("<", 2500), "a destination that is down is left alone")
	grown := g.growth()

	p.deal(calm)
	w.settle()
	g.measure()
	w.Expect(w.state()).To(HaveExactElements(And(HaveField("Delivered", int64(owedAtEnd+1)), HaveField("Parked", int64(0)))))
	d.verifyTimes(recorded(t, w.store))
	w.Expect(g.growth()).To(BeNumerically("<", mostGrowth))
	t.Logf("the heap of %d KiB grew by %d KiB while %d events waited, with %d attempts, and by %d KiB until they had arrived",
		g.before>>10, grown>>10, owedAtEnd, attempts, g.growth()>>10)
}

// watched measures the heap every so many events that it is sent.
type watched struct {
	*postgres.Sink

	gauge *gauge
	taken int
}

// Send implements sink.Sink.
func (s *watched) Send(ctx context.Context, events []dora.Event) (string, error) {
	answer, err := s.Sink.Send(ctx, events)
	if err == nil {
		before := s.taken
		s.taken += len(events)
		if before/(owedAtEnd/measurement) < s.taken/(owedAtEnd/measurement) {
			s.gauge.measure()
		}
	}
	return answer, err
}

// verifyTimes compares the rows, and the times at which they were written, with what was recorded: each event is there, and came after those
// of its service before it, or with them.
func (d *database) verifyTimes(events []dora.Event) {
	d.tb.Helper()
	g := NewWithT(d.tb)
	rows, err := d.server.Connect(d.tb, d.options.Database).Query(context.Background(), "SELECT id, ingested_at FROM dora.delivery_events")
	g.Expect(err).NotTo(HaveOccurred())
	written := map[string]time.Time{}
	for rows.Next() {
		var id string
		var at time.Time
		g.Expect(rows.Scan(&id, &at)).To(Succeed())
		written[id] = at
	}
	g.Expect(rows.Err()).NotTo(HaveOccurred())
	g.Expect(written).To(HaveLen(len(events)))
	last := map[string]time.Time{}
	for _, event := range events {
		at, there := written[event.ID]
		if !there || at.Before(last[event.Service]) {
			d.tb.Fatalf("event %s is there: %t, but not in the order of %s", event.ID, there, event.Service)
		}
		last[event.Service] = at
	}
}

// TestOneSinkDelaysNoOther: of three sinks one is dead, and one takes an hour for each event. The third gets each event before any time has
// passed, for a day, however much the others are owed.
func TestOneSinkDelaysNoOther(t *testing.T) {
	w := newWorld(t, longest, "shop/dead", "shop/slow", "shop/well")
	w.patience = time.Hour // an attempt takes as long as it wants
	w.workers = 1          // the dead one rests; the slow one is at work, and the other has nothing to wait for
	in, slow := newInbox(t), newInbox(t)
	dead := before(t, hostOf(in.URL))
	dead.deal(func() fate { return fate{refused: true} })
	answer, ended := make(chan struct{}), make(chan struct{})
	slow.Behave(func(w http.ResponseWriter, _ *http.Request) bool {
		select {
		case <-answer:
		case <-ended:
		}
		w.WriteHeader(http.StatusAccepted)
		return true
	})
	for name, url := range map[string]string{"shop/dead": dead.instead(in.URL), "shop/slow": slow.URL, "shop/well": in.URL} {
		s, err := cloudevents.New(cloudevents.Options{Name: name, Cluster: "eu-1", URL: url, Guard: here})
		w.Expect(err).NotTo(HaveOccurred())
		w.dispatcher.Register(unasked{s}, dispatch.Route{})
	}
	w.start()
	t.Cleanup(func() { close(ended) })
	const hours, each = 24, 10
	teller := newStoryteller(lots(1, 1), 1)
	var want []string
	for range hours {
		at := w.Now()
		for range each {
			event := teller.event(at)
			want = append(want, event.ID)
			w.record(event)
		}
		w.Eventually(func() bool { return slices.Equal(in.arrived(), want) }).WithTimeout(time.Minute).Should(BeTrue(), "nobody moves the clock")
		w.Expect(w.Now()).To(Equal(at))
		answer <- struct{}{}
		w.pass(time.Hour)
	}
	w.Expect(w.state()).To(HaveExactElements(
		And(HaveField("Sink", "shop/dead"), HaveField("Pending", int64(hours*each)), HaveField("LastError", Not(BeEmpty()))),
		And(HaveField("Sink", "shop/slow"), HaveField("Pending", BeNumerically(">", hours*(each-2)))),
		And(HaveField("Sink", "shop/well"), HaveField("Pending", int64(0)), HaveField("Delivered", int64(hours*each))),
	))
}

// unasked is a sink that is not checked: all that its destination is asked is to take events.
type unasked struct{ sink.Sink }
