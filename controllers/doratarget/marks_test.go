package doratarget

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/mark"
)

// annotate replaces what a target says of events; the keys are their ids.
func (s *story) annotate(name string, said map[string]string) {
	s.Helper()
	object := &dorav1alpha1.DoraTarget{}
	if err := s.client.Get(s.Context(), types.NamespacedName{Namespace: "shop", Name: name}, object); err != nil {
		s.Fatal(err)
	}
	object.Annotations = map[string]string{}
	for id, text := range said {
		object.Annotations[mark.Prefix+id] = text
	}
	if err := s.client.Update(s.Context(), object); err != nil {
		s.Fatal(err)
	}
}

// respec changes the spec of a target.
func (s *story) respec(name string, change func(*dorav1alpha1.DoraTargetSpec)) {
	s.Helper()
	object := &dorav1alpha1.DoraTarget{}
	if err := s.client.Get(s.Context(), types.NamespacedName{Namespace: "shop", Name: name}, object); err != nil {
		s.Fatal(err)
	}
	change(&object.Spec)
	object.Generation++
	if err := s.client.Update(s.Context(), object); err != nil {
		s.Fatal(err)
	}
}

// history is all that was ever said, as verdict by whom.
func (s *story) said() []string {
	s.Helper()
	marks, err := s.store.Marks(s.Context(), ledger.MarkQuery{})
	if err != nil {
		s.Fatal(err)
	}
	var all []string
	for _, m := range marks {
		all = append(all, strings.TrimSpace(string(m.Mark.Verdict)+" by "+m.Mark.By))
	}
	return all
}

func (s *story) revision() int64 {
	s.Helper()
	revision, err := s.store.Revision(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return revision
}

func (s *story) expect(got, want any) {
	s.Helper()
	if d := cmp.Diff(want, got); d != "" {
		s.Errorf("(-want +got)\n%s", d)
	}
}

func refusal(object *dorav1alpha1.DoraTarget) string {
	if c := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionMarksRefused); c != nil {
		return c.Reason + " " + c.Message
	}
	return ""
}

func failedAt(at time.Time) dora.Event {
	e := succeeded(at)
	e.Outcome, e.Success = dora.Failed, new(false)
	return e
}

const cartAt11 = "cart-deploy-2026-11-01T11:00:00Z"

func TestAnAnnotationMarksAnEvent(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, sinks: [lake]}`), application("cart", nil))
	s.keep("cart", nil, failedAt(epoch.Add(-time.Hour)))
	object, _ := s.look("all")
	s.expect(object.Status.Marks, (*dorav1alpha1.MarkCounts)(nil))

	s.annotate("all", map[string]string{cartAt11: "not-a-failure by ada at 2026-11-01T11:30:00Z: the quota was too small"})
	object, _ = s.look("all")
	s.expect(object.Status.Marks, &dorav1alpha1.MarkCounts{Said: 1, Observed: mark.Hash(object.Annotations)})
	s.expect([]int64{object.Status.Summary.Counts.Succeeded, object.Status.Summary.Counts.Failed}, []int64{1, 0})
	s.expect(refusal(object), "")
	s.expect(s.owed, []string{"shop/lake"})
	marks, err := s.store.Marks(t.Context(), ledger.MarkQuery{})
	if err != nil {
		t.Fatal(err)
	}
	s.expect(marks[0].Mark, dora.Mark{
		EventID: cartAt11, Verdict: dora.NotAFailure, Reason: "the quota was too small", By: "ada", At: epoch.Add(-30 * time.Minute),
		Source: "DoraTarget shop/all",
	})

	before := s.revision()
	for range 3 {
		s.clock.Step(time.Minute)
		s.look("all")
	}
	s.expect(s.revision(), before)

	s.annotate("all", nil)
	object, _ = s.look("all")
	s.expect(object.Status.Marks, (*dorav1alpha1.MarkCounts)(nil))
	s.expect([]int64{object.Status.Summary.Counts.Succeeded, object.Status.Summary.Counts.Failed}, []int64{0, 1})
	s.expect(s.said(), []string{"not-a-failure by ada", "by removal from DoraTarget shop/all"})
}

// Taking back is said as a mark is, by whom and why; once it is said nothing more is to be done, and the annotation can go.
func TestAnAnnotationTakesAMarkBack(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, sinks: [lake]}`), application("cart", nil))
	s.keep("cart", nil, failedAt(epoch.Add(-time.Hour)))
	s.annotate("all", map[string]string{cartAt11: "ignore by ada at 2026-11-01T11:30:00Z: a drill"})
	object, _ := s.look("all")
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{})

	s.owed = nil
	s.annotate("all", map[string]string{cartAt11: "withdrawn by bob at 2026-11-01T11:45:00Z: users met it"})
	object, _ = s.look("all")
	s.expect(object.Status.Marks, &dorav1alpha1.MarkCounts{Observed: mark.Hash(object.Annotations)})
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{Failed: 1})
	s.expect(refusal(object), "")
	s.expect(s.owed, []string{"shop/lake"})
	marks, err := s.store.Marks(t.Context(), ledger.MarkQuery{})
	if err != nil || len(marks) != 2 {
		t.Fatalf("%v, %v", marks, err)
	}
	s.expect(marks[1].Mark, dora.Mark{
		EventID: cartAt11, Reason: "users met it", By: "bob", At: epoch.Add(-15 * time.Minute), Source: "DoraTarget shop/all",
	})

	s.annotate("all", nil)
	object, _ = s.look("all")
	s.expect(object.Status.Marks, (*dorav1alpha1.MarkCounts)(nil))
	s.expect(s.said(), []string{"ignore by ada", "by bob"})
}

