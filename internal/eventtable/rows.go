package eventtable

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// ownSource is where events come from that nobody reported.
const ownSource = "argocd"

// Row is a row of delivery_events. Rows travel as JSON, from which the server makes them by the names of its columns; what is
// absent is NULL.
type Row struct {
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
	Mark             string          `json:"mark,omitempty"`
	MarkReason       string          `json:"mark_reason,omitempty"`
	MarkedBy         string          `json:"marked_by,omitempty"`
}

// Columns are the columns that are written, but for the two times that the server sets.
var Columns = strings.Fields(`id event_type service team environment commit_sha first_commit_ts occurred_at success is_rollback
	incident_id source payload cluster type outcome change subject_kind subject_namespace subject_name subject_uid attempt started_at
	observed_at tag previous_tag running_tag unplanned exposed commit_count first_commit base_commit repository lead_time_seconds
	lead_time_unknown caused_by recovery_seconds basis reason message mark mark_reason marked_by`)

// ignored is the word for an event that people take out of all figures: queries that ask for one of the published words do not find it.
const ignored = "ignored"

// words are the words of the published table for ours.
var words = map[dora.Type]string{
	dora.TypeDeploy: "deploy", dora.TypeDegraded: "incident_open", dora.TypeRecovered: "incident_resolved",
	dora.TypeChange: "change",
}

// Rows are the rows of events, as JSON. Of those with the same id the last stays: a statement writes a row once.
func Rows(events []dora.Event, cluster string) ([]byte, error) {
	rows := make([]Row, 0, len(events))
	at := make(map[string]int, len(events))
	for _, event := range events {
		row, err := NewRow(event, cluster)
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
	return Encode(rows)
}

// NewRow is the row of an event. The cluster is that of events that name none.
func NewRow(e dora.Event, cluster string) (Row, error) {
	kind, known := words[e.Type]
	if !known {
		return Row{}, fmt.Errorf("event %s has a type that the table has no word for", e.ID)
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return Row{}, fmt.Errorf("cannot encode event %s: %w", e.ID, err)
	}
	judged := e.Judged()
	row := Row{
		ID: e.ID, EventType: kind, Service: e.Service, Team: e.Team, Environment: e.Environment, FirstCommitTS: e.FirstCommitAt,
		OccurredAt: e.OccurredAt, Success: judged.Success, IsRollback: judged.IsRollback, IncidentID: e.FailureID,
		Source: cmp.Or(e.Source, ownSource), Payload: payload,
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
	if !e.Counts() {
		row.EventType = ignored
	}
	if m := e.Mark; m != nil {
		row.Mark, row.MarkReason, row.MarkedBy = string(m.Verdict), m.Reason, m.By
	}
	return row, nil
}

func tag(v *dora.Version) string {
	if v == nil {
		return ""
	}
	return v.Tag
}

// The statements take one parameter: rows as JSON. The words in angle brackets are filled in.
const (
	upsert = `
INSERT INTO <table> AS old (<columns>)
SELECT <columns> FROM json_populate_recordset(NULL::<table>, $1::json)
` + onConflict

	// The key of this one has the time in it, so that an event whose time is another now has to be taken out where it was.
	upsertTimed = `
WITH new AS (
	SELECT <columns> FROM json_populate_recordset(NULL::<table>, $1::json)
), moved AS (
	DELETE FROM <table> AS old USING new WHERE old.id = new.id AND old.occurred_at <> new.occurred_at RETURNING old.id, old.ingested_at
)
INSERT INTO <table> AS old (<columns>, ingested_at)
SELECT <columns>, coalesce((SELECT min(moved.ingested_at) FROM moved WHERE moved.id = new.id), now()) FROM new
` + onConflict

	// A form that knows nothing of commits is older than one that does. What says the same changes nothing, and leaves no dead row behind.
	onConflict = `ON CONFLICT (<key>) DO UPDATE SET (<columns>, updated_at) = ROW(<excluded>, now())
WHERE (<old>) IS DISTINCT FROM (<excluded>)
AND (num_nonnulls(old.commit_count, old.first_commit_ts, old.lead_time_unknown) = 0
	OR num_nonnulls(excluded.commit_count, excluded.first_commit_ts, excluded.lead_time_unknown) > 0)`
)

// Upsert is the statement that writes Rows, which are its parameter. A table that is timed has the time in its key.
func Upsert(schema string, timed bool) string {
	if timed {
		return Fill(upsertTimed, Table(schema, Name), "id, occurred_at", Columns)
	}
	return Fill(upsert, Table(schema, Name), "id", Columns)
}

// Fill puts the name of a table, its key and its other columns where a statement says <table>, <key> and <columns>, and the values of the
// latter where it says <old> and <excluded>.
func Fill(statement, table, key string, columns []string) string {
	return strings.NewReplacer(
		"<table>", table, "<key>", key, "<columns>", strings.Join(columns, ", "),
		"<old>", "old."+strings.Join(columns, ", old."), "<excluded>", "excluded."+strings.Join(columns, ", excluded."),
	).Replace(statement)
}

// Table is the name of a table as statements have it.
func Table(schema, name string) string { return pgx.Identifier{schema, name}.Sanitize() }

// Quote is a name as statements have it.
func Quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// Encode is the JSON of rows, without what PostgreSQL cannot hold.
func Encode[T any](rows []T) ([]byte, error) {
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("cannot encode: %w", err)
	}
	return withoutNUL(text), nil
}

// withoutNUL takes the character NUL out of encoded JSON: neither text nor jsonb can hold it.
func withoutNUL(text []byte) []byte {
	const escaped = `\u0000`
	clean := text[:0]
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			clean = append(clean, text[i])
			continue
		}
		if string(text[i:min(i+len(escaped), len(text))]) == escaped {
			i += len(escaped) - 1
			continue
		}
		clean = append(clean, text[i], text[i+1]) // what follows a backslash belongs to it, another backslash too
		i++
	}
	return clean
}
