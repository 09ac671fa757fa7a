//go:build e2e

package e2e_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
)

// expect tells what must have come of the service: its events in words, in order, and no others. The versions are the story's names for them:
//
//	deploy succeeded v1 after none
//	deploy failed v2 after v1
//	degraded by v2
//	deploy succeeded v3 after v1, unplanned
//	recovered
//
// A rollback says what runs after it: "deploy rolled_back v2 after v1, exposed, v1 runs". What was not seen live ends with its basis, in brackets.
// Every event is looked up in every sink, and must have happened at a time that Argo wrote.
func (v *service) expect(lines ...string) {
	v.Helper()
	v.told = lines
	v.ends.add(v)
	var events []dora.Event
	v.awaitRest("its events are recorded", func() error {
		events = v.events()
		return v.differ(events)
	})
	v.notef("as expected: %s", strings.Join(lines, "; "))
	written := v.written()
	v.happenedWhenArgoSays(written, events)
	v.wellFormed(written, events)
	v.awaitRest("its commits are found", func() error {
		events = v.events()
		return v.leadTimes(events)
	})
	v.awaitRest("the sinks have its events", func() error {
		events = v.events() // one whose commits were not asked for here may have been completed meanwhile
		return v.delivered(events)
	})
	v.figures(events)
}

// expectLoosely expects the same of a story in which the controller was away for a moment. It may then have seen an end only afterwards, so the basis
// is not held against it; and a line may hold alternatives, divided by " or "; nothing is one that the last line may have.
func (v *service) expectLoosely(lines ...string) {
	v.Helper()
	v.loose = true
	v.expect(lines...)
}

