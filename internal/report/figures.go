package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/show"
)

// Figures are the five metrics. What is not known is nil.
type Figures struct {
	Band string `json:"band,omitempty"`

	PerWeek     *float64 `json:"deployments_per_week"`
	Deployments int64    `json:"deployments"`
	PerWeekBand string   `json:"deployments_per_week_band,omitempty"`

	LeadTimeP50      *float64 `json:"lead_time_p50_seconds"`
	LeadTimeP90      *float64 `json:"lead_time_p90_seconds"`
	LeadTimes        int64    `json:"lead_times"`
	LeadTimeRejected int64    `json:"lead_times_rejected"`
	LeadTimeBand     string   `json:"lead_time_band,omitempty"`

	FailureRate     *float64 `json:"change_failure_rate"`
	Failed          int64    `json:"failed_attempts"`
	Attempts        int64    `json:"attempts"`
	FailureRateBand string   `json:"change_failure_rate_band,omitempty"`

	RecoveryP50     *float64 `json:"recovery_p50_seconds"`
	RecoveryP90     *float64 `json:"recovery_p90_seconds"`
	Recoveries      int64    `json:"recoveries"`
	AutomaticAborts int64    `json:"automatic_aborts"`
	Open            int64    `json:"open_failures_of_deployments"`
	RecoveryBand    string   `json:"recovery_band,omitempty"`

	ReworkRate *float64 `json:"rework_rate"`
	Unplanned  int64    `json:"unplanned"`
	Succeeded  int64    `json:"succeeded"`

	// What is in no figure, and shown apart.
	Unknown   int64 `json:"unknown"`
	Unexposed int64 `json:"stopped_before_exposure"`
	Incidents int64 `json:"incidents"`
}

// FiguresOf are those of a status.
func FiguresOf(f *dorav1alpha1.Figures) Figures {
	if f == nil {
		return Figures{}
	}
	figures := Figures{
		Band:        string(f.Band),
		Deployments: f.DeploymentFrequency.Samples, PerWeekBand: string(f.DeploymentFrequency.Band),
		LeadTimeP50: float(f.LeadTime.P50Seconds), LeadTimeP90: float(f.LeadTime.P90Seconds), LeadTimes: f.LeadTime.Samples,
		LeadTimeRejected: f.LeadTime.Rejected, LeadTimeBand: string(f.LeadTime.Band),
		FailureRate: parsed(f.ChangeFailureRate.Ratio), Failed: f.ChangeFailureRate.Failures, Attempts: f.ChangeFailureRate.Samples,
		FailureRateBand: string(f.ChangeFailureRate.Band),
		RecoveryP50:     float(f.Recovery.P50Seconds), RecoveryP90: float(f.Recovery.P90Seconds), Recoveries: f.Recovery.Samples,
		AutomaticAborts: f.Recovery.AutomaticAborts, Open: f.Recovery.Open, RecoveryBand: string(f.Recovery.Band),
		ReworkRate: parsed(f.Rework.Ratio), Unplanned: f.Rework.Unplanned, Succeeded: f.Rework.Samples,
		Unknown: f.Counts.Unknown, Unexposed: f.Counts.AbortedBeforeExposure, Incidents: f.Counts.Incidents,
	}
	if f.DeploymentFrequency.Band != "" { // without a band it was not followed for long enough to tell
		figures.PerWeek = parsed(f.DeploymentFrequency.PerWeek)
	}
	return figures
}

// computed are those of events, judged by thresholds.
func computed(s fourkeys.Summary, t fourkeys.Thresholds) Figures {
	bands := t.Bands(s)
	return Figures{
		Band:    string(bands.Overall),
		PerWeek: s.WeeklyRate(), Deployments: int64(s.Frequency.Deployments), PerWeekBand: string(bands.Frequency),
		LeadTimeP50: s.LeadTime.P50, LeadTimeP90: s.LeadTime.P90, LeadTimes: int64(s.LeadTime.Samples),
		LeadTimeRejected: int64(s.LeadTime.Rejected), LeadTimeBand: string(bands.LeadTime),
		FailureRate: s.ChangeFailureRate.Value, Failed: int64(s.ChangeFailureRate.Part), Attempts: int64(s.ChangeFailureRate.Whole),
		FailureRateBand: string(bands.ChangeFailureRate),
		RecoveryP50:     s.Recovery.P50, RecoveryP90: s.Recovery.P90, Recoveries: int64(s.Recovery.Samples),
		AutomaticAborts: int64(s.Recovery.AutomaticAborts), Open: int64(s.Recovery.Open), RecoveryBand: string(bands.Recovery),
		ReworkRate: s.Rework.Value, Unplanned: int64(s.Rework.Part), Succeeded: int64(s.Rework.Whole),
		Unknown: int64(s.Counts.Unknown), Unexposed: int64(s.Counts.Unexposed), Incidents: int64(s.Counts.Incidents),
	}
}

// Metric is one of the five in words.
type Metric struct {
	Name, Value, Samples, Band string
}

