package enrich

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

const (
	// batch is how many queued deployments are looked at in one round.
	batch = 200
	// remembered is how many events of a service tell which versions ran before.
	remembered = 1000
	// lag is how long after a deployment a commit that is not there is asked for again: a mirror may be behind the build.
	lag = 15 * time.Minute
	// perNamespace is how many workers the targets of one namespace may keep busy.
	perNamespace = 2
	// maxMessage bounds what is kept of an error, in characters.
	maxMessage = 300
	// patience is how soon to look again after the ledger failed.
	patience = 5 * time.Second
	// queueWithin bounds one reading of the queue.
	queueWithin = 30 * time.Second
	// maxAfter bounds what a server may ask for: a mistaken header must not silence it for days.
	maxAfter = 2 * time.Hour
)

var errPanicked = errors.New("the search failed in a way that nobody foresaw; the log has it, please report it")

// Worker completes deployments. There is one for each ledger.
type Worker struct {
	ledger   Ledger
	sources  Sources
	resolver Resolver
	opts     Options

	wake  chan struct{} // holds one: it is enough to be told once
	tasks sync.WaitGroup

	mu   sync.Mutex
	busy map[string]bool // owners that are being worked for
	done map[string]bool // events that were worked on since the queue was last read
	rest map[place]rest  // what is left alone for a while
}

// New makes a worker.
func New(store Ledger, sources Sources, resolver Resolver, opts Options) *Worker {
	return &Worker{
		ledger: store, sources: sources, resolver: resolver, opts: opts.withDefaults(),
		wake: make(chan struct{}, 1), busy: map[string]bool{}, done: map[string]bool{}, rest: map[place]rest{},
	}
}

// Notify says that there may be more to do.
func (w *Worker) Notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Start works until the context ends.
func (w *Worker) Start(ctx context.Context) error {
	defer w.tasks.Wait()
	for ctx.Err() == nil {
		w.sleep(ctx, w.round(ctx))
	}
	return nil
}

// sleep waits to be woken, or until a time unless that is zero.
func (w *Worker) sleep(ctx context.Context, until time.Time) {
	var alarm <-chan time.Time
	if !until.IsZero() {
		timer := w.opts.Clock.NewTimer(max(until.Sub(w.opts.Clock.Now()), time.Millisecond))
		defer timer.Stop()
		alarm = timer.C()
	}
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-alarm:
	}
}

// round begins what is due and can be begun, and returns when to look again; zero if whoever finishes says so.
func (w *Worker) round(ctx context.Context) time.Time {
	w.mu.Lock()
	clear(w.done)
	w.mu.Unlock()
	work := w.opts.Board.Begin("look for commits", "in the queue", queueWithin+progress.Spare)
	defer work.End()
	now := w.opts.Clock.Now()
	begun, more, err := w.beginDue(ctx, now)
	var next time.Time
	switch {
	case err != nil:
	case more: // behind those that were seen may be some whose owner is free
		next = now.Add(patience)
	case begun == 0:
		if next, err = w.nextUnresolved(ctx); !next.IsZero() {
			next = later(next, now.Add(patience)) // what is due waits for a busy owner, and he wakes us
		}
	}
	if err != nil && ctx.Err() == nil {
		w.opts.Log.Error(err, "Cannot look for commits")
		return now.Add(patience)
	}
	return next
}

// beginDue begins what it can, and counts it. Where all that it sees waits for busy owners while a worker is free, it looks behind them,
// however many they are. More says that it has not seen all.
func (w *Worker) beginDue(ctx context.Context, now time.Time) (begun int, more bool, err error) {
	for limit := batch; ; limit *= 10 {
		due, err := w.unresolved(ctx, now, limit)
		if err != nil {
			return begun, false, err
		}
		for i := 0; i < len(due) && w.free(); i++ {
			one, err := w.begin(ctx, &due[i])
			if err != nil {
				return begun, false, err
			}
			if one {
				begun++
			}
		}
		if more = len(due) == limit; begun > 0 || !more || !w.free() {
			return begun, more, nil
		}
	}
}

func (w *Worker) unresolved(ctx context.Context, now time.Time, limit int) ([]ledger.Resolution, error) {
	ctx, cancel := context.WithTimeout(ctx, queueWithin)
	defer cancel()
	return w.ledger.Unresolved(ctx, now, limit)
}

func (w *Worker) nextUnresolved(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, queueWithin)
	defer cancel()
	return w.ledger.NextUnresolved(ctx)
}

// begin works on a deployment in the background, if its owner and a worker are free.
func (w *Worker) begin(ctx context.Context, r *ledger.Resolution) (bool, error) {
	owner, err := w.sources.Owner(ctx, &r.Event)
	if err != nil {
		return false, err
	}
	if !w.take(owner, r.Event.ID) {
		return false, nil
	}
	w.tasks.Go(func() {
		defer w.release(owner, r.Event.ID)
		within, end := w.opts.Tracer.Start(ctx, r.Event.ID, "find commits", tracing.Text(tracing.Event, r.Event.ID),
			tracing.Text(tracing.Service, r.Event.Service), tracing.Number(tracing.Attempt, r.Attempts+1))
		err := w.work(within, r, owner)
		end(ledgerFailed(err))
		if err != nil && ctx.Err() == nil {
			w.opts.Log.Error(err, "Cannot keep what was found out about commits", "event", r.Event.ID)
			select {
			case <-ctx.Done():
			case <-w.opts.Clock.After(patience):
			}
		}
	})
	return true, nil
}

