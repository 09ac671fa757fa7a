package v1alpha1

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
)

func TestTimings(t *testing.T) {
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		spec DoraTargetSpec
		want Timings
	}{
		"an empty spec has the defaults of the schema": {
			want: Timings{DegradedFor: time.Minute, FailureWindow: time.Hour, VerdictTimeout: day, Window: 30 * day, StatusInterval: 10 * time.Second},
		},
		"what is set counts": {
			spec: DoraTargetSpec{DegradedFor: "0s", FailureWindow: "2h", VerdictTimeout: "3d", Window: "1d12h", StatusInterval: "1m30s"},
			want: Timings{DegradedFor: 0, FailureWindow: 2 * time.Hour, VerdictTimeout: 3 * day, Window: 36 * time.Hour, StatusInterval: 90 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.spec.Timings()
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}

	_, err := (&DoraTargetSpec{Window: "1 month"}).Timings()
	if err == nil || !strings.Contains(err.Error(), `spec.window: "1 month" is no duration`) {
		t.Errorf("the error does not name the field: %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, tc := range map[string]struct {
		spec   DoraTargetSpec
		labels map[string]string
		want   [3]string // service, team, environment
	}{
		"without labels": {
			want: [3]string{"checkout-eu", "", "production"},
		},
		"by the labels that everyone uses": {
			labels: map[string]string{"service": "checkout", "app.kubernetes.io/part-of": "shop", "team": "a", "environment": "prod", "env": "p"},
			want:   [3]string{"checkout", "a", "prod"},
		},
		"by the second choice": {
			labels: map[string]string{"app.kubernetes.io/part-of": "shop", "env": "p"},
			want:   [3]string{"shop", "", "p"},
		},
		"an empty label is as good as none": {
			labels: map[string]string{"service": "", "app.kubernetes.io/part-of": "shop", "environment": ""},
			want:   [3]string{"shop", "", "production"},
		},
		"by fixed values, whatever the labels say": {
			spec:   DoraTargetSpec{Service: NameSource{Value: "s"}, Team: NameSource{Value: "t"}, Environment: NameSource{Value: "e"}},
			labels: map[string]string{"service": "checkout", "team": "a", "environment": "prod"},
			want:   [3]string{"s", "t", "e"},
		},
		"by labels of one's own": {
			spec:   DoraTargetSpec{Service: NameSource{FromLabel: "x/s"}, Team: NameSource{FromLabel: "x/t"}, Environment: NameSource{FromLabel: "x/e"}},
			labels: map[string]string{"x/s": "s", "x/t": "t", "x/e": "e", "service": "checkout", "team": "a", "environment": "prod"},
			want:   [3]string{"s", "t", "e"},
		},
		"by the default where one's own label is missing": {
			spec:   DoraTargetSpec{Service: NameSource{FromLabel: "x/s"}, Team: NameSource{FromLabel: "x/t"}, Environment: NameSource{FromLabel: "x/e"}},
			labels: map[string]string{"service": "checkout", "team": "a"},
			want:   [3]string{"checkout", "a", "production"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := [3]string{tc.spec.ServiceOf("checkout-eu", tc.labels), tc.spec.TeamOf(tc.labels), tc.spec.EnvironmentOf(tc.labels)}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	bare, both := DoraTargetSpec{}, DoraTargetSpec{Changes: []ChangeKind{ChangeImage, ChangeConfig}}
	if !bare.Counts(ChangeImage) || bare.Counts(ChangeConfig) || !both.Counts(ChangeImage) || !both.Counts(ChangeConfig) {
		t.Error("images always count, and config where it is listed")
	}
}

func TestLabelSelector(t *testing.T) {
	for name, tc := range map[string]struct {
		selector *SubjectSelector
		want     string
	}{
		"no selector selects nothing":         {nil, ""},
		"an empty selector selects all":       {&SubjectSelector{}, ""},
		"namespaces are no labels":            {&SubjectSelector{Namespaces: []NamespaceName{"a"}}, ""},
		"labels and expressions all together": {everyOperator(), "a in (x,y),b,!c,d notin (z),team=payments"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.selector.LabelSelector()
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got.Matches(labels.Set{"any": "thing"}) != (tc.selector != nil && tc.want == "") {
				t.Error("it selects what it should not, or not what it should")
			}
		})
	}

	if _, err := (&SubjectSelector{MatchLabels: map[string]LabelValue{"a//b": "x"}}).LabelSelector(); err == nil {
		t.Error("a key that the schema cannot rule out is no error")
	}
}

func everyOperator() *SubjectSelector {
	return &SubjectSelector{
		MatchLabels: map[string]LabelValue{"team": "payments"},
		MatchExpressions: []LabelRequirement{
			{Key: "a", Operator: LabelIn, Values: []LabelValue{"y", "x"}},
			{Key: "b", Operator: LabelExists},
			{Key: "c", Operator: LabelDoesNotExist},
			{Key: "d", Operator: LabelNotIn, Values: []LabelValue{"z"}},
		},
	}
}

func TestNamespaceNames(t *testing.T) {
	var none *SubjectSelector
	if len(none.NamespaceNames()) > 0 || len((&SubjectSelector{}).NamespaceNames()) > 0 {
		t.Error("namespaces come from nowhere")
	}
	got := (&SubjectSelector{Namespaces: []NamespaceName{"b", "a"}}).NamespaceNames()
	if diff := cmp.Diff([]string{"b", "a"}, got); diff != "" {
		t.Error(diff)
	}
}
