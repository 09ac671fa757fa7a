package fourkeys_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// TestDragsAreWorstFirst, by the thresholds of Port. Late and later have one failed metric: 60 and 45 days are 2 and 1.5 times the 30 of
// Medium. Idle was never deployed, which misses 0.25 a week without end. Broken is Low by two metrics: 36 days are 1.2 times as long as they
// may be, and 90 % of failures 3 times as many. Fair is High at its lowest, rated and good are not below Elite or have no data.
func TestDragsAreWorstFirst(t *testing.T) {
	f := fourkeys.Fleet{Services: map[fourkeys.Service]fourkeys.Summary{
		{Name: "later"}:  summary(nil, new(60*day), nil, nil),
		{Name: "late"}:   summary(nil, new(45*day), nil, nil),
		{Name: "idle"}:   summary(new(0.0), new(1*hour), nil, nil),
		{Name: "idle-2"}: summary(new(0.0), new(1*hour), nil, nil),
		{Name: "broken"}: summary(new(7.0), new(36*day), new(0.9), nil),
		{Name: "fair"}:   summary(new(8.0), new(1*hour), new(0.01), new(2*hour)),
		{Name: "middle"}: summary(new(0.5), new(9*day), nil, nil),
		{Name: "good"}:   summary(new(7.0), new(1*hour), nil, nil),
		{Name: "silent"}: summary(nil, nil, nil, nil),
		{Name: "other"}:  summary(new(0.0), nil, nil, nil),
	}}
	var all []fourkeys.Service
	for service := range f.Services {
		if service.Name != "other" {
			all = append(all, service)
		}
	}
	var got []string
	for _, d := range f.Drags(fourkeys.Port(), all...) {
		got = append(got, d.Service.Name+" "+string(d.Band)+" "+string(d.Metric))
	}
	want := []string{
		"idle Low DeploymentFrequency", "idle-2 Low DeploymentFrequency", "broken Low ChangeFailureRate", "later Low LeadTime", "late Low LeadTime",
		"middle Medium DeploymentFrequency", // half of 1 a week; 9 days are 1.3 times 7
		"fair High Recovery",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTrends(t *testing.T) {
	for _, test := range []struct {
		what    string
		was, is *float64
		less    fourkeys.Trend // where less is better
		more    fourkeys.Trend // where more is
	}{
		{"nothing is known", nil, nil, "", ""},
		{"it was not known", nil, new(1.0), "", ""},
		{"it is not known", new(1.0), nil, "", ""},
		{"equal", new(3.0), new(3.0), fourkeys.Same, fourkeys.Same},
		{"still nothing", new(0.0), new(0.0), fourkeys.Same, fourkeys.Same},
		{"less than a tenth more", new(10.0), new(10.9), fourkeys.Same, fourkeys.Same},
		{"a tenth more", new(10.0), new(11.0), fourkeys.Worse, fourkeys.Better},
		{"less than a tenth less", new(10.0), new(9.1), fourkeys.Same, fourkeys.Same},
		{"a tenth less", new(10.0), new(9.0), fourkeys.Better, fourkeys.Worse},
		{"from nothing", new(0.0), new(0.01), fourkeys.Worse, fourkeys.Better},
		{"to nothing", new(0.01), new(0.0), fourkeys.Better, fourkeys.Worse},
	} {
		before, now := summary(test.was, test.was, test.was, test.was), summary(test.is, test.is, test.is, test.is)
		want := fourkeys.Trends{Frequency: test.more, LeadTime: test.less, ChangeFailureRate: test.less, Recovery: test.less}
		if diff := cmp.Diff(want, fourkeys.TrendsOf(&before, &now)); diff != "" {
			t.Errorf("%s: %s", test.what, diff)
		}
	}
}

func TestBelow(t *testing.T) {
	bands := []fourkeys.Band{fourkeys.Elite, fourkeys.High, fourkeys.Medium, fourkeys.Low}
	for i, a := range bands {
		for j, b := range bands {
			if got := a.Below(b); got != (i > j) {
				t.Errorf("%s below %s: %t", a, b, got)
			}
		}
		if a.Below("") || fourkeys.Band("").Below(a) {
			t.Errorf("no band stands below or above %s", a)
		}
	}
}

// TestDistributionOfSome: one of two services was deployed daily, the other not at all.
func TestDistributionOfSome(t *testing.T) {
	w := fourkeys.Window{From: time.Unix(0, 0), To: time.Unix(0, 0).Add(7 * 24 * time.Hour)}
	busy, idle := fourkeys.Service{Name: "busy"}, fourkeys.Service{Name: "idle"}
	var events []dora.Event
	for i := range 7 {
		at := w.From.Add(time.Duration(i) * 24 * time.Hour)
		events = append(events, dora.Event{
			ID: at.String(), Type: dora.TypeDeploy, Outcome: dora.Succeeded, Change: dora.ChangeImage, Service: "busy", OccurredAt: at, StartedAt: at,
		})
	}
	f := fourkeys.Aggregate(events, w, map[fourkeys.Service]time.Time{busy: {}, idle: {}})
	if got, want := f.Distribution(fourkeys.Port(), busy).Overall, (fourkeys.Spread{Elite: 1}); got != want {
		t.Errorf("busy: %+v", got)
	}
	if got, want := f.Distribution(fourkeys.Port()).Overall, (fourkeys.Spread{Elite: 1, Low: 1}); got != want {
		t.Errorf("all: %+v", got)
	}
}
