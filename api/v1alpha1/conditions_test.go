package v1alpha1

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// readyStates are all constructors of Ready, and the abnormal condition that goes with each.
var readyStates = map[string]struct {
	ready    metav1.Condition
	status   metav1.ConditionStatus
	abnormal string
}{
	"followed":              {Followed(ObservedSubjects{Applications: 3, Rollouts: 1}), metav1.ConditionTrue, ""},
	"starting":              {Starting(), metav1.ConditionUnknown, ConditionReconciling},
	"CRDs missing":          {ArgoCRDsMissing("Rollout", "Application"), metav1.ConditionFalse, ConditionReconciling},
	"nothing selected":      {NothingSelected(), metav1.ConditionFalse, ConditionReconciling},
	"ledger unavailable":    {LedgerUnavailable(), metav1.ConditionFalse, ConditionReconciling},
	"namespace not allowed": {NamespaceNotAllowed("own", "b", "a"), metav1.ConditionFalse, ConditionStalled},
	"clusters not allowed":  {ClustersNotAllowed("own"), metav1.ConditionFalse, ConditionStalled},
	"invalid spec":          {InvalidSpec(errors.New("spec.window: no")), metav1.ConditionFalse, ConditionStalled},
	"suspended":             {Suspended(), metav1.ConditionFalse, ""},
}

func TestSetConditionsFollowsKstatus(t *testing.T) {
	for from := range readyStates {
		for to, want := range readyStates {
			var s DoraTargetStatus
			s.SetConditions(1, readyStates[from].ready)
			s.SetConditions(2, want.ready)

			ready := meta.FindStatusCondition(s.Conditions, ConditionReady)
			if ready == nil || ready.Status != want.status || ready.ObservedGeneration != 2 || s.ObservedGeneration != 2 {
				t.Errorf("from %s to %s: Ready is %+v", from, to, ready)
			}
			for _, kind := range []string{ConditionReconciling, ConditionStalled} {
				abnormal := meta.FindStatusCondition(s.Conditions, kind)
				if (abnormal != nil) != (kind == want.abnormal) {
					t.Errorf("from %s to %s: %s is %+v", from, to, kind, abnormal)
				}
				if abnormal != nil && (abnormal.Status != metav1.ConditionTrue || abnormal.Reason != ready.Reason || abnormal.Message != ready.Message) {
					t.Errorf("from %s to %s: %s does not say what Ready says: %+v", from, to, kind, abnormal)
				}
			}
		}
	}
}

func TestSetConditionsTellsWhetherAnythingChanged(t *testing.T) {
	var s DoraTargetStatus
	gap := HistoryGap(2)
	steps := []struct {
		what  string
		set   func() bool
		wants bool
	}{
		{"the first time", func() bool { return s.SetConditions(1, NothingSelected()) }, true},
		{"again", func() bool { return s.SetConditions(1, NothingSelected()) }, false},
		{"another generation", func() bool { return s.SetConditions(2, NothingSelected()) }, true},
		{"another state", func() bool { return s.SetConditions(2, Followed(ObservedSubjects{})) }, true},
		{"a note", func() bool { return s.SetConditions(2, Followed(ObservedSubjects{}), gap) }, true},
		{"the note again", func() bool { return s.SetConditions(2, Followed(ObservedSubjects{}), gap) }, false},
		{"no note any more", func() bool { return s.SetConditions(2, Followed(ObservedSubjects{})) }, true},
	}
	for _, step := range steps {
		if got := step.set(); got != step.wants {
			t.Errorf("%s: changed is %v", step.what, got)
		}
	}
	if len(s.Conditions) != 1 {
		t.Errorf("something is left: %+v", s.Conditions)
	}
}

func TestConditionsKeepTheirTransitionTime(t *testing.T) {
	var s DoraTargetStatus
	s.SetConditions(1, Followed(ObservedSubjects{Applications: 1}))
	before := s.Conditions[0].LastTransitionTime
	before.Time = before.Add(-60_000_000_000)
	s.Conditions[0].LastTransitionTime = before
	s.SetConditions(2, Followed(ObservedSubjects{Applications: 2}))
	if !s.Conditions[0].LastTransitionTime.Equal(&before) {
		t.Error("Ready stayed True and its transition time moved")
	}
}