func (w *Worker) free() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.busy) < w.opts.Workers
}

func (w *Worker) take(owner, event string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy[owner] || w.done[event] || len(w.busy) >= w.opts.Workers || w.neighbours(owner) >= perNamespace {
		return false
	}
	w.busy[owner] = true
	return true
}

// neighbours counts the busy owners of an owner's namespace: one tenant must not keep all workers.
func (w *Worker) neighbours(owner string) int {
	namespace, _, _ := strings.Cut(owner, "/")
	n := 0
	for busy := range w.busy {
		if other, _, _ := strings.Cut(busy, "/"); other == namespace {
			n++
		}
	}
	return n
}

func (w *Worker) release(owner, event string) {
	w.mu.Lock()
	w.done[event] = true
	delete(w.busy, owner)
	w.mu.Unlock()
	w.Notify()
}

// work makes one attempt and keeps what came of it. It fails if the ledger does.
func (w *Worker) work(ctx context.Context, r *ledger.Resolution, owner string) error {
	onBoard := w.opts.Board.Begin("find commits", "of event "+r.Event.ID, w.opts.Timeout+progress.Spare)
	defer onBoard.End()
	within, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	source, err := w.sources.Source(within, &r.Event)
	at := placeOf(owner, source, &r.Event)
	if resting, ok := w.resting(at); ok && err == nil {
		return w.putOff(ctx, r, resting.until, resting.reason, resting.message)
	}
	var answer commit.Answer
	if err == nil {
		answer, err = w.ask(within, r, source)
		answer.Message = bounded(answer.Message)
	}
	onBoard.Step() // what is left to do is up to the ledger
	switch {
	case err == nil && answer.Reason == commit.CommitNotFound && w.opts.Clock.Since(r.Event.ObservedAt) < lag:
		return w.putOff(ctx, r, w.again(r, 0), answer.Reason, answer.Message)
	case err == nil:
		w.awake(at)
		return w.keepOrPutOff(ctx, r, &answer)
	case ctx.Err() != nil:
		return nil // being stopped is nobody's failure
	}
	return w.failed(ctx, r, at, err)
}

// ask asks for the commits of a deployment. What a server sent must not end the process, so a panic is an error like any other.
func (w *Worker) ask(ctx context.Context, r *ledger.Resolution, source *commit.Source) (answer commit.Answer, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			w.opts.Log.Error(fmt.Errorf("panic: %v", cause), "Looking for commits panicked", "event", r.Event.ID, "stack", string(debug.Stack()))
			answer, err = commit.Answer{}, errPanicked
		}
	}()
	if source == nil {
		gone := commit.Answer{Reason: commit.NoSource, Message: "no DoraTarget that selects it has a spec.source any more"}
		return *asBefore(&r.Event, gone), nil
	}
	var events []dora.Event
	if without(&r.Event) == "" { // else what ran before changes nothing
		if events, err = w.history(ctx, &r.Event); err != nil {
			return commit.Answer{}, err
		}
	}
	req := requestOf(&r.Event, source, events)
	return w.resolver.Resolve(ctx, &req)
}

// history is what is known of the service before a deployment, the newest events first. What receivers heard says nothing about what Argo
// runs: whoever may make a receiver in some namespace may call a service as he likes.
func (w *Worker) history(ctx context.Context, e *dora.Event) ([]dora.Event, error) {
	var events []dora.Event
	for row, err := range w.ledger.Events(ctx, ledger.EventQuery{
		Cluster: e.Cluster, Service: e.Service, Environment: e.Environment, Types: []dora.Type{dora.TypeDeploy, dora.TypeRecovered},
		Until: e.OccurredAt, Newest: true,
	}) {
		if err != nil {
			return nil, fmt.Errorf("cannot read what ran before: %w", err)
		}
		if row.Event.Subject.Kind == dora.KindReported && row.Event.Subject.UID != e.Subject.UID {
			continue
		}
		if events = append(events, row.Event); len(events) == remembered {
			break
		}
	}
	return events, nil
}

// failed puts a deployment off, or gives it up, and lets its host rest.
func (w *Worker) failed(ctx context.Context, r *ledger.Resolution, at places, err error) error {
	reason, message := commit.ReasonOf(err), bounded(err.Error())
	if commit.Timeout(err) {
		message = noAnswer(at.server, w.opts.Timeout)
	}
	after := min(commit.RetryAfter(err), maxAfter)
	if w.opts.Clock.Since(r.RecordedAt) > w.opts.GiveUp {
		return w.keep(ctx, r, asBefore(&r.Event, commit.Answer{Reason: reason, Message: message}))
	}
	w.opts.Log.Info("Commits cannot be found yet", "service", r.Event.Service, "event", r.Event.ID, "reason", reason, "message", message)
	until := w.tire(at.of(reason, commit.Timeout(err)), after, reason, message)
	return w.putOff(ctx, r, later(until, w.again(r, after)), reason, message)
}

