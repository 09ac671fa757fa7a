package doratarget

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/record"
)

func TestAStatusIsWrittenOnlyWhenItDiffers(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(epoch.Add(-48*time.Hour)))
	object, _ := s.look("all")
	if readyReason(object) != "True Followed" || object.Status.Summary.Counts.Succeeded != 1 || object.Status.ObservedGeneration != 1 {
		t.Errorf("status %+v", object.Status)
	}
	for range 3 {
		s.clock.Step(time.Minute)
		s.look("all")
	}
	if s.writes != 1 {
		t.Errorf("%d writes of one status", s.writes)
	}
}

// TestFiguresRestAfterTheyWereWritten: a minute of an event each second, which the target's interval of 20 s makes four writes: at once, and
// then each 20 s with what came meanwhile. What is told at last is all of it.
func TestFiguresRestAfterTheyWereWritten(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, statusInterval: 20s}`), application("cart", nil))
	s.keep("cart", nil)
	s.look("all")
	s.clock.Step(time.Hour)
	before := s.writes
	var result ctrl.Result
	for i := range 60 {
		s.keep("cart", nil, succeeded(s.clock.Now()))
		var object *dorav1alpha1.DoraTarget
		object, result = s.lookAgain("all")
		if want, got := int64(i/20*20+1), object.Status.Summary.Counts.Succeeded; got != want {
			t.Errorf("after %d s it tells of %d deployments, want %d", i, got, want)
		}
		s.clock.Step(time.Second)
	}
	if n := s.writes - before; n != 3 {
		t.Errorf("%d writes in a minute, want 3", n)
	}
	if result.RequeueAfter != time.Second {
		t.Errorf("it looks again after %s, want 1s: then the last may be written", result.RequeueAfter)
	}
	if object, _ := s.lookAgain("all"); object.Status.Summary.Counts.Succeeded != 60 {
		t.Errorf("it tells of %d deployments at last", object.Status.Summary.Counts.Succeeded)
	}
}

func TestWhatIsNoFigureIsWrittenAtOnce(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, statusInterval: 1h}`), application("cart", nil))
	s.keep("cart", nil)
	s.look("all")
	s.keep("cart", func(row *ledger.Subject) { row.Gaps = 1 }, succeeded(epoch))
	object, _ := s.lookAgain("all")
	if !meta.IsStatusConditionTrue(object.Status.Conditions, dorav1alpha1.ConditionIncomplete) || object.Status.Summary.Counts.Succeeded != 1 {
		t.Errorf("a new condition waits: %+v", object.Status.Conditions)
	}
	s.keep("cart", func(row *ledger.Subject) { row.Gaps = 2 }, succeeded(epoch.Add(-time.Second)))
	if object, _ := s.lookAgain("all"); object.Status.Summary.Counts.Gaps != 1 {
		t.Error("the number in a condition is a figure, and did not rest")
	}
	object.Generation, object.Spec.Window = 2, "90d"
	if err := s.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if object, _ := s.lookAgain("all"); object.Status.ObservedGeneration != 2 || object.Status.Summary.Counts.Succeeded != 2 {
		t.Errorf("a new spec waits: generation %d, %+v", object.Status.ObservedGeneration, object.Status.Summary)
	}
}

// TestTimeAloneWritesNothing: followed for ten days and deployed twice, its rate falls by a fifth of a percent each hour.
func TestTimeAloneWritesNothing(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", func(row *ledger.Subject) { row.FollowedSince = epoch.AddDate(0, 0, -10) }, succeeded(epoch.Add(-time.Hour)), succeeded(epoch.Add(-2*time.Hour)))
	object, _ := s.look("all")
	if rate := object.Status.Summary.DeploymentFrequency.PerWeek; rate != "1.4" { // 2 in 10 days
		t.Errorf("%s a week", rate)
	}
	for range 12 { // 4.8 % are left after twelve hours
		s.clock.Step(time.Hour)
		s.look("all")
	}
	if s.writes != 1 {
		t.Errorf("%d writes, though nothing happened", s.writes-1)
	}
	s.clock.Step(time.Hour)
	if object, _ := s.look("all"); s.writes != 2 || object.Status.Summary.DeploymentFrequency.PerWeek != "1.328" { // 14 in 253 h / 24
		t.Errorf("%s a week, %d writes", object.Status.Summary.DeploymentFrequency.PerWeek, s.writes)
	}
}

