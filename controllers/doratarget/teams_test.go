package doratarget

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

const days = 24 * time.Hour

// broke makes an attempt that failed, and its failure that lasted for so long.
func broke(at time.Time, name string, lasted time.Duration) []dora.Event {
	attempt := succeeded(at)
	attempt.Outcome, attempt.Success = dora.Failed, new(false)
	id := fmt.Sprintf("%s-%s-%s", name, attempt.Type, at.Format(time.RFC3339)) // as keep names it
	began := dora.Event{Type: dora.TypeDegraded, OccurredAt: at, FailureID: "f" + id, CausedBy: id}
	ended := dora.Event{Type: dora.TypeRecovered, OccurredAt: at.Add(lasted), FailureID: "f" + id}
	return []dora.Event{attempt, began, ended}
}

// ofTeam gives a subject its team.
func ofTeam(name string) func(*ledger.Subject) {
	return func(row *ledger.Subject) { row.Labels, row.Team = map[string]string{"team": name}, name }
}

// TestTeams: the window is 14 days. Shop has cart and search, solo has one service, and quiet is of no team.
//
//	             window before                          window
//	cart         3 deployments after 1h, 2h, 3h         4 after 4h, 5h, 6h and 9h
//	search       1 after 30h; 1 failed for 2h           2 after 200h and 300h; 1 failed for 1h
//	solo         none                                   none, and was followed all the time
//
// Shop has 4 service-weeks, and what failed healed and is a deployment too. Before: 5 are 1.25 a week; 1, 2, 3, 30h have the median 2.5h = 9000s;
// 1 of 5 attempts failed; 2h = 7200s. Now: 7 are 1.75 a week; 4, 5, 6, 9, 200, 300h have the median 7.5h = 27000s; 1 of 7 is 0.1429; 3600s.
// Cart is High by its 2 a week, and Elite by its 5.5h. Search has 1.5 a week, 250h, 1 of 3 and 1h: Low by its failures.
func TestTeams(t *testing.T) {
	shop, solo := map[string]string{"team": "shop"}, map[string]string{"team": "solo"}
	s := newStory(t, []client.Object{
		target(t, "all", `{applications: {}, window: 14d}`), application("cart", shop), application("search", shop), application("solo", solo), application("quiet", nil),
	}...)
	cart := []dora.Event{
		after(epoch.Add(-27*days), 1*time.Hour), after(epoch.Add(-25*days), 2*time.Hour), after(epoch.Add(-15*days), 3*time.Hour),
		after(epoch.Add(-13*days), 4*time.Hour), after(epoch.Add(-12*days), 5*time.Hour), after(epoch.Add(-3*days), 6*time.Hour), after(epoch.Add(-1*days), 9*time.Hour),
		after(epoch.Add(-29*days), 99*time.Hour), // before both
	}
	search := []dora.Event{after(epoch.Add(-20*days), 30*time.Hour), after(epoch.Add(-10*days), 200*time.Hour), after(epoch.Add(-5*days), 300*time.Hour)}
	search = append(append(search, broke(epoch.Add(-18*days), "search", 2*time.Hour)...), broke(epoch.Add(-8*days), "search", time.Hour)...)
	s.keep("cart", ofTeam("shop"), cart...)
	s.keep("search", ofTeam("shop"), search...)
	s.keep("solo", ofTeam("solo"))
	s.keep("quiet", nil, succeeded(epoch.Add(-time.Hour)))

	object, _ := s.look("all")
	want := []dorav1alpha1.TeamStatus{{
		Team: "shop", Environment: "production", Services: 2, Band: "High",
		DeploymentFrequency: dorav1alpha1.TeamFrequency{PerWeek: "1.75", Samples: 7, Band: "High", BeforePerWeek: "1.25", Trend: "Better"},
		LeadTime:            dorav1alpha1.TeamTime{P50Seconds: new(int64(27000)), Samples: 6, Band: "Elite", BeforeP50Seconds: new(int64(9000)), Trend: "Worse"},
		ChangeFailureRate:   dorav1alpha1.TeamRatio{Ratio: "0.1429", Samples: 7, Band: "High", BeforeRatio: "0.2", Trend: "Better"},
		Recovery:            dorav1alpha1.TeamTime{P50Seconds: new(int64(3600)), Samples: 1, Band: "Elite", BeforeP50Seconds: new(int64(7200)), Trend: "Better"},
		Bands:               dorav1alpha1.BandDistribution{High: 1, Low: 1},
		Drags: []dorav1alpha1.Drag{
			{Service: "search", Band: "Low", Metric: "ChangeFailureRate"}, {Service: "cart", Band: "High", Metric: "DeploymentFrequency"},
		},
	}, {
		Team: "solo", Environment: "production", Services: 1, Band: "Low",
		DeploymentFrequency: dorav1alpha1.TeamFrequency{PerWeek: "0", Band: "Low", BeforePerWeek: "0", Trend: "Same"},
		LeadTime:            dorav1alpha1.TeamTime{Trend: "Unknown"}, ChangeFailureRate: dorav1alpha1.TeamRatio{Trend: "Unknown"},
		Recovery: dorav1alpha1.TeamTime{Trend: "Unknown"},
		Bands:    dorav1alpha1.BandDistribution{Low: 1},
		Drags:    []dorav1alpha1.Drag{{Service: "solo", Band: "Low", Metric: "DeploymentFrequency"}},
	}}
	if diff := cmp.Diff(want, object.Status.Teams); diff != "" {
		t.Error(diff)
	}
	writes := s.writes
	s.clock.Step(time.Minute)
	s.look("all")
	if s.writes != writes {
		t.Error("the status was written though nothing but time passed")
	}
}

