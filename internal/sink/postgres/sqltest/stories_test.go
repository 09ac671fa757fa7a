package sqltest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/pressly/goose/v3"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

// november is the month that docs/metrics.md works out by hand.
func november(t *testing.T) []dora.Event {
	t.Helper()
	return sqltest.ReadEvents(t, "../../../fourkeys/testdata/worked-example.jsonl")
}

const (
	hour = 3600.0
	// partitioned makes the table before the migrations do, as an administrator would. The key must hold the time.
	partitioned = `
CREATE TABLE delivery_events (
	id text NOT NULL, event_type text NOT NULL, service text NOT NULL, team text NOT NULL DEFAULT '', environment text NOT NULL DEFAULT '',
	commit_sha text, first_commit_ts timestamptz, occurred_at timestamptz NOT NULL, success boolean, is_rollback boolean, incident_id text,
	source text NOT NULL, payload jsonb NOT NULL, ingested_at timestamptz NOT NULL DEFAULT now(), cluster text NOT NULL DEFAULT '', type text NOT NULL,
	outcome text, change text, subject_kind text, subject_namespace text, subject_name text, subject_uid text, attempt text, started_at timestamptz,
	observed_at timestamptz, tag text, previous_tag text, running_tag text, unplanned boolean, exposed boolean, commit_count integer,
	first_commit text, base_commit text, repository text, lead_time_seconds double precision, lead_time_unknown text, caused_by text,
	recovery_seconds double precision, basis text, reason text, message text, updated_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE delivery_events_early PARTITION OF delivery_events FOR VALUES FROM ('2026-11-01') TO ('2026-11-12 09:10+00');
CREATE TABLE delivery_events_late PARTITION OF delivery_events DEFAULT`
)

// tables are the forms that delivery_events can have.
func tables() map[string][]string {
	return map[string][]string{"one table": nil, "partitions, one of which ends in the middle of an outage": {partitioned}}
}

func TestTheMonthWorkedOutByHand(t *testing.T) {
	for name, scripts := range tables() {
		t.Run(name, func(t *testing.T) {
			db := sqltest.Open(t, postgres.Migrations(), scripts...)
			db.Insert(t, november(t))
			got := query[row](t, t, db, `SELECT `+columns+`
				FROM dora_metrics_between('2026-11-01T00:00Z', '2026-12-01T00:00Z', all_followed_since => '-infinity')`)
			alike(t, []row{{
				WindowFrom: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), WindowTo: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
				Service: new("checkout"), Environment: new("production"), Team: new(""), Services: 1,
				// 6 deployments in 30 days: 6 × 7 ÷ 30.
				Deployments: 6, FollowedSeconds: 30 * 24 * hour, DeploymentsPerWeek: new(1.4), DeploymentsPerDay: new(0.2),
				// 6, 12, 18, 48⅓ and 96 h. p90 is at row 3.6: 48⅓ + 0.6 × 47⅔.
				LeadTimeP50: new(18 * hour), LeadTimeP90: new((48+1/3.0)*hour + 0.6*(47+2/3.0)*hour), LeadTimeSamples: 5,
				ChangeFailureRate: new(3 / 7.0), FailedAttempts: 3, Attempts: 7,
				// 2, 20 and 30 min. p90 is at row 1.8.
				RecoveryP50: new(1200.0), RecoveryP90: new(28 * 60.0), RecoverySamples: 3, RecoveryFailures: 3, RecoveryAutomaticAborts: 1,
				ReworkRate: new(0.6), Unplanned: 3,
				Succeeded: 5, Failed: 1, Aborted: 1, Unexposed: 1, Returned: 1, Unknown: 1, Incidents: 1,
				FrequencyBand: new("High"), LeadTimeBand: new("Elite"), ChangeFailureRateBand: new("Low"), RecoveryBand: new("Elite"), Band: new("Low"),
			}}, got)
		})
	}
}

// verdict is what the view says about one attempt.
type verdict struct {
	Tag                                    string
	Class                                  string
	InChangeFailureRate, Failed, Unplanned bool
	Deployed                               *string // its time of day
	LeadTimeSeconds                        *float64
}

