package record

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func deployment(service string) dora.Event {
	return dora.Event{
		Type: dora.TypeDeploy, Outcome: dora.Succeeded, Service: service, Team: "shop", Environment: "prod",
	}
}

func TestPrometheusCountsWhatWasRecorded(t *testing.T) {
	p := NewPrometheus()
	p.Recorded(&deploy.Result{
		Events:    []dora.Event{deployment("cart"), {Type: dora.TypeDegraded, Service: "cart"}},
		Decisions: []deploy.Decision{{Reason: deploy.ReasonSameImages}, {Reason: deploy.ReasonSameImages}},
	})
	p.Committed(time.Millisecond, fmt.Errorf("cannot commit: %w", ledger.ErrConflict))
	p.Committed(time.Millisecond, errors.New("disk full"))
	const want = `
# HELP dora_decisions_total Decisions about what was observed, by their reason.
# TYPE dora_decisions_total counter
dora_decisions_total{reason="SameImages"} 2
# HELP dora_deployments_total Deployments recorded, by outcome.
# TYPE dora_deployments_total counter
dora_deployments_total{environment="prod",outcome="succeeded",service="cart",team="shop"} 1
# HELP dora_events_total Events recorded, by type, and of deployments by outcome.
# TYPE dora_events_total counter
dora_events_total{outcome="",type="degraded"} 1
dora_events_total{outcome="succeeded",type="deploy"} 1
# HELP dora_ledger_commit_errors_total Changes that the ledger did not take, by reason: conflict, closed or other.
# TYPE dora_ledger_commit_errors_total counter
dora_ledger_commit_errors_total{reason="conflict"} 1
dora_ledger_commit_errors_total{reason="other"} 1
`
	err := testutil.CollectAndCompare(p, strings.NewReader(want), "dora_decisions_total", "dora_deployments_total", "dora_events_total",
		"dora_ledger_commit_errors_total")
	if err != nil {
		t.Error(err)
	}
}

// A deployment is recorded before its commits are known, so its lead time is counted when they are.
func TestPrometheusCountsLeadTimesWhenTheyAreKnown(t *testing.T) {
	p := NewPrometheus()
	known, rejected := deployment("cart"), deployment("cart")
	known.LeadTimeSeconds, rejected.LeadTimeUnknown = new(3600.0), dora.NegativeLeadTime
	p.Recorded(&deploy.Result{Events: []dora.Event{known, rejected}})
	if n := testutil.CollectAndCount(p, "dora_deployment_lead_time_seconds"); n != 0 {
		t.Errorf("%d lead-time series before anything was found, want none", n)
	}
	p.Enriched(&known)
	p.Enriched(&rejected)
	const want = `
# HELP dora_deployments_without_lead_time_total Deployments whose commits were looked for and that have no lead time, by the reason; NegativeLeadTime: it was rejected.
# TYPE dora_deployments_without_lead_time_total counter
dora_deployments_without_lead_time_total{environment="prod",reason="NegativeLeadTime",service="cart",team="shop"} 1
`
	if err := testutil.CollectAndCompare(p, strings.NewReader(want), "dora_deployments_without_lead_time_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(p, "dora_deployment_lead_time_seconds"); n != 1 {
		t.Errorf("%d lead-time series, want 1", n)
	}
}

func TestServicesBeyondTheLimitShareALabel(t *testing.T) {
	p := NewPrometheus()
	for i := range MaxServices + 500 {
		p.Recorded(&deploy.Result{Events: []dora.Event{deployment(fmt.Sprintf("service-%d", i))}})
	}
	if n := testutil.CollectAndCount(p, "dora_deployments_total"); n != MaxServices+1 {
		t.Errorf("%d series, want %d and one for all others", n, MaxServices)
	}
	if n := testutil.ToFloat64(p.deployments.WithLabelValues(Overflow, "", "", "succeeded")); n != 500 {
		t.Errorf("%v deployments of other services, want 500", n)
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	p := NewPrometheus()
	p.Recorded(&deploy.Result{Events: []dora.Event{deployment("cart")}})
	r := &Recorder{}
	for _, c := range []prometheus.Collector{p, r.Gauges()} {
		problems, err := testutil.CollectAndLint(c)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
	}
}

func TestGaugesFollowTheSubjects(t *testing.T) {
	r := &Recorder{}
	var cart, search figures
	r.totals.replace(&cart, figures{kind: dora.KindApplication, open: 1, gaps: 2})
	r.totals.replace(&search, figures{kind: dora.KindRollout, gaps: 1})
	r.totals.replace(&cart, figures{kind: dora.KindApplication, gaps: 3})
	const want = `
# HELP dora_followed_subjects Objects whose deployments are followed, by kind.
# TYPE dora_followed_subjects gauge
dora_followed_subjects{kind="Application"} 1
dora_followed_subjects{kind="Rollout"} 1
# HELP dora_history_gaps Deployments that Argo's history no longer tells of.
# TYPE dora_history_gaps gauge
dora_history_gaps 4
# HELP dora_open_failures Failures of production that have not ended.
# TYPE dora_open_failures gauge
dora_open_failures 0
`
	if err := testutil.CollectAndCompare(r.Gauges(), strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	r.totals.replace(&cart, figures{})
	r.totals.replace(&search, figures{})
	if r.totals.open != 0 || r.totals.gaps != 0 || r.totals.followed[dora.KindApplication] != 0 {
		t.Errorf("something is left of subjects that are followed no more: %+v", &r.totals)
	}
}
