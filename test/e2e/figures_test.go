//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/recompute"
)

// figures are what somebody reads off the five metrics. Without data a figure is nil.
type figures struct {
	Deployments, Succeeded, Failed, RolledBack, Unknown int
	LeadTimes                                           int
	LeadP50, LeadP90                                    *float64
	Attempts, FailedAttempts                            int
	FailureRate                                         *float64
	Recoveries                                          int
	RecoveryP50, RecoveryP90                            *float64
	Unplanned                                           int
	Rework                                              *float64
	Incidents, Open                                     int
}

// alike: the status shows whole seconds, and four decimals.
var alike = gocmp.Options{cmpopts.EquateApprox(0, 0.51), cmpopts.EquateEmpty()}

// worked counts the metrics from events, by the words of the contract (semantics, the five metrics) and nothing else. All of a story lies in the window.
func worked(events []dora.Event) figures {
	w := figures{}
	var leads, recoveries []float64
	for _, e := range events {
		switch {
		case e.Type == dora.TypeDegraded:
			w.Open++
			w.Incidents += count(e.CausedBy == "")
		case e.Type == dora.TypeRecovered:
			w.Open--
			if e.CausedBy != "" {
				recoveries = append(recoveries, *e.RecoverySeconds)
			}
			if cause := cameToItself(e, events); cause != nil {
				w.Deployments++
				if cause.FirstCommitAt != nil {
					leads = append(leads, e.OccurredAt.Sub(*cause.FirstCommitAt).Seconds())
				}
			}
		case e.Outcome == dora.Succeeded:
			w.Succeeded++
			w.Deployments++
			w.Unplanned += count(e.Unplanned != nil && *e.Unplanned)
			if e.LeadTimeSeconds != nil {
				leads = append(leads, *e.LeadTimeSeconds)
			}
		}
		w.attempt(e, events)
	}
	w.LeadTimes, w.LeadP50, w.LeadP90 = len(leads), percentile(leads, 0.5), percentile(leads, 0.9)
	w.Recoveries, w.RecoveryP50, w.RecoveryP90 = len(recoveries), percentile(recoveries, 0.5), percentile(recoveries, 0.9)
	w.FailureRate, w.Rework = share(w.FailedAttempts, w.Attempts), share(w.Unplanned, w.Succeeded)
	return w
}

// attempt counts one deployment among the attempts, and those that failed.
func (w *figures) attempt(e dora.Event, events []dora.Event) {
	stopped := e.Outcome == dora.RolledBack && e.Success != nil && !*e.Success
	exposed := e.Exposed == nil || *e.Exposed
	switch e.Outcome {
	case dora.Failed:
		w.Failed++
	case dora.RolledBack:
		w.RolledBack++
	case dora.Unknown:
		w.Unknown++
	case dora.Succeeded:
	}
	switch {
	case e.Outcome == dora.Failed, stopped && exposed:
		w.Attempts++
		w.FailedAttempts++
	case e.Outcome == dora.Succeeded:
		w.Attempts++
		w.FailedAttempts += count(causedAFailure(e, events) || left(e, events))
	}
}

func causedAFailure(e dora.Event, events []dora.Event) bool {
	return slices.ContainsFunc(events, func(other dora.Event) bool { return other.Type == dora.TypeDegraded && other.CausedBy == e.ID })
}

// left tells whether the next deployment was a rollback that left this one's version.
func left(e dora.Event, events []dora.Event) bool {
	after := slices.IndexFunc(events, func(other dora.Event) bool { return other.ID == e.ID }) + 1
	next := slices.IndexFunc(events[after:], func(other dora.Event) bool {
		return other.Type == dora.TypeDeploy && (other.Outcome == dora.Succeeded || other.Outcome == dora.RolledBack && *other.Success)
	})
	if next < 0 {
		return false
	}
	by := events[after+next]
	return by.Outcome == dora.RolledBack && by.Previous.Version != nil && slices.Equal(by.Previous.Version.Images, e.Version.Images)
}

