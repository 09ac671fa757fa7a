package intake_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/intake"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// Who reports a second deployment need not say again whose the service is.
func TestAServiceStaysItsTeams(t *testing.T) {
	w := newWorld(t)
	first := deployment("1", -30)
	first.Team = "payments"
	ids := w.take(first, deployment("2", -20), opened(0))
	for _, id := range ids {
		if got := w.event(id).Team; got != "payments" {
			t.Errorf("an event is of team %q", got)
		}
	}
}

func TestADeploymentIsAnEvent(t *testing.T) {
	w := newWorld(t)
	r := deployment("1.2.0", 60, func(d *ingest.Deployment) {
		d.Commit, d.Repository, d.StartedAt, d.FirstCommitAt = "4f5e6d7", "https://git.example.com/shop/checkout", at(55), at(0)
		d.Images = []string{"registry.example.com/shop/checkout:1.2.0", "registry.example.com/envoy:1"}
	})
	r.Team, r.Rest = "payments", json.RawMessage(`{"pipeline":7}`)
	id := w.take(r)[0]
	version := &dora.Version{Images: []string{"registry.example.com/envoy:1", "registry.example.com/shop/checkout:1.2.0"}, Tag: "1.2.0", Commit: "4f5e6d7"}
	want := dora.Event{
		Schema: "dora/v1", ID: id, Type: dora.TypeDeploy, Outcome: dora.Succeeded, Service: "checkout", Team: "payments", Environment: "production", Cluster: "eu",
		Subject: dora.Subject{
			Kind: dora.KindReported, Namespace: "shop", Name: "checkout", UID: dora.ID("eu", "shop", "checkout", "production"),
		},
		Attempt: id, StartedAt: at(55), OccurredAt: at(60), ObservedAt: w.now, Change: dora.ChangeImage, Version: version, Running: version,
		Success: new(true), IsRollback: new(false), Unplanned: new(false), FirstCommitAt: new(at(0)), LeadTimeSeconds: new(3600.0),
		Repository: "https://git.example.com/shop/checkout", Basis: dora.BasisAPI, Source: "api", Receiver: "ci", Reported: json.RawMessage(`{"pipeline":7}`),
	}
	diff(t, want, w.event(id))
	diff(t, []string{id}, w.owed("shop/postgres"))
	diff(t, []string{"checkout [shop/postgres]"}, w.told)
	rows, err := w.store.Subjects(t.Context(), ledger.SubjectQuery{})
	if err != nil || len(rows) != 1 || !intake.Deploys(&rows[0]) || rows[0].Team != "payments" || !rows[0].FollowedSince.Equal(w.now) {
		t.Errorf("the ledger remembers %+v, %v", rows, err)
	}
}

func TestOutcomesFollowFromSuccessAndIsRollback(t *testing.T) {
	for name, tc := range map[string]struct {
		success, back bool
		want          dora.Outcome
	}{
		"it runs": {true, false, dora.Succeeded}, "it does not": {false, false, dora.Failed},
		"an earlier version runs again": {true, true, dora.RolledBack}, "it was stopped": {false, true, dora.RolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e := w.event(w.take(deployment("1", 1, func(d *ingest.Deployment) { d.Success, d.IsRollback = tc.success, tc.back }))[0])
			if e.Outcome != tc.want || *e.Success != tc.success || *e.IsRollback != tc.back {
				t.Errorf("it is %s, success %v, rollback %v", e.Outcome, *e.Success, *e.IsRollback)
			}
		})
	}
}

// What is before a deployment is so by the times of both, in whatever order they are reported.
func TestPreviousIsTheVersionBefore(t *testing.T) {
	w := newWorld(t)
	ids := w.take(deployment("1", 10), deployment("3", 30, failed), deployment("2", 20), deployment("4", 40), deployment("3", 50, rollback))
	for n, want := range []string{"", "1", "1", "2", "4"} { // 2 was not known when 3 was taken
		e := w.event(ids[n])
		got := ""
		if e.Previous.Version != nil {
			got = e.Previous.Version.Tag
		}
		if got != want || e.Previous.Known != (want != "") {
			t.Errorf("before %s at %v there was %q, want %q", e.Version.Tag, e.OccurredAt, got, want)
		}
	}
	if e := w.event(ids[3]); !*e.Unplanned {
		t.Error("what was deployed after a failure was no rework")
	}
	if e := w.event(ids[2]); *e.Unplanned {
		t.Error("what was deployed after a success was rework")
	}
}

