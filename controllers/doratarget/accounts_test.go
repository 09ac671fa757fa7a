package doratarget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

// figures are all that a status takes from events, worked out by one of two ways.
type figures struct {
	Window   fourkeys.Window
	Services map[fourkeys.Service]time.Time
	Fleet    fourkeys.Fleet
	Before   fourkeys.Fleet
	Teams    map[fourkeys.Service]string
	Last     *dorav1alpha1.LastDeployment
	Open     []dorav1alpha1.OpenFailure
	Commits  ledger.Resolutions
}

// remembered are those of a history that rests on accounts.
func remembered(s *scope, h *history) figures {
	f := figures{Window: h.window, Services: h.services, Fleet: *h.fleet(), Teams: map[fourkeys.Service]string{}, Last: h.last, Open: h.openFailures(), Commits: h.commits}
	for service := range h.services {
		f.Teams[service] = h.teamOf(s, service)
	}
	if h.length > 0 {
		f.Before = *h.before()
	}
	return f
}

// full are those that come of reading all events anew: the definition.
func full(ctx context.Context, store ledger.Store, s *scope) (figures, error) {
	f := figures{Window: fourkeys.Last(s.target.Timings.Window, s.now, time.Time{}), Teams: map[fourkeys.Service]string{}}
	kinds := kindsOf(&s.target.Object.Spec)
	events, err := allEvents(ctx, store, s, f.Window.From.Add(-margin))
	if err != nil {
		return f, err
	}
	for _, e := range events {
		if !e.OccurredAt.Before(f.Window.To) {
			f.Window.To = e.OccurredAt.Add(time.Nanosecond)
		}
	}
	f.Services = servicesIn(s, events, f.Window.From)
	events = slices.DeleteFunc(events, func(e dora.Event) bool {
		_, kept := f.Services[serviceOf(&e)]
		return !kept
	})
	f.Fleet = fourkeys.Aggregate(events, f.Window, f.Services, kinds...)
	if len(s.teams) > 0 {
		if f.Before, err = before(ctx, store, s, f.Window.From, f.Services, kinds); err != nil {
			return f, err
		}
	}
	for service := range f.Services {
		f.Teams[service] = teamIn(s, service, events)
	}
	f.Open = openIn(events)
	if f.Last, err = lastIn(ctx, store, s, kinds); err != nil {
		return f, err
	}
	q := ledger.ResolutionQuery{Cluster: "eu", UIDs: append([]string{}, s.uids...), Queued: true}
	queued, err := store.Resolutions(ctx, q)
	if err != nil {
		return f, err
	}
	f.Commits, err = searches(ctx, store, s, f.Window.From)
	f.Commits.Pending, f.Commits.Failing = queued.Pending, queued.Failing
	return f, err
}

// before is the figures of these services over the window before, from all events of it and of the margin before it.
func before(
	ctx context.Context, store ledger.Store, s *scope, to time.Time, services map[fourkeys.Service]time.Time, kinds []dora.ChangeKind,
) (fourkeys.Fleet, error) {
	w := fourkeys.Window{From: to.Add(-s.target.Timings.Window), To: to}
	events, err := allEvents(ctx, store, s, w.From.Add(-margin))
	events = slices.DeleteFunc(events, func(e dora.Event) bool {
		_, kept := services[serviceOf(&e)]
		return !kept
	})
	return fourkeys.Aggregate(events, w, services, kinds...), err
}