// cameToItself is the failed deployment whose own version runs healthy now that its failure is over, or nil.
func cameToItself(recovered dora.Event, events []dora.Event) *dora.Event {
	for i := range events {
		if e := &events[i]; e.ID == recovered.CausedBy && e.Outcome == dora.Failed && recovered.Running != nil && slices.Equal(e.Version.Images, recovered.Running.Images) {
			return e
		}
	}
	return nil
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func share(part, of int) *float64 {
	if of == 0 {
		return nil
	}
	return new(float64(part) / float64(of))
}

// percentile interpolates, as PostgreSQL's percentile_cont.
func percentile(values []float64, p float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	at := p * float64(len(values)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(values)-1)
	return new(values[below] + (at-float64(below))*(values[above]-values[below]))
}

// figures works the metrics out by hand, and holds the DoraTarget's status and every sink against them.
func (v *service) figures(events []dora.Event) {
	v.Helper()
	want := worked(events)
	for where, read := range map[string]func() (figures, error){
		"the status":                             v.inTheStatus,
		"the SQL function dora_metrics_between":  v.bySQL,
		"the table dora_metrics":                 v.inTheTable,
		"the figures that the receiver was sent": v.figuresReceived,
	} {
		v.awaitRest(where+" tells its figures", func() error {
			got, err := read()
			if err != nil {
				return err
			}
			if diff := gocmp.Diff(want, got, alike); diff != "" {
				return errors.New("they differ (-worked by hand +told):\n" + diff)
			}
			return nil
		})
	}
	if len(v.formerly) == 0 && v.labels["env"] == "prod" { // the environment whose figures the portal shows
		v.awaitRest("Port shows its figures", func() error { return v.portShows(want) })
	}
	v.awaitRest("the gap is told", v.gapIsTold)
	v.awaitRest("what was seen is decided so again", v.decidedAgain)
}

// decidedAgain: the evidence that is kept leads to the same events by the same rules.
func (v *service) decidedAgain() error {
	store, err := sqlite.OpenReadOnly(v.Context(), v.Ledger)
	if err != nil {
		return err
	}
	defer store.Close()
	subjects, err := store.Subjects(v.Context(), ledger.SubjectQuery{})
	if err != nil {
		return err
	}
	subjects = slices.DeleteFunc(subjects, func(s ledger.Subject) bool { return !slices.Contains(v.names(), s.Service) })
	report, err := recompute.Run(v.Context(), store, subjects, time.Time{})
	if err != nil {
		return err
	}
	if report.Observations == 0 || len(report.Differences) > 0 {
		return fmt.Errorf("of %d observations come other events: %+v", report.Observations, report.Differences)
	}
	return nil
}

// gapIsTold: no entry of the history was lost, but for those that the story says nobody could tell.
func (v *service) gapIsTold() error {
	gaps, err := v.gapsInLedger()
	if err != nil || v.loose {
		return err
	}
	if gaps != v.gaps {
		return fmt.Errorf("%d gaps in the ledger, not %d", gaps, v.gaps)
	}
	f, err := v.summary()
	if err == nil && f.Counts.Gaps != int64(gaps) {
		err = fmt.Errorf("%d gaps, not %d", f.Counts.Gaps, gaps)
	}
	return err
}

func (v *service) gapsInLedger() (gaps int, err error) {
	store, err := sqlite.OpenReadOnly(v.Context(), v.Ledger)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	subjects, err := store.Subjects(v.Context(), ledger.SubjectQuery{})
	for _, s := range subjects {
		if slices.Contains(v.names(), s.Service) {
			gaps += s.Gaps
		}
	}
	return gaps, err
}

func (v *service) summary() (*dorav1alpha1.Figures, error) {
	target := &dorav1alpha1.DoraTarget{}
	if err := v.Get(v.Context(), "argocd", v.name, target); err != nil {
		return nil, err
	}
	if target.Status.Summary == nil {
		return nil, errors.New("there are none")
	}
	return target.Status.Summary, nil
}

func (v *service) inTheStatus() (figures, error) {
	f, err := v.summary()
	if err != nil {
		return figures{}, err
	}
	c := f.Counts
	return figures{
		Deployments: int(f.DeploymentFrequency.Samples), Succeeded: int(c.Succeeded), Failed: int(c.Failed), RolledBack: int(c.RolledBack), Unknown: int(c.Unknown),
		LeadTimes: int(f.LeadTime.Samples), LeadP50: whole(f.LeadTime.P50Seconds), LeadP90: whole(f.LeadTime.P90Seconds),
		Attempts: int(f.ChangeFailureRate.Samples), FailedAttempts: int(f.ChangeFailureRate.Failures), FailureRate: decimal(f.ChangeFailureRate.Ratio),
		Recoveries: int(f.Recovery.Samples), RecoveryP50: whole(f.Recovery.P50Seconds), RecoveryP90: whole(f.Recovery.P90Seconds),
		Unplanned: int(f.Rework.Unplanned), Rework: decimal(f.Rework.Ratio), Incidents: int(c.Incidents), Open: int(c.OpenFailures),
	}, nil
}

func whole(seconds *int64) *float64 {
	if seconds == nil {
		return nil
	}
	return new(float64(*seconds))
}

func decimal(d dorav1alpha1.Decimal) *float64 {
	f, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return nil
	}
	return &f
}

