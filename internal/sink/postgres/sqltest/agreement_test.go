package sqltest_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

func (h history) insert(tb testing.TB, db *sqltest.Database) {
	tb.Helper()
	db.Clear(tb)
	db.Insert(tb, h.events)
	for _, f := range h.figures {
		db.Figure(tb, f.target, f.service, f.team, f.at)
	}
}

// known is what the tables tell of a service, by the rule of docs/postgres.md.
type known struct {
	team         string
	since, until time.Time // a zero until is no end
}

func (h history) services() map[fourkeys.Service]known {
	services := map[fourkeys.Service]known{}
	for service := range h.names() {
		services[service] = h.about(service)
	}
	return services
}

func (h history) names() map[fourkeys.Service]bool {
	names := map[fourkeys.Service]bool{}
	for i := range h.events {
		if e := &h.events[i]; e.Type != dora.TypeChange {
			names[serviceOf(e)] = true
		}
	}
	for _, f := range h.figures {
		names[f.service] = true
	}
	return names
}

func serviceOf(e *dora.Event) fourkeys.Service {
	return fourkeys.Service{Name: e.Service, Environment: e.Environment}
}

// sign is something that tells of a service: an event, or figures.
type sign struct {
	at       time.Time
	id, team string
}

// about looks at everything that tells of a service, which changes of code do not: they may come from a repository that is deployed nowhere. The latest sign tells its team; of several, the one with the greatest id.
func (h history) about(service fourkeys.Service) known {
	var signs []sign
	counted := false
	for i := range h.events {
		if e := &h.events[i]; serviceOf(e) == service && e.Type != dora.TypeChange {
			signs = append(signs, sign{e.OccurredAt, e.ID, e.Team})
		}
	}
	for _, f := range h.figures {
		if f.service == service {
			counted = true
			signs = append(signs, sign{f.at, f.target, f.team})
		}
	}
	latest := slices.MaxFunc(signs, func(a, b sign) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
	earliest := slices.MinFunc(signs, func(a, b sign) int { return a.at.Compare(b.at) })
	k := known{team: latest.team, since: earliest.at}
	if counted {
		k.until = latest.at
	}
	return k
}

// question is what is asked of the database and of package fourkeys.
type question struct {
	edges         []time.Time
	scope         string
	kinds         []dora.ChangeKind
	followedSince *time.Time // instead of what the tables tell
	preset        string
}

func drawQuestion(t *rapid.T) question {
	q := question{
		scope:  rapid.SampledFrom([]string{"service", "team", "environment", "all"}).Draw(t, "scope"),
		kinds:  drawKinds(t),
		preset: rapid.SampledFrom([]string{"Port", "Guide"}).Draw(t, "preset"),
	}
	hour := rapid.IntRange(-30, 100).Draw(t, "first edge")
	for range rapid.IntRange(2, 5).Draw(t, "number of edges") {
		q.edges = append(q.edges, at(hour))
		hour += rapid.IntRange(1, 168).Draw(t, "length")
	}
	if rapid.Bool().Draw(t, "since when they were followed is told") {
		q.followedSince = new(at(rapid.IntRange(-48, 200).Draw(t, "followed since")))
	}
	return q
}

func (q question) thresholds() fourkeys.Thresholds {
	if q.preset == "Guide" {
		return fourkeys.Guide()
	}
	return fourkeys.Port()
}

// answer is what package fourkeys says.
func (q question) answer(h history) []row {
	var rows []row
	for i := range len(q.edges) - 1 {
		w := fourkeys.Window{From: q.edges[i], To: q.edges[i+1]}
		for group, followed := range q.groups(h, w) {
			var events []dora.Event
			for _, e := range h.events {
				if _, belongs := followed[serviceOf(&e)]; belongs {
					events = append(events, e)
				}
			}
			summary := fourkeys.Aggregate(events, w, followed, q.kinds...).Whole
			rows = append(rows, rowOf(w, group, q.scope, &summary, q.thresholds()))
		}
	}
	return rows
}

// groups are the services of each row: those that are known before the window ends, and of which something is known after it began.
func (q question) groups(h history, w fourkeys.Window) map[about]map[fourkeys.Service]time.Time {
	groups := map[about]map[fourkeys.Service]time.Time{}
	for service, k := range h.services() {
		if !k.since.Before(w.To) || !k.until.IsZero() && k.until.Before(w.From) {
			continue
		}
		if q.followedSince != nil {
			k.since = *q.followedSince
		}
		group := map[string]about{
			"service":     {service.Name, service.Environment, k.team},
			"team":        {"", service.Environment, k.team},
			"environment": {"", service.Environment, ""},
		}[q.scope]
		if groups[group] == nil {
			groups[group] = map[fourkeys.Service]time.Time{}
		}
		groups[group][service] = k.since
	}
	return groups
}

func (q question) ask(t *testing.T, f failer, db *sqltest.Database) []row {
	t.Helper()
	f.Helper()
	return query[row](t, f, db, "SELECT "+columns+" FROM dora_metrics_by($1, $2, kinds => $3, all_followed_since => $4, preset => $5)",
		q.edges, q.scope, q.kinds, q.followedSince, q.preset)
}

func TestSQLFindsTheFiguresThatGoFinds(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		h.insert(t, db)
		for range 3 {
			q := drawQuestion(r)
			alike(r, q.answer(h), q.ask(t, r, db))
		}
	})
}

