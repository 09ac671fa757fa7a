package enrich_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/enrich"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

const full = "0123456789abcdef0123456789abcdef01234567"

// world is a worker among things that a test says what they do.
type world struct {
	t      *testing.T
	ledger *ledgertest.Memory
	worker *enrich.Worker
	opts   enrich.Options

	mu sync.Mutex
	// answer is what the resolver says to a service's question; nobody is asked before the gate is open.
	answer func(service string, asked int) (commit.Answer, error)
	gates  map[string]chan struct{}
	asked  map[string]int
	// owners say whose source holds for a service; its own name if it is not there. nowhere has none.
	owners  map[string]string
	sources func(service string) (*commit.Source, error)
	told    []string
	counted []string
	owed    atomic.Int64
	start   func()
	// refused is the event whose facts the ledger does not take.
	refused string
}

// refusing is a ledger that does not take the facts of one event.
type refusing struct {
	*ledgertest.Memory
	w *world
}

func (r refusing) Commit(ctx context.Context, change ledger.Change) error {
	if len(change.Facts) > 0 && change.Facts[0].EventID == r.w.refused {
		return errors.New("it does not fit")
	}
	return r.Memory.Commit(ctx, change)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ledger: ledgertest.NewMemory(time.Now), gates: map[string]chan struct{}{}, asked: map[string]int{}, owners: map[string]string{}}
	w.answer = func(string, int) (commit.Answer, error) { return found(time.Now().Add(-time.Hour)), nil }
	w.sources = func(service string) (*commit.Source, error) {
		return &commit.Source{Repository: "https://git.example/" + service, Hosts: []string{service}}, nil
	}
	w.opts = enrich.Options{
		Sinks: toStdout, Owed: func() { w.owed.Add(1) }, Metrics: w, Random: func() float64 { return 1 },
		Told: func(_ context.Context, e *dora.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, e.Service)
		},
	}
	return w
}

func found(first time.Time) commit.Answer {
	return commit.Answer{Commit: full, Base: strings.Repeat("b", 40), Repository: "https://git.example/x", Range: commit.Range{Commits: 3, First: full, FirstAt: first}}
}

func (w *world) Enriched(e *dora.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted = append(w.counted, e.Service+" "+e.LeadTimeUnknown)
}

// Owner is a target of a namespace of its own, unless the test says otherwise.
func (w *world) Owner(_ context.Context, e *dora.Event) (string, error) {
	if owner, ok := w.owners[e.Service]; ok {
		return owner, nil
	}
	return e.Service + "/target", nil
}

func (w *world) Source(_ context.Context, e *dora.Event) (*commit.Source, error) {
	return w.sources(e.Service)
}

func (w *world) Resolve(ctx context.Context, req *commit.Request) (commit.Answer, error) {
	service := req.Source.Hosts[0]
	w.mu.Lock()
	w.asked[service]++
	asked, gate := w.asked[service], w.gates[service]
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return commit.Answer{}, fmt.Errorf("cannot connect: %w", ctx.Err())
		}
	}
	return w.answer(service, asked)
}

// deploy records a deployment as the recorder does.
func (w *world) deploy(service, id string, change func(*dora.Event)) {
	w.t.Helper()
	now := time.Now().UTC()
	e := dora.Event{
		Schema: dora.Schema, ID: id, Type: dora.TypeDeploy, Outcome: dora.Succeeded, Service: service, Environment: "prod",
		Subject: dora.Subject{UID: service}, StartedAt: now.Add(-time.Minute), OccurredAt: now, ObservedAt: now, Change: dora.ChangeImage,
		Version:  &dora.Version{Images: []string{"acme/" + service + ":main-0123456"}, Tag: "main-0123456"},
		Previous: dora.Predecessor{Known: true, Version: &dora.Version{Images: []string{"acme/" + service + ":main-bbbbbbb"}}},
		Success:  new(true), IsRollback: new(false),
	}
	if change != nil {
		change(&e)
	}
	if err := w.ledger.Commit(w.t.Context(), ledger.Change{Events: []dora.Event{e}, Sinks: []string{"stdout"}, Resolve: true}); err != nil {
		w.t.Fatal(err)
	}
	if w.worker != nil {
		w.worker.Notify()
	}
}

