package doratarget

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func fell(service string, to dorav1alpha1.Band) dorav1alpha1.AlertStatus {
	return dorav1alpha1.AlertStatus{
		Reason: dorav1alpha1.AlertServiceFell, Service: service, Environment: "prod", BeforeBand: dorav1alpha1.BandElite, Band: to,
		Metric: dorav1alpha1.MetricChangeFailureRate,
	}
}

func slower(team string, seconds int64) dorav1alpha1.AlertStatus {
	return dorav1alpha1.AlertStatus{
		Reason: dorav1alpha1.AlertTeamWorsened, Team: team, Environment: "prod", Metric: dorav1alpha1.MetricLeadTime,
		BeforeP50Seconds: new(int64(1000)), P50Seconds: &seconds,
	}
}

// about says which alerts these are, and with a colon how bad, and whether one has ended.
func about(alerts []dorav1alpha1.AlertStatus) []string {
	said := []string{}
	for _, a := range alerts {
		text := a.Service + a.Team + ":" + string(a.Band)
		if a.P50Seconds != nil {
			text += strconv.FormatInt(*a.P50Seconds, 10)
		}
		if a.Ended != nil {
			text += " ended"
		}
		said = append(said, text)
	}
	return said
}

// TestWhatIsToldOnce: a day in steps. At each something is found to be worse; some of it is told, and the rest was.
func TestWhatIsToldOnce(t *testing.T) {
	const high, medium, low = dorav1alpha1.BandHigh, dorav1alpha1.BandMedium, dorav1alpha1.BandLow
	type list = []dorav1alpha1.AlertStatus
	var told list
	now := epoch
	for _, step := range []struct {
		what   string
		passes time.Duration
		found  list
		tell   []string
		stand  []string
	}{
		{"nothing is worse", 0, nil, []string{}, []string{}},
		{"cart falls", time.Hour, list{fell("cart", high)}, []string{"cart:High"}, []string{"cart:High"}},
		{"it stays there", time.Hour, list{fell("cart", high)}, []string{}, []string{"cart:High"}},
		{"a team worsens", time.Hour, list{fell("cart", high), slower("shop", 2000)}, []string{"shop:2000"}, []string{"cart:High", "shop:2000"}},
		{"cart falls further", time.Hour, list{fell("cart", low), slower("shop", 2000)}, []string{"cart:Low"}, []string{"cart:Low", "shop:2000"}},
		{"it gets up in part", time.Hour, list{fell("cart", medium), slower("shop", 2000)}, []string{}, []string{"cart:Low", "shop:2000"}},
		{"and falls back", time.Hour, list{fell("cart", low), slower("shop", 2500)}, []string{}, []string{"cart:Low", "shop:2000"}},
		{"the team worsens by as much again", time.Hour, list{fell("cart", low), slower("shop", 2501)}, []string{"shop:2501"}, []string{"cart:Low", "shop:2501"}},
		{"cart is up", time.Hour, list{slower("shop", 2501)}, []string{}, []string{"cart:Low ended", "shop:2501"}},
		{"and stays up", 12 * time.Hour, list{slower("shop", 2501)}, []string{}, []string{"cart:Low ended", "shop:2501"}},
		{"and falls within a day", 12*time.Hour - time.Second, list{fell("cart", low), slower("shop", 2501)}, []string{}, []string{"cart:Low", "shop:2501"}},
		{"all is well", time.Hour, nil, []string{}, []string{"cart:Low ended", "shop:2501 ended"}},
		{"for a day", 24 * time.Hour, nil, []string{}, []string{}},
		{"cart falls again", time.Hour, list{fell("cart", medium)}, []string{"cart:Medium"}, []string{"cart:Medium"}},
	} {
		now = now.Add(step.passes)
		w := remember(told, step.found, 0.25, now)
		if diff := cmp.Diff(step.tell, about(w.news)); diff != "" {
			t.Errorf("%s: tells %s", step.what, diff)
		}
		if diff := cmp.Diff(step.stand, about(w.alerts)); diff != "" {
			t.Errorf("%s: stands %s", step.what, diff)
		}
		for _, a := range w.news {
			if !a.Since.Time.Equal(now) {
				t.Errorf("%s: since %s", step.what, a.Since)
			}
		}
		told = w.alerts
	}
}