func TestAFreezeMarksWhatComesAndGoesWithIt(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, freezes: [{name: fair, from: "2026-11-01T11:00:00Z", to: "2026-11-01T13:00:00Z", reason: a fair}]}`),
		application("cart", nil))
	s.keep("cart", nil, succeeded(epoch.Add(-2*time.Hour)), failedAt(epoch.Add(-time.Hour)))
	object, _ := s.look("all")
	s.expect(object.Status.Marks, &dorav1alpha1.MarkCounts{Frozen: 1})
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{Succeeded: 1})

	s.clock.Step(10 * time.Minute)
	s.keep("cart", nil, dora.Event{Type: dora.TypeDegraded, FailureID: "f", OccurredAt: s.clock.Now()})
	object, _ = s.look("all")
	s.expect(object.Status.Marks.Frozen, int64(2))
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{Succeeded: 1})

	s.annotate("all", map[string]string{cartAt11: "failure by ada: customers saw it"})
	object, _ = s.look("all")
	s.expect([]int64{object.Status.Marks.Said, object.Status.Marks.Frozen}, []int64{1, 1})
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{Succeeded: 1, Failed: 1})

	s.respec("all", func(spec *dorav1alpha1.DoraTargetSpec) { spec.Freezes = nil })
	object, _ = s.look("all")
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{Succeeded: 1, Failed: 1, Incidents: 1, OpenFailures: 1})
	s.expect(s.said(), []string{"ignore by freeze fair", "failure by ada", "ignore by freeze fair", "by DoraTarget shop/all"})
}

// Two targets select the same object. The older one's word counts, and a third, which does not select it, learns nothing of it.
func TestTheWordOfTheOldestTargetCounts(t *testing.T) {
	older := target(t, "older", `{applications: {}, freezes: [{name: fair, from: "2026-11-01T10:00:00Z", to: "2026-11-01T10:30:00Z", reason: a fair}]}`)
	older.CreationTimestamp = metav1.NewTime(epoch.Add(-48 * time.Hour))
	other := target(t, "other", `{applications: {matchLabels: {team: blue}}}`)
	s := newStory(t, older, target(t, "younger", `{applications: {}}`), other, application("cart", nil))
	s.keep("cart", nil, failedAt(epoch.Add(-time.Hour)))
	said := map[string]string{cartAt11: "ignore: none of your business"}
	s.annotate("younger", said)
	s.annotate("other", said)

	object, _ := s.look("younger")
	s.expect(refusal(object), "EventOfAnother Annotation mark.dora-controller.io/"+cartAt11+
		" marks nothing: the word of the older DoraTarget shop/older counts for that object; mark it there")
	s.expect(object.Status.Marks.Refused, int64(1))
	object, _ = s.look("other")
	s.expect(refusal(object), "EventNotFound Annotation mark.dora-controller.io/"+cartAt11+
		" marks nothing: the ledger has no event of that id that this target counts")
	s.respec("younger", func(spec *dorav1alpha1.DoraTargetSpec) {
		spec.Freezes = []dorav1alpha1.Freeze{{Name: "mine", From: metav1.NewTime(epoch.Add(-2 * time.Hour)), To: metav1.NewTime(epoch), Reason: "x"}}
	})
	object, _ = s.look("younger")
	s.expect(object.Status.Marks.Frozen, int64(0))
	s.expect(s.said(), []string(nil))

	s.annotate("older", said)
	s.look("older")
	s.expect(s.said(), []string{"ignore by DoraTarget shop/older"})
	s.expect(s.looks, []string{"younger"})
	object, _ = s.look("younger")
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{})
}

func TestTheNextTargetTakesBackWhatOneSaidThatIsGone(t *testing.T) {
	older := target(t, "older", `{applications: {}}`)
	older.CreationTimestamp = metav1.NewTime(epoch.Add(-48 * time.Hour))
	s := newStory(t, older, target(t, "younger", `{applications: {}}`), application("cart", nil))
	s.keep("cart", nil, failedAt(epoch.Add(-time.Hour)))
	s.annotate("older", map[string]string{cartAt11: "ignore: a drill"})
	s.look("older")
	s.look("younger")
	s.expect(s.said(), []string{"ignore by DoraTarget shop/older"})
	if err := s.client.Delete(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	object, _ := s.look("younger")
	s.expect(s.said(), []string{"ignore by DoraTarget shop/older", "by DoraTarget shop/younger"})
	s.expect(object.Status.Summary.Counts, dorav1alpha1.Counts{Failed: 1})
}

// What cannot be written is said again; nothing is lost and nothing is there twice.
func TestAMarkThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", nil, failedAt(epoch.Add(-time.Hour)))
	s.look("all")
	s.annotate("all", map[string]string{cartAt11: "ignore: a drill"})
	s.store.err = errors.New("the disk is full")
	s.reconciler.pace.forget()
	if _, err := s.reconciler.Reconcile(t.Context(), requestFor("all")); err == nil {
		t.Error("a ledger that takes nothing was no error")
	}
	s.store.err = nil
	s.expect(s.said(), []string(nil))
	s.look("all")
	s.look("all")
	s.expect(s.said(), []string{"ignore by DoraTarget shop/all"})
}

func TestASuspendedTargetSaysNothing(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, suspend: true}`), application("cart", nil))
	s.keep("cart", nil, failedAt(epoch.Add(-time.Hour)))
	s.annotate("all", map[string]string{cartAt11: "ignore: a drill"})
	s.look("all")
	s.expect(s.said(), []string(nil))
}