func TestMessages(t *testing.T) {
	owners := []PolicyOwner{
		{Namespace: "b", Name: "x", Objects: 1, Fields: []string{"images"}},
		{Namespace: "a", Name: "y", Objects: 3, Fields: []string{"images", "degradedFor"}},
		{Namespace: "a", Name: "x", Objects: 3, Fields: []string{"images", "degradedFor"}},
	}
	for name, tc := range map[string]struct {
		condition metav1.Condition
		want      string
	}{
		"one and many": {Followed(ObservedSubjects{Applications: 1, Rollouts: 2}), "Following 1 Application and 2 Rollouts"},
		"a missing kind": {
			Followed(ObservedSubjects{Applications: 2}, "Rollout"),
			"Following 2 Applications and 0 Rollouts; Rollout not installed in this cluster, picked up when that changes",
		},
		"lists are sorted": {
			NamespaceNotAllowed("own", "b", "a"),
			"This target may see namespace own only, not a, b; remove them from namespaces, or ask the administrator to trust namespace own",
		},
		"one owner": {
			PolicyOwnedByAnother(owners[0]),
			"1 object is judged by the older DoraTarget b/x, which differs in images; make these fields equal, or narrow a selector so that the targets do not overlap",
		},
		"the owner of most, the first by name of equals": {
			PolicyOwnedByAnother(owners[0], owners[1:]...),
			"3 objects are judged by the older DoraTarget a/x (and 2 other targets), which differs in degradedFor, images; make these fields equal, or narrow a selector so that the targets do not overlap",
		},
		"one deployment without commits": {
			CommitsUnresolved("RateLimited", 1, "github.com asked to be left alone"),
			"1 deployment waits for commits, tried again and again: github.com asked to be left alone",
		},
		"several deployments without commits": {
			CommitsUnresolved("SecretNotUsable", 3, "there is no Secret shop/git: create it"),
			"3 deployments wait for commits, tried again and again: there is no Secret shop/git: create it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.condition.Message); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCommitsUnresolvedLeavesReadyAsItIs(t *testing.T) {
	var s DoraTargetStatus
	waiting := CommitsUnresolved("Unreachable", 2, "git.example.com does not answer")
	s.SetConditions(4, Followed(ObservedSubjects{Applications: 1}), HistoryGap(1), waiting)
	got := meta.FindStatusCondition(s.Conditions, ConditionCommitsUnresolved)
	if got == nil || got.Status != metav1.ConditionTrue || got.Reason != "Unreachable" || got.ObservedGeneration != 4 {
		t.Errorf("CommitsUnresolved is %+v", got)
	}
	if len(s.Conditions) != 3 || !meta.IsStatusConditionTrue(s.Conditions, ConditionReady) {
		t.Errorf("beside it there are %+v", s.Conditions)
	}
	if !s.SetConditions(4, Followed(ObservedSubjects{Applications: 1}), HistoryGap(1)) {
		t.Error("its end is no change")
	}
	if meta.FindStatusCondition(s.Conditions, ConditionCommitsUnresolved) != nil {
		t.Error("it is still there")
	}
}

func TestFollowedInArgoNamesAFewServices(t *testing.T) {
	for want, services := range map[string][]string{
		"the deployments of a, b, so":                         {"b", "a"},
		"the deployments of a, b, c, d, e and 1 other, so":    {"f", "e", "d", "c", "b", "a"},
		"the deployments of a, b, c, d, e and 2 others, so":   {"g", "f", "e", "d", "c", "b", "a"},
		"counted; stop to report them, or narrow spec.report": {"a"},
	} {
		if got := FollowedInArgo(services...); !strings.Contains(got.Message, want) {
			t.Errorf("%q does not say %q", got.Message, want)
		}
	}
}

// Every state that is not in order tells what to do next, in the same words each time.
func TestEveryStateTellsTheNextStep(t *testing.T) {
	verbs := []string{"look at", "install", "label", "change", "remove", "Correct", "set", "make", "keep"}
	states := map[string]metav1.Condition{"overridden": PolicyOwnedByAnother(PolicyOwner{}), "gap": HistoryGap(1)}
	for name, state := range readyStates {
		if state.status != metav1.ConditionTrue {
			states[name] = state.ready
		}
	}
	for name, condition := range states {
		tells := false
		for _, verb := range verbs {
			tells = tells || strings.Contains(condition.Message, verb+" ")
		}
		if !tells {
			t.Errorf("%s does not say what to do next: %s", name, condition.Message)
		}
		if strings.HasSuffix(condition.Message, ".") || strings.Contains(condition.Message, "\n") {
			t.Errorf("%s is not one line: %s", name, condition.Message)
		}
	}
}

func TestWorsenedNamesWhatIsWorse(t *testing.T) {
	var many []AlertStatus
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		many = append(many, AlertStatus{Reason: AlertServiceFell, Service: name, Environment: "prod", BeforeBand: BandElite, Band: BandLow})
	}
	median := AlertStatus{Reason: AlertTeamWorsened, Team: "shop", Environment: "prod", Metric: MetricRecovery}
	ended := AlertStatus{Reason: AlertServiceFell, Service: "x", Ended: &metav1.Time{}}
	for want, got := range map[string]metav1.Condition{
		"False NothingWorsened No service is in a lower band than over the window before, and no median of a team worsened by what spec.alerts says": Worsened(
			[]AlertStatus{ended}, 0),
		"True TeamWorsened Medians of teams that worsened: shop in prod (Recovery)": Worsened([]AlertStatus{ended, median}, 0),
		"True ServiceFell In a lower band than over the window before: a in prod (Elite to Low), b in prod (Elite to Low), c in prod (Elite to Low), " +
			"d in prod (Elite to Low), e in prod (Elite to Low) and 1 other; Medians of teams that worsened: shop in prod (Recovery); 7 more, beyond the 100 of status.alerts": Worsened(append(many, median), 7),
	} {
		if said := string(got.Status) + " " + got.Reason + " " + got.Message; said != want {
			t.Errorf("%s, want %s", said, want)
		}
	}
}