// play runs a test in a world whose time passes as soon as everybody waits.
func play(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		w.start = func() {
			w.worker = enrich.New(refusing{w.ledger, w}, w, w, w.opts)
			go func() { ended <- w.worker.Start(ctx) }()
		}
		test(w)
		cancel()
		if w.worker != nil {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// read is an event as the ledger has it.
func (w *world) read(id string) dora.Event {
	w.t.Helper()
	for row, err := range w.ledger.Events(w.t.Context(), ledger.EventQuery{IDs: []string{id}}) {
		if err != nil {
			w.t.Fatal(err)
		}
		return row.Event
	}
	w.t.Fatalf("there is no event %s", id)
	return dora.Event{}
}

// questions is how often the resolver was asked about a service.
func (w *world) questions(service string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[service]
}

// failing are the reasons for which deployments wait.
func (w *world) failing() string {
	w.t.Helper()
	known, err := w.ledger.Resolutions(w.t.Context(), ledger.ResolutionQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, r := range known.Failing {
		all = append(all, fmt.Sprintf("%d %s: %s", r.Count, r.Reason, r.Message))
	}
	return strings.Join(all, "; ")
}

func (w *world) pending() int64 {
	w.t.Helper()
	known, err := w.ledger.Resolutions(w.t.Context(), ledger.ResolutionQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	return known.Pending
}

func TestADeploymentIsCompletedAndDeliveredAgain(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		gate := make(chan struct{})
		w.gates["cart"] = gate
		w.start()
		w.deploy("cart", "e1", nil)
		due, err := w.ledger.Due(t.Context(), "stdout", time.Now(), 10)
		if err != nil || len(due) != 1 || due[0].Event.FirstCommitAt != nil {
			t.Fatalf("it is owed at once, without commits: %v %v", due, err)
		}
		close(gate)
		synctest.Wait()
		e := w.read("e1")
		if e.Version.Commit != full || e.LeadTimeSeconds == nil || *e.LeadTimeSeconds != 3600 || *e.CommitCount != 3 {
			t.Errorf("completed as %+v", e)
		}
		if err := w.ledger.Delivered(t.Context(), "stdout", ledger.Attempt{At: time.Now()}, due...); err != nil {
			t.Fatal(err)
		}
		again, err := w.ledger.Due(t.Context(), "stdout", time.Now(), 10)
		if err != nil || len(again) != 1 || again[0].Event.ID != "e1" || again[0].Event.LeadTimeSeconds == nil {
			t.Errorf("owed again under the same id: %v %v", again, err)
		}
		if w.owed.Load() != 1 || fmt.Sprint(w.told, w.counted) != "[cart] [cart ]" {
			t.Errorf("owed %d, told %v, counted %q", w.owed.Load(), w.told, w.counted)
		}
	})
}

func TestANegativeLeadTimeIsRejectedAndCounted(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.answer = func(string, int) (commit.Answer, error) { return found(time.Now().Add(time.Minute)), nil }
		w.start()
		w.deploy("cart", "e1", nil)
		synctest.Wait()
		if e := w.read("e1"); e.LeadTimeSeconds != nil || e.LeadTimeUnknown != dora.NegativeLeadTime || e.FirstCommitAt == nil {
			t.Errorf("completed as %+v", e)
		}
		if fmt.Sprint(w.counted) != "[cart NegativeLeadTime]" {
			t.Errorf("counted %q", w.counted)
		}
	})
}