// TestRatesOfTeamsDoNotRewriteTheStatus: a service that is followed since 16 days and has a window of 14 has a rate of before over 2 days,
// which moves at every look.
func TestRatesOfTeamsDoNotRewriteTheStatus(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, window: 14d}`), application("cart", map[string]string{"team": "shop"}))
	s.keep("cart", func(row *ledger.Subject) {
		ofTeam("shop")(row)
		row.FollowedSince = epoch.Add(-16 * days)
	}, succeeded(epoch.Add(-15*days)), succeeded(epoch.Add(-5*days)))
	object, _ := s.look("all")
	if got := object.Status.Teams[0].DeploymentFrequency; got.BeforePerWeek != "3.5" || got.Trend != dorav1alpha1.TrendWorse {
		t.Errorf("one deployment in two days is 3.5 a week: %+v", got)
	}
	writes := s.writes
	s.clock.Step(20 * time.Minute)
	s.look("all")
	if s.writes != writes {
		t.Error("written after 20 minutes")
	}
	s.clock.Step(6 * time.Hour)
	s.look("all")
	if s.writes != writes+1 {
		t.Error("not written when the rate moved by a ninth")
	}
}

func TestWithoutTeamsThereAreNone(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(epoch.Add(-days)))
	if object, _ := s.look("all"); object.Status.Teams != nil || object.Status.TeamsOmitted != 0 {
		t.Errorf("%+v", object.Status.Teams)
	}
}

// TestALongWindowHasNoTrend: twice 169 days and the margin of 30 are more than the 366 for which events are kept at least.
func TestALongWindowHasNoTrend(t *testing.T) {
	for window, want := range map[string]dorav1alpha1.Trend{"168d": dorav1alpha1.TrendSame, "169d": dorav1alpha1.TrendUnknown} {
		s := newStory(t, target(t, "all", `{applications: {}, window: `+window+`}`), application("cart", map[string]string{"team": "shop"}))
		s.keep("cart", ofTeam("shop"), succeeded(epoch.Add(-10*days)), succeeded(epoch.Add(-180*days)))
		if object, _ := s.look("all"); object.Status.Teams[0].DeploymentFrequency.Trend != want {
			t.Errorf("%s: %+v, want %s", window, object.Status.Teams[0].DeploymentFrequency, want)
		}
	}
}

// TestTheStatusOfAFleetIsSmall: the names are as long as they may be, there are more of all things than are listed, and the API server takes 1.5 MB.
func TestTheStatusOfAFleetIsSmall(t *testing.T) {
	status := &dorav1alpha1.DoraTargetStatus{}
	var teams []dorav1alpha1.TeamStatus
	var services []dorav1alpha1.ServiceStatus
	name := func(i, length int) string { return fmt.Sprintf("%03d", i) + strings.Repeat("n", length-3) }
	median := dorav1alpha1.TeamTime{P50Seconds: new(int64(31622400)), Samples: 1e9, Band: "Medium", BeforeP50Seconds: new(int64(31622400)), Trend: "Unknown"}
	for i := range 60 {
		teams = append(teams, dorav1alpha1.TeamStatus{
			Team: name(59-i, 63), Environment: name(i, 63), Services: 1000, Band: "Medium",
			DeploymentFrequency: dorav1alpha1.TeamFrequency{PerWeek: "12345.678", Samples: 1e9, Band: "Medium", BeforePerWeek: "12345.678", Trend: "Unknown"},
			LeadTime:            median, Recovery: median,
			ChangeFailureRate: dorav1alpha1.TeamRatio{Ratio: "0.1234", Samples: 1e9, Band: "Medium", BeforeRatio: "0.1234", Trend: "Unknown"},
			Drags: []dorav1alpha1.Drag{
				{Service: name(1, 253), Band: "Medium", Metric: "DeploymentFrequency"},
				{Service: name(2, 253), Band: "Medium", Metric: "DeploymentFrequency"},
				{Service: name(3, 253), Band: "Medium", Metric: "DeploymentFrequency"},
			},
		})
	}
	for i := range 1000 {
		services = append(services, dorav1alpha1.ServiceStatus{Service: name(i, 253), Environment: name(i, 63), Team: name(i, 63)})
	}
	status.SetTeams(teams)
	status.SetServices(services)
	if len(status.Teams) != 50 || status.TeamsOmitted != 10 || !strings.HasPrefix(status.Teams[0].Team, "000n") || !strings.HasPrefix(status.Teams[49].Team, "049n") {
		t.Errorf("%d teams are listed, and %d omitted", len(status.Teams), status.TeamsOmitted)
	}
	written, err := json.Marshal(dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Status: *status})
	if err != nil || len(written) > 250_000 {
		t.Errorf("the status takes %d bytes: %v", len(written), err)
	}
}
