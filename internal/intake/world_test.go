package intake_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/intake"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

// Stories are told in minutes since noon, and reports come a day after.
var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return noon.Add(time.Duration(minutes * float64(time.Minute))) }

var (
	sender  = intake.Sender{Namespace: "shop", Name: "ci"}
	sender2 = intake.Sender{Namespace: "other", Name: "ci"}
)

// world is an intake on a ledger in memory.
type world struct {
	*testing.T
	*intake.Intake

	store    *ledgertest.Memory
	audience audience
	told     []string
	now      time.Time
}

// audience counts what a test says.
type audience struct {
	service          string
	severe, reported []string // sinks
	severity         string
	sees             func(dora.Subject) bool
	err              error
}

func (a *audience) Reported(context.Context, intake.Sender, intake.Service, dora.Type) ([]string, error) {
	return a.reported, a.err
}

func (a *audience) Incidents(_ context.Context, _ intake.Sender, about intake.Service, severity string) (intake.Counting, error) {
	c := intake.Counting{Service: about.Name, Window: time.Hour, Sees: a.sees}
	if a.service != "" {
		c.Service = a.service
	}
	if a.severity == "" || a.severity == severity {
		c.Sinks = a.severe
	}
	return c, a.err
}

// memory is what a Recorder remembers.
type memory struct {
	mu   sync.Mutex
	rows map[string]ledger.Subject
}

func (m *memory) Lookup(uid string) (ledger.Subject, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := m.rows[uid]
	return row, ok
}

func (m *memory) Learn(row ledger.Subject) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[row.UID] = row
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: noon.AddDate(0, 0, 1)}
	w.audience = audience{reported: []string{"shop/postgres"}, severe: []string{"shop/postgres"}, sees: func(dora.Subject) bool { return true }}
	w.store = ledgertest.NewMemory(func() time.Time { return w.now })
	w.Intake = w.open()
	return w
}

// open makes an intake as a process does that has just started.
func (w *world) open() *intake.Intake {
	m := &memory{rows: map[string]ledger.Subject{}}
	rows, err := w.store.Subjects(w.Context(), ledger.SubjectQuery{})
	if err != nil {
		w.Fatal(err)
	}
	for _, row := range rows {
		m.Learn(row)
	}
	var mu sync.Mutex
	return intake.New(intake.Options{
		Cluster: "eu", Store: w.store, Audience: &w.audience, Memory: m, Now: func() time.Time { return w.now },
		Taken: func(_ context.Context, subject dora.Subject, sinks []string) {
			mu.Lock()
			defer mu.Unlock()
			w.told = append(w.told, fmt.Sprint(subject.Name, " ", sinks))
		},
	})
}

func (w *world) take(reports ...ingest.Report) []string {
	w.Helper()
	ids, err := w.Take(w.Context(), sender, reports)
	if err != nil {
		w.Fatal(err)
	}
	return ids
}

func (w *world) events() []dora.Event {
	w.Helper()
	var events []dora.Event
	for row, err := range w.store.Events(w.Context(), ledger.EventQuery{}) {
		if err != nil {
			w.Fatal(err)
		}
		events = append(events, row.Event)
	}
	return events
}

func (w *world) event(id string) dora.Event {
	w.Helper()
	events := w.events()
	n := slices.IndexFunc(events, func(e dora.Event) bool { return e.ID == id })
	if n < 0 {
		w.Fatalf("there is no event %s", id)
	}
	return events[n]
}

func (w *world) revision() int64 {
	w.Helper()
	revision, err := w.store.Revision(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return revision
}

// owed are the ids of what a sink is owed.
func (w *world) owed(sink string) []string {
	w.Helper()
	rows, err := w.store.Outstanding(w.Context(), ledger.OutstandingQuery{Sink: sink})
	if err != nil {
		w.Fatal(err)
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.Event.ID)
	}
	return ids
}

// deployment is a report of one, which is known by its version and its time.
func deployment(version string, minutes float64, details ...func(*ingest.Deployment)) ingest.Report {
	d := &ingest.Deployment{Version: version, OccurredAt: at(minutes), Success: true}
	for _, detail := range details {
		detail(d)
	}
	return ingest.Report{Source: "api", Key: fmt.Sprint("deploy:", version, minutes), Service: "checkout", Environment: "production", Deployment: d}
}

func failed(d *ingest.Deployment) { d.Success = false }

func rollback(d *ingest.Deployment) { d.IsRollback = true }

func message(key string, i ingest.Incident) ingest.Report {
	i.ID = "PT4KHLK"
	return ingest.Report{Source: "pagerduty", Key: key, Service: "checkout", Environment: "production", Incident: &i}
}

func opened(minutes float64, mentions ...string) ingest.Report {
	return message(fmt.Sprint("opened", minutes), ingest.Incident{OpenedAt: at(minutes), Mentions: mentions, Severity: "P1", Title: "checkout is down"})
}

// noted is a message that does not name its service, as notes do not.
func noted(key string, mentions ...string) ingest.Report {
	r := message(key, ingest.Incident{Note: true, Mentions: mentions})
	r.Service = ""
	return r
}

func reopened(minutes float64) ingest.Report {
	return message(fmt.Sprint("reopened", minutes), ingest.Incident{OpenedAt: at(minutes), Reopened: true})
}

func resolved(minutes float64) ingest.Report {
	return message(fmt.Sprint("resolved", minutes), ingest.Incident{ResolvedAt: at(minutes)})
}