func TestWhatTimeMendsIsTriedAgainEverMoreRarely(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
		// soonest is when the second attempt may come.
		soonest time.Duration
	}{
		"no connection":              {errors.New("cannot connect: connection refused"), "1 Unreachable: cannot connect: connection refused", time.Second},
		"a rate limit":               {&commit.RetryError{Err: errors.New("limit exceeded"), After: 40 * time.Minute}, "1 RateLimited: limit exceeded", 40 * time.Minute},
		"an absurd limit":            {&commit.RetryError{Err: errors.New("limit exceeded"), After: 1000 * time.Hour}, "1 RateLimited: limit exceeded", time.Hour},
		"wrong credentials":          {fmt.Errorf("%w: 401", commit.ErrUnauthorized), "1 CredentialsRefused: the credentials were refused: 401", time.Second},
		"no right":                   {commit.ErrNoRepository, "1 RepositoryNotFound: no such repository, or no right to read it", time.Second},
		"a refused address":          {fmt.Errorf("%w: 10.0.0.1", egress.ErrRefused), "1 AddressNotAllowed: the address is not allowed: 10.0.0.1", time.Second},
		"an error that gives orders": {errors.New("a\x1b[31mred\u202eevil\u009bx\xff"), "1 Unreachable: a [31mred evil x ", time.Second},
		"an error of a novel":        {errors.New("first line\n" + strings.Repeat("x", 10_000)), "1 Unreachable: first line", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(w *world) {
				t := w.t
				w.answer = func(_ string, asked int) (commit.Answer, error) {
					if asked < 4 {
						return commit.Answer{}, c.err
					}
					return found(time.Now()), nil
				}
				w.start()
				w.deploy("cart", "e1", nil)
				synctest.Wait()
				if got := w.failing(); got != c.want {
					t.Errorf("waits for %q, want %q", got, c.want)
				}
				time.Sleep(c.soonest - time.Millisecond)
				synctest.Wait()
				if w.questions("cart") != 1 {
					t.Errorf("asked %d times within %s", w.questions("cart"), c.soonest)
				}
				time.Sleep(7 * time.Hour)
				synctest.Wait()
				if e := w.read("e1"); e.FirstCommitAt == nil || w.questions("cart") != 4 || w.failing() != "" {
					t.Errorf("after %d questions it is %+v, and waits for %q", w.questions("cart"), e, w.failing())
				}
			})
		})
	}
}

func TestItIsGivenUpAfterTwoWeeksWithTheReason(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.answer = func(string, int) (commit.Answer, error) { return commit.Answer{}, commit.ErrNoRepository }
		w.start()
		w.deploy("cart", "e1", nil)
		time.Sleep(13 * 24 * time.Hour)
		synctest.Wait()
		if w.pending() != 1 {
			t.Errorf("given up too early, after %d questions", w.questions("cart"))
		}
		time.Sleep(2 * 24 * time.Hour)
		synctest.Wait()
		if e := w.read("e1"); w.pending() != 0 || e.LeadTimeUnknown != "RepositoryNotFound" || w.questions("cart") > 14*24*6+30 {
			t.Errorf("after %d questions it is %+v", w.questions("cart"), e)
		}
	})
}

func TestACommitThatIsNotThereYetIsAskedForAFewTimes(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.answer = func(string, int) (commit.Answer, error) {
			return commit.Answer{Reason: commit.CommitNotFound, Message: "not there"}, nil
		}
		w.start()
		w.deploy("cart", "e1", nil)
		synctest.Wait()
		if w.pending() != 1 || w.failing() != "1 CommitNotFound: not there" {
			t.Errorf("waits for %q", w.failing())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if e := w.read("e1"); e.LeadTimeUnknown != "CommitNotFound" || w.questions("cart") < 3 {
			t.Errorf("after %d questions it is %+v", w.questions("cart"), e)
		}
	})
}

