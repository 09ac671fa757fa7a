package fourkeys_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// Stories are told in hours since the start of the window, which is a week long. The id of a deployment is its version's
// name, unless the story says otherwise.

var start = time.Date(2026, time.November, 2, 0, 0, 0, 0, time.UTC)

func at(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }

var week = fourkeys.Window{From: at(0), To: at(168)}

type detail func(*dora.Event)

func event(kind dora.Type, id string, hours float64, details ...detail) dora.Event {
	e := dora.Event{
		Schema: dora.Schema, ID: id, Type: kind, Service: "shop", Environment: "production", Cluster: "eu",
		Subject:    dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "shop", UID: "1"},
		OccurredAt: at(hours), ObservedAt: at(hours), Basis: dora.BasisLive,
	}
	for _, d := range details {
		d(&e)
	}
	return e
}

func deploy(version string, hours float64, outcome dora.Outcome, success *bool, details ...detail) dora.Event {
	e := event(dora.TypeDeploy, version, hours)
	e.Outcome, e.Success, e.Change = outcome, success, dora.ChangeImage
	e.IsRollback = new(outcome == dora.RolledBack)
	e.Version = images(version)
	for _, d := range details {
		d(&e)
	}
	return e
}

func images(version string) *dora.Version {
	return &dora.Version{Images: []string{"registry.example/shop:" + version}, Tag: version}
}

func success(version string, hours float64, details ...detail) dora.Event {
	return deploy(version, hours, dora.Succeeded, new(true), details...)
}

func failure(version string, hours float64, details ...detail) dora.Event {
	return deploy(version, hours, dora.Failed, new(false), details...)
}

func abort(version string, hours float64, details ...detail) dora.Event {
	return deploy(version, hours, dora.RolledBack, new(false), details...)
}

// rollback brings to back in place of from.
func rollback(to, from string, hours float64, details ...detail) dora.Event {
	e := deploy(to, hours, dora.RolledBack, new(true))
	e.ID = "back to " + to + " from " + from
	e.Previous = dora.Predecessor{Known: true, Version: images(from)}
	for _, d := range details {
		d(&e)
	}
	return e
}

func noVerdict(version string, hours float64, details ...detail) dora.Event {
	return deploy(version, hours, dora.Unknown, nil, details...)
}

// degraded starts the failure of that name. Nothing has caused it if causedBy is empty.
func degraded(name string, hours float64, causedBy string, details ...detail) dora.Event {
	e := event(dora.TypeDegraded, name+" starts", hours)
	e.FailureID, e.CausedBy = name, causedBy
	for _, d := range details {
		d(&e)
	}
	return e
}

// recovered ends it. What runs then is not known if running is empty.
func recovered(name string, hours float64, running string, details ...detail) dora.Event {
	e := event(dora.TypeRecovered, name+" ends", hours)
	e.FailureID = name
	if running != "" {
		e.Running = images(running)
	}
	for _, d := range details {
		d(&e)
	}
	return e
}

func firstCommit(hours float64) detail {
	return func(e *dora.Event) { e.FirstCommitAt = new(at(hours)) }
}

func exposed(value bool) detail { return func(e *dora.Event) { e.Exposed = new(value) } }

func unplanned(e *dora.Event) { e.Unplanned = new(true) }

func config(e *dora.Event) { e.Change = dora.ChangeConfig }

func fromHistory(e *dora.Event) { e.Basis = dora.BasisHistory }

func id(id string) detail { return func(e *dora.Event) { e.ID = id } }

func of(service string) detail {
	return func(e *dora.Event) {
		e.Service, e.Subject.Name, e.Subject.UID = service, service, service
		e.ID, e.FailureID = service+": "+e.ID, service+": "+e.FailureID
	}
}

func inCluster(name string) detail { return func(e *dora.Event) { e.Cluster = name } }

func recreated(e *dora.Event) { e.Subject.UID = "2" }

// figures are what a story is about. Pointers are left to the tests of rates and percentiles.
type figures struct {
	deployed         int // in the frequency
	attempts, failed int // of the change failure rate
	leads            int // samples of the lead time
	failures         int // caused by deployments
	recoveries       int // of those, samples of the recovery time
	aborts, open     int // of those
	reworked         int
	counts           fourkeys.Counts
}

func figuresOf(s fourkeys.Summary) figures {
	return figures{
		deployed: s.Frequency.Deployments,
		attempts: s.ChangeFailureRate.Whole, failed: s.ChangeFailureRate.Part,
		leads:    s.LeadTime.Samples,
		failures: s.Recovery.Failures, recoveries: s.Recovery.Samples, aborts: s.Recovery.AutomaticAborts, open: s.Recovery.Open,
		reworked: s.Rework.Part,
		counts:   s.Counts,
	}
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := difference(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func difference(want, got any) string { return cmp.Diff(want, got, cmp.AllowUnexported(figures{})) }