// hourly is what the view of attempts tells about the attempts of one hour, in which mostly one is.
type hourly struct {
	At                                                       time.Time
	Succeeded, Failed, Aborted, Unexposed, Returned, Unknown int
	Attempts, FailedAttempts, Unplanned                      int
}

// Each event is on the hour, so figures by the hour are all but figures by the row.
func TestEachAttemptMeansWhatItMeansToGo(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		h.insert(t, db)
		service, kinds := drawService(r), drawKinds(r)
		var want []hourly
		for hour := -24; hour <= 192; hour++ {
			s := fourkeys.Compute(eventsOf(h, service), fourkeys.Window{From: at(hour), To: at(hour + 1)}, kinds...)
			c := s.Counts
			if c.Succeeded+c.Failed+c.RolledBack()+c.Unknown > 0 {
				want = append(want, hourly{
					at(hour), c.Succeeded, c.Failed, c.Aborted, c.Unexposed, c.Returned, c.Unknown,
					s.ChangeFailureRate.Whole, s.ChangeFailureRate.Part, s.Rework.Part,
				})
			}
		}
		alike(r, want, query[hourly](t, r, db, `
			SELECT occurred_at AS at, count(*) FILTER (WHERE class = 'succeeded') AS succeeded, count(*) FILTER (WHERE class = 'failed') AS failed,
				count(*) FILTER (WHERE class = 'aborted') AS aborted, count(*) FILTER (WHERE class = 'unexposed') AS unexposed,
				count(*) FILTER (WHERE class = 'returned') AS returned, count(*) FILTER (WHERE class = 'unknown') AS unknown,
				count(*) FILTER (WHERE in_change_failure_rate) AS attempts, count(*) FILTER (WHERE failed) AS failed_attempts,
				count(*) FILTER (WHERE unplanned) AS unplanned
			FROM dora_deployments_of($3) WHERE service = $1 AND environment = $2 GROUP BY 1 ORDER BY 1`, service.Name, service.Environment, kinds))
	})
}

func eventsOf(h history, service fourkeys.Service) []dora.Event {
	return slices.DeleteFunc(slices.Clone(h.events), func(e dora.Event) bool { return serviceOf(&e) != service })
}

// delivered is what the view tells about what was deployed in one hour.
type delivered struct {
	At                time.Time
	Deployments       int
	Samples, Rejected int
	P50, P90          *float64
}

func TestEachDeploymentHasItsTimeAndItsLeadTime(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		h.insert(t, db)
		service, kinds := drawService(r), drawKinds(r)
		var want []delivered
		for hour := -24; hour <= 192; hour++ {
			s := fourkeys.Compute(eventsOf(h, service), fourkeys.Window{From: at(hour), To: at(hour + 1)}, kinds...)
			if s.Frequency.Deployments > 0 {
				want = append(want, delivered{at(hour), s.Frequency.Deployments, s.LeadTime.Samples, s.LeadTime.Rejected, s.LeadTime.P50, s.LeadTime.P90})
			}
		}
		alike(r, want, query[delivered](t, r, db, `
			SELECT deployed_at AS at, count(*) AS deployments, count(lead_time_seconds) AS samples, count(*) FILTER (WHERE lead_time_rejected) AS rejected,
				percentile_cont(0.5) WITHIN GROUP (ORDER BY lead_time_seconds) AS p50, percentile_cont(0.9) WITHIN GROUP (ORDER BY lead_time_seconds) AS p90
			FROM dora_deployments_of($3) WHERE service = $1 AND environment = $2 AND deployed_at IS NOT NULL GROUP BY 1 ORDER BY 1`,
			service.Name, service.Environment, kinds))
	})
}

// weekly is a row of a weekly view.
type weekly struct {
	Week time.Time
	row
}

func TestWeeksAreWindowsLikeAnyOther(t *testing.T) {
	db := sqltest.Open(t, postgres.Migrations())
	monday := at(-7 * 24)
	rapid.Check(t, func(r *rapid.T) {
		h := drawHistory(r)
		h.insert(t, db)
		for scope, view := range map[string]string{"service": "dora_weekly_service", "team": "dora_weekly_team"} {
			q := question{scope: scope, kinds: []dora.ChangeKind{dora.ChangeImage, dora.ChangeConfig}, preset: "Port"}
			for week := monday; week.Before(at(192)); week = week.AddDate(0, 0, 7) {
				q.edges = []time.Time{week, week.AddDate(0, 0, 7)}
				var want []row
				if len(h.events) > 0 && !first(h.events).After(q.edges[1].Add(-1)) {
					want = q.answer(h)
				}
				var got []row
				for _, w := range query[weekly](t, r, db, "SELECT week, "+columns+" FROM "+view+" WHERE week = $1 AND window_to = $2", week, q.edges[1]) {
					alike(r, week, w.Week.UTC())
					got = append(got, w.row)
				}
				alike(r, want, got)
			}
		}
	})
}

func first(events []dora.Event) time.Time {
	return slices.MinFunc(events, func(a, b dora.Event) int { return a.OccurredAt.Compare(b.OccurredAt) }).OccurredAt
}