func TestAServerThatHangsHoldsUpNobodyElse(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		for i := range 3 {
			w.gates[fmt.Sprintf("stuck-%d", i)] = make(chan struct{})
		}
		w.start()
		for i := range 3 {
			for j := range 5 {
				w.deploy(fmt.Sprintf("stuck-%d", i), fmt.Sprintf("s%d-%d", i, j), nil)
			}
		}
		w.deploy("cart", "e1", nil)
		synctest.Wait()
		if e := w.read("e1"); e.FirstCommitAt == nil {
			t.Error("three servers that hang held up a fourth")
		}
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		if got := w.failing(); !strings.Contains(got, "15 Unreachable: no answer from git.example within 3m0s") {
			t.Errorf("waits for %q", got)
		}
		if w.questions("stuck-0") != 1 {
			t.Errorf("a server that does not answer was asked %d times in three minutes", w.questions("stuck-0"))
		}
	})
}

func TestALongQueueBeforeAServerThatHangsHidesNobody(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.gates["stuck"] = make(chan struct{})
		for i := range 2500 {
			w.deploy("stuck", fmt.Sprintf("s%d", i), nil)
		}
		w.deploy("cart", "e1", nil)
		w.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if e := w.read("e1"); e.FirstCommitAt == nil {
			t.Error("a deployment behind many that wait was not seen")
		}
		close(w.gates["stuck"])
	})
}

func TestOfATargetOneQuestionIsAskedAtATime(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		gate := make(chan struct{})
		for _, service := range []string{"a", "b", "c"} {
			w.owners[service], w.gates[service] = "platform/fleet", gate
		}
		w.start()
		for _, service := range []string{"a", "b", "c"} {
			w.deploy(service, service, nil)
		}
		synctest.Wait()
		if n := w.questions("a") + w.questions("b") + w.questions("c"); n != 1 {
			t.Errorf("%d questions at a time", n)
		}
		close(gate)
		synctest.Wait()
		if w.pending() != 0 {
			t.Errorf("%d wait still", w.pending())
		}
	})
}

func TestWhereTheSourceIsGoneNothingIsAsked(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.sources = func(string) (*commit.Source, error) { return nil, nil }
		w.start()
		w.deploy("cart", "e1", nil)
		synctest.Wait()
		if e := w.read("e1"); e.LeadTimeUnknown != "NoSource" || w.questions("cart") != 0 {
			t.Errorf("asked %d times, completed as %+v", w.questions("cart"), e)
		}
	})
}

func TestASecretThatCannotBeReadIsAReasonToTryAgain(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.sources = func(string) (*commit.Source, error) {
			return nil, fmt.Errorf("%w: there is no Secret shop/git", commit.ErrSecret)
		}
		w.start()
		w.deploy("cart", "e1", nil)
		synctest.Wait()
		if got := w.failing(); got != "1 SecretNotUsable: the Secret cannot be used: there is no Secret shop/git" {
			t.Errorf("waits for %q", got)
		}
	})
}

func TestWhatWasQueuedBeforeARestartIsCompletedAfterIt(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.deploy("cart", "e1", nil)
		w.start()
		synctest.Wait()
		if e := w.read("e1"); e.FirstCommitAt == nil {
			t.Errorf("it is %+v", e)
		}
	})
}

func TestAPanicIsAnErrorLikeAnyOther(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.answer = func(_ string, asked int) (commit.Answer, error) {
			if asked == 1 {
				panic("a pack that nobody foresaw")
			}
			return found(time.Now()), nil
		}
		w.start()
		w.deploy("cart", "e1", nil)
		synctest.Wait()
		if got := w.failing(); !strings.HasPrefix(got, "1 Unreachable: the search failed") {
			t.Errorf("waits for %q", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if e := w.read("e1"); e.FirstCommitAt == nil {
			t.Errorf("it is %+v", e)
		}
	})
}