func TestAnObjectThatIsSelectedNoMoreIsAsArgoToldIt(t *testing.T) {
	labels := map[string]string{"team": "red"}
	s := newStory(t, target(t, "all", `{applications: {matchLabels: {team: red}}}`), application("cart", maps.Clone(labels)))
	s.keep("cart", func(row *ledger.Subject) { row.Labels = labels }, failedAt(epoch.Add(-time.Hour)))
	s.annotate("all", map[string]string{cartAt11: "ignore: a drill"})
	s.look("all")
	s.respec("all", func(spec *dorav1alpha1.DoraTargetSpec) {
		spec.Applications.MatchLabels = map[string]dorav1alpha1.LabelValue{"team": "blue"}
	})
	object, _ := s.look("all")
	s.expect(strings.HasPrefix(refusal(object), "EventNotFound"), true)
	s.expect(s.said(), []string{"ignore by DoraTarget shop/all", "by DoraTarget shop/all"})
	if slices.Contains(s.looks, "all") {
		t.Error("a target asks to be looked at again by itself")
	}
}

// An older target that counts incidents, of other services, does not keep a younger one from marking what is reported of its own.
func TestWhoCountsAReportedServiceHasTheWord(t *testing.T) {
	older := target(t, "older", `{applications: {}, incidents: {}}`)
	older.CreationTimestamp = metav1.NewTime(epoch.Add(-48 * time.Hour))
	s := newStory(t, older, target(t, "younger", `{reported: {services: [payments]}, incidents: {}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(ago(300)))
	s.look("older")
	failed := deployed("payments", "1", 120)
	failed.Deployment.Success = false
	id := s.take(ci, failed)[0]
	s.annotate("younger", map[string]string{id: "not-a-failure by ada: a drill"})
	object, _ := s.look("younger")
	s.expect(refusal(object), "")
	s.expect(s.said(), []string{"not-a-failure by ada"})

	s.annotate("older", map[string]string{id: "failure by eve: it was"})
	object, _ = s.look("older")
	s.expect(refusal(object), "EventNotFound Annotation mark.dora-controller.io/"+id+" marks nothing: the ledger has no event of that id that this target counts")
}
