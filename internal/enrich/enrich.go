// Package enrich completes deployments with their commits, after they were recorded and delivered.
//
// # Guarantees
//
//   - Nothing waits for it: an event is durable and on its way before its commits are looked for, and is delivered again, under the same id,
//     once they are found.
//   - A deployment stays queued in the ledger until its facts are committed, so a restart loses nothing. What fails for a reason that may
//     go away is tried again, ever more rarely, for GiveUp; then it ends unknown, with that reason.
//   - One server that is slow, down or hostile holds up nobody else: of each target one question is asked at a time, and of a namespace's
//     targets two, each within Timeout; a host that does not answer is left alone for a while.
//
// # The way of one deployment
//
//	ledger.Unresolved ─▶ Sources ─▶ requestOf ─▶ commit.Resolver ─┬─ answer ─▶ ledger.Commit(Facts) ─▶ sinks, targets, metrics
//	                                                              └─ error ──▶ ledger.PutOff ─▶ the target's condition
package enrich

import (
	"cmp"
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/dora-controller/dora-controller/internal/backoff"
	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/tracing"
)

// Ledger is what the worker needs of a ledger.
type Ledger interface {
	ledger.Commits
	Commit(ctx context.Context, change ledger.Change) error
	Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error]
}

// Sources say where the commits of a deployment are found.
type Sources interface {
	// Owner names the target that says so for a deployment, namespace/name; empty if none does. It is asked often.
	Owner(ctx context.Context, e *dora.Event) (string, error)
	// Source is what it says, credentials included. Nil if no target says anything.
	Source(ctx context.Context, e *dora.Event) (*commit.Source, error)
}

// Resolver finds commits. commit.Resolver does.
type Resolver interface {
	Resolve(ctx context.Context, req *commit.Request) (commit.Answer, error)
}

// Metrics is told of deployments that were completed.
type Metrics interface {
	Enriched(e *dora.Event)
}

// Options of a worker. Zero fields have working defaults, but Told and Owed, which are called if they are set.
type Options struct {
	// Sinks names those that are owed an event that was completed; Owed is called when they are. Nobody is if it is nil.
	Sinks func(ctx context.Context, e *dora.Event) ([]string, error)
	Owed  func()
	// Told is called with each deployment that was completed, or of which an attempt failed.
	Told    func(ctx context.Context, e *dora.Event)
	Metrics Metrics

	Clock clock.WithDelayedExecution
	// Random is from [0, 1).
	Random func() float64
	// Backoff is between attempts; 5 s to 10 minutes.
	Backoff backoff.Exponential
	// Timeout bounds one attempt; 3 minutes.
	Timeout time.Duration
	// GiveUp is how long a deployment is tried; 14 days.
	GiveUp time.Duration
	// Workers ask side by side; 6.
	Workers int
	Log     logr.Logger
	// Tracer tells of each attempt; nobody if nil.
	Tracer *tracing.Tracer
	// Board gets what is being looked for; nobody if nil.
	Board *progress.Board
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Backoff == (backoff.Exponential{}) {
		o.Backoff = backoff.Exponential{Base: 5 * time.Second, Cap: 10 * time.Minute}
	}
	if o.Owed == nil {
		o.Owed = func() {}
	}
	if o.Sinks == nil {
		o.Sinks = func(context.Context, *dora.Event) ([]string, error) { return nil, nil }
	}
	if o.Told == nil {
		o.Told = func(context.Context, *dora.Event) {}
	}
	o.Timeout = cmp.Or(o.Timeout, 3*time.Minute)
	o.GiveUp = cmp.Or(o.GiveUp, 14*24*time.Hour)
	o.Workers = cmp.Or(o.Workers, 6)
	return o
}
