package doratarget

import (
	"cmp"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// team is whom services belong to. Figures of a team are of one environment.
type team struct{ name, environment string }

// teams are the services of each team. A service that names none is in none.
func (h *history) teams(s *scope) map[team][]fourkeys.Service {
	teams := map[team][]fourkeys.Service{}
	for service := range h.services {
		if name := h.teamOf(s, service); name != "" {
			of := team{name, service.Environment}
			teams[of] = append(teams[of], service)
		}
	}
	return teams
}

// longestCompared is the longest window that is compared with the one before: both, and the margin before them, are within the time for which
// any controller keeps events, which is 366 days at least.
const longestCompared = (366*24*time.Hour - margin) / 2

// compared is how long the window before is that figures are compared with; 0 if there is no need of that.
func (s *scope) compared() time.Duration {
	if window := s.target.Timings.Window; window <= longestCompared && (s.hasTeam() || s.target.Object.Spec.Alerts != nil) {
		return window
	}
	return 0
}

func (s *scope) hasTeam() bool {
	for _, name := range s.teams {
		if name != "" {
			return true
		}
	}
	for _, row := range s.known {
		if row.Team != "" {
			return true
		}
	}
	return false
}

// teamsOf are the teams as the API has them.
func teamsOf(s *scope, h *history, t thresholds) []dorav1alpha1.TeamStatus {
	teams := h.teams(s)
	if len(teams) == 0 {
		return nil
	}
	fleet, before := h.fleet(), &fourkeys.Fleet{}
	if h.length > 0 {
		before = h.before()
	}
	var all []dorav1alpha1.TeamStatus
	for of, services := range teams {
		shown := compare(before.Pool(services...), fleet.Pool(services...), t)
		shown.Team, shown.Environment = of.name, of.environment
		shown.Bands = spreadOf(fleet.Distribution(t, services...).Overall)
		for i, d := range fleet.Drags(t, services...) {
			if i < dorav1alpha1.MaxDrags {
				drag := dorav1alpha1.Drag{Service: d.Service.Name, Band: dorav1alpha1.Band(d.Band), Metric: dorav1alpha1.Metric(d.Metric)}
				shown.Drags = append(shown.Drags, drag)
			}
		}
		all = append(all, shown)
	}
	return all
}

// compare writes the figures of a team, and what they were.
func compare(was, is fourkeys.Summary, t thresholds) dorav1alpha1.TeamStatus {
	bands, trends := t.Bands(is), fourkeys.TrendsOf(&was, &is)
	return dorav1alpha1.TeamStatus{
		Services: int64(is.Services), Band: dorav1alpha1.Band(bands.Overall),
		DeploymentFrequency: dorav1alpha1.TeamFrequency{
			PerWeek: decimal(is.WeeklyRate(), ratePlaces), Samples: int64(is.Frequency.Deployments), Band: dorav1alpha1.Band(bands.Frequency),
			BeforePerWeek: decimal(was.WeeklyRate(), ratePlaces), Trend: trendOf(trends.Frequency),
		},
		LeadTime: timeOf(&was.LeadTime, &is.LeadTime, bands.LeadTime, trends.LeadTime),
		ChangeFailureRate: dorav1alpha1.TeamRatio{
			Ratio: decimal(is.ChangeFailureRate.Value, ratioPlaces), Samples: int64(is.ChangeFailureRate.Whole),
			Band:        dorav1alpha1.Band(bands.ChangeFailureRate),
			BeforeRatio: decimal(was.ChangeFailureRate.Value, ratioPlaces), Trend: trendOf(trends.ChangeFailureRate),
		},
		Recovery: timeOf(&was.Recovery.Durations, &is.Recovery.Durations, bands.Recovery, trends.Recovery),
	}
}

func timeOf(was, is *fourkeys.Durations, band fourkeys.Band, trend fourkeys.Trend) dorav1alpha1.TeamTime {
	return dorav1alpha1.TeamTime{
		P50Seconds: whole(is.P50), Samples: int64(is.Samples), Band: dorav1alpha1.Band(band),
		BeforeP50Seconds: whole(was.P50), Trend: trendOf(trend),
	}
}

func trendOf(trend fourkeys.Trend) dorav1alpha1.Trend {
	return cmp.Or(dorav1alpha1.Trend(trend), dorav1alpha1.TrendUnknown)
}

// steadyTeam makes a team's rates the ones that are written if they are the same but for the time that has passed.
func steadyTeam(written, status *dorav1alpha1.TeamStatus) {
	was, is := &written.DeploymentFrequency, &status.DeploymentFrequency
	if was.Samples != is.Samples || was.Band != is.Band || was.Trend != is.Trend {
		return
	}
	if near(was.PerWeek, is.PerWeek) {
		is.PerWeek = was.PerWeek
	}
	if near(was.BeforePerWeek, is.BeforePerWeek) {
		is.BeforePerWeek = was.BeforePerWeek
	}
}