func TestEachAttemptOfTheMonthHasItsRow(t *testing.T) {
	for name, scripts := range tables() {
		t.Run(name, func(t *testing.T) {
			db := sqltest.Open(t, postgres.Migrations(), scripts...)
			db.Insert(t, november(t))
			got := query[verdict](t, t, db, `SELECT tag, class, in_change_failure_rate, failed, unplanned,
				to_char(deployed_at AT TIME ZONE 'UTC', 'DD HH24:MI') AS deployed, lead_time_seconds FROM dora_deployments ORDER BY occurred_at`)
			alike(t, []verdict{
				{"1.1.0", "succeeded", true, false, false, new("03 10:00"), new(18 * hour)},
				{"1.2.0", "succeeded", true, true, false, new("06 15:00"), new(6 * hour)}, // it broke, and was rolled back: one failed change
				{"1.1.0", "returned", false, false, false, nil, nil},
				{"1.3.0", "succeeded", true, false, true, new("07 11:00"), new(12 * hour)},
				{"1.4.0", "failed", true, true, false, new("12 09:20"), new((48 + 1/3.0) * hour)}, // it healed
				{"1.5.0", "aborted", true, true, false, nil, nil},
				{"1.6.0", "succeeded", true, false, true, new("18 10:00"), new(96 * hour)},
				{"1.7.0", "unexposed", false, false, false, nil, nil},
				{"stable", "succeeded", true, false, true, new("24 10:00"), nil},
				{"1.9.0", "unknown", false, false, false, nil, nil},
			}, got)
		})
	}
}

// span is what the view says about one failure.
type span struct {
	Began           string
	CauseClass      *string
	RecoverySeconds *float64
	Incident        bool
	AutomaticAbort  bool
	Open            bool
}

func TestEachFailureOfTheMonthHasItsRow(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	events := november(t)
	db.Insert(t, events[:len(events)-1]) // the last outage goes on
	got := query[span](t, t, db, `SELECT to_char(began AT TIME ZONE 'UTC', 'DD HH24:MI') AS began, cause_class, recovery_seconds, incident,
		automatic_abort, open FROM dora_failures ORDER BY 1`)
	alike(t, []span{
		{"06 15:40", new("succeeded"), new(1800.0), false, false, false},
		{"12 09:00", new("failed"), new(1200.0), false, false, false},
		{"17 14:00", new("aborted"), new(120.0), false, true, false},
		{"28 03:00", nil, nil, true, false, true},
	}, got)
}

// The first failure that a failed attempt caused ended with its version, and so did a second one.
func TestAnAttemptThatHealedTwiceWasDeployedWhenItFirstDid(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	version := &dora.Version{Images: []string{"registry.example/shop:v1"}, Tag: "v1"}
	event := func(kind dora.Type, id string, hours int, failure string) dora.Event {
		return dora.Event{ID: id, Type: kind, Service: "shop", OccurredAt: at(hours), FailureID: failure, Running: version}
	}
	deploy := event(dora.TypeDeploy, "attempt", 0, "")
	deploy.Outcome, deploy.Success, deploy.Change, deploy.Version = dora.Failed, new(false), dora.ChangeImage, version
	first, second := event(dora.TypeDegraded, "1", 0, "one"), event(dora.TypeDegraded, "2", 3, "two")
	first.CausedBy, second.CausedBy = deploy.ID, deploy.ID
	events := []dora.Event{deploy, first, second, event(dora.TypeRecovered, "3", 2, "one"), event(dora.TypeRecovered, "4", 4, "two")}
	db.Insert(t, events)
	got := query[struct{ DeployedAt time.Time }](t, t, db, "SELECT deployed_at FROM dora_deployments")
	alike(t, at(2), got[0].DeployedAt.UTC())
	alike(t, 1, fourkeys.Compute(events, fourkeys.Window{From: at(2), To: at(3)}).Frequency.Deployments)
}

func TestServicesWhoseFiguresNoLongerComeAreGone(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	db.Figure(t, "shop/shop", fourkeys.Service{Name: "gone", Environment: "production"}, "red", at(0))
	db.Figure(t, "shop/shop", fourkeys.Service{Name: "quiet", Environment: "production"}, "red", at(0))
	db.Figure(t, "shop/shop", fourkeys.Service{Name: "quiet", Environment: "production"}, "blue", at(100))
	got := query[row](t, t, db, "SELECT "+columns+" FROM dora_metrics_between($1, $2, 'service')", at(50), at(150))
	g := NewWithT(t)
	g.Expect(got).To(HaveLen(1))
	g.Expect(word(got[0].Service) + " of " + word(got[0].Team)).To(Equal("quiet of blue"))
	g.Expect(got[0].DeploymentsPerWeek).To(HaveValue(BeZero()), "it was followed throughout, and nothing was deployed")
	g.Expect(word(got[0].Band)).To(Equal("Low"))
}

func TestTheLastWeekEndsNow(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, november(t))
	got := query[struct{ Weeks, Whole, Current int }](t, t, db, `SELECT count(*) AS weeks, count(*) FILTER (WHERE window_to = week + interval '7 days') AS whole,
		count(*) FILTER (WHERE window_to = greatest(now(), '2026-11-28T05:00Z'::timestamptz + interval '1 microsecond')) AS current
		FROM dora_weekly_service`)
	alike(t, 1, got[0].Current)
	alike(t, got[0].Weeks, got[0].Whole+1)
}