// TestTheListOfAlertsIsBounded: what has no place is not told, until another ended.
func TestTheListOfAlertsIsBounded(t *testing.T) {
	var found []dorav1alpha1.AlertStatus
	for i := range dorav1alpha1.MaxAlerts + 2 {
		found = append(found, fell(fmt.Sprintf("s-%03d", i), dorav1alpha1.BandLow))
	}
	first := remember(nil, found, 0.25, epoch)
	if len(first.alerts) != dorav1alpha1.MaxAlerts || len(first.news) != dorav1alpha1.MaxAlerts || first.omitted != 2 || first.alerts[0].Service != "s-000" {
		t.Errorf("%d stand, %d are told, %d omitted", len(first.alerts), len(first.news), first.omitted)
	}
	again := remember(first.alerts, found, 0.25, epoch.Add(time.Hour))
	if len(again.news) != 0 || again.omitted != 2 {
		t.Errorf("%v are told", about(again.news))
	}
	better := remember(again.alerts, found[1:], 0.25, epoch.Add(2*time.Hour))
	if diff := cmp.Diff([]string{"s-100:Low"}, about(better.news)); diff != "" || better.omitted != 1 || len(better.alerts) != dorav1alpha1.MaxAlerts {
		t.Errorf("%s, %d omitted", diff, better.omitted)
	}
	if slices.Contains(about(better.alerts), "s-000:Low ended") {
		t.Error("what ended keeps its place")
	}
}

// silent keeps no Kubernetes Event.
var silent = &events.FakeRecorder{}

// notices makes the Kubernetes Events of a story readable.
func (s *story) notices() func() []string {
	recorder := events.NewFakeRecorder(100)
	s.reconciler.Notices = recorder
	return func() []string {
		said := []string{}
		for {
			select {
			case e := <-recorder.Events:
				said = append(said, e)
			default:
				return said
			}
		}
	}
}

func worsened(object *dorav1alpha1.DoraTarget) string {
	if c := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionWorsened); c != nil {
		return string(c.Status) + " " + c.Reason + ": " + c.Message
	}
	return "absent"
}

