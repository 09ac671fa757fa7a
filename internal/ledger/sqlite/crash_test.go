package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

const crashWriters = 8

// writeForever commits changes from several goroutines and prints each id once it is acknowledged. Every change writes
// a state, an event, a decision, an outbox row and a place in the queue, so that the parent can tell whole changes from torn ones.
func writeForever(path string) error {
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for writer := range crashWriters {
		go func() {
			for {
				id, err := writeNext(s, "writer-"+strconv.Itoa(writer))
				if err != nil {
					failed <- err
					return
				}
				fmt.Fprintln(os.Stdout, id) // one write of a whole line
			}
		}()
	}
	return <-failed
}

func writeNext(s *Store, key string) (id string, err error) {
	state, err := s.ReadState(context.Background(), key)
	if err != nil {
		return "", err
	}
	id = fmt.Sprintf("%s/%d", key, state.Version+1)
	state.Data = []byte(id)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	decision := ledgertest.Decision("cart", "Counted", at)
	decision.EventID = id
	return id, s.Commit(context.Background(), ledger.Change{
		States: []ledger.State{state}, Events: []dora.Event{ledgertest.Deployment(id, "cart", at)},
		Sinks: []string{"port"}, Decisions: []ledger.Decision{decision}, Resolve: true,
	})
}

// TestKilled kills a writing process at random moments, twenty times on the same ledger: whatever it acknowledged is
// there, and what it did not is there as a whole or not at all.
func TestKilled(t *testing.T) {
	path := ledgerPath(t)
	acknowledged := map[string]bool{}
	for round := range 20 {
		killed := startChild(t, "write", path)
		for range rand.IntN(200) {
			if killed.out.Scan() {
				acknowledged[killed.out.Text()] = true
			}
		}
		for _, id := range killed.kill(t) {
			acknowledged[id] = true
		}
		verifyWhole(t, path, acknowledged, round)
	}
	t.Logf("%d acknowledged changes survived", len(acknowledged))
}

func verifyWhole(t *testing.T, path string, acknowledged map[string]bool, round int) {
	t.Helper()
	g := NewWithT(t)
	s := open(t, path, Options{})
	defer func() { g.Expect(s.Close()).To(Succeed()) }()

	written := map[string]bool{}
	for _, id := range ids(t, s) {
		written[id] = true
	}
	var lost, torn []string
	for id := range acknowledged {
		if !written[id] {
			lost = append(lost, id)
		}
	}
	states := 0
	for writer := range crashWriters {
		state, err := s.ReadState(t.Context(), "writer-"+strconv.Itoa(writer))
		g.Expect(err).NotTo(HaveOccurred())
		for version := range state.Version {
			if id := fmt.Sprintf("%s/%d", state.Key, version+1); !written[id] {
				torn = append(torn, id)
			}
		}
		states += int(state.Version)
	}
	decisions, err := s.Decisions(t.Context(), "uid-cart", 0)
	g.Expect(err).NotTo(HaveOccurred())
	for _, d := range decisions {
		if !written[d.EventID] {
			torn = append(torn, d.EventID)
		}
	}
	g.Expect(lost).To(BeEmpty(), "round %d: acknowledged events are missing", round)
	g.Expect(torn).To(BeEmpty(), "round %d: states or decisions without their event", round)
	g.Expect([]int{states, len(decisions)}).To(HaveEach(len(written)), "round %d: events without their state or decision", round)
	sinks, err := s.Sinks(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	searches, err := s.Resolutions(t.Context(), ledger.ResolutionQuery{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(searches).To(Equal(ledger.Resolutions{Pending: int64(len(written))}))
	if len(written) > 0 {
		g.Expect(sinks).To(HaveExactElements(HaveField("Pending", int64(len(written)))))
	}
}

// TestHeldByAnotherProcess: two controllers cannot share a ledger, and a killed one leaves it free.
func TestHeldByAnotherProcess(t *testing.T) {
	g := NewWithT(t)
	path := ledgerPath(t)
	holder := startChild(t, "hold", path)
	g.Expect(holder.out.Scan()).To(BeTrue())

	_, err := Open(t.Context(), path, Options{})
	g.Expect(err).To(MatchError(ledger.ErrInUse))
	g.Expect(err).To(MatchError(And(
		ContainSubstring(path), ContainSubstring(fmt.Sprintf("process %d on ", holder.Process.Pid)), ContainSubstring("stop that controller"))))
	g.Expect(strings.Count(err.Error(), "\n")).To(BeZero())

	reading, err := OpenReadOnly(t.Context(), path)
	g.Expect(err).NotTo(HaveOccurred(), "a tool reads while the controller runs")
	g.Expect(ids(t, reading)).To(BeEmpty())
	g.Expect(reading.Close()).To(Succeed())

	holder.kill(t)
	g.Expect(open(t, path, Options{}).Ping(t.Context())).To(Succeed())
}
