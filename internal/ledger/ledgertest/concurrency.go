package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

const writers = 32

// concurrency: many callers at once, and callers that give up.
func concurrency(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"32 writers that contend for four states lose no update", contend},
		{"32 writers of the same event write it once", func(f *fixture) {
			f.atOnce(func(int) {
				f.Expect(f.Commit(f.ctx, ledger.Change{Events: deployments("e", "cart", 3), Sinks: []string{"port"}})).To(Succeed())
			})
			f.Expect(f.ids(ledger.EventQuery{})).To(Equal([]string{"e1", "e2", "e3"}))
			f.Expect(f.due("port", 9)).To(Equal([]string{"e1", "e2", "e3"}))
		}},
		{"a change that fails beside others harms none of them", func(f *fixture) {
			f.commit(ledger.Change{States: []ledger.State{{Key: "taken"}}})
			f.atOnce(func(i int) {
				change := ledger.Change{Events: deployments(fmt.Sprintf("w%d-", i), "cart", 2), Sinks: []string{"port"}}
				if i%2 == 0 {
					change.States = []ledger.State{{Key: strconv.Itoa(i)}, {Key: "taken"}}
					f.Expect(f.Commit(f.ctx, change)).To(MatchError(ledger.ErrConflict))
					return
				}
				f.Expect(f.Commit(f.ctx, change)).To(Succeed())
			})
			f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(writers / 2 * 2))
			f.Expect(f.figures("port").Pending).To(Equal(int64(writers / 2 * 2)))
			f.Expect(f.state("0").Version).To(BeZero())
		}},
		{"whatever meets, a sink ends with the newest content of every event", newestArrives},
		{"readers see whole changes while writers write", wholeChanges},
		{"a change whose context has ended is not written", func(f *fixture) {
			ctx, cancel := context.WithCancel(f.ctx)
			cancel()
			f.Expect(f.Commit(ctx, ledger.Change{Events: deployments("e", "cart", 1)})).To(MatchError(context.Canceled))
			f.Expect(f.ids(ledger.EventQuery{})).To(BeEmpty())
			f.Expect(f.revision()).To(BeZero())
		}},
		{"a change whose context ends meanwhile is written exactly if it is acknowledged", tellsTheTruth},
		{"a reader whose context has ended gets its error", func(f *fixture) {
			f.commit(wholeChange())
			ctx, cancel := context.WithCancel(f.ctx)
			cancel()
			f.Expect(f.readAll(ctx)).To(HaveEach(MatchError(context.Canceled)))
		}},
		{"a reader whose context ends meanwhile stops, and the store goes on", stopsReading},
	})
}

// atOnce runs a function in 32 goroutines and waits for them.
func (f *fixture) atOnce(run func(writer int)) {
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() { run(i) })
	}
	all.Wait()
}

func contend(f *fixture) {
	const rounds = 10
	f.atOnce(func(writer int) {
		for round := range rounds {
			key := "counter-" + strconv.Itoa((writer+round)%4)
			for f.increment(key, fmt.Sprintf("e-%d-%d", writer, round)) {
			}
		}
	})
	total := 0
	for i := range 4 {
		state := f.state("counter-" + strconv.Itoa(i))
		count, err := strconv.Atoi(string(state.Data))
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(state.Version).To(Equal(int64(count)))
		total += count
	}
	f.Expect(total).To(Equal(writers * rounds))
	f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(writers * rounds))
	f.Expect(f.figures("port").Pending).To(Equal(int64(writers * rounds)))
	f.Expect(f.revision()).To(Equal(int64(writers * rounds)))
}

// increment reads, adds one and writes; it tells whether another was faster.
func (f *fixture) increment(key, event string) (conflict bool) {
	state, err := f.ReadState(f.ctx, key)
	f.Expect(err).NotTo(HaveOccurred())
	count, _ := strconv.Atoi(string(state.Data)) // empty at first
	state.Data = []byte(strconv.Itoa(count + 1))
	err = f.Commit(f.ctx, ledger.Change{
		States: []ledger.State{state}, Events: []dora.Event{Deployment(event, "cart", start)}, Sinks: []string{"port"},
	})
	if errors.Is(err, ledger.ErrConflict) {
		return true
	}
	f.Expect(err).NotTo(HaveOccurred())
	return false
}

