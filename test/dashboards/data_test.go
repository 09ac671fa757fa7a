package dashboards

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

// november is a time in November 2026; its 31st day is the first of December.
func november(day, hour, minute int) time.Time {
	return time.Date(2026, time.November, day, hour, minute, 0, 0, time.UTC)
}

// fleet is a database with five services in November:
//
//	checkout  production  shop  the month that docs/metrics.md works out by hand; followed since October
//	cart      production  shop  followed since October, and never deployed
//	search    production  find  deployed on the 10th and the 20th, two hours after the commit; followed since October
//	search    staging     find  known since the 15th at noon, by an attempt of which nobody knows how it ended
//	legacy    (none)      –     Degraded since the 29th, by no deployment
func fleet(t *testing.T) *sqltest.Database {
	t.Helper()
	db := sqltest.Open(t, postgres.Migrations())
	events := sqltest.ReadEvents(t, "../../internal/fourkeys/testdata/worked-example.jsonl")
	for i := range events {
		events[i].Team = "shop"
		if v := events[i].Version; v != nil && v.Tag == "stable" {
			events[i].LeadTimeUnknown = "NoCommitInImage"
		}
	}
	first, second := attempt("production", "v1", november(10, 12, 0)), attempt("production", "v2", november(20, 12, 0))
	for _, e := range []*dora.Event{&first, &second} {
		e.Outcome, e.Success, e.FirstCommitAt = dora.Succeeded, new(true), new(e.OccurredAt.Add(-2*time.Hour))
	}
	second.Previous = dora.Predecessor{Known: true, Version: first.Version}
	missed := attempt("staging", "v3", november(15, 12, 0))
	missed.Outcome = dora.Unknown
	broken := dora.Event{ID: "broken", Type: dora.TypeDegraded, Service: "legacy", FailureID: "f", OccurredAt: november(29, 0, 0)}
	db.Insert(t, append(events, first, second, missed, broken))
	for service, team := range map[string]string{"checkout": "shop", "cart": "shop", "search": "find"} {
		of := fourkeys.Service{Name: service, Environment: "production"}
		db.Figure(t, "shop/all", of, team, november(1, 0, 0).AddDate(0, -1, 0))
		db.Figure(t, "shop/all", of, team, november(30, 12, 0))
	}
	readOnly(t.Context(), t, db.Conn)
	return db
}

func attempt(environment, tag string, at time.Time) dora.Event {
	return dora.Event{
		ID: environment + tag, Type: dora.TypeDeploy, Change: dora.ChangeImage, Service: "search", Team: "find", Environment: environment,
		Subject: dora.Subject{Kind: dora.KindApplication, Name: "search-" + environment}, OccurredAt: at, IsRollback: new(false), Basis: dora.BasisLive,
		Version: &dora.Version{Images: []string{"registry.example/search:" + tag}, Tag: tag, Commit: "c0ffee" + tag[1:]},
	}
}
