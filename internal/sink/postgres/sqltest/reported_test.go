package sqltest_test

import (
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

// minutes is a time so many minutes after the start of that hour.
func minutes(hour, minute int) time.Time { return at(hour).Add(time.Duration(minute) * time.Minute) }

// reportedDays is what receivers heard of a service that CI deploys, until Argo did, with what Argo saw from then on.
func reportedDays() []dora.Event {
	event := func(kind dora.Type, id, source string, when time.Time) dora.Event {
		e := dora.Event{ID: id, Type: kind, Service: "shop", Environment: "production", Cluster: "eu", OccurredAt: when, ObservedAt: when, Source: source}
		e.Subject = dora.Subject{Kind: dora.KindReported, Namespace: "shop", Name: "shop", UID: "reported"}
		if source == "" {
			e.Subject = dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "shop", UID: "argo"}
		}
		return e
	}
	deploy := func(id, source string, hour, firstCommit int, success, back bool) dora.Event {
		e := event(dora.TypeDeploy, id, source, at(hour))
		e.Change, e.Success, e.IsRollback = dora.ChangeImage, new(success), new(back)
		e.Outcome = map[bool]dora.Outcome{true: dora.Succeeded, false: dora.Failed}[success]
		e.Version = &dora.Version{Images: []string{}, Tag: id, Commit: id + "0a1b2c3"}
		if back {
			e.Outcome = dora.RolledBack
		}
		if firstCommit > 0 {
			e.FirstCommitAt = new(at(firstCommit))
		}
		return e
	}
	failure := func(id, source, cause string, from, to time.Time) []dora.Event {
		began, ended := event(dora.TypeDegraded, id+"-began", source, from), event(dora.TypeRecovered, id+"-ended", source, to)
		began.FailureID, ended.FailureID, began.CausedBy, ended.CausedBy = id, id, cause, cause
		return []dora.Event{began, ended}
	}
	change := func(id string, hour int) dora.Event {
		e := event(dora.TypeChange, id, "github", at(hour))
		e.Version, e.FirstCommitAt = &dora.Version{Images: []string{}, Commit: id + "0a1b2c3"}, new(at(hour-1))
		return e
	}
	back := deploy("d4", "api", 31, 0, true, true)
	back.Previous = dora.Predecessor{Known: true, Version: &dora.Version{Images: []string{}, Commit: "d30a1b2c3"}}
	events := []dora.Event{
		change("c1", 4), deploy("d1", "api", 10, 4, true, false),
		change("c2", 8), deploy("d2", "api", 20, 8, true, false),
		change("c3", 26), deploy("d3", "api", 30, 26, false, false), back,
		deploy("d5", "api", 40, 22, true, false), deploy("a1", "", 50, 20, true, false),
	}
	events = append(events, failure("i1", "pagerduty", "d2", minutes(20, 30), minutes(21, 30))...) // an hour
	events = append(events, failure("f1", "", "a1", minutes(50, 30), minutes(51, 0))...)           // half an hour, of these two
	events = append(events, failure("i2", "pagerduty", "", minutes(50, 15), minutes(52, 15))...)
	return append(events, failure("i3", "opsgenie", "", minutes(60, 0), minutes(60, 30))...)
}

func TestPublishedQueriesRunUnchangedOnWhatIsReported(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, reportedDays())
	leadTime := func(fraction string) string {
		return `SELECT percentile_cont(` + fraction + `) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM occurred_at - first_commit_ts)) / 3600
			FROM delivery_events WHERE event_type = 'deploy' AND success AND first_commit_ts IS NOT NULL`
	}
	for statement, want := range map[string]float64{
		leadTime("0.5"): 15,   // 6, 12, 18 and 30 h: 12 + 0.5 × 6
		leadTime("0.9"): 26.4, // 18 + 0.7 × 12
		// d1, d2, d5 and a1, and the return to an earlier version, that it takes for one.
		`SELECT count(*)::float FROM delivery_events WHERE event_type = 'deploy' AND success AND environment = 'production'`: 5,
		// d3 and the return after it, of six.
		`SELECT count(*) FILTER (WHERE success = FALSE OR is_rollback)::float / NULLIF(count(*), 0)
			FROM delivery_events WHERE event_type = 'deploy'`: 2.0 / 6,
		// 60, 30, 120 and 30 min: what Argo and PagerDuty both saw is two to it.
		`SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM r.occurred_at - o.occurred_at)) / 60
			FROM delivery_events o JOIN delivery_events r ON r.incident_id = o.incident_id AND r.event_type = 'incident_resolved'
			WHERE o.event_type = 'incident_open'`: 45,
		`SELECT count(*)::float FROM delivery_events WHERE event_type = 'change' AND source = 'github'`:              3,
		`SELECT count(*)::float FROM delivery_events WHERE event_type = 'incident_open' AND source IN ('argocd')`:    1,
		`SELECT count(DISTINCT commit_sha)::float FROM delivery_events WHERE event_type IN ('change', 'deploy')`:     9,
		`SELECT count(*)::float FROM delivery_events WHERE payload ->> 'source' = 'pagerduty' AND source = 'argocd'`: 0,
	} {
		var got float64
		NewWithT(t).Expect(db.QueryRow(t.Context(), statement).Scan(&got)).To(Succeed())
		NewWithT(t).Expect(got).To(BeNumerically("~", want, 1e-9), statement)
	}
}

