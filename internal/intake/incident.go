package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/incident"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

const (
	// lookBack is how long before an incident the deployments were that it may name, and candidates how many of them are looked at.
	lookBack   = 90 * 24 * time.Hour
	candidates = 500
	// keys is of how many messages of an incident it is known that they were taken. Older ones say nothing new by their times.
	keys = 64
)

// incidentState is what is kept of an incident.
type incidentState struct {
	incident.State

	// Named is the service as the sender calls it. Service and Environment are those of the opening, and CausedBy the deployment that it is
	// held against.
	Named       string `json:"named,omitempty"`
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
	Team        string `json:"team,omitempty"`
	CausedBy    string `json:"caused_by,omitempty"`
	// Moved says that it is of the service and environment of the deployment that it names by the id of its event, whatever the sender names.
	Moved bool `json:"moved,omitempty"`
	// Noted are the words of notes that came before the first opening, of those that may name a deployment.
	Noted []string `json:"noted,omitempty"`
	Taken []taken  `json:"taken,omitempty"`
}

// taken is a message that was taken, by its key, and the event that it was about.
type taken struct {
	Key string `json:"key"`
	ID  string `json:"id"`
}

// takeIncident takes in a message about an incident.
func (i *Intake) takeIncident(ctx context.Context, from Sender, r *ingest.Report, now time.Time) (string, error) {
	key := "incident/" + dora.ID(i.Cluster, from.String(), r.Incident.ID, "incident")
	defer i.locks.lock(key)()
	for range attempts {
		id, err := i.hear(ctx, key, from, r, now)
		if !errors.Is(err, ledger.ErrConflict) {
			return id, err
		}
	}
	return "", errConflicts
}

// hear reads what is known of an incident, and keeps what a message adds.
func (i *Intake) hear(ctx context.Context, key string, from Sender, r *ingest.Report, now time.Time) (string, error) {
	stored, err := i.Store.ReadState(ctx, key)
	if err != nil {
		return "", fmt.Errorf("cannot read an incident: %w", err)
	}
	var s incidentState
	if stored.Version > 0 {
		if err := json.Unmarshal(stored.Data, &s); err != nil {
			return "", fmt.Errorf("cannot decode the state %s: %w", key, err)
		}
	}
	known := dora.ID(r.Key) // keys may be long
	if at := slices.IndexFunc(s.Taken, func(t taken) bool { return t.Key == known }); at >= 0 {
		return s.Taken[at].ID, nil
	}
	h := hearing{Intake: i, from: from, report: r, now: now, state: s, severity: s.Severity}
	if err := h.hear(ctx); err != nil {
		return "", err
	}
	h.state.Taken = append(h.state.Taken, taken{known, h.id})
	h.state.Taken = h.state.Taken[max(0, len(h.state.Taken)-keys):]
	data, err := json.Marshal(h.state)
	if err != nil {
		return "", fmt.Errorf("cannot encode the state %s: %w", key, err)
	}
	h.change.States = []ledger.State{{Key: key, Version: stored.Version, Data: data}}
	return h.id, i.keep(ctx, h.change)
}

// hearing is one message being taken in.
type hearing struct {
	*Intake

	from     Sender
	report   *ingest.Report
	now      time.Time
	state    incidentState
	severity string // before the message
	change   ledger.Change
	id       string       // of the event that it led to, or is about
	why      incident.Tie // the opening is held against the deployment that it is
}

func (h *hearing) hear(ctx context.Context) error {
	m := h.report.Incident
	next, steps := h.state.Hear(incident.Message{
		OpenedAt: m.OpenedAt, ResolvedAt: m.ResolvedAt, Reopened: m.Reopened, Note: m.Note, Severity: m.Severity, Title: m.Title, Link: m.Link,
	}, h.now)
	if h.state.Opening == 0 {
		h.state.Noted = incident.Names(slices.Concat(h.state.Noted, m.Mentions))
	}
	open := h.state.Opening > 0 && h.state.ResolvedAt.IsZero()
	h.state.State = next
	if open && next.Severity != h.severity {
		if err := h.escalate(ctx); err != nil {
			return err
		}
	}
	for _, step := range steps {
		if err := h.step(ctx, step); err != nil {
			return err
		}
	}
	kind := dora.TypeDegraded
	if !m.ResolvedAt.IsZero() {
		kind = dora.TypeRecovered
	}
	h.id = cmp.Or(h.id, h.name(next.About(), string(kind)))
	return nil
}

// name is the id of what belongs to an opening of the incident.
func (h *hearing) name(opening int, what string) string {
	return dora.ID(h.Cluster, h.from.String(), h.report.Incident.ID, strconv.Itoa(opening), what)
}

// step adds the event of an opening or a resolution.
func (h *hearing) step(ctx context.Context, step incident.Step) error {
	if !step.Resolved {
		if err := h.open(ctx, step.At); err != nil {
			return err
		}
	}
	counting, err := h.counting(ctx)
	if err != nil {
		return err
	}
	h.change.Sinks = slices.Compact(slices.Sorted(slices.Values(append(h.change.Sinks, counting.Sinks...))))
	kind := dora.TypeDegraded
	if step.Resolved {
		kind = dora.TypeRecovered
	}
	e := h.event(h.from, h.report, kind, Service{h.state.Service, h.state.Environment}, h.now)
	e.ID, e.FailureID = h.name(step.Opening, string(kind)), h.name(step.Opening, "failure")
	e.Team, e.OccurredAt, e.CausedBy = cmp.Or(h.state.Team, e.Team), step.At.UTC(), h.state.CausedBy
	e.Severity, e.Title, e.Link = h.state.Severity, h.state.Title, h.state.Link
	if !step.Resolved {
		e.Reason = string(h.why)
	}
	if step.Resolved && !step.At.Before(step.Since) {
		e.RecoverySeconds = new(step.At.Sub(step.Since).Seconds())
	}
	h.change.Events = append(h.change.Events, e)
	h.id = e.ID
	return nil
}