func TestOneNamespaceKeepsTwoWorkersBusyAtMost(t *testing.T) {
	play(t, func(w *world) {
		t, gate := w.t, make(chan struct{})
		for i := range 40 {
			service := fmt.Sprintf("stuck-%d", i)
			w.owners[service], w.gates[service] = "greedy/"+service, gate
			w.deploy(service, service, nil)
		}
		w.deploy("cart", "e1", nil)
		w.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if e := w.read("e1"); e.FirstCommitAt == nil {
			t.Error("the servers of one namespace held up another")
		}
		busy := 0
		for i := range 40 {
			busy += w.questions(fmt.Sprintf("stuck-%d", i))
		}
		if busy != 2 {
			t.Errorf("%d questions of one namespace at a time", busy)
		}
		close(gate)
	})
}

func TestARepositoryThatIsNotThereHoldsUpNoOtherOnItsServer(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.sources = func(service string) (*commit.Source, error) {
			return &commit.Source{Repository: "https://git.example/" + service, Hosts: []string{service}}, nil
		}
		w.answer = func(service string, _ int) (commit.Answer, error) {
			if service != "cart" {
				return commit.Answer{}, commit.ErrNoRepository
			}
			return found(time.Now()), nil
		}
		w.owners["cart"] = "shop/fleet"
		for i := range 10 {
			service := fmt.Sprintf("none-%d", i)
			w.owners[service] = "shop/fleet"
			w.deploy(service, service, nil)
		}
		w.start()
		time.Sleep(24 * time.Hour)
		w.deploy("cart", "e1", nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if e := w.read("e1"); e.FirstCommitAt == nil {
			t.Errorf("a healthy repository waits for those that are not there: %s", w.failing())
		}
	})
}

func TestWhatTheLedgerRefusesHoldsUpNobody(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.refused = "odd"
		w.owners["odd"], w.owners["cart"] = "shop/fleet", "shop/fleet"
		w.deploy("odd", "odd", nil)
		w.deploy("cart", "e1", nil)
		w.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if e := w.read("e1"); e.FirstCommitAt == nil {
			t.Error("facts that cannot be kept held up another deployment")
		}
	})
}

func TestToFindNothingTakesNothingBack(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		w.answer = func(_ string, asked int) (commit.Answer, error) {
			if asked == 1 {
				return commit.Answer{Commit: full, Repository: "https://git.example/cart", Reason: commit.NoAncestor, Message: "none"}, nil
			}
			return commit.Answer{}, commit.ErrNoRepository
		}
		w.start()
		w.deploy("cart", "e1", nil)
		synctest.Wait()
		before := w.read("e1")
		if n, err := w.ledger.Reopen(t.Context(), ledger.ReopenQuery{}, time.Now()); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		w.worker.Notify()
		time.Sleep(15 * 24 * time.Hour)
		synctest.Wait()
		if e := w.read("e1"); w.pending() != 0 || e.Version.Commit != full || e.LeadTimeUnknown != "NoAncestor" || e.Repository != before.Repository {
			t.Errorf("after it was given up again it is %+v", e)
		}
	})
}

func TestAMendIsTriedAtOnce(t *testing.T) {
	play(t, func(w *world) {
		t := w.t
		var mended atomic.Bool
		w.answer = func(string, int) (commit.Answer, error) {
			if !mended.Load() {
				return commit.Answer{}, &commit.RetryError{Err: errors.New("limit"), After: 2 * time.Hour}
			}
			return found(time.Now()), nil
		}
		w.start()
		w.deploy("cart", "e1", nil)
		w.deploy("cart", "e2", nil)
		synctest.Wait()
		mended.Store(true)
		if n, err := w.ledger.Hurry(t.Context(), ledger.ResolutionQuery{}, time.Now()); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		w.worker.Hurry()
		synctest.Wait()
		if w.pending() != 0 {
			t.Errorf("%d wait still: %s", w.pending(), w.failing())
		}
	})
}

func toStdout(context.Context, *dora.Event) ([]string, error) { return []string{"stdout"}, nil }
