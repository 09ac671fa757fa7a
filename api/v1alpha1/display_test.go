package v1alpha1

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNewDisplayShowsADashForWhatIsNotKnown(t *testing.T) {
	dashes := Display{
		Environment: "–", Deployments: "–", PerWeek: "–", LeadTimeP50: "–", LeadTimeP90: "–", ChangeFailureRate: "–",
		RecoveryP50: "–", RecoveryP90: "–", Rework: "–", Band: "–",
	}
	for name, tc := range map[string]struct {
		status       DoraTargetStatus
		environments []string
		want         func(*Display)
	}{
		"nothing computed": {want: func(d *Display) { d.Services = "0" }},
		"computed, and nothing known": {
			status: DoraTargetStatus{ServiceCount: 1, Summary: &Figures{}}, environments: []string{"prod"},
			want: func(d *Display) { d.Services, d.Environment = "1", "prod" },
		},
		"followed throughout, and nothing deployed": {
			status:       DoraTargetStatus{ServiceCount: 2, Summary: &Figures{DeploymentFrequency: FrequencyFigure{PerWeek: "0", Band: BandLow}}},
			environments: []string{"prod", "prod-eu", "prod"},
			want: func(d *Display) {
				d.Services, d.Environment, d.Deployments, d.PerWeek = "2", "*", "0", "0"
			},
		},
		"deployed, but not followed for long enough to tell how often": {
			status: DoraTargetStatus{ServiceCount: 1, Summary: &Figures{DeploymentFrequency: FrequencyFigure{PerWeek: "17000", Samples: 2}}},
			want:   func(d *Display) { d.Services, d.Deployments = "1", "2" },
		},
		"deployed a second after following began, a rate beyond what a Decimal holds": {
			status: DoraTargetStatus{ServiceCount: 1, Summary: &Figures{DeploymentFrequency: FrequencyFigure{PerWeek: DecimalOf(604800, 3), Samples: 1}}},
			want:   func(d *Display) { d.Services, d.Deployments = "1", "1" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := dashes
			tc.want(&want)
			if diff := cmp.Diff(&want, NewDisplay(&tc.status, tc.environments)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBandText(t *testing.T) {
	for name, tc := range map[string]struct {
		services int64
		summary  Band
		overall  *BandDistribution
		want     string
	}{
		"one service":                        {1, BandHigh, &BandDistribution{High: 1}, "High"},
		"one service without data":           {1, "", &BandDistribution{NoData: 1}, "–"},
		"several services":                   {20, BandLow, &BandDistribution{Elite: 16, Low: 4}, "Elite 16/20"},
		"of equals the lower":                {4, BandHigh, &BandDistribution{Elite: 2, Medium: 2}, "Medium 2/4"},
		"most without data":                  {9, BandHigh, &BandDistribution{High: 1, NoData: 8}, "High 1/9"},
		"several without data":               {3, "", &BandDistribution{NoData: 3}, "–"},
		"several without their distribution": {3, BandHigh, nil, "High"},
	} {
		t.Run(name, func(t *testing.T) {
			status := &DoraTargetStatus{ServiceCount: tc.services, Summary: &Figures{Band: tc.summary}}
			if tc.overall != nil {
				status.Bands = &BandDistributions{Overall: *tc.overall}
			}
			if got := bandText(status); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRateText(t *testing.T) {
	for rate, want := range map[Decimal]string{
		"": "–", "0": "0", "0.04": "0.04", "0.23": "0.23", "0.949": "0.95", "0.999": "1", "1": "1", "9.81": "9.8", "9.96": "10", "123.4": "123",
	} {
		if got := rateText(rate); got != want {
			t.Errorf("%q is shown as %q, want %q", rate, got, want)
		}
	}
}

func TestShareText(t *testing.T) {
	for ratio, want := range map[Decimal]string{
		"": "–", "0": "0%", "0.0001": "<1%", "0.01": "1%", "0.1163": "12%", "0.5": "50%", "0.99": "99%", "0.9999": ">99%", "1": "100%",
	} {
		if got := shareText(ratio); got != want {
			t.Errorf("%q is shown as %q, want %q", ratio, got, want)
		}
	}
}

func TestSecondsText(t *testing.T) {
	const minute, hour, day = 60, 3600, 86400
	for seconds, want := range map[int64]string{
		0: "0s", 59: "59s", minute: "1m", minute + 1: "1m1s", 10 * minute: "10m", 59*minute + 59: "59m",
		hour: "1h", hour + 59: "1h", 2*hour + 10*minute: "2h10m", 10*hour + 59*minute: "10h", 23*hour + 59*minute: "23h",
		day: "1d", day + 3*hour: "1d3h", 9*day + 23*hour: "9d23h", 45*day + hour: "45d", 9999 * day: "9999d",
	} {
		got := secondsText(&seconds)
		if got != want {
			t.Errorf("%d seconds are shown as %q, want %q", seconds, got, want)
		}
		if utf8.RuneCountInString(got) > 5 {
			t.Errorf("%q is too wide for its column", got)
		}
	}
	if got := secondsText(nil); got != "–" {
		t.Errorf("what is not known is shown as %q", got)
	}
}

func TestSetServicesSortsAndCountsTheRest(t *testing.T) {
	var all []ServiceStatus
	for i := range MaxServices + 3 {
		all = append(all, ServiceStatus{Service: fmt.Sprintf("s%03d", MaxServices+2-i), Environment: "prod"})
	}
	all = append(all, ServiceStatus{Service: "s000", Environment: "dev"})

	var s DoraTargetStatus
	s.SetServices(all)
	if s.ServiceCount != MaxServices+4 || len(s.Services) != MaxServices || s.ServicesOmitted != 4 {
		t.Errorf("%d services, %d listed, %d omitted", s.ServiceCount, len(s.Services), s.ServicesOmitted)
	}
	if s.Services[0].Environment != "dev" || s.Services[1].Service != "s000" || s.Services[2].Service != "s001" {
		t.Errorf("not in the order of names: %v", s.Services[:3])
	}
	if all[0].Service != "s102" {
		t.Error("the caller's list was changed")
	}

	s.SetServices(nil)
	if s.ServiceCount != 0 || len(s.Services) != 0 || s.ServicesOmitted != 0 {
		t.Error("something is left")
	}
}

func TestSetOpenFailuresListsTheOldest(t *testing.T) {
	var all []OpenFailure
	for i := range MaxOpenFailures + 2 {
		all = append(all, OpenFailure{EventID: fmt.Sprintf("e%02d", i%60), Since: metav1.Unix(int64(1000-i/2), 0)})
	}
	var s DoraTargetStatus
	s.SetOpenFailures(all)
	if len(s.OpenFailures) != MaxOpenFailures || s.OpenFailures[0].EventID != "e50" || s.OpenFailures[1].EventID != "e51" {
		t.Errorf("%d listed, beginning with %v", len(s.OpenFailures), s.OpenFailures[:2])
	}
}
