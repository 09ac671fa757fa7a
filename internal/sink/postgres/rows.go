package postgres

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// source is where all events come from.
const source = "argocd"

// eventRow is a row of delivery_events. Rows travel as JSON, from which the server makes them by the names of its columns; what is
// absent is NULL.
type eventRow struct {
	ID               string          `json:"id"`
	EventType        string          `json:"event_type"`
	Service          string          `json:"service"`
	Team             string          `json:"team"`
	Environment      string          `json:"environment"`
	CommitSHA        string          `json:"commit_sha,omitempty"`
	FirstCommitTS    *time.Time      `json:"first_commit_ts,omitempty"`
	OccurredAt       time.Time       `json:"occurred_at"`
	Success          *bool           `json:"success,omitempty"`
	IsRollback       *bool           `json:"is_rollback,omitempty"`
	IncidentID       string          `json:"incident_id,omitempty"`
	Source           string          `json:"source"`
	Payload          json.RawMessage `json:"payload"`
	Cluster          string          `json:"cluster"`
	Type             string          `json:"type"`
	Outcome          string          `json:"outcome,omitempty"`
	Change           string          `json:"change,omitempty"`
	SubjectKind      string          `json:"subject_kind,omitempty"`
	SubjectNamespace string          `json:"subject_namespace,omitempty"`
	SubjectName      string          `json:"subject_name,omitempty"`
	SubjectUID       string          `json:"subject_uid,omitempty"`
	Attempt          string          `json:"attempt,omitempty"`
	StartedAt        time.Time       `json:"started_at,omitzero"`
	ObservedAt       time.Time       `json:"observed_at,omitzero"`
	Tag              string          `json:"tag,omitempty"`
	PreviousTag      string          `json:"previous_tag,omitempty"`
	RunningTag       string          `json:"running_tag,omitempty"`
	Unplanned        *bool           `json:"unplanned,omitempty"`
	Exposed          *bool           `json:"exposed,omitempty"`
	CommitCount      *int            `json:"commit_count,omitempty"`
	FirstCommit      string          `json:"first_commit,omitempty"`
	BaseCommit       string          `json:"base_commit,omitempty"`
	Repository       string          `json:"repository,omitempty"`
	LeadTimeSeconds  *float64        `json:"lead_time_seconds,omitempty"`
	LeadTimeUnknown  string          `json:"lead_time_unknown,omitempty"`
	CausedBy         string          `json:"caused_by,omitempty"`
	RecoverySeconds  *float64        `json:"recovery_seconds,omitempty"`
	Basis            string          `json:"basis,omitempty"`
	Reason           string          `json:"reason,omitempty"`
	Message          string          `json:"message,omitempty"`
}

// eventColumns are the columns that are written, but for the two times that the server sets.
var eventColumns = strings.Fields(`id event_type service team environment commit_sha first_commit_ts occurred_at success is_rollback
	incident_id source payload cluster type outcome change subject_kind subject_namespace subject_name subject_uid attempt started_at
	observed_at tag previous_tag running_tag unplanned exposed commit_count first_commit base_commit repository lead_time_seconds
	lead_time_unknown caused_by recovery_seconds basis reason message`)

// eventTypes are the words of the published table for ours.
var eventTypes = map[dora.Type]string{
	dora.TypeDeploy: "deploy", dora.TypeDegraded: "incident_open", dora.TypeRecovered: "incident_resolved",
}

// eventRows are the rows of events, as JSON. Of those with the same id the last stays: a statement writes a row once.
func eventRows(events []dora.Event, cluster string) ([]byte, error) {
	rows := make([]eventRow, 0, len(events))
	at := make(map[string]int, len(events))
	for _, event := range events {
		row, err := newEventRow(event, cluster)
		if err != nil {
			return nil, err
		}
		if earlier, again := at[event.ID]; again {
			rows[earlier] = row
			continue
		}
		at[event.ID] = len(rows)
		rows = append(rows, row)
	}
	return encode(rows)
}

func newEventRow(e dora.Event, cluster string) (eventRow, error) {
	kind, known := eventTypes[e.Type]
	if !known {
		return eventRow{}, fmt.Errorf("event %s has a type that the table has no word for", e.ID)
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return eventRow{}, fmt.Errorf("cannot encode event %s: %w", e.ID, err)
	}
	row := eventRow{
		ID: e.ID, EventType: kind, Service: e.Service, Team: e.Team, Environment: e.Environment, FirstCommitTS: e.FirstCommitAt,
		OccurredAt: e.OccurredAt, Success: e.Success, IsRollback: e.IsRollback, IncidentID: e.FailureID, Source: source, Payload: payload,
		Cluster: cmp.Or(e.Cluster, cluster), Type: string(e.Type), Outcome: string(e.Outcome), Change: string(e.Change),
		SubjectKind: string(e.Subject.Kind), SubjectNamespace: e.Subject.Namespace, SubjectName: e.Subject.Name, SubjectUID: e.Subject.UID,
		Attempt: e.Attempt, StartedAt: e.StartedAt, ObservedAt: e.ObservedAt, PreviousTag: tag(e.Previous.Version), RunningTag: tag(e.Running),
		Unplanned: e.Unplanned, Exposed: e.Exposed, CommitCount: e.CommitCount, FirstCommit: e.FirstCommit, BaseCommit: e.BaseCommit,
		Repository: e.Repository, LeadTimeSeconds: e.LeadTimeSeconds, LeadTimeUnknown: e.LeadTimeUnknown, CausedBy: e.CausedBy,
		RecoverySeconds: e.RecoverySeconds, Basis: string(e.Basis), Reason: e.Reason, Message: e.Message,
	}
	if e.Version != nil {
		row.Tag, row.CommitSHA = e.Version.Tag, e.Version.Commit
	}
	return row, nil
}