// differ holds events against what was told, or is to be.
func (v *service) differ(events []dora.Event) error {
	want, got := slices.Clone(v.told), v.words(events)
	if v.strict {
		for i := range want {
			want[i], _, _ = strings.Cut(want[i], " or ")
		}
	}
	if last := len(want) - 1; v.loose && len(got) == last && strings.HasSuffix(want[last], " or nothing") {
		if !v.newestIsDecided() {
			return errors.New("the newest operation is not decided yet, so nothing may yet become something")
		}
		want = want[:last]
	}
	for i := range min(len(want), len(got)) {
		if !v.loose {
			break
		}
		alternatives := strings.Split(want[i], " or ")
		if slices.Contains(alternatives, got[i]) || !v.strict && slices.Contains(alternatives, strings.TrimSuffix(got[i], " [history]")) {
			want[i] = got[i]
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		return errors.New("they differ (-want +got):\n" + diff)
	}
	return nil
}

// newestIsDecided tells whether the ledger says what became of the newest operation.
func (v *service) newestIsDecided() bool {
	v.Helper()
	store, err := sqlite.OpenReadOnly(v.Context(), v.Ledger)
	v.check(err)
	defer store.Close()
	decisions, err := store.Decisions(v.Context(), string(v.app().GetUID()), 0)
	v.check(err)
	started := v.field("status", "operationState", "startedAt")
	return slices.ContainsFunc(decisions, func(d ledger.Decision) bool { return d.Attempt == started })
}

// eventsOf are a service's in the ledger.
func (l *live) eventsOf(t *testing.T, service string) []dora.Event {
	t.Helper()
	store, err := sqlite.OpenReadOnly(t.Context(), l.Ledger)
	l.must(t, err)
	defer store.Close()
	var events []dora.Event
	for row, err := range store.Events(t.Context(), ledger.EventQuery{Service: service}) {
		l.must(t, err)
		events = append(events, row.Event)
	}
	return events
}

// events are the service's, those under former names first.
func (v *service) events() []dora.Event {
	v.Helper()
	var events []dora.Event
	for _, name := range v.names() {
		events = append(events, v.eventsOf(v.T, name)...)
	}
	return events
}

// names are those that the service had and has.
func (v *service) names() []string { return append(slices.Clone(v.formerly), v.labels["service"]) }

// words tells events as expect has them.
func (v *service) words(events []dora.Event) []string {
	words := []string{}
	for _, e := range events {
		words = append(words, v.sentence(e, events))
	}
	return words
}

func (v *service) sentence(e dora.Event, all []dora.Event) string {
	var b strings.Builder
	switch e.Type {
	case dora.TypeRecovered:
		b.WriteString("recovered")
	case dora.TypeDegraded:
		b.WriteString("degraded")
		if i := slices.IndexFunc(all, func(other dora.Event) bool { return other.ID == e.CausedBy }); i >= 0 {
			b.WriteString(" by " + v.named(all[i].Version))
		}
	case dora.TypeDeploy:
		fmt.Fprintf(&b, "deploy %s %s after %s", e.Outcome, v.named(e.Version), v.before(e))
		b.WriteString(v.remarks(e))
	case dora.TypeChange:
		b.WriteString("change") // which Argo tells of none
	}
	if e.Basis != "" && e.Basis != dora.BasisLive {
		fmt.Fprintf(&b, " [%s]", e.Basis)
	}
	return b.String()
}

func (v *service) before(e dora.Event) string {
	switch {
	case !e.Previous.Known:
		return "?"
	case e.Previous.Version == nil:
		return "none"
	default:
		return v.named(e.Previous.Version)
	}
}

func (v *service) remarks(e dora.Event) string {
	remarks := ""
	if e.Change == dora.ChangeConfig {
		remarks += ", config"
	}
	if e.Unplanned != nil && *e.Unplanned {
		remarks += ", unplanned"
	}
	if e.Outcome != dora.RolledBack {
		return remarks
	}
	if e.Exposed != nil {
		remarks += map[bool]string{true: ", exposed", false: ", not exposed"}[*e.Exposed]
	}
	return remarks + ", " + v.named(e.Running) + " runs"
}

// named is the story's name of a version; the tag, if another image than the service's own changed.
func (v *service) named(version *dora.Version) string {
	if version == nil {
		return "?"
	}
	byImage := version.Tag
	for name, r := range v.releases {
		if r.tag == version.Tag {
			return name
		}
		if version.Tag == "" && slices.Contains(version.Images, r.image) {
			byImage = name
		}
	}
	return byImage
}

// leadTimes holds the lead times against the commits that the story made. They are in one line, so what a version brought is what was committed after
// the last one that was healthy before it.
func (v *service) leadTimes(events []dora.Event) error {
	healthy := []string{}
	for _, e := range events {
		if e.Type == dora.TypeRecovered || e.Outcome == dora.Failed && !brokeProduction(e, events) {
			healthy = append(healthy, v.named(e.Running)) // one that failed may have come to itself, or have been healthy all the time
		}
		if e.LeadTimeSeconds != nil && (e.Outcome == dora.RolledBack || e.Outcome == dora.Unknown || e.Previous.Known && e.Previous.Version == nil) {
			return fmt.Errorf("%s has a lead time, as %s after %s", v.named(e.Version), e.Outcome, v.before(e))
		}
		if e.Outcome != dora.Succeeded {
			continue
		}
		name := v.named(e.Version)
		if err := v.leadTime(e, name, healthy); err != nil {
			return err
		}
		healthy = append(healthy, name)
	}
	return nil
}

// brokeProduction tells whether a failure was opened by that attempt. One of which only a hook failed runs healthy.
func brokeProduction(e dora.Event, events []dora.Event) bool {
	return slices.ContainsFunc(events, func(other dora.Event) bool { return other.Type == dora.TypeDegraded && other.CausedBy == e.ID })
}

func (v *service) leadTime(e dora.Event, name string, healthy []string) error {
	r, ours := v.releases[name]
	if !ours || e.Change == dora.ChangeConfig || r.first.IsZero() || e.Previous.Version == nil || e.Basis == dora.BasisHistory || slices.Contains(healthy, name) {
		return nil
	}
	first := r.first
	for i := slices.Index(v.order, name) - 1; i >= 0 && !slices.Contains(healthy, v.order[i]); i-- {
		first = v.releases[v.order[i]].first
	}
	if e.FirstCommitAt == nil || !e.FirstCommitAt.Equal(first) {
		return fmt.Errorf("%s: the first commit was made at %s, not at %v (%s)", name, first.UTC(), e.FirstCommitAt, e.LeadTimeUnknown)
	}
	if want := e.OccurredAt.Sub(first).Seconds(); e.LeadTimeSeconds == nil || *e.LeadTimeSeconds != want {
		return fmt.Errorf("%s: its lead time is %v, not %v s", name, e.LeadTimeSeconds, want)
	}
	return nil
}

// delivered holds every sink against the ledger.
func (v *service) delivered(events []dora.Event) error {
	if err := v.inTheWarehouse(events); err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	if err := v.atTheReceiver(events); err != nil {
		return fmt.Errorf("the receiver of CloudEvents: %w", err)
	}
	return v.inThePortal(events)
}

// row is what is read of delivery_events, and of an event.
type row struct {
	ID, Type, Environment, Team, Commit, Incident string
	Occurred                                      time.Time
	FirstCommit                                   *time.Time
	Success, Rollback                             *bool
	Recovery                                      *float64
}

func (v *service) inTheWarehouse(events []dora.Event) error {
	conn := v.warehouse.Connect(v.T, v.database)
	defer conn.Close(v.Context())
	rows, err := conn.Query(v.Context(), `SELECT id, event_type, environment, team, coalesce(commit_sha, '') AS commit, coalesce(incident_id, '') AS incident,
		occurred_at AS occurred, first_commit_ts AS first_commit, success, is_rollback AS rollback, recovery_seconds AS recovery
		FROM dora.delivery_events WHERE service = ANY($1) ORDER BY id`, v.names())
	if err != nil {
		return err
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return err
	}
	want := []row{}
	for _, e := range events {
		want = append(want, rowOf(e))
	}
	slices.SortFunc(want, func(a, b row) int { return strings.Compare(a.ID, b.ID) })
	if diff := gocmp.Diff(want, got, gocmp.Comparer(time.Time.Equal)); diff != "" {
		return errors.New("the rows differ (-ledger +rows):\n" + diff)
	}
	return nil
}

func rowOf(e dora.Event) row {
	r := row{
		ID: e.ID, Type: "deploy", Environment: e.Environment, Team: e.Team, Incident: e.FailureID, Occurred: e.OccurredAt, FirstCommit: e.FirstCommitAt,
		Recovery: e.RecoverySeconds,
	}
	switch e.Type {
	case dora.TypeDegraded:
		r.Type = "incident_open"
	case dora.TypeRecovered:
		r.Type = "incident_resolved"
	case dora.TypeDeploy:
		r.Commit, r.Success, r.Rollback = e.Version.Commit, e.Success, e.IsRollback
	case dora.TypeChange: // Argo tells of none
	}
	return r
}

func (v *service) atTheReceiver(events []dora.Event) error {
	newest := map[string]dora.Event{}
	for _, got := range v.receiver.Received() {
		if !strings.HasSuffix(got.Event.DataSchema(), "dora-event-v1.json") {
			continue // figures
		}
		var e dora.Event
		if err := got.Event.DataAs(&e); err != nil {
			return err
		}
		if slices.Contains(v.names(), e.Service) {
			newest[e.ID] = e
		}
	}
	for _, e := range events {
		if diff := gocmp.Diff(asJSON(e), asJSON(newest[e.ID])); diff != "" {
			return errors.New("an event differs (-ledger +received):\n" + diff)
		}
		delete(newest, e.ID)
	}
	if len(newest) > 0 {
		return fmt.Errorf("it has events that the ledger lacks: %v", newest)
	}
	return nil
}

func asJSON(v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// inThePortal holds what the portal shows of each deployment and each failure against the ledger, and asks for no others.
func (v *service) inThePortal(events []dora.Event) error {
	want := map[string]shown{}
	for _, e := range events {
		if e.Type == dora.TypeDeploy {
			want[e.ID] = shown{
				At: moment(e.OccurredAt), Outcome: string(e.Outcome), Version: e.Version.Tag, Rollback: e.IsRollback != nil && *e.IsRollback,
				Status: map[string]string{"true": "Success", "false": "Failed"}[told(e.Success)], Seconds: seconds(e.LeadTimeSeconds),
			}
			continue
		}
		failure := want[e.FailureID]
		if e.Type == dora.TypeDegraded {
			failure.At, failure.Outcome, failure.Caused = moment(e.OccurredAt), cmp.Or(failure.Outcome, "open"), e.CausedBy != ""
		} else {
			failure.Ended, failure.Outcome, failure.Seconds = moment(e.OccurredAt), "resolved", seconds(e.RecoverySeconds)
		}
		want[e.FailureID] = failure
	}
	got := map[string]shown{}
	for _, blueprint := range []string{"deployment", "doraIncident"} {
		for _, e := range v.portal.Entities(blueprint) {
			if name, _ := e.Properties["serviceName"].(string); slices.Contains(v.names(), name) {
				got[e.Identifier] = shownIn(e.Properties)
			}
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		return errors.New("Port differs (-ledger +entities):\n" + diff)
	}
	return nil
}

// shown is what somebody sees of an entity first.
type shown struct {
	At, Ended, Outcome, Status, Version string
	Rollback, Caused                    bool
	// Seconds are the lead time or the time to recover, in whole seconds.
	Seconds int
}

func shownIn(properties porttest.Document) shown {
	text := func(name string) string { is, _ := properties[name].(string); return is }
	yes := func(name string) bool { is, _ := properties[name].(bool); return is }
	number := func(name string) float64 { is, _ := properties[name].(float64); return is }
	return shown{
		At: text("createdAt"), Ended: text("resolvedAt"), Outcome: text("outcome") + text("status"), Version: text("version"),
		Rollback: yes("isRollback"), Caused: yes("isChangeFailure"), Status: text("deploymentStatus"),
		Seconds: int(math.Round(number("leadTimeHours")*3600 + number("recoveryTime")*60)),
	}
}

func seconds(s *float64) int {
	if s == nil {
		return 0
	}
	return int(math.Round(*s))
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// ends are what each service of a test had to have come to.
type ends struct {
	mu    sync.Mutex
	known []*service
}

func (e *ends) add(v *service) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known = append(e.known, v)
}

// nothingMoreCame looks at every service again, long after its story, also in the sinks: an event that came late is as wrong as one that came at once. By
// the event of one more deployment everything before it has been decided.
func (l *live) nothingMoreCame(t *testing.T) {
	t.Helper()
	known := l.ends.known
	marker := l.service(t, story{name: "marker"})
	marker.first("v1")
	marker.expect("deploy succeeded v1 after none")
	for _, v := range known {
		again := *v
		again.T = t
		events := again.events()
		err := again.differ(events)
		if err == nil {
			err = again.delivered(events)
		}
		if err == nil {
			again.figures(events)
		}
		if err != nil {
			t.Errorf("%s, looked at again in the end: %v", v.name, err)
			again.leaveRecording()
		}
	}
}
