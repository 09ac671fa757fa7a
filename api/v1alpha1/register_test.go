package v1alpha1

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestSchemeKnowsTheKind(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"DoraTarget", "DoraTargetList"} {
		if !scheme.Recognizes(GroupVersion.WithKind(kind)) {
			t.Errorf("%s is not known", kind)
		}
	}
}

// What is left out in Go must reach the server as left out, or the server would not fill in its default.
func TestAbsentStaysAbsent(t *testing.T) {
	bare := DoraTarget{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: DoraTargetSpec{Applications: &SubjectSelector{}}}
	got, err := json.Marshal(bare)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"metadata":{"name":"x"},"spec":{"applications":{}}}`, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestDeepCopySharesNothing(t *testing.T) {
	original := &DoraTarget{Spec: DoraTargetSpec{Applications: everyOperator()}}
	original.Status.SetServices([]ServiceStatus{{Service: "a", Figures: Figures{LeadTime: LeadTimeFigure{P50Seconds: new(int64(1))}}}})
	twin := original.DeepCopy()
	if diff := cmp.Diff(original, twin); diff != "" {
		t.Fatal(diff)
	}
	twin.Spec.Applications.MatchLabels["team"] = "other"
	*twin.Status.Services[0].LeadTime.P50Seconds = 2
	if original.Spec.Applications.MatchLabels["team"] != "payments" || *original.Status.Services[0].LeadTime.P50Seconds != 1 {
		t.Error("the copy shares with its original")
	}
}