// Metrics tells the figures in words, each with what it rests on.
func (f *Figures) Metrics() []Metric {
	return []Metric{
		{"Deployment frequency", rateOr(f.PerWeek, " a week"), count(f.Deployments, "deployment"), or(f.PerWeekBand)},
		{
			"Lead time for changes", percentiles(f.LeadTimeP50, f.LeadTimeP90),
			count(f.LeadTimes, "deployment") + rejected(f.LeadTimeRejected), or(f.LeadTimeBand),
		},
		{"Change failure rate", Share(f.FailureRate), fmt.Sprintf("%d of %s", f.Failed, count(f.Attempts, "attempt")), or(f.FailureRateBand)},
		{"Failed deployment recovery time", percentiles(f.RecoveryP50, f.RecoveryP90), f.recoveries(), or(f.RecoveryBand)},
		{"Rework rate", Share(f.ReworkRate), fmt.Sprintf("%d of %s", f.Unplanned, count(f.Succeeded, "success")), show.Nothing},
	}
}

// Cells are the figures as a row of a table: deployments, per week, lead time, failure rate, recovery, rework, band.
func (f *Figures) Cells() []string {
	return []string{
		strconv.FormatInt(f.Deployments, 10), Rate(f.PerWeek), Span(f.LeadTimeP50), Share(f.FailureRate), Span(f.RecoveryP50), Share(f.ReworkRate), or(f.Band),
	}
}

// Apart says what was seen and is in no figure; empty if nothing was.
func (f *Figures) Apart() string {
	var parts []string
	for _, part := range []struct {
		n    int64
		what string
	}{
		{f.Unknown, "of unknown outcome"}, {f.Unexposed, "stopped before anybody met it"}, {f.Incidents, "failures that no deployment caused"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "In no figure: " + strings.Join(parts, "; ")
}

func (f *Figures) recoveries() string {
	text := count(f.Recoveries, "failure")
	if f.AutomaticAborts > 0 {
		text += fmt.Sprintf(", %d aborted", f.AutomaticAborts)
	}
	if f.Open > 0 {
		text += fmt.Sprintf(", %d open", f.Open)
	}
	return text
}

func rejected(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d rejected", n)
}

func count(n int64, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "success":
		return fmt.Sprintf("%d successes", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func or(text string) string {
	if text == "" {
		return show.Nothing
	}
	return text
}

// Rate keeps two digits of a small rate and the whole number of a large one.
func Rate(rate *float64) string {
	switch {
	case rate == nil:
		return show.Nothing
	case *rate >= 9.95 || *rate == math.Trunc(*rate):
		return strconv.FormatFloat(*rate, 'f', 0, 64)
	case *rate >= 1:
		return strconv.FormatFloat(*rate, 'f', 1, 64)
	}
	return strconv.FormatFloat(*rate, 'f', 2, 64)
}

func rateOr(rate *float64, unit string) string {
	if rate == nil {
		return show.Nothing
	}
	return Rate(rate) + unit
}

// Share is a percentage that never rounds something to nothing, or nearly all to all.
func Share(ratio *float64) string {
	switch {
	case ratio == nil:
		return show.Nothing
	case *ratio > 0 && *ratio < 0.01:
		return "<1%"
	case *ratio > 0.99 && *ratio < 1:
		return ">99%"
	}
	return strconv.FormatFloat(*ratio*100, 'f', 0, 64) + "%"
}

// Span is a length of time.
func Span(seconds *float64) string {
	if seconds == nil {
		return show.Nothing
	}
	return show.Duration(time.Duration(*seconds * float64(time.Second)))
}

func percentiles(p50, p90 *float64) string {
	if p50 == nil {
		return show.Nothing
	}
	return "p50 " + Span(p50) + ", p90 " + Span(p90)
}

func float(n *int64) *float64 {
	if n == nil {
		return nil
	}
	return new(float64(*n))
}

func parsed(d dorav1alpha1.Decimal) *float64 {
	value, err := d.Parse()
	if err != nil {
		return nil
	}
	return &value
}

// ThresholdsOf are a target's: those of its preset with what it overrides. What cannot be read is the preset's; the target says so itself.
func ThresholdsOf(bands *dorav1alpha1.Bands) fourkeys.Thresholds {
	t := fourkeys.Port()
	if bands.PresetOrDefault() == dorav1alpha1.PresetGuide {
		t = fourkeys.Guide()
	}
	o := &bands.Overrides
	override(&t.Frequency, o.DeploymentsPerWeek.Elite, o.DeploymentsPerWeek.High, o.DeploymentsPerWeek.Medium, dorav1alpha1.Decimal.Parse)
	override(&t.LeadTime, o.LeadTime.Elite, o.LeadTime.High, o.LeadTime.Medium, inSeconds)
	override(&t.ChangeFailureRate, o.ChangeFailureRate.Elite, o.ChangeFailureRate.High, o.ChangeFailureRate.Medium, dorav1alpha1.Percent.Parse)
	override(&t.Recovery, o.Recovery.Elite, o.Recovery.High, o.Recovery.Medium, inSeconds)
	return t
}

func inSeconds(d dorav1alpha1.Duration) (float64, error) {
	length, err := d.Parse()
	return length.Seconds(), err
}

func override[T ~string](scale *fourkeys.Scale, elite, high, medium T, parse func(T) (float64, error)) {
	for bound, text := range map[*fourkeys.Bound]T{&scale.Elite: elite, &scale.High: high, &scale.Medium: medium} {
		if value, err := parse(text); text != "" && err == nil {
			bound.Value = value
		}
	}
}
