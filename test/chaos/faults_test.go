package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

// fault is something that is broken, and mended again before it returns; by lot it takes longer or less.
type fault struct {
	name string
	// in says where it can happen: with the ledger in a file, or in the database.
	inFile, inDatabase bool
	happens            func(s *stage, dice *rand.Rand)
}

var faults = []fault{
	{"the leader is killed", true, true, func(s *stage, _ *rand.Rand) {
		s.leader().Kill()
		s.back()
	}},
	{"the API server restarts", true, true, func(s *stage, dice *rand.Rand) { s.restartAPI(between(dice, 0, 3*time.Second)) }},
	{"the watches are cut", true, true, func(s *stage, dice *rand.Rand) {
		for _, r := range s.replicas {
			r.line.cut()
			pause(s.Context(), between(dice, 0, 500*time.Millisecond))
		}
	}},
	{"the lines fall silent, and go on", true, true, func(s *stage, dice *rand.Rand) {
		for _, r := range s.replicas {
			r.line.hush(true)
		}
		pause(s.Context(), between(dice, time.Second, 12*time.Second)) // which may cost the lease
		for _, r := range s.replicas {
			r.line.hush(false)
		}
	}},
	{"connections are half open", true, true, func(s *stage, dice *rand.Rand) {
		s.replicas[dice.IntN(len(s.replicas))].line.halve()
	}},
	{"etcd is compacted while the line is down", true, true, func(s *stage, dice *rand.Rand) {
		for _, r := range s.replicas {
			r.line.hang(true)
		}
		pause(s.Context(), between(dice, 0, time.Second))
		s.compact()
		s.restartAPI(0) // which forgets what it kept of the time before
		for _, r := range s.replicas {
			r.line.hang(false)
		}
	}},
	{"PostgreSQL restarts", true, true, func(s *stage, dice *rand.Rand) {
		s.server.Crash(s.T)
		pause(s.Context(), between(dice, 0, 2*time.Second))
		s.server.Start(s.T)
	}},
	{"the right to write is taken away", true, true, func(s *stage, dice *rand.Rand) {
		conn, tables := s.server.Connect(s.T, s.database.Name), "INSERT, UPDATE ON ALL TABLES IN SCHEMA "+s.schema()
		postgrestest.Exec(s.T, conn, "REVOKE "+tables+" FROM "+s.database.User)
		var may bool
		NewWithT(s.T).Expect(conn.QueryRow(s.Context(), "SELECT has_table_privilege($1, $2, 'INSERT')", s.database.User, s.schema()+".delivery_events").
			Scan(&may)).To(Succeed())
		NewWithT(s.T).Expect(may).To(BeFalse())
		pause(s.Context(), between(dice, 0, 4*time.Second))
		s.argo.apps[dice.IntN(len(s.argo.apps))].step(s.Context(), dice)
		pause(s.Context(), between(dice, 0, 4*time.Second))
		postgrestest.Exec(s.T, conn, "GRANT "+tables+" TO "+s.database.User)
	}},
	{"a replica whose clock is off takes over", true, true, func(s *stage, dice *rand.Rand) {
		sound := s.replicas
		off := []time.Duration{time.Minute, -time.Minute}[dice.IntN(2)]
		s.Logf("its clock is off by %s", off)
		late := s.replicate(off)
		for _, r := range sound {
			r.Stop()
		}
		s.leader()
		text, err := get(s.Context(), late.metrics+"/metrics")
		NewWithT(s.T).Expect(err).NotTo(HaveOccurred())
		sign := map[bool]string{true: "-"}[off > 0]
		NewWithT(s.T).Expect(text).To(MatchRegexp(`(?m)^dora_clock_offset_seconds `+sign+`(59|60)`), "the API server's clock is what counts")
		s.seen()
		s.argo.apps[dice.IntN(len(s.argo.apps))].step(s.Context(), dice)
		s.seen()
		late.Stop()
		s.replicas = sound
		s.back()
	}},
	{"the disk is full", true, false, func(s *stage, dice *rand.Rand) {
		if s.roomy {
			return
		}
		full := filepath.Join(s.folder, "full")
		fill(s.T, full)
		pause(s.Context(), between(dice, time.Second, 4*time.Second))
		NewWithT(s.T).Expect(os.Remove(full)).To(Succeed())
	}},
}

// usualSeed is that of a run that names none, so that it is the same for everybody; make chaos draws another each time.
const usualSeed = 1

