package application

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/dora-controller/dora-controller/internal/argocd"
)

// maxSteps bounds what is kept of one Application, and maxKept of all of them, so that a ledger that cannot be written for hours costs no memory. Of more
// steps the oldest are let go: what they would have told is then a gap in observation, as it is after a restart.
const (
	maxSteps = 32
	maxKept  = 1024
)

// Steps are what the watch showed of Applications that nobody has looked at yet. The work queue keeps one look for any number of changes; on a busy
// machine a whole deployment can fit between two looks, and would then be judged as one that nobody watched. So each change that says something of its own is
// kept until it was looked at, in its order and with the time at which it was seen.
//
// An informer's cache may be ahead of its handlers: what is older than what was already looked at is dropped.
type Steps struct {
	clock clock.PassiveClock

	mu sync.Mutex
	of map[types.NamespacedName]*unseen
	// kept is how many there are, but for the newest of each Application, which the cache holds anyway.
	kept int
}

// unseen are the steps of one Application, the oldest first. Looked is the version that was looked at last.
type unseen struct {
	steps  []step
	looked uint64
}

// step is an Application as it was at a time.
type step struct {
	app     *argocd.Application
	version uint64
	at      time.Time
}

// NewSteps returns none.
func NewSteps(c clock.PassiveClock) *Steps {
	return &Steps{clock: c, of: map[types.NamespacedName]*unseen{}}
}

// saw keeps a change. The step before it goes, unless it says something of its own.
func (s *Steps) saw(app *argocd.Application) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.unseen(client.ObjectKeyFromObject(app))
	next := step{app, versionOf(app), s.clock.Now()}
	if next.version <= u.looked {
		return
	}
	steps := slices.Clone(u.steps)
	if last := len(steps) - 1; last >= 0 && alike(steps[last].app, app) {
		next.at = steps[last].at
		steps = steps[:last]
	}
	steps = append(steps, next)
	room := min(maxSteps, 1+maxKept-(s.kept-u.kept()))
	s.set(u, slices.Delete(steps, 0, max(0, len(steps)-room)))
}

// set replaces the steps of one Application.
func (s *Steps) set(u *unseen, steps []step) {
	s.kept -= u.kept()
	u.steps = steps
	s.kept += u.kept()
}

// kept is how many steps there are besides the newest.
func (u *unseen) kept() int { return max(0, len(u.steps)-1) }

// before are the steps that led to what is looked at now; all there are, if it is gone.
func (s *Steps) before(key types.NamespacedName, now *argocd.Application) []step {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.of[key]
	if u == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(u.steps), func(older step) bool { return now != nil && older.version >= versionOf(now) })
}

// looked drops what was looked at, and what is older.
func (s *Steps) looked(key types.NamespacedName, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.unseen(key)
	u.looked = max(u.looked, version)
	s.set(u, slices.DeleteFunc(slices.Clone(u.steps), func(older step) bool { return older.version <= version }))
}

func (s *Steps) unseen(key types.NamespacedName) *unseen {
	if s.of[key] == nil {
		s.of[key] = &unseen{}
	}
	return s.of[key]
}

// forget drops an Application that is gone.
func (s *Steps) forget(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(s.unseen(key), nil)
	delete(s.of, key)
}

// versionOf is the resource version, a number that grows with each change. One that is no number is 0, and is no step.
func versionOf(app *argocd.Application) uint64 {
	n, err := strconv.ParseUint(app.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// alike tells whether two looks at an Application would differ by nothing but details of the same step.
func alike(a, b *argocd.Application) bool {
	x, y := &a.Status, &b.Status
	return a.UID == b.UID && x.Health == y.Health && x.Sync == y.Sync && slices.Equal(x.Summary.Images, y.Summary.Images) &&
		len(x.History) == len(y.History) && (a.Operation == nil) == (b.Operation == nil) && sameOperation(x.OperationState, y.OperationState)
}

func sameOperation(a, b *argocd.OperationState) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Phase == b.Phase && a.StartedAt == b.StartedAt && a.FinishedAt == b.FinishedAt
}

// watcher keeps each change before it asks for a look.
type watcher struct {
	handler.TypedEnqueueRequestForObject[*argocd.Application]

	steps *Steps
}

func (w *watcher) Create(ctx context.Context, e event.TypedCreateEvent[*argocd.Application], q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	w.steps.saw(e.Object)
	w.TypedEnqueueRequestForObject.Create(ctx, e, q)
}

func (w *watcher) Update(ctx context.Context, e event.TypedUpdateEvent[*argocd.Application], q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	w.steps.saw(e.ObjectNew)
	w.TypedEnqueueRequestForObject.Update(ctx, e, q)
}
