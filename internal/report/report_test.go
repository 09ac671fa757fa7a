package report

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

var (
	november = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	december = november.AddDate(0, 1, 0)
)

// workedExample is the month that docs/metrics.md works out by hand.
func workedExample(t *testing.T) []dora.Event {
	t.Helper()
	file, err := os.Open("../fourkeys/testdata/worked-example.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var events []dora.Event
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var e dora.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func ofNovember(t *testing.T) *Report {
	t.Helper()
	return New(Input{Title: "checkout", From: november, To: december, Made: december, Events: workedExample(t), Thresholds: fourkeys.Port()})
}

func TestFiguresAreThoseThatThePageWorksOutByHand(t *testing.T) {
	g := NewWithT(t)
	r := ofNovember(t)
	g.Expect(r.Figures.Metrics()).To(Equal([]Metric{
		{"Deployment frequency", "1.4 a week", "6 deployments", "High"},
		{"Lead time for changes", "p50 18h, p90 3d4h", "5 deployments", "Elite"}, // 76 h 56 min
		{"Change failure rate", "43%", "3 of 7 attempts", "Low"},
		{"Failed deployment recovery time", "p50 20m, p90 28m", "3 failures, 1 aborted", "Elite"},
		{"Rework rate", "60%", "3 of 5 successes", "–"},
	}))
	g.Expect(r.Figures.Band).To(Equal("Low"))
	g.Expect(r.Figures.Apart()).To(Equal("In no figure: 1 of unknown outcome; 1 stopped before anybody met it; 1 failures that no deployment caused"))
	g.Expect(r.Services).To(HaveLen(1))
	g.Expect(r.Services[0].Figures).To(Equal(r.Figures))
}

// November 2026 begins on a Sunday, so that its first week is that day alone.
func TestWeeksBeginOnMondayAndAreCutAtTheEdges(t *testing.T) {
	g := NewWithT(t)
	var from []string
	var partial []bool
	var deployments []int64
	for _, w := range ofNovember(t).Weeks {
		from, partial, deployments = append(from, day(w.From)), append(partial, w.Partial), append(deployments, w.Figures.Deployments)
	}
	g.Expect(from).To(Equal([]string{"2026-11-01", "2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23", "2026-11-30"}))
	g.Expect(partial).To(Equal([]bool{true, false, false, false, false, true}))
	// Numbers 1, 2 and 4 of the page; 5, healed on the 12th; 7; 9.
	g.Expect(deployments).To(Equal([]int64{0, 3, 1, 1, 1, 0}))
}

func TestAWeekBeforeAServiceWasFollowedHasNoRate(t *testing.T) {
	g := NewWithT(t)
	checkout := fourkeys.Service{Name: "checkout", Environment: "production"}
	r := New(Input{
		From: november.AddDate(0, 0, -14), To: december, Made: december, Events: workedExample(t), Thresholds: fourkeys.Port(),
		Services: []fourkeys.Service{checkout}, Followed: map[fourkeys.Service]time.Time{checkout: november},
	})
	g.Expect(r.Weeks[0].Figures.PerWeek).To(BeNil())
	g.Expect(r.Weeks[0].Figures.Band).To(BeEmpty())
	g.Expect(*r.Figures.PerWeek).To(BeNumerically("~", 1.4, 1e-9)) // of the time followed alone
}

func TestOnlyTheServicesThatAreAskedForCount(t *testing.T) {
	g := NewWithT(t)
	r := New(Input{
		From: november, To: december, Made: december, Events: workedExample(t), Thresholds: fourkeys.Port(),
		Services: []fourkeys.Service{{Name: "search", Environment: "production"}},
	})
	g.Expect(r.Deployments).To(BeEmpty())
	g.Expect(r.Services).To(HaveLen(1))
	g.Expect(*r.Figures.PerWeek).To(BeZero()) // followed throughout, and nothing was deployed
}

func TestFailuresAreSpansAndOpenOnesHaveNoEnd(t *testing.T) {
	g := NewWithT(t)
	ended := ofNovember(t).Failures
	g.Expect(ended).To(HaveLen(4))
	g.Expect(ended[0].To.Sub(ended[0].From)).To(Equal(30 * time.Minute))

	var without []dora.Event
	for _, e := range workedExample(t) {
		if e.Type != dora.TypeRecovered {
			without = append(without, e)
		}
	}
	open := New(Input{From: november, To: december, Events: without, Thresholds: fourkeys.Port()})
	g.Expect(open.Failures[0].To).To(BeNil())
	g.Expect(open.Figures.Open).To(BeEquivalentTo(1), "what never ends overlaps with all that comes after: one outage")
}

func TestThresholdsAreTheTargets(t *testing.T) {
	g := NewWithT(t)
	g.Expect(ThresholdsOf(&dorav1alpha1.Bands{})).To(Equal(fourkeys.Port()))
	want := fourkeys.Guide()
	want.Frequency.High.Value, want.LeadTime.Elite.Value, want.ChangeFailureRate.Medium.Value, want.Recovery.High.Value = 2, 1800, 0.125, 7200
	g.Expect(ThresholdsOf(&dorav1alpha1.Bands{Preset: dorav1alpha1.PresetGuide, Overrides: dorav1alpha1.BandOverrides{
		DeploymentsPerWeek: dorav1alpha1.RateThresholds{High: "2"}, LeadTime: dorav1alpha1.DurationThresholds{Elite: "30m"},
		ChangeFailureRate: dorav1alpha1.PercentThresholds{Medium: "12.5%"}, Recovery: dorav1alpha1.DurationThresholds{High: "2h"},
	}})).To(Equal(want))
}

func TestFiguresOfAStatusAreWhatItTells(t *testing.T) {
	g := NewWithT(t)
	f := FiguresOf(&dorav1alpha1.Figures{
		Band:                dorav1alpha1.BandHigh,
		DeploymentFrequency: dorav1alpha1.FrequencyFigure{PerWeek: "17000", Samples: 2}, // of the first minute: no band
		LeadTime:            dorav1alpha1.LeadTimeFigure{P50Seconds: new(int64(3600)), P90Seconds: new(int64(7200)), Samples: 2, Rejected: 1},
		ChangeFailureRate:   dorav1alpha1.FailureRateFigure{Ratio: "0.5", Failures: 1, Samples: 2},
	})
	g.Expect(f.Metrics()[0].Value).To(Equal("–"))
	g.Expect(f.Metrics()[1]).To(Equal(Metric{"Lead time for changes", "p50 1h, p90 2h", "2 deployments, 1 rejected", "–"}))
	g.Expect(f.Cells()).To(Equal([]string{"2", "–", "1h", "50%", "–", "–", "High"}))
	g.Expect(FiguresOf(nil)).To(Equal(Figures{}))
}

func TestNumbersInWords(t *testing.T) {
	g := NewWithT(t)
	for want, value := range map[string]float64{"<1%": 0.001, ">99%": 0.995, "0%": 0, "100%": 1, "43%": 3.0 / 7} {
		g.Expect(Share(&value)).To(Equal(want))
	}
	for want, value := range map[string]float64{"0.23": 0.2333, "1.4": 1.4, "12": 12.3, "0": 0, "7": 7} {
		g.Expect(Rate(&value)).To(Equal(want))
	}
}