func TestAFirstCommitThatNobodyToldIsNoLeadTime(t *testing.T) {
	w := newWorld(t)
	ids := w.take(deployment("1", 10), deployment("2", 20, func(d *ingest.Deployment) { d.FirstCommitAt = at(21) }))
	if e := w.event(ids[0]); e.LeadTimeUnknown != intake.FirstCommitNotReported || e.LeadTimeSeconds != nil {
		t.Errorf("lead time %v, %q", e.LeadTimeSeconds, e.LeadTimeUnknown)
	}
	if e := w.event(ids[1]); e.LeadTimeUnknown != dora.NegativeLeadTime || e.LeadTimeSeconds != nil {
		t.Errorf("lead time %v, %q", e.LeadTimeSeconds, e.LeadTimeUnknown)
	}
}

func TestAChangeIsAnEvent(t *testing.T) {
	w := newWorld(t)
	id := w.take(ingest.Report{
		Source: "github", Key: "push:1", Service: "checkout", Environment: "production",
		Change: &ingest.Change{Commit: "4f5e6d7", Repository: "https://github.com/shop/checkout", OccurredAt: at(1), FirstCommitAt: at(0)},
	})[0]
	e := w.event(id)
	if e.Type != dora.TypeChange || e.Version.Commit != "4f5e6d7" || !e.FirstCommitAt.Equal(at(0)) || e.Outcome != "" || e.Success != nil || e.Change != "" {
		t.Errorf("it is %+v", e)
	}
	rows, _ := w.store.Subjects(t.Context(), ledger.SubjectQuery{})
	if len(rows) != 1 || intake.Deploys(&rows[0]) {
		t.Errorf("a change is a deployment: %+v", rows)
	}
}

// Two versions were deployed. The return from the second to the first failed once and then worked: of two changes one failed, which is the second.
func TestARollbackThatFailedIsNoChange(t *testing.T) {
	w := newWorld(t)
	ids := w.take(deployment("1", 10), deployment("2", 20), deployment("1", 30, failed, rollback), deployment("1", 40, rollback))
	for n, want := range []string{"", "1", "2", "2"} {
		e, got := w.event(ids[n]), ""
		if e.Previous.Version != nil {
			got = e.Previous.Version.Tag
		}
		if got != want {
			t.Errorf("before report %d there was %q, want %q", n, got, want)
		}
	}
	figures := fourkeys.Compute(w.events(), fourkeys.Window{From: at(0), To: at(60)})
	diff(t, [2]int{1, 2}, [2]int{figures.ChangeFailureRate.Part, figures.ChangeFailureRate.Whole})
	if e := w.event(ids[2]); e.Running != nil || e.Outcome != dora.RolledBack {
		t.Errorf("%s, and %v runs", e.Outcome, e.Running)
	}
}

// Each report comes again at once, and after a restart, also with other words: it writes nothing, and has the same id.
func TestAReportIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	reports := []ingest.Report{
		deployment("1", 1), deployment("2", 2, failed), deployment("1", 3, rollback), opened(10, "1"), resolved(20), reopened(30), resolved(40),
		{Source: "github", Key: "push:1", Service: "checkout", Environment: "production", Change: &ingest.Change{Commit: "4f5e6d7", OccurredAt: at(1)}},
	}
	ids := w.take(reports...)
	before, events, told := w.revision(), w.events(), len(w.told)
	for range 2 {
		diff(t, ids, w.take(reports...))
		for n := range reports {
			other := reports[n]
			other.Team, other.Source = "another", "other"
			diff(t, []string{ids[n]}, w.take(other))
		}
		w.Intake = w.open()
	}
	diff(t, events, w.events())
	if w.revision() != before || len(w.told) != told {
		t.Error("something was written again")
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(reports) {
		t.Error("two reports have the same id")
	}
}

