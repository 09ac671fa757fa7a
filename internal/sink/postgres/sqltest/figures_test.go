package sqltest_test

import (
	"cmp"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

// about is what a row is about. What does not tell it is NULL.
type about struct {
	Service, Environment, Team string
}

// columns are those of dora_metrics_by.
const columns = `window_from, window_to, service, environment, team, services, deployments, followed_seconds, deployments_per_week, deployments_per_day,
	lead_time_p50_seconds, lead_time_p90_seconds, lead_time_samples, lead_time_rejected, change_failure_rate, failed_attempts, attempts,
	recovery_p50_seconds, recovery_p90_seconds, recovery_samples, recovery_rejected, recovery_failures, recovery_automatic_aborts, recovery_open,
	rework_rate, unplanned, succeeded, failed, aborted, unexposed, returned, unknown, incidents, open_failures,
	frequency_band, lead_time_band, change_failure_rate_band, recovery_band, band`

// row is a row of dora_metrics_by, or what package fourkeys finds in its place.
type row struct {
	WindowFrom, WindowTo time.Time
	Service              *string
	Environment          *string
	Team                 *string
	Services             int

	Deployments        int
	FollowedSeconds    float64
	DeploymentsPerWeek *float64
	DeploymentsPerDay  *float64

	LeadTimeP50      *float64 `db:"lead_time_p50_seconds"`
	LeadTimeP90      *float64 `db:"lead_time_p90_seconds"`
	LeadTimeSamples  int
	LeadTimeRejected int

	ChangeFailureRate *float64
	FailedAttempts    int
	Attempts          int

	RecoveryP50             *float64 `db:"recovery_p50_seconds"`
	RecoveryP90             *float64 `db:"recovery_p90_seconds"`
	RecoverySamples         int
	RecoveryRejected        int
	RecoveryFailures        int
	RecoveryAutomaticAborts int
	RecoveryOpen            int

	ReworkRate *float64
	Unplanned  int

	Succeeded, Failed, Aborted, Unexposed, Returned, Unknown int
	Incidents, OpenFailures                                  int

	FrequencyBand, LeadTimeBand, ChangeFailureRateBand, RecoveryBand, Band *string
}

func rowOf(w fourkeys.Window, of about, scope string, s *fourkeys.Summary, t fourkeys.Thresholds) row {
	b := t.Bands(*s)
	r := row{
		WindowFrom: w.From, WindowTo: w.To, Services: s.Services,
		Deployments: s.Frequency.Deployments, FollowedSeconds: s.Frequency.FollowedSeconds,
		DeploymentsPerWeek: s.Frequency.PerWeek, DeploymentsPerDay: s.Frequency.PerDay,
		LeadTimeP50: s.LeadTime.P50, LeadTimeP90: s.LeadTime.P90, LeadTimeSamples: s.LeadTime.Samples, LeadTimeRejected: s.LeadTime.Rejected,
		ChangeFailureRate: s.ChangeFailureRate.Value, FailedAttempts: s.ChangeFailureRate.Part, Attempts: s.ChangeFailureRate.Whole,
		RecoveryP50: s.Recovery.P50, RecoveryP90: s.Recovery.P90, RecoverySamples: s.Recovery.Samples, RecoveryRejected: s.Recovery.Rejected,
		RecoveryFailures: s.Recovery.Failures, RecoveryAutomaticAborts: s.Recovery.AutomaticAborts, RecoveryOpen: s.Recovery.Open,
		ReworkRate: s.Rework.Value, Unplanned: s.Rework.Part,
		Succeeded: s.Counts.Succeeded, Failed: s.Counts.Failed, Aborted: s.Counts.Aborted, Unexposed: s.Counts.Unexposed,
		Returned: s.Counts.Returned, Unknown: s.Counts.Unknown, Incidents: s.Counts.Incidents, OpenFailures: s.Counts.OpenFailures,
		FrequencyBand: band(b.Frequency), LeadTimeBand: band(b.LeadTime), ChangeFailureRateBand: band(b.ChangeFailureRate),
		RecoveryBand: band(b.Recovery), Band: band(b.Overall),
	}
	if scope == "service" {
		r.Service = &of.Service
	}
	if scope != "all" {
		r.Environment = &of.Environment
	}
	if scope == "service" || scope == "team" {
		r.Team = &of.Team
	}
	return r
}

func band(b fourkeys.Band) *string {
	if b == "" {
		return nil
	}
	return new(string(b))
}

func (r row) before(other row) bool {
	return cmp.Or(
		r.WindowFrom.Compare(other.WindowFrom), cmp.Compare(word(r.Service), word(other.Service)),
		cmp.Compare(word(r.Environment), word(other.Environment)), cmp.Compare(word(r.Team), word(other.Team)),
	) < 0
}

func word(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// failer is a test, or one of many that are drawn.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// alike compares as exactly as sums of floating-point numbers can be compared.
func alike(t failer, want, got any) {
	t.Helper()
	if d := gocmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0), cmpopts.SortSlices(row.before), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("(-want +got)\n%s", d)
	}
}

// query reads rows into structs, by the names of their columns.
func query[T any](t *testing.T, f failer, db *sqltest.Database, statement string, args ...any) []T {
	t.Helper()
	f.Helper()
	rows, err := db.Query(t.Context(), statement, args...)
	if err != nil {
		f.Fatalf("%s: %v", statement, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[T])
	if err != nil {
		f.Fatalf("%s: %v", statement, err)
	}
	return found
}
