package delivery

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	faultyEvents  = 10_000 / scale
	faultyRounds  = 25
	refusedEvents = 20
)

// destination is the other end of a sink.
type destination struct {
	proxy *proxy
	// connect makes the sink anew, with the credentials that hold now.
	connect func() sink.Sink
	// troubles are what can be wrong with the destination itself, beside what is wrong with the network.
	troubles []trouble
	// rotate changes the credentials, without telling.
	rotate func()
	// arrived are the ids of all that came, in order and with repetitions. held is each event in the form in which it is there in the end.
	arrived func() []string
	held    func() map[string]string
	// form is what an event should look like there, and stream what it has to be in order with.
	form   func(dora.Event) string
	stream func(dora.Event) string
	// known is what an event is called there; its id if nil.
	known func(dora.Event) string
	// piecemeal: it takes some of a batch and not others, so that an event may arrive before one that was recorded before it. Then it is sent
	// once more after that one.
	piecemeal bool
}

// trouble is something that goes wrong. It begins, and what begin returns mends it.
type trouble struct {
	name  string
	begin func(lots *rand.Rand) (mend func())
}

// TestFaults delivers 10,000 events while everything breaks that can. In the end each is there once, in its newest form, and in the order of
// its service; and nothing is left over.
func TestFaults(t *testing.T) {
	for name, build := range map[string]func(*testing.T, *clock) *destination{
		"PostgreSQL": postgresDestination, "Port": portDestination, "CloudEvents": cloudeventsDestination,
	} {
		t.Run(name, func(t *testing.T) {
			drawn := seed(t)
			w := newWorld(t, jitter(drawn), sinkName)
			d := build(t, w.clock)
			w.dispatcher.Register(d.connect(), dispatch.Route{})
			w.start()
			story := &faulty{world: w, destination: d, lots: lots(drawn, 1), teller: newStoryteller(lots(drawn, 2), 1)}
			network, other := story.deck(story.network(lots(drawn, 3))), story.deck(append(d.troubles, story.credentials()))
			began := w.Now()
			for i := range faultyRounds {
				story.round(network[i], other[i])
			}
			d.proxy.deal(calm)
			w.settle()
			story.verify()
			t.Logf("%d events, of which %d were found out more about, arrived %d times, with %d failed attempts in %s",
				faultyEvents, story.completed, len(d.arrived()), w.attempts(ledger.FateRetried), w.Now().Sub(began))
		})
	}
}

// sinkName is the sink's.
const sinkName = "shop/sink"

type faulty struct {
	*world

	destination *destination
	lots        *rand.Rand
	teller      *storyteller
	refused     []string
	completed   int
}