// searches counts those that ended, of the deployments from a time on. The ledger's own count goes by microseconds, events are finer.
func searches(ctx context.Context, store ledger.Store, s *scope, from time.Time) (counted ledger.Resolutions, err error) {
	unknown := map[string]int64{}
	for row, err := range store.Events(ctx, ledger.EventQuery{Cluster: "eu", UIDs: append([]string{}, s.uids...)}) {
		switch {
		case err != nil:
			return counted, err
		case row.Event.OccurredAt.Before(from):
		case row.Search == ledger.SearchResolved:
			counted.Resolved++
		case row.Search == ledger.SearchUnknown:
			unknown[row.Event.LeadTimeUnknown]++
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(unknown)) {
		counted.Unknown = append(counted.Unknown, ledger.ReasonCount{Reason: reason, Count: unknown[reason]})
	}
	return counted, nil
}

func allEvents(ctx context.Context, store ledger.Store, s *scope, from time.Time) (events []dora.Event, err error) {
	recent := ledger.EventQuery{Cluster: "eu", UIDs: append([]string{}, s.uids...)}
	before := recent
	recent.Since, before.Until, before.Types = from, from, []dora.Type{dora.TypeDegraded, dora.TypeRecovered}
	for _, q := range []ledger.EventQuery{before, recent} {
		for row, err := range store.Events(ctx, q) {
			if err != nil {
				return nil, err
			}
			if row.Event.Type != dora.TypeChange { // is nothing that happened to production
				events = append(events, row.Event)
			}
		}
	}
	return events, nil
}

func servicesIn(s *scope, events []dora.Event, from time.Time) map[fourkeys.Service]time.Time {
	services := maps.Clone(s.followed)
	for _, e := range events {
		if !e.OccurredAt.Before(from) {
			since := s.known[e.Subject.UID].FollowedSince
			if known, ok := services[serviceOf(&e)]; !ok || since.Before(known) {
				services[serviceOf(&e)] = since
			}
		}
	}
	return services
}

func teamIn(s *scope, service fourkeys.Service, events []dora.Event) string {
	if _, followed := s.followed[service]; followed {
		return s.teams[service]
	}
	var latest dora.Event
	for _, e := range events {
		if serviceOf(&e) == service && !e.OccurredAt.Before(latest.OccurredAt) {
			latest = e
		}
	}
	return latest.Team
}

func openIn(events []dora.Event) []dorav1alpha1.OpenFailure {
	ended := map[string]bool{}
	for _, e := range events {
		if e.Type == dora.TypeRecovered {
			ended[e.FailureID] = true
		}
	}
	var open []dorav1alpha1.OpenFailure
	for _, e := range events {
		if e.Type == dora.TypeDegraded && !ended[e.FailureID] && e.Counts() {
			open = append(open, dorav1alpha1.OpenFailure{
				Service: e.Service, Environment: e.Environment, Since: metav1.NewTime(e.OccurredAt), EventID: e.ID, CausedBy: e.CausedBy,
			})
		}
	}
	return open
}

func lastIn(ctx context.Context, store ledger.Store, s *scope, kinds []dora.ChangeKind) (*dorav1alpha1.LastDeployment, error) {
	q := ledger.EventQuery{Cluster: "eu", UIDs: append([]string{}, s.uids...), Types: []dora.Type{dora.TypeDeploy}, Newest: true}
	for row, err := range store.Events(ctx, q) {
		if err != nil || slices.Contains(kinds, row.Event.Change) {
			return lastDeployment(&row.Event), err
		}
	}
	return nil, nil
}

// world is a ledger, subjects that come and go, a clock that is set forth and back, and two targets that one process looks at.
type world struct {
	now     time.Time
	store   *failing
	process *Reconciler
	targets [2]*kube.Target
	known   [2]map[string]ledger.Subject
	events  int
}

// failing is a ledger that can be read so many times more; always, if that is negative.
type failing struct {
	*ledgertest.Memory

	reads int
}

var errAway = errors.New("the ledger is away")

func (f *failing) away() bool {
	if f.reads > 0 {
		f.reads--
		return false
	}
	return f.reads == 0
}

func (f *failing) Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		for row, err := range f.Memory.Events(ctx, q) {
			if f.away() {
				row, err = ledger.Row{}, errAway
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func (f *failing) Histories(ctx context.Context, after int64) ([]ledger.History, error) {
	if f.away() {
		return nil, errAway
	}
	return f.Memory.Histories(ctx, after)
}

// Few names, and whole hours, so that things meet: at the edges of the window and of the margin too.
var (
	uidsDrawn     = rapid.SampledFrom([]string{"u1", "u2", "u3", "u4"})
	servicesDrawn = rapid.SampledFrom([]string{"cart", "pay", "search"})
)

func newWorld(t *rapid.T) *world {
	w := &world{now: epoch}
	w.store = &failing{Memory: ledgertest.NewMemory(func() time.Time { return w.now }), reads: -1}
	w.restart(t)
	for i := range w.targets {
		object := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: strconv.Itoa(i), UID: types.UID(strconv.Itoa(i))}}
		w.targets[i] = &kube.Target{Object: object, Timings: dorav1alpha1.Timings{Window: 7 * 24 * time.Hour}}
		w.known[i] = map[string]ledger.Subject{}
	}
	return w
}

func (w *world) restart(*rapid.T) { w.process = &Reconciler{Events: w.store, Cluster: "eu"} }

func (w *world) record(t *rapid.T) {
	change := ledger.Change{Resolve: rapid.Bool().Draw(t, "resolve")}
	for range rapid.IntRange(1, 4).Draw(t, "events") {
		change.Events = append(change.Events, w.event(t))
	}
	w.commit(t, change)
}

func (w *world) commit(t *rapid.T, change ledger.Change) {
	if err := w.store.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// event draws one of the last 60 days, or of an hour to come: two windows of a week, the margin before them, and more.
func (w *world) event(t *rapid.T) dora.Event {
	w.events++
	ago := rapid.OneOf(rapid.IntRange(-1, 48), rapid.IntRange(-1, 60*24), rapid.SampledFrom([]int{7 * 24, 14 * 24, 37 * 24, 44 * 24})).Draw(t, "hours ago")
	e := dora.Event{
		ID: strconv.Itoa(w.events), Cluster: "eu", OccurredAt: w.now.Add(-time.Duration(ago) * time.Hour),
		Service: servicesDrawn.Draw(t, "service"), Environment: "production", Team: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "team"),
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "shop", Name: "app", UID: uidsDrawn.Draw(t, "uid")},
	}
	earlier := strconv.Itoa(rapid.IntRange(0, w.events).Draw(t, "an earlier event"))
	switch e.Type = rapid.SampledFrom([]dora.Type{
		dora.TypeDeploy, dora.TypeDeploy, dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange,
	}).Draw(t, "type"); e.Type {
	case dora.TypeDeploy:
		w.deploy(t, &e)
	case dora.TypeDegraded:
		e.FailureID, e.CausedBy = "of "+e.ID, earlier
	case dora.TypeRecovered:
		e.FailureID = "of " + earlier
	case dora.TypeChange: // is in no figure, though it happened
	}
	return e
}

