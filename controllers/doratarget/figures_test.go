package doratarget

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

func TestThresholdsArePresetsWithOverrides(t *testing.T) {
	got, err := thresholdsOf(&dorav1alpha1.Bands{Overrides: dorav1alpha1.BandOverrides{
		DeploymentsPerWeek: dorav1alpha1.RateThresholds{Elite: "10", Medium: "0.5"},
		LeadTime:           dorav1alpha1.DurationThresholds{High: "2d"},
		ChangeFailureRate:  dorav1alpha1.PercentThresholds{Elite: "2.5%", Medium: "40%"},
		Recovery:           dorav1alpha1.DurationThresholds{Medium: "3d"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := fourkeys.Port()
	want.Frequency.Elite.Value, want.Frequency.Medium.Value = 10, 0.5
	want.LeadTime.High.Value = (48 * time.Hour).Seconds()
	want.ChangeFailureRate.Elite.Value, want.ChangeFailureRate.Medium.Value = 0.025, 0.4
	want.Recovery.Medium.Value = (72 * time.Hour).Seconds()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	got, err = thresholdsOf(&dorav1alpha1.Bands{Preset: dorav1alpha1.PresetGuide})
	if diff := cmp.Diff(fourkeys.Guide(), got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAThresholdThatCannotBeReadIsNamed(t *testing.T) {
	for field, o := range map[string]dorav1alpha1.BandOverrides{
		"deploymentsPerWeek.high":  {DeploymentsPerWeek: dorav1alpha1.RateThresholds{High: "often"}},
		"leadTime.elite":           {LeadTime: dorav1alpha1.DurationThresholds{Elite: "soon"}},
		"changeFailureRate.medium": {ChangeFailureRate: dorav1alpha1.PercentThresholds{Medium: "half"}},
		"recovery.high":            {Recovery: dorav1alpha1.DurationThresholds{High: "-1h"}},
	} {
		_, err := thresholdsOf(&dorav1alpha1.Bands{Overrides: o})
		if err == nil || !strings.HasPrefix(err.Error(), "spec.bands.overrides."+field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestFiguresAreWrittenAsTheAPIHasThem(t *testing.T) {
	s := fourkeys.Summary{
		Counts: fourkeys.Counts{Succeeded: 7, Failed: 2, Aborted: 1, Unexposed: 3, Returned: 4, Unknown: 5, Incidents: 6, OpenFailures: 8},
		Frequency: fourkeys.Frequency{
			Deployments: 9, PerWeek: new(2.0 / 3), PerDay: new(2.0 / 21),
		},
		LeadTime:          fourkeys.Durations{P50: new(3600.4), P90: new(7200.5), Samples: 4, Rejected: 1},
		ChangeFailureRate: fourkeys.Ratio{Part: 3, Whole: 10, Value: new(0.3)},
		Recovery: fourkeys.Recovery{
			Durations: fourkeys.Durations{P50: new(60.0), Samples: 2, Rejected: 2}, Failures: 5, AutomaticAborts: 1, Open: 1,
		},
		Rework: fourkeys.Ratio{Part: 0, Whole: 7, Value: new(0.0)},
	}
	bands := fourkeys.Bands{Frequency: fourkeys.Elite, LeadTime: fourkeys.High, ChangeFailureRate: fourkeys.Medium, Overall: fourkeys.Medium}
	want := dorav1alpha1.Figures{
		Band:                dorav1alpha1.BandMedium,
		DeploymentFrequency: dorav1alpha1.FrequencyFigure{PerWeek: "0.667", PerDay: "0.095", Samples: 9, Band: dorav1alpha1.BandElite},
		LeadTime: dorav1alpha1.LeadTimeFigure{
			P50Seconds: new(int64(3600)), P90Seconds: new(int64(7201)), Samples: 4, Rejected: 1, Band: dorav1alpha1.BandHigh,
		},
		ChangeFailureRate: dorav1alpha1.FailureRateFigure{Ratio: "0.3", Failures: 3, Samples: 10, Band: dorav1alpha1.BandMedium},
		Recovery: dorav1alpha1.RecoveryFigure{
			P50Seconds: new(int64(60)), Samples: 2, Rejected: 2, AutomaticAborts: 1, Open: 1,
		},
		Rework: dorav1alpha1.ReworkFigure{Ratio: "0", Unplanned: 0, Samples: 7},
		Counts: dorav1alpha1.Counts{
			Succeeded: 7, Failed: 2, RolledBack: 8, Unknown: 5, Rejected: 3, AbortedBeforeExposure: 3, Incidents: 6, OpenFailures: 8, Gaps: 11,
		},
	}
	if diff := cmp.Diff(want, figuresOf(&s, bands, 11)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none := figuresOf(&fourkeys.Summary{}, fourkeys.Bands{}, 0); none != (dorav1alpha1.Figures{}) {
		t.Errorf("no data is absent, not %+v", none)
	}
	if decimal(new(math.Inf(1)), 3) != "" {
		t.Error("what is no number is absent")
	}
}

func TestAPaceLeavesFiguresAlone(t *testing.T) {
	now := epoch
	p := pace{clock: func() time.Time { return now }}
	for name, c := range map[types.UID]struct{ took, interval, want time.Duration }{
		"figures that were written":       {time.Millisecond, 10 * time.Second, 10 * time.Second},
		"figures that took long":          {2 * time.Second, 10 * time.Second, 20 * time.Second},
		"figures that took long, as ever": {time.Hour, 10 * time.Second, 5 * time.Minute},
		"figures as they were before":     {time.Millisecond, 0, 10 * time.Millisecond},
	} {
		if wait := p.wait(name); wait > 0 {
			t.Errorf("%s: left alone for %s before the first time", name, wait)
		}
		p.rest(name, now.Add(-c.took), c.interval)
		if wait := p.wait(name); wait != c.want {
			t.Errorf("%s: left alone for %s, want %s", name, wait, c.want)
		}
	}
	now = now.Add(time.Hour)
	p.rest("another", now, time.Second)
	if len(p.until) != 1 {
		t.Errorf("it remembers who need not wait any more: %v", p.until)
	}
}

func TestMetricsShowEachTarget(t *testing.T) {
	m := NewMetrics()
	status := &dorav1alpha1.DoraTargetStatus{ServiceCount: 2, Summary: &dorav1alpha1.Figures{
		DeploymentFrequency: dorav1alpha1.FrequencyFigure{PerWeek: "1.5", Samples: 6},
		LeadTime:            dorav1alpha1.LeadTimeFigure{P50Seconds: new(int64(60)), Rejected: 1},
	}, Commits: &dorav1alpha1.CommitCounts{Pending: 3}, Teams: []dorav1alpha1.TeamStatus{{
		Team: "cart", Environment: "prod", Bands: dorav1alpha1.BandDistribution{Elite: 1, Low: 2},
		DeploymentFrequency: dorav1alpha1.TeamFrequency{PerWeek: "1.5", BeforePerWeek: "2"},
		LeadTime:            dorav1alpha1.TeamTime{P50Seconds: new(int64(60)), BeforeP50Seconds: new(int64(30))},
		ChangeFailureRate:   dorav1alpha1.TeamRatio{Ratio: "0", BeforeRatio: "0.5"},
		Recovery:            dorav1alpha1.TeamTime{BeforeP50Seconds: new(int64(7))},
	}}}
	m.Set(types.NamespacedName{Namespace: "shop", Name: "all"}, status)
	m.Set(types.NamespacedName{Namespace: "bank", Name: "new"}, &dorav1alpha1.DoraTargetStatus{})
	const want = `
# HELP dora_target_commits_pending Deployments whose commits are still looked for.
# TYPE dora_target_commits_pending gauge
dora_target_commits_pending{namespace="shop",target="all"} 3
# HELP dora_target_deployments Deployments in the target's window.
# TYPE dora_target_deployments gauge
dora_target_deployments{namespace="shop",target="all"} 6
# HELP dora_target_deployments_per_week Deployments per week and service.
# TYPE dora_target_deployments_per_week gauge
dora_target_deployments_per_week{namespace="shop",target="all"} 1.5
# HELP dora_target_history_gaps Deployments that Argo's history no longer tells of.
# TYPE dora_target_history_gaps gauge
dora_target_history_gaps{namespace="shop",target="all"} 0
# HELP dora_target_lead_time_seconds Lead time for changes.
# TYPE dora_target_lead_time_seconds gauge
dora_target_lead_time_seconds{namespace="shop",percentile="50",target="all"} 60
# HELP dora_target_lead_times_rejected Deployments whose first commit is younger than the deployment, by the clocks.
# TYPE dora_target_lead_times_rejected gauge
dora_target_lead_times_rejected{namespace="shop",target="all"} 1
# HELP dora_target_open_failures Failures that have not ended.
# TYPE dora_target_open_failures gauge
dora_target_open_failures{namespace="shop",target="all"} 0
# HELP dora_target_services Services that the target counts.
# TYPE dora_target_services gauge
dora_target_services{namespace="bank",target="new"} 0
dora_target_services{namespace="shop",target="all"} 2
# HELP dora_team_change_failure_ratio Change failure rate of the team, from 0 to 1.
# TYPE dora_team_change_failure_ratio gauge
dora_team_change_failure_ratio{environment="prod",namespace="shop",target="all",team="cart",window="before"} 0.5
dora_team_change_failure_ratio{environment="prod",namespace="shop",target="all",team="cart",window="current"} 0
# HELP dora_team_deployments_per_week Deployments of the team per week and service.
# TYPE dora_team_deployments_per_week gauge
dora_team_deployments_per_week{environment="prod",namespace="shop",target="all",team="cart",window="before"} 2
dora_team_deployments_per_week{environment="prod",namespace="shop",target="all",team="cart",window="current"} 1.5
# HELP dora_team_lead_time_seconds Median lead time for changes of the team.
# TYPE dora_team_lead_time_seconds gauge
dora_team_lead_time_seconds{environment="prod",namespace="shop",target="all",team="cart",window="before"} 30
dora_team_lead_time_seconds{environment="prod",namespace="shop",target="all",team="cart",window="current"} 60
# HELP dora_team_recovery_seconds Median failed deployment recovery time of the team.
# TYPE dora_team_recovery_seconds gauge
dora_team_recovery_seconds{environment="prod",namespace="shop",target="all",team="cart",window="before"} 7
# HELP dora_team_services Services of the team by the lowest of their bands.
# TYPE dora_team_services gauge
dora_team_services{band="Elite",environment="prod",namespace="shop",target="all",team="cart"} 1
dora_team_services{band="High",environment="prod",namespace="shop",target="all",team="cart"} 0
dora_team_services{band="Low",environment="prod",namespace="shop",target="all",team="cart"} 2
dora_team_services{band="Medium",environment="prod",namespace="shop",target="all",team="cart"} 0
dora_team_services{band="NoData",environment="prod",namespace="shop",target="all",team="cart"} 0
`
	if err := testutil.CollectAndCompare(m, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(m); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	m.Delete(types.NamespacedName{Namespace: "shop", Name: "all"})
	m.Delete(types.NamespacedName{Namespace: "bank", Name: "new"})
	if n := testutil.CollectAndCount(m); n != 0 {
		t.Errorf("%d series are left of targets that are gone", n)
	}
}