// asBefore is what an event said before it was looked into again, if it did: to find nothing now takes nothing back.
func asBefore(e *dora.Event, otherwise commit.Answer) *commit.Answer {
	if e.LeadTimeUnknown == "" {
		return &otherwise
	}
	before := commit.Answer{Base: e.BaseCommit, Repository: e.Repository, Reason: commit.Reason(e.LeadTimeUnknown), Message: e.LeadTimeMessage}
	before.First = e.FirstCommit
	if e.Version != nil && isFull(e.Version.Commit) {
		before.Commit = e.Version.Commit
	}
	if e.FirstCommitAt != nil {
		before.FirstAt = *e.FirstCommitAt
	}
	if e.CommitCount != nil {
		before.Commits = *e.CommitCount
	}
	return &before
}

func noAnswer(host string, within time.Duration) string {
	if host == "" {
		return fmt.Sprintf("no answer within %s", within)
	}
	return fmt.Sprintf("no answer from %s within %s", host, within)
}

func (w *Worker) again(r *ledger.Resolution, atLeast time.Duration) time.Time {
	return w.opts.Clock.Now().Add(max(w.opts.Backoff.Delay(r.Attempts+1, w.opts.Random()), atLeast, time.Second))
}

func (w *Worker) putOff(ctx context.Context, r *ledger.Resolution, next time.Time, reason commit.Reason, message string) error {
	tracing.Note(ctx, tracing.Text(tracing.Reason, string(reason)))
	err := w.ledger.PutOff(ctx, r.Event.ID, next, string(reason), message)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil // it was completed or pruned meanwhile
	}
	if err == nil {
		w.opts.Told(ctx, &r.Event)
	}
	return err
}

// keepOrPutOff puts a deployment off whose facts the ledger refuses, so that it does not hold up those behind it.
func (w *Worker) keepOrPutOff(ctx context.Context, r *ledger.Resolution, a *commit.Answer) error {
	err := w.keep(ctx, r, a)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, w.putOff(ctx, r, w.again(r, patience), commit.Unreachable, "the ledger did not take what was found"))
}

// keep commits what was found, and tells those who care.
func (w *Worker) keep(ctx context.Context, r *ledger.Resolution, a *commit.Answer) error {
	facts := dora.CommitFacts{
		EventID: r.Event.ID, Commit: a.Commit, FirstCommit: a.First, FirstCommitAt: a.FirstAt, Commits: a.Commits, Base: a.Base,
		Repository: a.Repository, Reason: string(a.Reason), Message: a.Message, ResolvedAt: w.opts.Clock.Now().UTC().Truncate(time.Microsecond),
	}
	sinks, err := w.opts.Sinks(ctx, &r.Event)
	if err != nil {
		return err
	}
	tracing.Note(ctx, tracing.Text(tracing.Reason, string(a.Reason)), tracing.Number(tracing.Commits, a.Commits))
	writing, end := tracing.Part(ctx, "write ledger")
	err = w.ledger.Commit(writing, ledger.Change{Facts: []dora.CommitFacts{facts}, Sinks: sinks})
	end(ledgerFailed(err))
	if err != nil {
		return err
	}
	e := r.Event
	e.Enrich(facts)
	w.log(&e, &facts)
	if w.opts.Metrics != nil && (e.LeadTimeUnknown == "" || e.LeadTimeUnknown != r.Event.LeadTimeUnknown) {
		w.opts.Metrics.Enriched(&e)
	}
	w.opts.Owed()
	w.opts.Told(ctx, &e)
	return nil
}

// ledgerFailed is the reason of a span whose work the ledger did not take.
func ledgerFailed(err error) string {
	if err == nil {
		return ""
	}
	return "LedgerFailed"
}

func (w *Worker) log(e *dora.Event, f *dora.CommitFacts) {
	log := w.opts.Log.WithValues("service", e.Service, "event", e.ID, "commit", f.Commit)
	switch {
	case e.LeadTimeUnknown == dora.NegativeLeadTime:
		log.Info("Lead time rejected: the first commit is younger than the deployment", "firstCommit", f.FirstCommit,
			"firstCommitAt", f.FirstCommitAt, "occurredAt", e.OccurredAt, "repository", f.Repository)
	case f.Reason != "":
		log.V(1).Info("No lead time", "reason", f.Reason, "message", f.Message)
	default:
		log.V(1).Info("Commits found", "firstCommit", f.FirstCommit, "commits", f.Commits, "repository", f.Repository)
	}
}

// bounded is the first line of what was said, shortened, without what a terminal or a reader of logs would obey: servers had a say in it.
func bounded(said string) string {
	first, _, _ := strings.Cut(said, "\n")
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(first, " "))
	if runes := []rune(clean); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return clean
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