func (*world) deploy(t *rapid.T, e *dora.Event) {
	version := rapid.SampledFrom([]string{"v1", "v2"})
	e.StartedAt = e.OccurredAt
	e.Outcome = rapid.SampledFrom([]dora.Outcome{dora.Succeeded, dora.Failed, dora.RolledBack, dora.Unknown}).Draw(t, "outcome")
	e.Change = rapid.SampledFrom([]dora.ChangeKind{dora.ChangeImage, dora.ChangeImage, dora.ChangeConfig}).Draw(t, "change")
	e.Success = new(rapid.Bool().Draw(t, "success"))
	e.Version = &dora.Version{Images: []string{version.Draw(t, "version")}}
	e.Previous = dora.Predecessor{Known: true, Version: &dora.Version{Images: []string{version.Draw(t, "previous")}}}
}

func (w *world) complete(t *rapid.T) {
	facts := dora.CommitFacts{EventID: strconv.Itoa(rapid.IntRange(0, w.events).Draw(t, "event")), ResolvedAt: w.now}
	if facts.Reason = rapid.SampledFrom([]string{"", "", "NoBase", "NoCommit"}).Draw(t, "reason"); facts.Reason == "" {
		facts.FirstCommit, facts.FirstCommitAt = "f", w.now.Add(-time.Duration(rapid.IntRange(0, 90*24).Draw(t, "first commit"))*time.Hour)
	}
	w.commit(t, ledger.Change{Facts: []dora.CommitFacts{facts}})
}

func (w *world) mark(t *rapid.T) {
	verdict := rapid.SampledFrom([]dora.Verdict{dora.NotAFailure, dora.Failure, dora.Ignore, dora.Withdrawn}).Draw(t, "verdict")
	event := strconv.Itoa(rapid.IntRange(0, w.events).Draw(t, "event"))
	w.commit(t, ledger.Change{Marks: []dora.Mark{{EventID: event, Verdict: verdict, At: w.now}}})
}