// TestAFallIsToldOnce: cart of team shop is deployed daily, in the week before an hour after the first commit each time. In this week that takes
// ten hours, six times of seven, and one attempt more fails for a minute: 1 of 8 is 12.5 %, which is High. The next week is as the first.
func TestAFallIsToldOnce(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, window: 7d, alerts: {worsening: 50%}}`), application("cart", map[string]string{"team": "shop"}))
	said := s.notices()
	daily := func(from, to int, lead time.Duration) {
		for day := from; day < to; day++ {
			s.keep("cart", ofTeam("shop"), after(epoch.Add(time.Duration(day)*days+time.Hour), lead))
		}
	}
	daily(-14, -6, time.Hour)
	s.clock.SetTime(epoch.Add(-5 * days))
	object, _ := s.look("all")
	if got := worsened(object); got != "False NothingWorsened: No service is in a lower band than over the window before, and no median of a team worsened by what spec.alerts says" {
		t.Error(got)
	}
	s.clock.SetTime(epoch)
	daily(-6, 0, 10*time.Hour)
	s.keep("cart", ofTeam("shop"), broke(epoch.Add(-time.Hour), "cart", time.Minute)...)
	object, _ = s.look("all")
	if diff := cmp.Diff([]string{
		"Warning ServiceFell cart in production fell from Elite to High by its ChangeFailureRate, compared with the window before",
		"Warning TeamWorsened LeadTime of team shop in production has the median 10h, and had 1h over the window before",
	}, said()); diff != "" {
		t.Error(diff)
	}
	if got := worsened(object); got != "True ServiceFell: In a lower band than over the window before: cart in production (Elite to High); Medians of teams that worsened: shop in production (LeadTime)" {
		t.Error(got)
	}
	s.open() // as after a restart
	s.clock.Step(time.Minute)
	s.look("all")
	s.clock.SetTime(epoch.Add(7 * days))
	daily(0, 7, time.Hour)
	object, _ = s.look("all")
	if got := said(); len(got) > 0 || !meta.IsStatusConditionFalse(object.Status.Conditions, dorav1alpha1.ConditionWorsened) || len(object.Status.Alerts) != 2 {
		t.Errorf("told %v; %s, %+v", got, worsened(object), object.Status.Alerts)
	}
	s.clock.Step(25 * time.Hour)
	if object, _ = s.look("all"); len(object.Status.Alerts) != 0 {
		t.Errorf("remembered for more than a day: %+v", object.Status.Alerts)
	}
}

// TestFailuresOfFewAreNotTold: cart was deployed five times in the week before, which is High. Two of four deployments of this week break, which
// is no news; it is when they are two of five: 40 % is Low.
func TestFailuresOfFewAreNotTold(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, window: 7d, alerts: {}}`), application("cart", nil))
	said := s.notices()
	for _, day := range []int{-13, -12, -11, -10, -9, -5, -4} {
		s.keep("cart", nil, succeeded(epoch.Add(time.Duration(day)*days)))
	}
	s.keep("cart", nil, broke(epoch.Add(-3*days), "cart", time.Minute)...)
	s.keep("cart", nil, broke(epoch.Add(-2*days), "cart", time.Minute)...)
	object, _ := s.look("all")
	if got := said(); len(got) > 0 || !meta.IsStatusConditionFalse(object.Status.Conditions, dorav1alpha1.ConditionWorsened) {
		t.Errorf("of four: told %v; %s", got, worsened(object))
	}
	s.keep("cart", nil, succeeded(epoch.Add(-days)))
	s.look("all")
	if diff := cmp.Diff([]string{
		"Warning ServiceFell cart in production fell from High to Low by its ChangeFailureRate, compared with the window before",
	}, said()); diff != "" {
		t.Error(diff)
	}
}

// falling is a target whose only service has fallen.
func falling(t *testing.T, spec string) (*story, func() []string) {
	t.Helper()
	s := newStory(t, target(t, "all", spec), application("cart", nil))
	said := s.notices()
	for day := range 7 {
		s.keep("cart", nil, succeeded(epoch.Add(time.Duration(day-14)*days)))
	}
	return s, said
}

func TestWithoutAlertsNobodyIsTold(t *testing.T) {
	s, said := falling(t, `{applications: {}, window: 7d}`)
	object, _ := s.look("all")
	if got := said(); len(got) > 0 || worsened(object) != "absent" || object.Status.Alerts != nil {
		t.Errorf("told %v; %s", got, worsened(object))
	}
	object.Spec.Alerts, object.Generation = &dorav1alpha1.Alerts{}, 2
	if err := s.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if _, _ = s.look("all"); len(said()) != 1 {
		t.Error("what has fallen when alerts are asked for is told once")
	}
	object, _ = s.look("all")
	object.Spec.Alerts, object.Generation = nil, 3
	if err := s.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if object, _ = s.look("all"); worsened(object) != "absent" || object.Status.Alerts != nil {
		t.Errorf("%s, %v", worsened(object), object.Status.Alerts)
	}
}