func TestAnEventLeavesTheWindowAtItsTime(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, window: 30d}`), application("cart", nil))
	const day = 24 * time.Hour
	s.keep("cart", nil, succeeded(epoch.Add(-30*day+10*time.Minute)), succeeded(epoch.Add(-day)))
	object, result := s.look("all")
	if object.Status.Summary.Counts.Succeeded != 2 {
		t.Errorf("counted %+v", object.Status.Summary.Counts)
	}
	if result.RequeueAfter < 10*time.Minute || result.RequeueAfter > 10*time.Minute+time.Second {
		t.Errorf("looks again after %s, want when the first leaves the window, in 10 minutes", result.RequeueAfter)
	}
	s.clock.Step(result.RequeueAfter)
	object, result = s.look("all")
	if object.Status.Summary.Counts.Succeeded != 1 || object.Status.LastDeployment == nil {
		t.Errorf("counted %+v", object.Status.Summary.Counts)
	}
	if result.RequeueAfter != time.Hour {
		t.Errorf("looks again after %s, want an hour at most", result.RequeueAfter)
	}
}

func TestTheLastDeploymentIsToldHoweverLongAgoItWas(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	config := succeeded(epoch.Add(-time.Hour))
	config.Change = dora.ChangeConfig
	s.keep("cart", nil, succeeded(epoch.AddDate(0, -6, 0)), config)
	object, _ := s.look("all")
	if last := object.Status.LastDeployment; last == nil || !last.Time.Time.Equal(epoch.AddDate(0, -6, 0)) || last.Outcome != dorav1alpha1.OutcomeSucceeded {
		t.Errorf("last deployment %+v; a change of configuration does not count here", last)
	}
	if f := object.Status.Summary; f.DeploymentFrequency.PerWeek != "0" || f.ChangeFailureRate.Ratio != "" {
		t.Errorf("nothing in a window that was followed throughout is 0 a week, and no rate: %+v", f)
	}
}

func TestAFailureStaysOpenHoweverLong(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	at := epoch.AddDate(0, -4, 0)
	s.keep("cart", nil, dora.Event{Type: dora.TypeDegraded, FailureID: "f1", OccurredAt: at})
	object, _ := s.look("all")
	if open := object.Status.OpenFailures; len(open) != 1 || !open[0].Since.Time.Equal(at) || object.Status.Summary.Counts.OpenFailures != 1 {
		t.Errorf("open failures %+v, counted %d", open, object.Status.Summary.Counts.OpenFailures)
	}
}

func TestAClockThatIsAheadHidesNothing(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(epoch.Add(5*time.Second)))
	if object, _ := s.look("all"); object.Status.Summary.Counts.Succeeded != 1 {
		t.Errorf("counted %+v", object.Status.Summary.Counts)
	}
}

func TestGapsAreCountedAndSaid(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", func(row *ledger.Subject) { row.Gaps = 3 })
	object, _ := s.look("all")
	if object.Status.Summary.Counts.Gaps != 3 || object.Status.Services[0].Counts.Gaps != 3 {
		t.Errorf("counted %+v", object.Status.Summary.Counts)
	}
	if !meta.IsStatusConditionTrue(object.Status.Conditions, dorav1alpha1.ConditionIncomplete) || readyReason(object) != "True Followed" {
		t.Errorf("conditions %+v", object.Status.Conditions)
	}
}

func TestWhoIsGoneCountsByTheLabelsItHad(t *testing.T) {
	s := newStory(t, target(t, "cart", `{applications: {matchLabels: {team: cart}}}`), target(t, "search", `{applications: {matchLabels: {team: search}}}`))
	gone := func(row *ledger.Subject) {
		row.Labels, row.Team, row.DeletedAt = map[string]string{"team": "cart"}, "cart", epoch.Add(-time.Hour)
	}
	event := succeeded(epoch.Add(-24 * time.Hour))
	event.Team = "cart"
	s.keep("cart", gone, event)
	s.keep("ancient", gone, succeeded(epoch.AddDate(0, -3, 0)))
	object, _ := s.look("cart")
	if n := len(object.Status.Services); n != 1 || object.Status.Services[0].Service != "cart" || object.Status.Services[0].Team != "cart" {
		t.Errorf("services %+v, want the one with an event in the window", object.Status.Services)
	}
	if object, _ := s.look("search"); object.Status.ServiceCount != 0 || object.Status.Summary != nil {
		t.Errorf("another target counts it: %+v", object.Status)
	}
}

func TestATargetStartsUntilItsObjectsWereLookedAt(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	object, result := s.look("all")
	if readyReason(object) != "Unknown Starting" || result.RequeueAfter != impatience {
		t.Errorf("%s, looks again after %s", readyReason(object), result.RequeueAfter)
	}
	s.keep("cart", nil)
	if object, _ := s.look("all"); readyReason(object) != "True Followed" {
		t.Error(readyReason(object))
	}
}

func TestALedgerThatCannotBeReadLeavesTheFigures(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(epoch.Add(-time.Hour)))
	s.look("all")
	s.store.err = errors.New("disk is gone")
	key := types.NamespacedName{Namespace: "shop", Name: "all"}
	s.reconciler.pace.forget()
	if _, err := s.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); !errors.Is(err, s.store.err) {
		t.Errorf("error %v", err)
	}
	object := &dorav1alpha1.DoraTarget{}
	if err := s.client.Get(t.Context(), key, object); err != nil {
		t.Fatal(err)
	}
	if readyReason(object) != "False LedgerUnavailable" || object.Status.Summary.Counts.Succeeded != 1 {
		t.Errorf("%s, %+v", readyReason(object), object.Status.Summary)
	}
	s.store.err = nil
	if object, _ := s.look("all"); readyReason(object) != "True Followed" {
		t.Error(readyReason(object))
	}
}

func TestALedgerThatCannotBeWrittenIsSaidToo(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", nil)
	recorder := s.reconciler.Memory.(*record.Recorder)
	full := errors.New("disk is full")
	s.store.err = full
	if err := recorder.Release(t.Context(), dora.Subject{UID: "cart"}, map[string]string{"new": "label"}); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	if err := recorder.Check(t.Context()); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	s.store.err = nil
	if object, _ := s.look("all"); readyReason(object) != "True Followed" {
		t.Error(readyReason(object))
	}
}

func TestATargetThatIsRefusedShowsNothing(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {namespaces: [bank]}}`), target(t, "bands", `{applications: {}, bands: {overrides: {recovery: {elite: soon}}}}`))
	for name, want := range map[string]string{"all": "False NamespaceNotAllowed", "bands": "False InvalidSpec"} {
		object, result := s.look(name)
		if readyReason(object) != want || object.Status.Display == nil || object.Status.Summary != nil || result.RequeueAfter != 0 {
			t.Errorf("%s: %s, %+v", name, readyReason(object), object.Status)
		}
		if !meta.IsStatusConditionTrue(object.Status.Conditions, dorav1alpha1.ConditionStalled) {
			t.Errorf("%s: conditions %+v", name, object.Status.Conditions)
		}
	}
}

func TestKindsThatAreMissingAreSaid(t *testing.T) {
	s := newStory(t, target(t, "rollouts", `{rollouts: {}}`), target(t, "both", `{applications: {}, rollouts: {}}`), application("cart", nil))
	s.keep("cart", nil)
	if object, _ := s.look("rollouts"); readyReason(object) != "False ArgoCRDsMissing" {
		t.Error(readyReason(object))
	}
	if object, _ := s.look("both"); readyReason(object) != "True Followed" {
		t.Error(readyReason(object))
	}
}

func TestATargetThatIsGoneLeavesNoMetrics(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.look("all")
	if len(s.reconciler.Metrics.targets) != 1 {
		t.Fatal("it has no metrics")
	}
	if err := s.client.Delete(t.Context(), target(t, "all", `{applications: {}}`)); err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: "shop", Name: "all"}
	if _, err := s.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	if len(s.reconciler.Metrics.targets) != 0 {
		t.Error("its metrics are left")
	}
}