// A Monday begins at midnight by UTC, whatever the session's time zone. In Auckland it is 13:00 then.
func TestWeeksBeginOnMondayByUTC(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	postgrestest.Exec(t, db.Conn, "SET timezone = 'Pacific/Auckland'")
	for since, want := range map[string][]time.Time{
		"2026-11-01T23:59:59Z": {at(-7 * 24), at(0), at(7 * 24), at(8 * 24)},
		"2026-11-02T00:00:00Z": {at(0), at(7 * 24), at(8 * 24)},
		"2026-11-10T00:00:00Z": {at(7 * 24), at(8 * 24)}, // the first week is whole, up to the end
		"2026-11-17T00:00:00Z": {at(8 * 24)},             // it would end before it begins
	} {
		got := query[struct{ Edges []time.Time }](t, t, db, "SELECT dora_weeks($1::timestamptz, $2) AS edges", since, at(8*24))
		alike(t, want, got[0].Edges)
	}
	whole := query[struct{ Edges []time.Time }](t, t, db, "SELECT dora_weeks($1, $2) AS edges", at(0), at(7*24))
	alike(t, []time.Time{at(0), at(7 * 24)}, whole[0].Edges)
}

// Others may write into the table too, and write nothing for what is not known.
func TestFailuresWithoutAnIDNeverEnd(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, november(t))
	postgrestest.Exec(t, db.Conn, "UPDATE delivery_events SET incident_id = '' WHERE incident_id IS NOT NULL")
	got := query[struct{ Failures, Open, Healed int }](t, t, db, `SELECT count(*) AS failures, count(*) FILTER (WHERE open) AS open,
		(SELECT count(*) FROM dora_deployments WHERE class = 'failed' AND deployed_at IS NOT NULL) AS healed FROM dora_failures`)
	// Those of the 6th, the 12th and the 17th began within a week of each other and are one outage that goes on; that of the 28th is another.
	NewWithT(t).Expect(got[0]).To(Equal(struct{ Failures, Open, Healed int }{Failures: 2, Open: 2}))
}

// Articles print such queries, for a table of this name and these columns.
func TestPublishedQueriesRunUnchanged(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, november(t))
	for statement, want := range map[string]string{
		// Rows 3, 5, 6 and 8 of ten: docs/metrics.md says what is wrong with that.
		`SELECT count(*) FILTER (WHERE success = FALSE OR is_rollback)::float / NULLIF(count(*), 0) AS change_failure_rate
		FROM delivery_events WHERE event_type = 'deploy' AND environment = 'production'`: "0.4",
		// The successes, and the rollback that it takes for one.
		`SELECT count(*) FROM delivery_events WHERE event_type = 'deploy' AND success AND occurred_at >= '2026-11-01' AND occurred_at < '2026-12-01'`: "6",
		// 6, 12, 18 and 96 h: it leaves the deployment out that healed. 12 + 0.5 × 6.
		`SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM occurred_at - first_commit_ts)) / 3600
		FROM delivery_events WHERE event_type = 'deploy' AND success AND first_commit_ts IS NOT NULL`: "15",
		// 30, 20, 2 and 120 min, the outage that no deployment caused among them: 20 + 0.5 × 10.
		`SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM r.occurred_at - o.occurred_at)) / 60
		FROM delivery_events o JOIN delivery_events r ON r.incident_id = o.incident_id AND r.event_type = 'incident_resolved'
		WHERE o.event_type = 'incident_open'`: "25",
	} {
		var got float64
		NewWithT(t).Expect(db.QueryRow(t.Context(), statement).Scan(&got)).To(Succeed())
		NewWithT(t).Expect(fmt.Sprint(got)).To(Equal(want), statement)
	}
}