// deck is a trouble for each round, each as often as the others.
func (f *faulty) deck(troubles []trouble) []trouble {
	var all []trouble
	for len(all) < faultyRounds {
		all = append(all, troubles...)
	}
	all = all[:faultyRounds]
	f.lots.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// round records some events, and completes some, while two things are wrong.
func (f *faulty) round(network, other trouble) {
	f.t.Helper()
	mendNetwork, mend := network.begin(f.lots), other.begin(f.lots)
	const parts = 4
	for range parts {
		events, facts := f.teller.some(faultyEvents/faultyRounds/parts, f.Now())
		f.record(events...)
		f.completed += len(facts)
		f.complete(facts...) // while they are under way, as nobody waits
	}
	if len(f.refused) < refusedEvents && f.lots.IntN(2) == 0 {
		event := f.teller.refused(f.Now())
		f.refused = append(f.refused, event.ID)
		f.record(event)
	}
	f.pass(time.Duration(1+f.lots.IntN(10)) * time.Minute)
	mend()
	mendNetwork()
	if f.lots.IntN(2) == 0 {
		f.pass(time.Duration(1+f.lots.IntN(10)) * time.Minute)
	}
}

// network is what can be wrong on the way. What becomes of a connection has lots of its own: nobody knows when it is made.
func (f *faulty) network(drawn *rand.Rand) []trouble {
	dealt := func(name string, draw func() fate) trouble {
		return trouble{name, func(*rand.Rand) func() {
			f.destination.proxy.deal(draw)
			return func() { f.destination.proxy.deal(calm) }
		}}
	}
	coin := func() bool { return drawn.IntN(2) == 0 }
	outage := func(*rand.Rand) func() {
		f.destination.proxy.deal(func() fate { return fate{refused: true} })
		return func() {
			f.pass(time.Duration(1+f.lots.IntN(12)) * time.Hour)
			f.destination.proxy.deal(calm)
		}
	}
	silent := 0
	return []trouble{
		dealt("nothing", calm),
		dealt("late", func() fate { return fate{delay: time.Duration(drawn.IntN(2000)) * time.Microsecond} }),
		dealt("questions break off", func() fate { return fate{up: 1 + drawn.Int64N(100<<10), abrupt: coin()} }),
		dealt("answers break off", func() fate { return fate{down: 1 + drawn.Int64N(6<<10), abrupt: coin()} }),
		dealt("both break off, or neither begins", func() fate {
			return fate{refused: drawn.IntN(3) == 0, up: 1 + drawn.Int64N(200<<10), down: 1 + drawn.Int64N(12<<10), abrupt: coin()}
		}),
		dealt("answers fall silent", func() fate {
			silent++
			if silent%20 > 1 { // it costs real time
				return fate{}
			}
			return fate{down: 1 + drawn.Int64N(12<<10), silent: true}
		}),
		{"nobody is there for hours", outage},
	}
}

// credentials change at the destination first. A while later the sink gets the new ones, as it does when the Secret has changed.
func (f *faulty) credentials() trouble {
	return trouble{"new credentials", func(*rand.Rand) func() {
		f.Expect(f.asleep(f.t.Context(), 1)).To(Succeed())
		f.destination.rotate()
		f.destination.proxy.cut()
		return func() {
			f.pass(10 * time.Minute)
			_, err := f.store.Hasten(f.t.Context(), sinkName, f.Now())
			f.Expect(err).NotTo(HaveOccurred())
			f.dispatcher.Register(f.destination.connect(), dispatch.Route{})
		}
	}}
}

func (f *faulty) verify() {
	f.t.Helper()
	parked := true
	rows, err := f.store.Outstanding(f.t.Context(), ledger.OutstandingQuery{Parked: &parked})
	f.Expect(err).NotTo(HaveOccurred())
	var aside []string
	for _, row := range rows {
		aside = append(aside, row.Event.ID)
	}
	f.Expect(f.refused).NotTo(BeEmpty())
	f.Expect(aside).To(ConsistOf(f.refused), "what was refused on purpose, and nothing else, is set aside")
	var events []dora.Event
	for _, event := range recorded(f.t, f.store) {
		if !strings.HasPrefix(event.ID, unwanted) {
			events = append(events, event)
		}
	}
	f.Expect(events).To(HaveLen(faultyEvents))
	f.destination.verify(f.t, events)
}

func (d *destination) id(event dora.Event) string {
	if d.known == nil {
		return event.ID
	}
	return d.known(event)
}

// verify compares what is there with what was recorded.
func (d *destination) verify(tb testing.TB, events []dora.Event) {
	tb.Helper()
	g := NewWithT(tb)
	held := d.held()
	var missing, old []string
	for _, event := range events {
		form, there := held[d.id(event)]
		if !there {
			missing = append(missing, event.ID)
		} else if form != d.form(event) {
			old = append(old, event.ID+": "+form+"\nwant: "+d.form(event))
		}
	}
	g.Expect(missing).To(BeEmpty(), "these are not there")
	g.Expect(old).To(BeEmpty(), "these are not there in their newest form")
	g.Expect(held).To(HaveLen(len(events)), "and nothing else is there")
	d.verifyOrder(tb, events)
}

// verifyOrder compares the order of arrivals with that of the ledger, in each stream: first arrivals; or with a destination that takes batches
// piecemeal, that the one before was there when an event arrived last.
func (d *destination) verifyOrder(tb testing.TB, events []dora.Event) {
	tb.Helper()
	first, last := map[string]int{}, map[string]int{}
	for i, id := range d.arrived() {
		if _, again := first[id]; !again {
			first[id] = i
		}
		last[id] = i
	}
	if !d.piecemeal {
		last = first
	}
	before := map[string]string{}
	for _, event := range events {
		stream, id := d.stream(event), d.id(event)
		if earlier, there := before[stream]; there && last[id] < first[earlier] {
			tb.Errorf("%s: %s came before %s, which was recorded earlier", stream, id, earlier)
		}
		before[stream] = id
	}
}