// By our own views what Argo and PagerDuty both saw is one outage of two hours, d2 and a1 failed by incidents, and a change is in no figure.
func TestViewsCountWhatIsReportedOnce(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, reportedDays())
	type figures struct {
		Deployments, Attempts, FailedAttempts, RecoverySamples, Incidents, Returned int
		RecoveryP50Seconds, LeadTimeP50Seconds                                      float64
	}
	got := query[figures](t, t, db, `SELECT deployments, attempts, failed_attempts, recovery_samples, incidents, returned, recovery_p50_seconds,
		lead_time_p50_seconds FROM dora_metrics_between('2026-11-02', '2026-11-09')`)
	alike(t, []figures{{
		Deployments: 4, Attempts: 5, FailedAttempts: 3, RecoverySamples: 2, Incidents: 1, Returned: 1,
		RecoveryP50Seconds: 1.5 * 3600, LeadTimeP50Seconds: 15 * 3600,
	}}, got)
	type outage struct {
		Began, Ended string
		Cause        *string
	}
	rows := query[outage](t, t, db, `SELECT to_char(began AT TIME ZONE 'UTC', 'DD HH24:MI') AS began, to_char(ended AT TIME ZONE 'UTC', 'DD HH24:MI') AS ended,
		caused_by AS cause FROM dora_failures ORDER BY 1`)
	alike(t, []outage{{"02 20:30", "02 21:30", new("d2")}, {"04 02:15", "04 04:15", new("a1")}, {"04 12:00", "04 12:30", nil}}, rows)
}

// tries are deployments that CI reports, each at its hour.
func tries(outcomes map[int]dora.Outcome) []dora.Event {
	var events []dora.Event
	for hour, outcome := range outcomes {
		e := dora.Event{ID: strconv.Itoa(hour), Type: dora.TypeDeploy, Service: "shop", Environment: "production", Cluster: "eu", Source: "api"}
		e.Subject = dora.Subject{Kind: dora.KindReported, Namespace: "shop", Name: "shop", UID: "reported"}
		e.OccurredAt, e.ObservedAt, e.Change, e.Outcome, e.Success = at(hour), at(48), dora.ChangeImage, outcome, new(outcome == dora.Succeeded)
		events = append(events, e)
	}
	return events
}

// On the second day two deployments worked. That the service was reported on the first day already tells that this day was followed, too.
func TestABackfillMakesNobodyFaster(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	ok, failed := dora.Succeeded, dora.Failed
	db.Insert(t, tries(map[int]dora.Outcome{1: ok, 4: ok, 8: ok, 12: ok, 18: ok, 28: ok, 38: failed, 45: ok}))
	type rate struct {
		Deployments                           int
		DeploymentsPerDay, DeploymentsPerWeek float64
	}
	for _, since := range []*time.Time{nil, new(at(24)), new(at(47)), new(at(100))} {
		got := query[rate](t, t, db, `SELECT deployments, deployments_per_day, deployments_per_week
			FROM dora_metrics_between($1, $2, all_followed_since => $3)`, at(24), at(48), since)
		alike(t, []rate{{2, 2, 14}}, got)
	}
}

// What failed in a drill, or was no failure, makes no rework of the success after it.
func TestADrillMakesNoRework(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	type figures struct {
		Succeeded, FailedAttempts, Unplanned int
		ReworkRate                           float64
	}
	for verdict, want := range map[dora.Verdict]figures{
		dora.Withdrawn: {2, 1, 1, 0.5}, dora.Failure: {2, 1, 1, 0.5}, dora.Ignore: {2, 0, 0, 0}, dora.NotAFailure: {3, 0, 0, 0},
	} {
		events := tries(map[int]dora.Outcome{10: dora.Succeeded, 20: dora.Failed, 30: dora.Succeeded})
		for i := range events {
			switch e := &events[i]; e.ID {
			case "20":
				e.Say(dora.Mark{Verdict: verdict, Reason: "a drill", By: "freeze drill", At: at(48)})
			case "30":
				e.Unplanned = new(true)
			}
		}
		db.Clear(t)
		db.Insert(t, events)
		got := query[figures](t, t, db, "SELECT succeeded, failed_attempts, unplanned, rework_rate FROM dora_metrics_between($1, $2)", at(0), at(48))
		alike(t, []figures{want}, got)
	}
}

// An incident that is reported is in its team's figures: of two services, deployed once each, one was down for 20 minutes because of that.
func TestAnIncidentIsInTheFiguresOfItsTeam(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	var events []dora.Event
	for _, service := range []string{"cart", "search"} {
		events = append(events, dora.Event{
			ID: service, Type: dora.TypeDeploy, Outcome: dora.Succeeded, Service: service, Team: "shop", Environment: "production", Cluster: "eu",
			Subject:    dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: service, UID: service},
			OccurredAt: at(20), ObservedAt: at(20), Change: dora.ChangeImage, Success: new(true), IsRollback: new(false),
		})
	}
	for kind, when := range map[dora.Type]time.Time{dora.TypeDegraded: minutes(20, 10), dora.TypeRecovered: minutes(20, 30)} {
		events = append(events, dora.Event{
			ID: string(kind), Type: kind, Service: "cart", Team: "shop", Environment: "production", Cluster: "eu", Source: "pagerduty",
			Subject:    dora.Subject{Kind: dora.KindReported, Namespace: "argocd", Name: "cart", UID: "reported"},
			OccurredAt: when, ObservedAt: when, FailureID: "f", CausedBy: "cart",
		})
	}
	db.Insert(t, events)
	type figures struct {
		Team                                                *string
		Services, Attempts, FailedAttempts, RecoverySamples int
		RecoveryP50Seconds                                  float64
	}
	got := query[figures](t, t, db, `SELECT team, services, attempts, failed_attempts, recovery_samples, recovery_p50_seconds
		FROM dora_metrics_by(ARRAY['2026-11-02', '2026-11-09']::timestamptz[], 'team')`)
	alike(t, []figures{{Team: new("shop"), Services: 2, Attempts: 2, FailedAttempts: 1, RecoverySamples: 1, RecoveryP50Seconds: 20 * 60}}, got)
}