// A reader has another search_path, or none, and may read and nothing else.
func TestAReaderWithAnotherSearchPathGetsTheSameAnswers(t *testing.T) {
	g := NewWithT(t)
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, november(t))
	role := db.Name + "_reader"
	for _, statement := range []string{
		"CREATE ROLE " + role, "GRANT USAGE ON SCHEMA dora TO " + role, "GRANT SELECT ON ALL TABLES IN SCHEMA dora TO " + role,
		"CREATE SCHEMA decoy", "CREATE TABLE decoy.delivery_events (LIKE dora.delivery_events)", "GRANT USAGE ON SCHEMA decoy TO " + role,
		"CREATE FUNCTION decoy.dora_class(text, boolean, boolean) RETURNS text LANGUAGE sql RETURN 'unknown'",
	} {
		postgrestest.Exec(t, db.Conn, statement)
	}
	t.Cleanup(func() {
		postgrestest.Exec(t, db.Conn, "RESET ROLE")
		postgrestest.Exec(t, db.Conn, "DROP OWNED BY "+role)
		postgrestest.Exec(t, db.Conn, "DROP ROLE "+role)
	})
	postgrestest.Exec(t, db.Conn, "SET ROLE "+role)
	postgrestest.Exec(t, db.Conn, "SET search_path = decoy, pg_catalog")
	for statement, want := range map[string]int{
		"SELECT deployments FROM dora.dora_metrics_between('2026-11-01T00:00Z', '2026-12-01T00:00Z')": 6,
		"SELECT count(*) FROM dora.dora_deployments WHERE failed":                                     3,
		"SELECT count(*) FROM dora.dora_failures":                                                     4,
		"SELECT sum(deployments) FROM dora.dora_weekly_service":                                       6,
		"SELECT sum(failed_attempts) FROM dora.dora_weekly_team":                                      3,
		"SELECT deployments FROM dora.dora_teams_between('2026-11-01T00:00Z', '2026-12-01T00:00Z')":   6,
		"SELECT place FROM dora.dora_drags_between('2026-11-01T00:00Z', '2026-12-01T00:00Z')":         1,
	} {
		var got int
		g.Expect(db.QueryRow(t.Context(), statement).Scan(&got)).To(Succeed(), statement)
		g.Expect(got).To(Equal(want), statement)
	}
	_, err := db.Exec(t.Context(), "DELETE FROM dora.delivery_events")
	g.Expect(err).To(MatchError(ContainSubstring("permission denied")))
}

func TestViewsGoAndComeBack(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, november(t))
	db.Migrate(t, func(ctx context.Context, p *goose.Provider) error { _, err := p.DownTo(ctx, 1); return err })
	left := query[struct{ Name string }](t, t, db, `SELECT relname AS name FROM pg_class WHERE relnamespace = 'dora'::regnamespace AND relkind = 'v'
		UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'dora'::regnamespace`)
	NewWithT(t).Expect(left).To(BeEmpty())
	db.Migrate(t, func(ctx context.Context, p *goose.Provider) error { _, err := p.Up(ctx); return err })
	got := query[struct{ Count int }](t, t, db, "SELECT count(*) FROM dora_deployments")
	alike(t, 10, got[0].Count)
}

// Clocks go wrong. 11 years have 574 Mondays in them, and begin on 575 weeks at most.
func TestATimeThatIsFarOffAddsNoWeeks(t *testing.T) {
	g := NewWithT(t)
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, november(t))
	before := query[struct{ Weeks int }](t, t, db, "SELECT count(*) AS weeks FROM dora_weekly_service")[0].Weeks
	far := []string{"0001-01-02T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}
	for _, when := range far {
		e := november(t)[0]
		e.ID = when
		var err error
		e.OccurredAt, err = time.Parse(time.RFC3339, when)
		g.Expect(err).NotTo(HaveOccurred())
		db.Insert(t, []dora.Event{e})
	}
	for _, view := range []string{"dora_weekly_service", "dora_weekly_team"} {
		g.Expect(query[struct{ Weeks int }](t, t, db, "SELECT count(*) AS weeks FROM "+view)[0].Weeks).To(Equal(before), view)
	}
	g.Expect(query[struct{ Sum int }](t, t, db, "SELECT sum(deployments) FROM dora_weekly_service")[0].Sum).To(Equal(6), "the month is as it was")

	postgrestest.Exec(t, db.Conn, "UPDATE delivery_events SET occurred_at = now() - interval '10 years' + interval '1 minute' WHERE id = $1", far[0])
	postgrestest.Exec(t, db.Conn, "UPDATE delivery_events SET occurred_at = now() + interval '1 year' - interval '1 minute' WHERE id = $1", far[2])
	g.Expect(query[struct{ Weeks int }](t, t, db, "SELECT count(*) AS weeks FROM dora_weekly_service")[0].Weeks).
		To(And(BeNumerically(">=", 573), BeNumerically("<=", 576)))
	db.Clear(t)
	g.Expect(query[struct{ Weeks int }](t, t, db, "SELECT count(*) AS weeks FROM dora_weekly_service")[0].Weeks).To(BeZero())
}

func TestAServiceOfSeveralClustersIsOne(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	events := november(t)
	for i := range events {
		events[i].Cluster = "eu"
	}
	db.Insert(t, events)
	for i := range events {
		events[i].ID, events[i].Cluster = events[i].ID+"-us", "us"
	}
	db.Insert(t, events)
	got := query[struct{ Services, Deployments int }](t, t, db, `SELECT (SELECT count(*) FROM dora_services) AS services,
		(SELECT deployments FROM dora_metrics_between('2026-11-01T00:00Z', '2026-12-01T00:00Z')) AS deployments`)
	alike(t, 1, got[0].Services)
	NewWithT(t).Expect(got[0].Deployments).To(BeNumerically(">=", 10), "those of both clusters count")
}