func tag(v *dora.Version) string {
	if v == nil {
		return ""
	}
	return v.Tag
}

// figuresRow is a row of dora_metrics. What it names itself hides what the figures have by that name and may leave out; from, to and
// primary are words of SQL, and have other names in the table.
type figuresRow struct {
	sink.Figures

	Environment string    `json:"environment"`
	Team        string    `json:"team"`
	Service     string    `json:"service"`
	Day         string    `json:"day"`
	IsPrimary   bool      `json:"is_primary"`
	WindowFrom  time.Time `json:"window_from"`
	WindowTo    time.Time `json:"window_to"`
}

// figureKey tells the rows of dora_metrics apart.
var figureKey = strings.Fields(`cluster target scope environment team service day`)

// figureColumns are the other columns, but for the time that the server sets.
var figureColumns = strings.Fields(`is_primary window_from window_to services deployments deployments_per_week deployments_per_day
	lead_time_p50_seconds lead_time_p90_seconds lead_time_samples lead_time_rejected change_failure_rate failed_attempts attempts
	recovery_p50_seconds recovery_p90_seconds recovery_samples rework_rate unplanned succeeded failed aborted unexposed returned unknown
	incidents open_failures frequency_band lead_time_band change_failure_rate_band recovery_band band`)

// figureRows are the rows of figures, as JSON. Of those for the same row the last stays.
func figureRows(figures []sink.Figures) ([]byte, error) {
	type key struct {
		cluster, target, scope, environment, team, service, day string
	}
	rows := make([]figuresRow, 0, len(figures))
	at := make(map[key]int, len(figures))
	for _, f := range figures {
		row := figuresRow{
			Figures: f, Environment: f.Environment, Team: f.Team, Service: f.Service, Day: f.To.UTC().Format(time.DateOnly),
			IsPrimary: f.Primary, WindowFrom: f.From, WindowTo: f.To,
		}
		k := key{f.Cluster, f.Target, string(f.Scope), f.Environment, f.Team, f.Service, row.Day}
		if earlier, again := at[k]; again {
			rows[earlier] = row
			continue
		}
		at[k] = len(rows)
		rows = append(rows, row)
	}
	return encode(rows)
}

// The statements take one parameter: rows as JSON. The words in angle brackets are filled in.
const (
	upsertEvents = `
INSERT INTO <events> AS old (<columns>)
SELECT <columns> FROM json_populate_recordset(NULL::<events>, $1::json)
` + onConflict

	// The key of this one has the time in it, so that an event whose time is another now has to be taken out where it was.
	upsertTimedEvents = `
WITH new AS (
	SELECT <columns> FROM json_populate_recordset(NULL::<events>, $1::json)
), moved AS (
	DELETE FROM <events> AS old USING new WHERE old.id = new.id AND old.occurred_at <> new.occurred_at RETURNING old.id, old.ingested_at
)
INSERT INTO <events> AS old (<columns>, ingested_at)
SELECT <columns>, coalesce((SELECT min(moved.ingested_at) FROM moved WHERE moved.id = new.id), now()) FROM new
` + onConflict

	// A form that knows nothing of commits is older than one that does. What says the same changes nothing, and leaves no dead row behind.
	onConflict = `ON CONFLICT (<key>) DO UPDATE SET (<columns>, updated_at) = ROW(<excluded>, now())
WHERE (<old>) IS DISTINCT FROM (<excluded>)
AND (num_nonnulls(old.commit_count, old.first_commit_ts, old.lead_time_unknown) = 0
	OR num_nonnulls(excluded.commit_count, excluded.first_commit_ts, excluded.lead_time_unknown) > 0)`

	upsertFigures = `
INSERT INTO <figures> AS old (<key>, <columns>)
SELECT <key>, <columns> FROM json_populate_recordset(NULL::<figures>, $1::json)
ON CONFLICT (<key>) DO UPDATE SET (<columns>, updated_at) = ROW(<excluded>, now())
WHERE (<old>) IS DISTINCT FROM (<excluded>) AND excluded.window_to >= old.window_to`
)

// eventStatement writes events, by the key that the table has.
func eventStatement(schema string, timed bool) string {
	if timed {
		return fill(upsertTimedEvents, schema, "id, occurred_at", eventColumns)
	}
	return fill(upsertEvents, schema, "id", eventColumns)
}

func figureStatement(schema string) string {
	return fill(upsertFigures, schema, strings.Join(figureKey, ", "), figureColumns)
}

func fill(statement, schema, key string, columns []string) string {
	return strings.NewReplacer(
		"<events>", table(schema, "delivery_events"), "<figures>", table(schema, "dora_metrics"), "<key>", key,
		"<columns>", strings.Join(columns, ", "),
		"<old>", "old."+strings.Join(columns, ", old."), "<excluded>", "excluded."+strings.Join(columns, ", excluded."),
	).Replace(statement)
}

// table is the name of a table as statements have it.
func table(schema, name string) string { return pgx.Identifier{schema, name}.Sanitize() }
