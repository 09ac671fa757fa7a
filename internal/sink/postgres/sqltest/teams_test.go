package sqltest_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

// team is a row of dora_teams_between.
type team struct {
	Team, Environment string
	Services          int
	Band              *string

	Deployments             int
	PerWeek                 *float64 `db:"deployments_per_week"`
	PerWeekBefore           *float64 `db:"deployments_per_week_before"`
	DeploymentsTrend        string
	LeadTime                *float64 `db:"lead_time_p50_seconds"`
	LeadTimeBefore          *float64 `db:"lead_time_p50_seconds_before"`
	LeadTimeTrend           string
	ChangeFailureRate       *float64
	ChangeFailureRateBefore *float64
	ChangeFailureRateTrend  string
	Recovery                *float64 `db:"recovery_p50_seconds"`
	RecoveryBefore          *float64 `db:"recovery_p50_seconds_before"`
	RecoveryTrend           string

	Elite, High, Medium, Low, NoData int
	Drags                            []string
}

const teamColumns = `team, environment, services, band, deployments, deployments_per_week, deployments_per_week_before, deployments_trend,
	lead_time_p50_seconds, lead_time_p50_seconds_before, lead_time_trend, change_failure_rate, change_failure_rate_before, change_failure_rate_trend,
	recovery_p50_seconds, recovery_p50_seconds_before, recovery_trend, elite, high, medium, low, no_data, drags`

// drag is a row of dora_drags_between.
type drag struct {
	Team, Environment, Service, Band, Metric string
	Place                                    int
}

// teams is what package fourkeys says of the first two windows of a question: the teams of the second, compared with the first of the same length.
func (q question) teams(h history) ([]team, []drag) {
	w := fourkeys.Window{From: q.edges[0], To: q.edges[1]}
	old := fourkeys.Window{From: w.From.Add(-w.To.Sub(w.From)), To: w.From}
	var teams []team
	var drags []drag
	for of, followed := range q.groups(h, w) {
		events := slices.DeleteFunc(slices.Clone(h.events), func(e dora.Event) bool { _, is := followed[serviceOf(&e)]; return !is })
		fleet := fourkeys.Aggregate(events, w, followed, q.kinds...)
		before := fourkeys.Aggregate(events, old, h.formerly(followed, old), q.kinds...).Whole
		row := teamOf(of, &before, &fleet.Whole, q.thresholds())
		spread := fleet.Distribution(q.thresholds()).Overall
		row.Elite, row.High, row.Medium, row.Low, row.NoData = spread.Elite, spread.High, spread.Medium, spread.Low, spread.NoData
		for i, d := range fleet.Drags(q.thresholds(), servicesOf(followed)...) {
			row.Drags = append(row.Drags, d.Service.Name)
			drags = append(drags, drag{of.Team, of.Environment, d.Service.Name, string(d.Band), string(d.Metric), i + 1})
		}
		teams = append(teams, row)
	}
	return teams, drags
}

// formerly is since when services are followed, as far as the window before is concerned: of one that became known later, that is when.
func (h history) formerly(followed map[fourkeys.Service]time.Time, old fourkeys.Window) map[fourkeys.Service]time.Time {
	then := map[fourkeys.Service]time.Time{}
	for service, since := range followed {
		if known := h.about(service).since; !known.Before(old.To) {
			since = known
		}
		then[service] = since
	}
	return then
}

func servicesOf(followed map[fourkeys.Service]time.Time) []fourkeys.Service {
	var services []fourkeys.Service
	for service := range followed {
		services = append(services, service)
	}
	return services
}

func teamOf(of about, before, now *fourkeys.Summary, t fourkeys.Thresholds) team {
	trends := fourkeys.TrendsOf(before, now)
	said := func(t fourkeys.Trend) string { return cmp.Or(string(t), "Unknown") }
	return team{
		Team: of.Team, Environment: of.Environment, Services: now.Services, Band: band(t.Bands(*now).Overall),
		Deployments: now.Frequency.Deployments, PerWeek: now.WeeklyRate(), PerWeekBefore: before.WeeklyRate(), DeploymentsTrend: said(trends.Frequency),
		LeadTime: now.LeadTime.P50, LeadTimeBefore: before.LeadTime.P50, LeadTimeTrend: said(trends.LeadTime),
		ChangeFailureRate: now.ChangeFailureRate.Value, ChangeFailureRateBefore: before.ChangeFailureRate.Value,
		ChangeFailureRateTrend: said(trends.ChangeFailureRate),
		Recovery:               now.Recovery.P50, RecoveryBefore: before.Recovery.P50, RecoveryTrend: said(trends.Recovery),
	}
}

// alikeTeams compares as alike does, in whatever order the rows are.
func alikeTeams(t failer, want, got any) {
	t.Helper()
	sorted := cmpopts.SortSlices(func(a, b team) bool { return a.Team+"/"+a.Environment < b.Team+"/"+b.Environment })
	placed := cmpopts.SortSlices(func(a, b drag) bool {
		return cmp.Or(cmp.Compare(a.Team, b.Team), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Place, b.Place)) < 0
	})
	if d := gocmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0), sorted, placed, cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}

func TestSQLComparesTeamsAsGoDoes(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		h.insert(t, db)
		for range 3 {
			q := drawQuestion(r)
			q.scope = "team"
			teams, drags := q.teams(h)
			args := []any{q.edges[0], q.edges[1], q.kinds, q.followedSince, q.preset}
			const asked = "($1, $2, kinds => $3, all_followed_since => $4, preset => $5)"
			alikeTeams(r, teams, query[team](t, r, db, "SELECT "+teamColumns+" FROM dora_teams_between"+asked, args...))
			alikeTeams(r, drags, query[drag](t, r, db, "SELECT team, environment, place, service, band, metric FROM dora_drags_between"+asked, args...))
		}
	})
}

// TestTrendsAtTheirEdges: a tenth of 10 is 1.
func TestTrendsAtTheirEdges(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	for _, test := range []struct {
		was, is    *float64
		less, more string // where less, or more, is better
	}{
		{nil, new(1.0), "Unknown", "Unknown"},
		{new(1.0), nil, "Unknown", "Unknown"},
		{new(0.0), new(0.0), "Same", "Same"},
		{new(10.0), new(10.9), "Same", "Same"},
		{new(10.0), new(11.0), "Worse", "Better"},
		{new(10.0), new(9.1), "Same", "Same"},
		{new(10.0), new(9.0), "Better", "Worse"},
		{new(0.0), new(0.01), "Worse", "Better"},
	} {
		got := query[struct{ Less, More string }](t, t, db, "SELECT dora_trend($1, $2, true) AS less, dora_trend($1, $2, false) AS more", test.was, test.is)[0]
		if got.Less != test.less || got.More != test.more {
			t.Errorf("from %v to %v: %+v, want %+v", test.was, test.is, got, test)
		}
	}
}