// newestArrives: one worker delivers while others complete the events, some of them twice.
func newestArrives(f *fixture) {
	arrived := map[string]dora.Event{}
	deliver := func() {
		due := f.owed("port")
		f.Expect(f.Delivered(f.ctx, "port", sentAt(start), due...)).To(Succeed())
		for _, d := range due {
			arrived[d.Event.ID] = d.Event
		}
	}
	f.atOnce(func(i int) {
		if i == 0 {
			for range 50 {
				deliver()
			}
			return
		}
		id := fmt.Sprintf("e%d", i)
		f.Expect(f.Commit(f.ctx, ledger.Change{Events: []dora.Event{Deployment(id, "cart", start)}, Sinks: port})).To(Succeed())
		for round := range i%2 + 1 {
			first := start.Add(-time.Duration(round+1) * time.Hour)
			f.Expect(f.Commit(f.ctx, ledger.Change{Facts: []dora.CommitFacts{Facts(id, first)}, Sinks: port})).To(Succeed())
		}
	})
	deliver()
	f.Expect(arrived).To(HaveLen(writers - 1))
	for i := 1; i < writers; i++ {
		want := float64(i%2+1) * time.Hour.Seconds()
		f.Expect(arrived[fmt.Sprintf("e%d", i)].LeadTimeSeconds).To(HaveValue(Equal(want)))
	}
	f.Expect(f.figures("port").Pending).To(BeZero())
}

// wholeChanges: every change writes two events, so no reader may count an odd number.
func wholeChanges(f *fixture) {
	f.atOnce(func(i int) {
		for round := range 5 {
			f.Expect(f.Commit(f.ctx, ledger.Change{
				Events: deployments(fmt.Sprintf("e-%d-%d-", i, round), "cart", 2), Sinks: []string{"port"},
			})).To(Succeed())
			read := 0
			for _, err := range f.Events(f.ctx, ledger.EventQuery{}) {
				f.Expect(err).NotTo(HaveOccurred())
				read++
			}
			f.Expect(read % 2).To(BeZero())
		}
	})
}

func tellsTheTruth(f *fixture) {
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	f.atOnce(func(writer int) {
		for round := range 10 {
			id := fmt.Sprintf("e-%d-%d", writer, round)
			ctx, cancel := context.WithCancel(f.ctx)
			go cancel()
			err := f.Commit(ctx, ledger.Change{Events: []dora.Event{Deployment(id, "cart", start)}})
			cancel()
			f.Expect(err).To(Or(Succeed(), MatchError(context.Canceled)))
			mu.Lock()
			acknowledged[id] = err == nil
			mu.Unlock()
		}
	})
	written := map[string]bool{}
	for _, id := range f.ids(ledger.EventQuery{}) {
		written[id] = true
	}
	for id, is := range acknowledged {
		f.Expect(written[id]).To(Equal(is), id)
	}
}

// readAll calls every method that reads, and returns their errors.
func (f *fixture) readAll(ctx context.Context) []error {
	var errs []error
	for _, err := range f.Events(ctx, ledger.EventQuery{}) {
		errs = append(errs, err)
	}
	_, err := f.ReadState(ctx, "a")
	errs = append(errs, err)
	_, err = f.Subjects(ctx, ledger.SubjectQuery{})
	errs = append(errs, err)
	_, err = f.Decisions(ctx, "uid-cart", 0)
	errs = append(errs, err)
	_, err = f.Revision(ctx)
	errs = append(errs, err)
	_, err = f.Since(ctx)
	errs = append(errs, err)
	_, err = f.Due(ctx, "port", start, 9)
	errs = append(errs, err)
	_, err = f.NextDue(ctx, "port")
	errs = append(errs, err)
	_, err = f.Sinks(ctx)
	errs = append(errs, err)
	_, err = f.Deliveries(ctx, ledger.DeliveryQuery{})
	errs = append(errs, err)
	_, err = f.Unresolved(ctx, start, 9)
	errs = append(errs, err)
	_, err = f.NextUnresolved(ctx)
	errs = append(errs, err)
	_, err = f.Resolutions(ctx, ledger.ResolutionQuery{})
	errs = append(errs, err)
	_, _, err = f.CacheGet(ctx, "key")
	return append(errs, err)
}

func stopsReading(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 2000)})
	for range 10 {
		ctx, cancel := context.WithCancel(f.ctx)
		read := 0
		var last error
		for _, err := range f.Events(ctx, ledger.EventQuery{}) {
			cancel()
			f.Expect(last).NotTo(HaveOccurred(), "the sequence ends with the first error")
			if last = err; err == nil {
				read++
			}
		}
		if read < 2000 {
			f.Expect(last).To(MatchError(context.Canceled))
		}
		cancel()
	}
	f.commit(ledger.Change{Events: []dora.Event{Deployment("after", "cart", start.Add(time.Hour))}})
	f.Expect(f.ids(ledger.EventQuery{Newest: true, Limit: 1})).To(HaveLen(1))
	f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(2001))
}