// TestChaos breaks one thing after another, in an order and at moments that a seed draws, and deploys meanwhile.
func TestChaos(t *testing.T) {
	t.Parallel()
	first, seeds := number(t, "CHAOS_SEED", usualSeed), number(t, "CHAOS_SEEDS", 1)
	for seed := first; seed < first+seeds; seed++ {
		for _, inDatabase := range []bool{false, true} {
			name := fmt.Sprintf("seed %d with a ledger in %s", seed, map[bool]string{false: "a file", true: "PostgreSQL"}[inDatabase])
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				rounds := number(t, "CHAOS_ROUNDS", 2)
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("to repeat it: CHAOS_SEED=%d CHAOS_ROUNDS=%d go test -count 1 -run '^TestChaos$' ./test/chaos", seed, rounds)
					}
				})
				openStage(t, inDatabase).breakdowns(rounds, rand.New(rand.NewPCG(uint64(seed), 0)))
			})
		}
	}
}

// breakdowns are so many faults, one after the other, drawn so that none comes again before all others have.
func (s *stage) breakdowns(rounds int, dice *rand.Rand) {
	s.Helper()
	if !s.shared() {
		s.smallDisk()
	}
	s.replicate(0)
	s.replicate(0)
	s.leader()
	s.follow("cart", "search", "payments", "orders", "stock")
	s.seen()
	drawn := []fault{}
	for len(drawn) < rounds {
		for _, i := range dice.Perm(len(faults)) {
			if f := faults[i]; len(drawn) < rounds && (s.shared() && f.inDatabase || !s.shared() && f.inFile) {
				drawn = append(drawn, f)
			}
		}
	}
	for i, f := range drawn {
		began := time.Now()
		s.round(f, dice)
		s.Logf("%d: %s, %d events in all, %.1f s", i+1, f.name, len(s.argo.must), time.Since(began).Seconds())
	}
	s.published()
}

// round has some Applications take a step, then breaks something while every one takes another, and waits until all is as it must be.
func (s *stage) round(f fault, dice *rand.Rand) {
	s.Helper()
	for _, o := range s.argo.apps {
		if dice.IntN(2) == 0 {
			o.step(s.Context(), dice)
		}
	}
	s.seen()
	writing, breaking := rand.New(rand.NewPCG(dice.Uint64(), 1)), rand.New(rand.NewPCG(dice.Uint64(), 2))
	var both sync.WaitGroup
	both.Go(func() {
		pause(s.Context(), between(breaking, 0, time.Second))
		f.happens(s, breaking)
	})
	for _, i := range writing.Perm(len(s.argo.apps)) {
		pause(s.Context(), between(writing, 0, 500*time.Millisecond))
		s.argo.apps[i].step(s.Context(), writing)
	}
	both.Wait()
	s.leader()
	s.seen()
}

// between is a time that is drawn.
func between(dice *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(dice.Int64N(int64(most-least)))
}

// pause lets time pass: when something breaks is drawn by lot, and that takes a clock.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// back starts the replicas that do not run.
func (s *stage) back() {
	s.Helper()
	for _, r := range s.replicas {
		NewWithT(s.T).Expect(r.Start(s.Context())).To(Succeed())
	}
}

func (s *stage) restartAPI(away time.Duration) {
	s.Helper()
	s.APIServer.Kill()
	pause(s.Context(), away)
	NewWithT(s.T).Expect(s.APIServer.Start(s.Context())).To(Succeed())
}

// compact has etcd forget all that was, but for what is.
func (s *stage) compact() {
	s.Helper()
	g := NewWithT(s.T)
	ask := func(what string, body object, into any) {
		text, err := json.Marshal(body)
		g.Expect(err).NotTo(HaveOccurred())
		request, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.EtcdURL+"/v3/kv/"+what, bytes.NewReader(text))
		g.Expect(err).NotTo(HaveOccurred())
		answer, err := http.DefaultClient.Do(request)
		g.Expect(err).NotTo(HaveOccurred())
		defer answer.Body.Close()
		g.Expect(answer.StatusCode).To(Equal(http.StatusOK), what)
		g.Expect(json.NewDecoder(answer.Body).Decode(into)).To(Succeed())
	}
	var found struct {
		Header struct{ Revision string }
	}
	ask("range", object{"key": "L3JlZ2lzdHJ5"}, &found) // "/registry"
	revision, err := strconv.ParseInt(found.Header.Revision, 10, 64)
	g.Expect(err).NotTo(HaveOccurred())
	ask("compaction", object{"revision": revision, "physical": true}, &object{})
}

// smallDisk puts the ledger on a disk of its own, which can be full.
func (s *stage) smallDisk() {
	s.Helper()
	if err := syscall.Mount("dora-chaos", s.folder, "tmpfs", 0, "size=16m"); err != nil {
		s.Logf("NOT TRIED: a full disk, since none can be mounted here: %v", err)
		s.roomy = true
		return
	}
	s.Cleanup(func() { NewWithT(s.T).Expect(syscall.Unmount(s.folder, syscall.MNT_DETACH)).To(Succeed()) })
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	for piece := make([]byte, 1<<20); len(piece) > 0; {
		if _, err := file.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
	}
}