// counting is who counts the incident as it is known now.
func (h *hearing) counting(ctx context.Context) (Counting, error) {
	return h.Audience.Incidents(ctx, h.from, h.about(), h.state.Severity)
}

// about is the service to ask for who counts it.
func (h *hearing) about() Service {
	if h.state.Moved {
		return Service{h.state.Service, h.state.Environment}
	}
	return Service{h.state.Named, h.state.Environment}
}

// open says what an opening is of, and which deployment it is held against: that stays, whatever is deployed or told later.
func (h *hearing) open(ctx context.Context, at time.Time) error {
	r, s := h.report, &h.state
	s.Named, s.Environment = cmp.Or(r.Service, s.Named), cmp.Or(r.Environment, s.Environment)
	if s.Named == "" {
		return &ingest.BadRequestError{Field: "service", Mend: "must name the service, or the receiver must have a defaultService"}
	}
	s.Moved = false
	mentions := slices.Concat(s.Noted, r.Incident.Mentions)
	named, err := h.named(ctx, at, mentions)
	if err != nil {
		return err
	}
	if named != nil {
		s.Service, s.Environment, s.Moved = named.Service, named.Environment, true
	}
	counting, err := h.counting(ctx)
	if err != nil {
		return err
	}
	s.Service, s.Team = cmp.Or(counting.Service, s.Named), cmp.Or(r.Team, counting.Team, s.Team)
	s.CausedBy, s.Noted, h.why = "", nil, incident.NotCounted
	if named != nil {
		s.CausedBy, h.why = named.ID, incident.NamedByEvent
		return nil
	}
	if counting.Sees == nil {
		return nil
	}
	events, err := h.deployments(ctx, at, &counting)
	if err == nil {
		s.CausedBy, h.why = incident.CauseOf(at, mentions, events, counting.Window)
	}
	return err
}

// named is the deployment that an incident names by the id of its event; nil if there is none that a target sees and counts which counts its
// incidents too: of any other it is not told that it exists. An id is of one deployment, so that it tells the service better than the sender.
func (h *hearing) named(ctx context.Context, began time.Time, mentions []string) (*dora.Event, error) {
	ids := incident.IDs(mentions)
	if len(ids) == 0 {
		return nil, nil
	}
	var seen []dora.Event
	for row, err := range h.Store.Events(ctx, ledger.EventQuery{
		Cluster: h.Cluster, IDs: ids, Types: []dora.Type{dora.TypeDeploy}, Since: began.Add(-lookBack), Newest: true, Limit: candidates,
	}) {
		if err != nil {
			return nil, fmt.Errorf("cannot read the deployments that an incident names: %w", err)
		}
		seen = append(seen, row.Event)
	}
	for i := len(seen) - 1; i >= 0; i-- { // after the reading: whoever is asked may read too
		e := &seen[i]
		counting, err := h.Audience.Incidents(ctx, h.from, Service{e.Service, e.Environment}, h.state.Severity)
		if err != nil {
			return nil, err
		}
		if counting.Service != e.Service || counting.Sees == nil || !counting.Sees(e.Subject) {
			seen = slices.Delete(seen, i, i+1)
		}
	}
	id, why := incident.CauseOf(began, mentions, seen, 0)
	if at := slices.IndexFunc(seen, func(e dora.Event) bool { return e.ID == id }); at >= 0 && why == incident.NamedByEvent {
		return &seen[at], nil
	}
	return nil, nil
}

// deployments are those of the incident's service that it may be held against.
func (h *hearing) deployments(ctx context.Context, began time.Time, counting *Counting) ([]dora.Event, error) {
	var events []dora.Event
	for row, err := range h.Store.Events(ctx, ledger.EventQuery{
		Cluster: h.Cluster, Service: h.state.Service, Environment: h.state.Environment, Types: []dora.Type{dora.TypeDeploy},
		Since: began.Add(-lookBack), Newest: true, Limit: candidates,
	}) {
		if err != nil {
			return nil, fmt.Errorf("cannot read the deployments before an incident: %w", err)
		}
		if counting.Sees(row.Event.Subject) {
			events = append(events, row.Event)
		}
	}
	return events, nil
}

// escalate lets those know of the opening who count the incident only now that its severity is another. They are owed it before the message
// is kept, so that a message that is sent again after an error does so too.
func (h *hearing) escalate(ctx context.Context) error {
	before, err := h.Audience.Incidents(ctx, h.from, h.about(), h.severity)
	if err != nil {
		return err
	}
	now, err := h.counting(ctx)
	if err != nil {
		return err
	}
	opening := ledger.EventQuery{IDs: []string{h.name(h.state.Opening, string(dora.TypeDegraded))}}
	for _, sink := range now.Sinks {
		if slices.Contains(before.Sinks, sink) {
			continue
		}
		if _, err := h.Store.Owe(ctx, sink, opening, h.now); err != nil {
			return fmt.Errorf("cannot owe a sink an incident: %w", err)
		}
	}
	return nil
}
