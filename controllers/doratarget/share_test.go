package doratarget

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
)

func doraSink(t *testing.T, name, spec string) *dorav1alpha1.DoraSink {
	t.Helper()
	object := &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("sink-" + name)}}
	if err := yaml.UnmarshalStrict([]byte(spec), &object.Spec); err != nil {
		t.Fatal(err)
	}
	return object
}

// told are the figures that a sink was given, in words.
func (s *story) told(name string) []string {
	var words []string
	for _, f := range s.shared["shop/"+name] {
		lead := "–"
		if f.LeadTimeP50 != nil {
			lead = fmt.Sprintf("%gh", *f.LeadTimeP50/3600)
		}
		words = append(words, fmt.Sprintf("%s %s%s%s primary=%t: %d of %d services, lead time %s", f.Scope, f.Team, "/", f.Service, f.Primary, f.Deployments, f.Services, lead))
	}
	return words
}

// after makes a success whose first commit was so long before it.
func after(at time.Time, lead time.Duration) dora.Event {
	e := succeeded(at)
	e.Enrich(dora.CommitFacts{FirstCommit: "f", FirstCommitAt: at.Add(-lead)})
	return e
}

// TestFiguresForSinks: cart was deployed twice, search once, both of team shop; quiet is of no team. The percentiles of the team are over all
// three deployments: 2h is the middle of 1h, 2h and 6h.
func TestFiguresForSinks(t *testing.T) {
	labels := map[string]string{"team": "shop"}
	ofShop := func(row *ledger.Subject) { row.Labels, row.Team = labels, "shop" }
	all, older := target(t, "all", `{applications: {}, sinks: [port, events]}`), target(t, "older", `{applications: {matchLabels: {app: quiet}}}`)
	older.CreationTimestamp = metav1.NewTime(epoch.Add(-2 * time.Hour))
	quiet := map[string]string{"app": "quiet"}
	s := newStory(t, []client.Object{
		all, older, application("cart", labels), application("search", labels), application("quiet", quiet),
		doraSink(t, "port", `{type: Stdout}`), doraSink(t, "events", `{type: Stdout, sends: [Events]}`),
		doraSink(t, "fallback", `{type: Stdout, default: true}`),
	}...)
	s.keep("cart", ofShop, after(epoch.Add(-48*time.Hour), time.Hour), after(epoch.Add(-24*time.Hour), 2*time.Hour))
	s.keep("search", ofShop, after(epoch.Add(-3*time.Hour), 6*time.Hour))
	s.keep("quiet", func(row *ledger.Subject) { row.Labels = quiet })

	s.look("all")
	if diff := cmp.Diff([]string{
		"service /quiet primary=false: 0 of 1 services, lead time –",
		"service shop/cart primary=true: 2 of 1 services, lead time 1.5h",
		"service shop/search primary=true: 1 of 1 services, lead time 6h",
		"target / primary=true: 3 of 3 services, lead time 2h",
		"team shop/ primary=true: 3 of 2 services, lead time 2h",
	}, s.told("port")); diff != "" {
		t.Error(diff)
	}
	for _, f := range s.shared["shop/port"] {
		if (f.Standing != nil) != (f.Scope == sink.ScopeTeam) {
			t.Errorf("%s %s: %+v", f.Scope, f.Service, f.Standing)
		}
		// 2 and 1 in 30 days are 0.47 and 0.23 a week, and 3 in 60 days are more than none.
		want := &sink.Standing{Spread: fourkeys.Spread{Medium: 1, Low: 1}, Drags: []string{"search", "cart"}, Trends: fourkeys.Trends{Frequency: fourkeys.Better}}
		if diff := cmp.Diff(want, f.Standing); f.Scope == sink.ScopeTeam && diff != "" {
			t.Error(diff)
		}
	}
	s.look("older")
	if diff := cmp.Diff([]string{
		"service /quiet primary=true: 0 of 1 services, lead time –",
		"target / primary=true: 0 of 1 services, lead time –",
	}, s.told("fallback")); diff != "" {
		t.Error(diff)
	}
	if _, given := s.shared["shop/events"]; given {
		t.Error("a sink that takes no metrics was given some")
	}
}
