package doratarget

import (
	"github.com/prometheus/client_golang/prometheus"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// The windows of a team's figures: the target's, and the one before it.
const (
	currentWindow = "current"
	beforeWindow  = "before"
)

func teamDesc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"namespace", "target", "team", "environment"}, more...), nil)
}

// The metrics of teams have as many series as the status has teams, so they are bounded as it is.
var (
	teamServicesDesc = teamDesc("dora_team_services", "Services of the team by the lowest of their bands.", "band")
	teamPerWeekDesc  = teamDesc("dora_team_deployments_per_week", "Deployments of the team per week and service.", "window")
	teamLeadTimeDesc = teamDesc("dora_team_lead_time_seconds", "Median lead time for changes of the team.", "window")
	teamFailuresDesc = teamDesc("dora_team_change_failure_ratio", "Change failure rate of the team, from 0 to 1.", "window")
	teamRecoveryDesc = teamDesc("dora_team_recovery_seconds", "Median failed deployment recovery time of the team.", "window")

	teamDescs = []*prometheus.Desc{teamServicesDesc, teamPerWeekDesc, teamLeadTimeDesc, teamFailuresDesc, teamRecoveryDesc}
)

// alertDesc has as many series as the status has alerts.
var alertDesc = desc("alert", "1 for what got worse and was told of, as long as it is.", "reason", "service", "team", "environment", "metric")

func (g gauges) alert(a *dorav1alpha1.AlertStatus) {
	if a.Ended == nil {
		g.put(alertDesc, 1, string(a.Reason), a.Service, a.Team, a.Environment, string(a.Metric))
	}
}

func (g gauges) team(t *dorav1alpha1.TeamStatus) {
	for band, services := range map[string]int64{
		"Elite": t.Bands.Elite, "High": t.Bands.High, "Medium": t.Bands.Medium, "Low": t.Bands.Low, "NoData": t.Bands.NoData,
	} {
		g.put(teamServicesDesc, float64(services), t.Team, t.Environment, band)
	}
	g.decimal(teamPerWeekDesc, t.DeploymentFrequency.PerWeek, t.Team, t.Environment, currentWindow)
	g.decimal(teamPerWeekDesc, t.DeploymentFrequency.BeforePerWeek, t.Team, t.Environment, beforeWindow)
	g.seconds(teamLeadTimeDesc, t.LeadTime.P50Seconds, t.Team, t.Environment, currentWindow)
	g.seconds(teamLeadTimeDesc, t.LeadTime.BeforeP50Seconds, t.Team, t.Environment, beforeWindow)
	g.decimal(teamFailuresDesc, t.ChangeFailureRate.Ratio, t.Team, t.Environment, currentWindow)
	g.decimal(teamFailuresDesc, t.ChangeFailureRate.BeforeRatio, t.Team, t.Environment, beforeWindow)
	g.seconds(teamRecoveryDesc, t.Recovery.P50Seconds, t.Team, t.Environment, currentWindow)
	g.seconds(teamRecoveryDesc, t.Recovery.BeforeP50Seconds, t.Team, t.Environment, beforeWindow)
}
