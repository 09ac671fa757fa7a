package sink

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// FiguresSchema names the JSON form of Figures.
const FiguresSchema = "dora-metrics/v1"

// Scope says what figures are about.
type Scope string

// The scopes of figures.
const (
	ScopeService Scope = "service" // one service in one environment
	ScopeTeam    Scope = "team"    // the services of one team in one environment
	ScopeTarget  Scope = "target"  // all that a DoraTarget counts, in all environments
)

// Figures are the five metrics of a service, a team or a DoraTarget, over its window that ended at To. What is nil is not known; it is
// never 0 for want of data. Durations are in seconds, rates from 0 to 1.
type Figures struct {
	Schema string `json:"schema"`
	// Cluster and Target say who counted; Scope, Environment, Team and Service what. Together they tell figures from all others.
	Cluster string `json:"cluster"`
	Target  string `json:"target"` // namespace/name
	Scope   Scope  `json:"scope"`
	// Environment is empty for ScopeTarget, Service for all but ScopeService. Team may be empty for ScopeService.
	Environment string `json:"environment,omitempty"`
	Team        string `json:"team,omitempty"`
	Service     string `json:"service,omitempty"`
	// Primary says that no older DoraTarget counts the same. A destination that has one place for a service takes these alone.
	Primary bool      `json:"primary"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`

	// Services is how many services these are the figures of.
	Services int `json:"services"`
	// Deployments is the sample of the frequency; PerWeek and PerDay are per service, and nil until its services were followed for a day.
	Deployments int      `json:"deployments"`
	PerWeek     *float64 `json:"deployments_per_week,omitempty"`
	PerDay      *float64 `json:"deployments_per_day,omitempty"`

	LeadTimeP50      *float64 `json:"lead_time_p50_seconds,omitempty"`
	LeadTimeP90      *float64 `json:"lead_time_p90_seconds,omitempty"`
	LeadTimeSamples  int      `json:"lead_time_samples"`
	LeadTimeRejected int      `json:"lead_time_rejected"`

	ChangeFailureRate *float64 `json:"change_failure_rate,omitempty"`
	FailedAttempts    int      `json:"failed_attempts"` // of Attempts
	Attempts          int      `json:"attempts"`

	RecoveryP50     *float64 `json:"recovery_p50_seconds,omitempty"`
	RecoveryP90     *float64 `json:"recovery_p90_seconds,omitempty"`
	RecoverySamples int      `json:"recovery_samples"`

	ReworkRate *float64 `json:"rework_rate,omitempty"`
	Unplanned  int      `json:"unplanned"` // of Succeeded

	// The counts of what was seen, as fourkeys.Counts has them.
	Succeeded    int `json:"succeeded"`
	Failed       int `json:"failed"`
	Aborted      int `json:"aborted"`
	Unexposed    int `json:"unexposed"`
	Returned     int `json:"returned"`
	Unknown      int `json:"unknown"`
	Incidents    int `json:"incidents"`
	OpenFailures int `json:"open_failures"`

	// The bands; empty without data.
	FrequencyBand         fourkeys.Band `json:"frequency_band,omitempty"`
	LeadTimeBand          fourkeys.Band `json:"lead_time_band,omitempty"`
	ChangeFailureRateBand fourkeys.Band `json:"change_failure_rate_band,omitempty"`
	RecoveryBand          fourkeys.Band `json:"recovery_band,omitempty"`
	Band                  fourkeys.Band `json:"band,omitempty"` // the worst of them

	// Standing is there for a team alone. It is in no form that is kept or sent as JSON.
	Standing *Standing `json:"-"`
}

// Standing is how many services of a team are in which band, which are below Elite, worst first, and how its figures stand against the window
// before.
type Standing struct {
	Spread fourkeys.Spread
	Drags  []string
	Trends fourkeys.Trends
}

// Measure fills in the metrics of a summary.
func (f *Figures) Measure(s *fourkeys.Summary, b fourkeys.Bands) {
	f.Services = s.Services
	f.Deployments = s.Frequency.Deployments
	if f.PerWeek = s.WeeklyRate(); f.PerWeek != nil {
		f.PerDay = s.Frequency.PerDay
	}
	f.LeadTimeP50, f.LeadTimeP90 = s.LeadTime.P50, s.LeadTime.P90
	f.LeadTimeSamples, f.LeadTimeRejected = s.LeadTime.Samples, s.LeadTime.Rejected
	f.ChangeFailureRate, f.FailedAttempts, f.Attempts = s.ChangeFailureRate.Value, s.ChangeFailureRate.Part, s.ChangeFailureRate.Whole
	f.RecoveryP50, f.RecoveryP90, f.RecoverySamples = s.Recovery.P50, s.Recovery.P90, s.Recovery.Samples
	f.ReworkRate, f.Unplanned = s.Rework.Value, s.Rework.Part
	f.Succeeded, f.Failed, f.Aborted, f.Unexposed = s.Counts.Succeeded, s.Counts.Failed, s.Counts.Aborted, s.Counts.Unexposed
	f.Returned, f.Unknown, f.Incidents, f.OpenFailures = s.Counts.Returned, s.Counts.Unknown, s.Counts.Incidents, s.Counts.OpenFailures
	f.FrequencyBand, f.LeadTimeBand, f.ChangeFailureRateBand = b.Frequency, b.LeadTime, b.ChangeFailureRate
	f.RecoveryBand, f.Band = b.Recovery, b.Overall
}