// TestAnOldObjectTellsNothingTwice: the cache still has the target as it was before the last look.
func TestAnOldObjectTellsNothingTwice(t *testing.T) {
	s, said := falling(t, `{applications: {}, window: 7d, alerts: {}}`)
	old := &dorav1alpha1.DoraTarget{}
	if err := s.client.Get(t.Context(), requestFor("all").NamespacedName, old); err != nil {
		t.Fatal(err)
	}
	s.look("all")
	if got := said(); len(got) != 1 {
		t.Fatalf("told %v", got)
	}
	behind := true
	s.reconciler.Client = interceptor.NewClient(s.client.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if object, is := o.(*dorav1alpha1.DoraTarget); is && behind {
				old.DeepCopyInto(object)
				return nil
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	_, result := s.look("all")
	if got := said(); len(got) > 0 || result.RequeueAfter != settling {
		t.Errorf("told %v, looks again after %s", got, result.RequeueAfter)
	}
	behind = false
	if object, _ := s.look("all"); len(said()) > 0 || len(object.Status.Alerts) != 1 {
		t.Errorf("told twice, or nothing stands: %+v", object.Status.Alerts)
	}
}

func TestWhatStandsStillKeepsItsAlerts(t *testing.T) {
	for what, change := range map[string]func(*dorav1alpha1.DoraTarget){
		"suspended": func(o *dorav1alpha1.DoraTarget) { o.Spec.Suspend = true },
		"not allowed": func(o *dorav1alpha1.DoraTarget) {
			o.Spec.Applications.Namespaces = []dorav1alpha1.NamespaceName{"bank"}
		},
	} {
		s, said := falling(t, `{applications: {}, window: 7d, alerts: {}}`)
		s.look("all")
		said()
		object, _ := s.look("all")
		spec := object.Spec.DeepCopy()
		change(object)
		object.Generation++
		if err := s.client.Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if object, _ = s.look("all"); len(object.Status.Alerts) != 1 {
			t.Errorf("%s: %+v", what, object.Status.Alerts)
		}
		object.Spec, object.Generation = *spec, object.Generation+1
		if err := s.client.Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		object, _ = s.look("all")
		if got := said(); len(got) > 0 || !meta.IsStatusConditionTrue(object.Status.Conditions, dorav1alpha1.ConditionWorsened) {
			t.Errorf("%s: told %v, %s", what, got, worsened(object))
		}
	}
}

// TestBeforeAllIsLookedAtNothingEnds: an object that nobody looked at yet may be what the figures lack.
func TestBeforeAllIsLookedAtNothingEnds(t *testing.T) {
	s, said := falling(t, `{applications: {}, window: 7d, alerts: {}}`)
	s.look("all")
	said()
	if err := s.client.Create(t.Context(), application("search", nil)); err != nil {
		t.Fatal(err)
	}
	object := &dorav1alpha1.DoraTarget{}
	if err := s.client.Get(t.Context(), requestFor("all").NamespacedName, object); err != nil {
		t.Fatal(err)
	}
	object.Status.Alerts[0].Service = "search"
	if err := s.client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if object, _ = s.look("all"); len(said()) > 0 || object.Status.Alerts[0].Ended != nil {
		t.Errorf("%+v", object.Status.Alerts)
	}
	s.keep("search", func(row *ledger.Subject) { row.FollowedSince = epoch })
	if object, _ = s.look("all"); len(said()) != 1 || len(object.Status.Alerts) != 2 {
		t.Errorf("%+v", object.Status.Alerts)
	}
}

func TestAlertsAreMetrics(t *testing.T) {
	s, _ := falling(t, `{applications: {}, window: 7d, alerts: {}, team: {value: shop}}`)
	object, _ := s.look("all")
	if a := object.Status.Alerts; len(a) != 1 || a[0].Team != "shop" || a[0].Metric != dorav1alpha1.MetricDeploymentFrequency {
		t.Fatalf("%+v", a)
	}
	const want = `# HELP dora_target_alert 1 for what got worse and was told of, as long as it is.
# TYPE dora_target_alert gauge
dora_target_alert{environment="production",metric="DeploymentFrequency",namespace="shop",reason="ServiceFell",service="cart",target="all",team="shop"} 1
`
	if err := testutil.CollectAndCompare(s.reconciler.Metrics, strings.NewReader(want), "dora_target_alert"); err != nil {
		t.Error(err)
	}
	object.Status.Alerts[0].Ended = new(metav1.NewTime(epoch))
	s.reconciler.Metrics.Set(requestFor("all").NamespacedName, &object.Status)
	if n := testutil.CollectAndCount(s.reconciler.Metrics, "dora_target_alert"); n != 0 {
		t.Error("what ended is shown")
	}
}