func (w *world) searchAgain(t *rapid.T) {
	q := ledger.ReopenQuery{Missing: rapid.Bool().Draw(t, "missing")}
	if _, err := w.store.Reopen(t.Context(), q, w.now); err != nil {
		t.Fatal(err)
	}
}

func (w *world) prune(t *rapid.T) {
	before := w.now.Add(-time.Duration(rapid.IntRange(0, 40*24).Draw(t, "keeps hours")) * time.Hour)
	if _, err := w.store.Prune(t.Context(), ledger.Retention{EventsBefore: before}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) step(t *rapid.T) {
	steps := rapid.OneOf(rapid.IntRange(1, 3), rapid.IntRange(-30, 200), rapid.SampledFrom([]int{0, 7 * 24})).Draw(t, "hours")
	w.now = w.now.Add(time.Duration(steps) * time.Hour)
	w.now = w.now.Add(rapid.SampledFrom([]time.Duration{0, 0, 1, -1, time.Microsecond, time.Millisecond}).Draw(t, "and"))
}

// selects changes whose events a target counts, and since when they are followed.
func (w *world) selects(t *rapid.T) {
	i, uid := rapid.IntRange(0, 1).Draw(t, "target"), uidsDrawn.Draw(t, "uid")
	if _, selected := w.known[i][uid]; selected && rapid.Bool().Draw(t, "no longer") {
		delete(w.known[i], uid)
		return
	}
	row := ledger.Subject{Subject: dora.Subject{UID: uid}, Service: servicesDrawn.Draw(t, "service"), Environment: "production"}
	row.FollowedSince = w.now.Add(-time.Duration(rapid.IntRange(0, 400).Draw(t, "followed for hours")) * time.Hour)
	if rapid.Bool().Draw(t, "gone") {
		row.DeletedAt = w.now
	}
	w.known[i][uid] = row
}

// respecify changes what a target counts, and over which time.
func (w *world) respecify(t *rapid.T) {
	target := w.targets[rapid.IntRange(0, 1).Draw(t, "target")]
	target.Timings.Window = time.Duration(rapid.SampledFrom([]int{1, 7, 14}).Draw(t, "days")) * 24 * time.Hour
	target.Object.Spec.Changes = rapid.SampledFrom([][]dorav1alpha1.ChangeKind{
		{dorav1alpha1.ChangeImage}, {dorav1alpha1.ChangeImage, dorav1alpha1.ChangeConfig},
	}).Draw(t, "changes")
}

func (w *world) suspend(t *rapid.T) {
	w.process.books.drop(types.NamespacedName{Namespace: "shop", Name: strconv.Itoa(rapid.IntRange(0, 1).Draw(t, "target"))})
}

// fail looks while the ledger goes away somewhere in between.
func (w *world) fail(t *rapid.T) {
	w.store.reads = rapid.IntRange(0, 10).Draw(t, "reads")
	for i := range w.targets {
		_, err := w.process.read(t.Context(), w.scope(i), ledger.Resolutions{})
		if err != nil && !errors.Is(err, errAway) {
			t.Fatal(err)
		}
	}
	w.store.reads = -1
}

func (w *world) scope(i int) *scope {
	s := &scope{target: w.targets[i], now: w.now, known: w.known[i], followed: map[fourkeys.Service]time.Time{}, teams: map[fourkeys.Service]string{}}
	for uid, row := range w.known[i] {
		s.uids = append(s.uids, uid)
		service := fourkeys.Service{Name: row.Service, Environment: row.Environment}
		if since, ok := s.followed[service]; row.DeletedAt.IsZero() && (!ok || row.FollowedSince.Before(since)) {
			s.followed[service], s.teams[service] = row.FollowedSince, "now"
		}
	}
	slices.Sort(s.uids)
	return s
}

// look compares what a process knows with what the ledger says.
func (w *world) look(t *rapid.T) {
	for i := range w.targets {
		s := w.scope(i)
		want, err := full(t.Context(), w.store, s)
		if err != nil {
			t.Fatal(err)
		}
		queued := ledger.Resolutions{Pending: want.Commits.Pending, Failing: want.Commits.Failing}
		h, err := w.process.read(t.Context(), s, queued)
		if err != nil {
			t.Fatal(err)
		}
		byID := cmpopts.SortSlices(func(a, b dorav1alpha1.OpenFailure) bool { return cmp.Less(a.EventID, b.EventID) })
		if diff := gocmp.Diff(want, remembered(s, h), cmpopts.EquateEmpty(), byID, cmpopts.IgnoreUnexported(fourkeys.Fleet{})); diff != "" {
			t.Fatalf("target %d at %s: what is remembered (+) differs from all that there is (-):\n%s", i, w.now.Format(time.RFC3339Nano), diff)
		}
	}
}

// TestWhatIsRememberedIsAllThatThereIs: whatever happens, in whatever order, figures that rest on what is remembered of services are those
// that reading all events anew would give.
func TestWhatIsRememberedIsAllThatThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"": w.look, "record": w.record, "record more": w.record, "complete": w.complete, "mark": w.mark, "search again": w.searchAgain, "prune": w.prune,
			"step": w.step, "select": w.selects, "select more": w.selects, "respecify": w.respecify, "suspend": w.suspend,
			"fail": w.fail, "restart": w.restart,
		})
	})
}