// columns of both the function and the table, in the order of the fields of figures.
const columns = `deployments, succeeded, failed, aborted + unexposed + returned AS rolled_back, unknown, lead_time_samples AS lead_times,
	lead_time_p50_seconds AS lead_p50, lead_time_p90_seconds AS lead_p90, attempts, failed_attempts, change_failure_rate AS failure_rate,
	recovery_samples AS recoveries, recovery_p50_seconds AS recovery_p50, recovery_p90_seconds AS recovery_p90, unplanned, rework_rate AS rework, incidents, open_failures AS open`

func (v *service) bySQL() (figures, error) {
	return v.query(`SELECT `+columns+` FROM dora.dora_metrics_between(now() - interval '29 days', now() + interval '1 minute', scope => 'all', only_services => $1)`, v.names())
}

func (v *service) inTheTable() (figures, error) {
	return v.query(`SELECT `+columns+` FROM dora.dora_metrics WHERE target = $1 AND scope = 'target' ORDER BY day DESC LIMIT 1`, "argocd/"+v.name)
}

func (v *service) query(sql string, argument any) (figures, error) {
	conn := v.warehouse.Connect(v.T, v.database)
	defer conn.Close(v.Context())
	rows, err := conn.Query(v.Context(), sql, argument)
	if err != nil {
		return figures{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[figures])
}

// figuresReceived are the last that the receiver of CloudEvents got of the target.
func (v *service) figuresReceived() (figures, error) {
	for _, message := range slices.Backward(v.receiver.Received()) {
		var f received
		e := message.Event
		if !strings.HasSuffix(e.DataSchema(), "dora-metrics-v1.json") || json.Unmarshal(e.Data(), &f) != nil || f.Scope != "target" || f.Target != "argocd/"+v.name {
			continue
		}
		return figures{
			Deployments: f.Deployments, Succeeded: f.Succeeded, Failed: f.Failed, RolledBack: f.Aborted + f.Unexposed + f.Returned, Unknown: f.Unknown,
			LeadTimes: f.LeadTimes, LeadP50: f.LeadP50, LeadP90: f.LeadP90, Attempts: f.Attempts, FailedAttempts: f.FailedAttempts, FailureRate: f.FailureRate,
			Recoveries: f.Recoveries, RecoveryP50: f.RecoveryP50, RecoveryP90: f.RecoveryP90, Unplanned: f.Unplanned, Rework: f.Rework,
			Incidents: f.Incidents, Open: f.Open,
		}, nil
	}
	return figures{}, errors.New("there are none")
}

// received is dora-metrics/v1, as far as it is looked at.
type received struct {
	Scope          string   `json:"scope"`
	Target         string   `json:"target"`
	Deployments    int      `json:"deployments"`
	Succeeded      int      `json:"succeeded"`
	Failed         int      `json:"failed"`
	Aborted        int      `json:"aborted"`
	Unexposed      int      `json:"unexposed"`
	Returned       int      `json:"returned"`
	Unknown        int      `json:"unknown"`
	LeadTimes      int      `json:"lead_time_samples"`
	LeadP50        *float64 `json:"lead_time_p50_seconds"`
	LeadP90        *float64 `json:"lead_time_p90_seconds"`
	Attempts       int      `json:"attempts"`
	FailedAttempts int      `json:"failed_attempts"`
	FailureRate    *float64 `json:"change_failure_rate"`
	Recoveries     int      `json:"recovery_samples"`
	RecoveryP50    *float64 `json:"recovery_p50_seconds"`
	RecoveryP90    *float64 `json:"recovery_p90_seconds"`
	Unplanned      int      `json:"unplanned"`
	Rework         *float64 `json:"rework_rate"`
	Incidents      int      `json:"incidents"`
	Open           int      `json:"open_failures"`
}

// portShows looks at the service that the portal had all along.
func (v *service) portShows(want figures) error {
	e := v.portal.Entity("service", v.labels["service"])
	if e == nil {
		return errors.New("it has no such service")
	}
	scaled := func(f *float64, by float64) any {
		if f == nil {
			return nil
		}
		return *f * by
	}
	wanted := map[string]any{
		"total_deployments":     float64(want.Deployments),
		"lead_time_for_changes": scaled(want.LeadP50, 1.0/3600),
		"change_failure_rate":   scaled(want.FailureRate, 100),
		"mean_time_to_recovery": scaled(want.RecoveryP50, 1.0/60),
		"rework_rate":           scaled(want.Rework, 100),
	}
	got := map[string]any{}
	for name := range wanted {
		got[name] = e.Properties[name]
	}
	if diff := gocmp.Diff(wanted, got, cmpopts.EquateApprox(0, 0.02)); diff != "" {
		return errors.New("it differs (-worked by hand +shown):\n" + diff)
	}
	return nil
}