func TestReceiversDoNotShareReports(t *testing.T) {
	w := newWorld(t)
	one := w.take(deployment("1", 1), opened(10))
	for _, from := range []intake.Sender{{Namespace: "shop", Name: "other"}, {Namespace: "other", Name: "ci"}} {
		other, err := w.Take(t.Context(), from, []ingest.Report{deployment("1", 1), opened(10)})
		if err != nil || other[0] == one[0] || other[1] == one[1] {
			t.Errorf("%v, %v", other, err)
		}
	}
	if len(w.events()) != 6 {
		t.Errorf("there are %d events", len(w.events()))
	}
}

// Many senders tell the same at the same time, and each tells something of its own.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	errs := make(chan error, 32)
	for n := range 32 {
		group.Go(func() {
			reports := []ingest.Report{deployment("1", 1), opened(10), message(strings.Repeat("x", n+1), ingest.Incident{OpenedAt: at(10)}), resolved(20)}
			slices.Reverse(reports[n%4:])
			_, err := w.Take(t.Context(), sender, reports)
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	counts := map[dora.Type]int{}
	for _, e := range w.events() {
		counts[e.Type]++
	}
	diff(t, map[dora.Type]int{dora.TypeDeploy: 1, dora.TypeDegraded: 1, dora.TypeRecovered: 1}, counts)
}

// overtaken lets somebody else write first, a few times.
type overtaken struct {
	intake.Store

	times int
}

func (o *overtaken) Commit(ctx context.Context, change ledger.Change) error {
	if len(change.States) > 0 && o.times > 0 {
		o.times--
		return ledger.ErrConflict
	}
	return o.Store.Commit(ctx, change)
}

func TestWhoWasOvertakenReadsAgain(t *testing.T) {
	for times, want := range map[int]int{4: 1, 5: 0} {
		w := newWorld(t)
		options := w.Options
		options.Store = &overtaken{w.store, times}
		_, err := intake.New(options).Take(t.Context(), sender, []ingest.Report{opened(10)})
		if (err == nil) != (want == 1) || len(w.events()) != want {
			t.Errorf("%d times: %v, %d events", times, err, len(w.events()))
		}
	}
}

func TestNothingIsTakenWhereTheAudienceIsNotKnown(t *testing.T) {
	w := newWorld(t)
	w.audience.err = errors.New("the cache is not ready")
	for _, r := range []ingest.Report{deployment("1", 1), opened(10)} {
		if _, err := w.Take(t.Context(), sender, []ingest.Report{r}); !errors.Is(err, w.audience.err) {
			t.Errorf("it says %v", err)
		}
	}
	diff(t, 0, len(w.events()))
}

func TestTimesThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t)
	tomorrow := w.now.Sub(noon).Minutes()
	for field, r := range map[string]ingest.Report{
		"occurred_at":     deployment("1", tomorrow+6),
		"started_at":      deployment("1", 10, func(d *ingest.Deployment) { d.StartedAt = at(11) }),
		"first_commit_ts": deployment("1", 10, func(d *ingest.Deployment) { d.FirstCommitAt = time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC) }),
	} {
		_, err := w.Take(t.Context(), sender, []ingest.Report{deployment("0", 1), r})
		if bad, ok := errors.AsType[*ingest.BadRequestError](err); !ok || bad.Field != field {
			t.Errorf("of %s it says %v", field, err)
		}
	}
	if _, err := w.Take(t.Context(), sender, []ingest.Report{{Key: "1", Change: &ingest.Change{}}}); err == nil {
		t.Error("a change that never happened was taken")
	}
	diff(t, 0, len(w.events()))
	w.take(deployment("1", tomorrow+4)) // a clock that is a little ahead
}