// TestOnlyWhatChangedIsRead counts what is read of the ledger: of thirty services with two events each, those of the one that has a third.
func TestOnlyWhatChangedIsRead(t *testing.T) {
	store := &counting{Memory: ledgertest.NewMemory(func() time.Time { return epoch })}
	r := &Reconciler{Events: store, Cluster: "eu"}
	s := &scope{
		target: &kube.Target{Object: &dorav1alpha1.DoraTarget{}, Timings: dorav1alpha1.Timings{Window: 7 * 24 * time.Hour}}, now: epoch,
		known: map[string]ledger.Subject{}, followed: map[fourkeys.Service]time.Time{},
	}
	deploy := func(uid string, at time.Time) {
		e := succeeded(at)
		e.ID, e.Cluster, e.Service, e.Subject.UID = fmt.Sprintf("%s-%s", uid, at.Format(time.RFC3339)), "eu", uid, uid
		if err := store.Commit(t.Context(), ledger.Change{Events: []dora.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	read := func() int {
		t.Helper()
		store.rows = 0
		if _, err := r.read(t.Context(), s, ledger.Resolutions{}); err != nil {
			t.Fatal(err)
		}
		return store.rows
	}
	for i := range 30 {
		uid := fmt.Sprintf("u%02d", i)
		s.uids, s.known[uid] = append(s.uids, uid), ledger.Subject{}
		deploy(uid, epoch.Add(-20*24*time.Hour))
		deploy(uid, epoch.Add(-time.Hour))
	}
	for _, step := range []struct {
		what   string
		happen func()
		want   int
	}{
		{"the first look", func() {}, 60},
		{"nothing happened", func() {}, 0},
		{"a minute passed", func() { s.now = s.now.Add(time.Minute) }, 0},
		{"one was deployed", func() { deploy("u07", epoch) }, 3},
		{"one is no longer selected", func() { s.uids = s.uids[1:] }, 0},
		{"what was deployed an hour before leaves the window", func() { s.now = epoch.Add(7*24*time.Hour - 30*time.Minute) }, 59},
	} {
		step.happen()
		if got := read(); got != step.want {
			t.Errorf("%s: %d events were read, want %d", step.what, got, step.want)
		}
	}
}

// counting is a ledger that counts the events that are read of it.
type counting struct {
	*ledgertest.Memory

	rows int
}

func (c *counting) Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		for row, err := range c.Memory.Events(ctx, q) {
			c.rows++
			if !yield(row, err) {
				return
			}
		}
	}
}

// TestWhatLeavesTheWindowBefore: the window is a week. The attempt failed 44 days ago but an hour and healed eight days ago: a deployment of the week
// before as long as the attempt is known, which is 30 days before that. Another was made 14 days ago but two hours. Nothing happens after that, so
// the account holds until they leave.
func TestWhatLeavesTheWindowBefore(t *testing.T) {
	store := ledgertest.NewMemory(func() time.Time { return epoch })
	r := &Reconciler{Events: store, Cluster: "eu"}
	failed := dora.Event{
		ID: "attempt", Type: dora.TypeDeploy, Outcome: dora.Failed, Change: dora.ChangeImage, OccurredAt: epoch.Add(-44*24*time.Hour + time.Hour),
		Version: &dora.Version{Images: []string{"cart"}},
	}
	began := dora.Event{ID: "began", Type: dora.TypeDegraded, OccurredAt: failed.OccurredAt, FailureID: "f", CausedBy: failed.ID}
	ended := dora.Event{ID: "ended", Type: dora.TypeRecovered, OccurredAt: epoch.Add(-8 * 24 * time.Hour), FailureID: "f"}
	other := succeeded(epoch.Add(-14*24*time.Hour + 2*time.Hour))
	other.ID = "other"
	commit := func(service string, events ...dora.Event) {
		for i := range events {
			e := &events[i]
			e.Cluster, e.Service, e.Subject.UID = "eu", service, service
		}
		if err := store.Commit(t.Context(), ledger.Change{Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	commit("cart", failed, began, ended)
	commit("search", other)
	long := epoch.AddDate(-1, 0, 0)
	s := &scope{
		target: &kube.Target{Object: &dorav1alpha1.DoraTarget{}, Timings: dorav1alpha1.Timings{Window: 7 * 24 * time.Hour}}, now: epoch,
		known: map[string]ledger.Subject{"cart": {Team: "shop"}, "search": {}}, uids: []string{"cart", "search"},
		followed: map[fourkeys.Service]time.Time{{Name: "cart"}: long, {Name: "search"}: long},
	}
	for _, step := range []struct {
		later time.Duration
		want  int
	}{{0, 2}, {time.Hour, 2}, {time.Second, 1}, {time.Hour - time.Second, 1}, {time.Second, 0}} {
		s.now = s.now.Add(step.later)
		h, err := r.read(t.Context(), s, ledger.Resolutions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.before().Whole.Frequency.Deployments; got != step.want {
			t.Errorf("%s: %d deployments in the window before, want %d", s.now, got, step.want)
		}
	}
}

// TestAnAttemptThatHealedCountsUntilItLeavesTheMargin: it failed 37 days ago but an hour, its failure ended an hour ago, and its version was
// healthy then. That is a deployment as long as the attempt is known, which is 30 days before a window of a week.
func TestAnAttemptThatHealedCountsUntilItLeavesTheMargin(t *testing.T) {
	store := ledgertest.NewMemory(func() time.Time { return epoch })
	r := &Reconciler{Events: store, Cluster: "eu"}
	failed := dora.Event{
		ID: "attempt", Type: dora.TypeDeploy, Outcome: dora.Failed, Change: dora.ChangeImage, OccurredAt: epoch.Add(-37*24*time.Hour + time.Hour),
		Version: &dora.Version{Images: []string{"cart"}},
	}
	began := dora.Event{ID: "began", Type: dora.TypeDegraded, OccurredAt: failed.OccurredAt, FailureID: "f", CausedBy: failed.ID}
	ended := dora.Event{ID: "ended", Type: dora.TypeRecovered, OccurredAt: epoch.Add(-time.Hour), FailureID: "f"}
	change := ledger.Change{Events: []dora.Event{failed, began, ended}}
	for i := range change.Events {
		e := &change.Events[i]
		e.Cluster, e.Service, e.Subject.UID = "eu", "cart", "cart"
	}
	if err := store.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	s := &scope{
		target: &kube.Target{Object: &dorav1alpha1.DoraTarget{}, Timings: dorav1alpha1.Timings{Window: 7 * 24 * time.Hour}}, now: epoch,
		known: map[string]ledger.Subject{"cart": {}}, uids: []string{"cart"}, followed: map[fourkeys.Service]time.Time{},
	}
	for _, step := range []struct {
		later time.Duration
		want  int
	}{{0, 1}, {time.Hour, 1}, {time.Second, 0}} {
		s.now = s.now.Add(step.later)
		h, err := r.read(t.Context(), s, ledger.Resolutions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.fleet().Whole.Frequency.Deployments; got != step.want {
			t.Errorf("%s: %d deployments, want %d", s.now, got, step.want)
		}
	}
}
