package delivery

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
)

// kills is how often the process is killed.
func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("DELIVERY_KILLS"), "50"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "DELIVERY_KILLS is no number")
	return n
}

// TestKilled kills a process that records and delivers at random moments, again and again on the same ledger. In the end the destination has
// what the ledger has, each event once, in its newest form and in the order of its service; and the ledger has all that it said it had.
func TestKilled(t *testing.T) {
	for name, build := range map[string]func(*testing.T, *settings) *destination{
		"PostgreSQL": killedBeforePostgres, "CloudEvents": killedBeforeReceiver,
	} {
		t.Run(name, func(t *testing.T) {
			drawn, began, times := seed(t), time.Now(), kills(t)
			moments := lots(drawn, 0)
			s := settings{Ledger: filepath.Join(t.TempDir(), "ledger.db"), Seed: drawn}
			d := build(t, &s)
			said := map[string]map[string]bool{aboutTo: {}, done: {}, sending: {}, sent: {}}
			hear := func(line string) {
				what, which, _ := strings.Cut(line, " ")
				said[what][which] = true
			}
			for s.Run = range times {
				c := startChild(t, s)
				c.lives(t, moments.IntN(200), hear)
				c.kill(t, hear)
			}
			events, deliveries := drained(t, s)
			for _, event := range events {
				NewWithT(t).Expect(said[aboutTo]).To(HaveKey(event.ID), "nobody recorded this")
				delete(said[done], event.ID)
			}
			NewWithT(t).Expect(said[done]).To(BeEmpty(), "recorded, and lost")
			d.verify(t, events)
			arrivals := len(d.arrived())
			t.Logf("%d kills, %d events, %.0f s, %d duplicates delivered: %d of events that were completed, %d of what was killed before it was noted",
				times, len(events), time.Since(began).Seconds(), arrivals-len(events), deliveries-len(events), arrivals-deliveries)
		})
	}
}

// drained delivers what is left over, and returns what the ledger has, and how many deliveries it knows of.
func drained(t *testing.T, s settings) (events []dora.Event, deliveries int) {
	t.Helper()
	g := NewWithT(t)
	store, err := sqlite.Open(t.Context(), s.Ledger, sqlite.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(store.Close()).To(Succeed()) }()
	destination, err := s.sink()
	g.Expect(err).NotTo(HaveOccurred())
	dispatcher := dispatch.New(store, dispatch.Options{Backoff: quick})
	dispatcher.Register(destination, dispatch.Route{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Start(ctx) }()
	defer func() {
		cancel()
		g.Expect(<-ended).To(Succeed())
	}()
	g.Eventually(func() ([]ledger.SinkState, error) { return store.Sinks(t.Context()) }).WithTimeout(2 * time.Minute).
		Should(HaveExactElements(And(HaveField("Pending", int64(0)), HaveField("Parked", int64(0)))))
	noted, err := store.Deliveries(t.Context(), ledger.DeliveryQuery{Fates: []ledger.Fate{ledger.FateDelivered}})
	g.Expect(err).NotTo(HaveOccurred())
	return recorded(t, store), len(noted)
}

func killedBeforePostgres(t *testing.T, s *settings) *destination {
	t.Helper()
	d := newDatabase(t)
	d.watch()
	s.Postgres = &d.options
	return &destination{arrived: d.arrived, held: d.held, form: formOfRow, stream: byService}
}

func killedBeforeReceiver(t *testing.T, s *settings) *destination {
	t.Helper()
	in := newInbox(t)
	s.CloudEvents = &cloudevents.Options{Name: sinkName, Cluster: "eu-1", URL: in.URL, Guard: here}
	return &destination{arrived: in.arrived, held: in.held, form: formOfData, stream: byService}
}
