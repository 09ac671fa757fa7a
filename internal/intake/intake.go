// Package intake takes what receivers heard into the ledger: deployments, changes of code, and incidents.
//
// What it guarantees:
//
//   - Taken means durable: Take returns after the ledger has everything that follows from the reports, or it returns an error.
//   - A report is taken once. It is known by the key that its sender gave it, for each receiver: one that comes again, at the same time or
//     later, on its own or among others, writes nothing and has the same id. The first one counts, whatever the second says.
//   - No report is lost to another's key. One that a sender made up, such as the number of a job, is of its service and environment alone, and
//     what contradicts the first report under it is refused with an ingest.ConflictError.
//   - Reports may come in any order. What an incident's messages mean is decided by package incident, of their own times.
//   - A receiver is heard in its own namespace: what it reports is of no subject, no figure and no sink of targets that live elsewhere, and
//     an incident is only ever held against a deployment that a target of its namespace sees.
//
// What is kept beside events is the state of each incident, by cluster, receiver and the incident's id, with the keys of its newest
// messages. Deployments and changes need none: their ids are made of their keys.
package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Sender is the DoraReceiver that heard a report. Two receivers never hear the same report.
type Sender struct{ Namespace, Name string }

func (s Sender) String() string { return s.Namespace + "/" + s.Name }

// Service is what reports are about.
type Service struct{ Name, Environment string }

// Store is what is needed of a ledger.
type Store interface {
	ReadState(ctx context.Context, key string) (ledger.State, error)
	Commit(ctx context.Context, change ledger.Change) error
	Events(ctx context.Context, q ledger.EventQuery) iter.Seq2[ledger.Row, error]
	Owe(ctx context.Context, sink string, q ledger.EventQuery, now time.Time) (int64, error)
}

// Audience says who counts what a receiver reports: targets of its own namespace, and no others.
type Audience interface {
	// Reported names the sinks that are owed a deployment of a service, or a change of its code.
	Reported(ctx context.Context, from Sender, about Service, kind dora.Type) (sinks []string, err error)
	// Incidents says who counts an incident of a service.
	Incidents(ctx context.Context, from Sender, about Service, severity string) (Counting, error)
}

// Counting is who counts an incident.
type Counting struct {
	// Service is what its service is called here.
	Service string
	// Team is whose the service is, as far as its objects tell.
	Team  string
	Sinks []string
	// Window is for how long after a deployment an incident is held against it.
	Window time.Duration
	// Sees tells whose deployments it may be held against. Nil: nobody's.
	Sees func(dora.Subject) bool
}

// Memory is what is remembered of subjects. Package record's Recorder implements it.
type Memory interface {
	Lookup(uid string) (ledger.Subject, bool)
	// Learn remembers a row that the ledger has.
	Learn(row ledger.Subject)
}

// Options are what an Intake needs.
type Options struct {
	Cluster  string
	Store    Store
	Audience Audience
	Memory   Memory
	Now      func() time.Time
	// Taken is told of new events, and which sinks are owed them, after the ledger has them.
	Taken func(ctx context.Context, subject dora.Subject, sinks []string)
}

// Intake takes reports into a ledger. It may be used by many goroutines at once; there must be one for each ledger.
type Intake struct {
	Options

	locks locks
}

// New makes an intake.
func New(o Options) *Intake { return &Intake{Options: o, locks: locks{held: map[string]*lock{}}} }

// attempts is how often an incident is read again after somebody else wrote its state.
const attempts = 5

// Take keeps what reports tell, durably before it returns, and returns for each of them, in their order, the id of the event that it led
// to: of an incident's message that changes nothing, the one that it is about; of a resolution that waits for its opening, the one that it
// will lead to. After an error, which is an ingest.BadRequestError or an ingest.ConflictError if a report is at fault, some of the reports may
// have been taken; all of them may be sent again.
func (i *Intake) Take(ctx context.Context, from Sender, reports []ingest.Report) (ids []string, err error) {
	now := i.Now().UTC().Truncate(time.Microsecond)
	for n := range reports {
		if err := check(&reports[n], now); err != nil {
			return nil, err
		}
	}
	for n := range reports {
		id, err := i.take(ctx, from, &reports[n], now)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (i *Intake) take(ctx context.Context, from Sender, r *ingest.Report, now time.Time) (string, error) {
	if r.Incident != nil {
		return i.takeIncident(ctx, from, r, now)
	}
	kind := dora.TypeDeploy
	if r.Change != nil {
		kind = dora.TypeChange
	}
	about := Service{r.Service, r.Environment}
	ids := i.identify(from, r, about, kind)
	defer i.locks.lock(ids[0])()
	known, err := i.known(ctx, ids, about)
	if err != nil {
		return "", err
	}
	if known != nil {
		return known.ID, contradicts(r, known)
	}
	sinks, err := i.Audience.Reported(ctx, from, about, kind)
	if err != nil {
		return "", err
	}
	e := i.event(from, r, kind, about, now)
	e.ID = ids[0]
	change := ledger.Change{Sinks: sinks}
	if r.Change != nil {
		changed(&e, r.Change)
	} else {
		before, err := i.before(ctx, &e, r.Deployment.OccurredAt)
		if err != nil {
			return "", err
		}
		change.Facts = []dora.CommitFacts{deployed(&e, r.Deployment, before, now)}
	}
	change.Events = []dora.Event{e}
	return e.ID, i.keep(ctx, change)
}

// event is what events of all types have in common. Whose the service is need not be told each time: whoever counts by the newest event of a
// service would take it away from its team.
func (i *Intake) event(from Sender, r *ingest.Report, kind dora.Type, about Service, now time.Time) dora.Event {
	subject := i.subject(from, about)
	row, _ := i.Memory.Lookup(subject.UID)
	return dora.Event{
		Schema: dora.Schema, Type: kind, Service: about.Name, Team: cmp.Or(r.Team, row.Team), Environment: about.Environment, Cluster: i.Cluster,
		Subject: subject, ObservedAt: now, Basis: dora.BasisAPI, Source: r.Source, Receiver: from.Name, Reported: r.Rest,
	}
}

// subject is the service as the receivers of a namespace know it.
func (i *Intake) subject(from Sender, about Service) dora.Subject {
	return dora.Subject{
		Kind: dora.KindReported, Namespace: from.Namespace, Name: about.Name,
		UID: dora.ID(i.Cluster, from.Namespace, about.Name, about.Environment),
	}
}

// keep commits a change, with the row of the subject of its events where that says something new.
func (i *Intake) keep(ctx context.Context, change ledger.Change) error {
	row, fresh := ledger.Subject{}, false
	if len(change.Events) > 0 {
		if row, fresh = i.row(&change.Events[0]); fresh {
			change.Subject = &row
		}
	}
	if err := i.Store.Commit(ctx, change); err != nil {
		return fmt.Errorf("cannot keep a report: %w", err)
	}
	if fresh {
		i.Memory.Learn(row)
	}
	if len(change.Events) > 0 && i.Taken != nil {
		i.Taken(ctx, change.Events[0].Subject, change.Sinks)
	}
	return nil
}

// row is what is remembered of the subject of an event, and whether that is new. Its team is the one that was told last. It is followed since
// its first deployment was taken.
func (i *Intake) row(e *dora.Event) (ledger.Subject, bool) {
	row, known := i.Memory.Lookup(e.Subject.UID)
	team, first := cmp.Or(e.Team, row.Team), e.Type == dora.TypeDeploy && !Deploys(&row)
	if known && team == row.Team && !first {
		return row, false
	}
	if first {
		row.Labels, row.FollowedSince = map[string]string{reported: string(dora.TypeDeploy)}, e.ObservedAt
	}
	row.Subject, row.Cluster, row.Service, row.Environment, row.Team = e.Subject, e.Cluster, e.Service, e.Environment, team
	return row, true
}

// reported is the label of the rows of services of which deployments were reported, and not changes or incidents alone.
const reported = "reported"

// Deploys says whether deployments were reported of a subject.
func Deploys(row *ledger.Subject) bool {
	return row.Kind == dora.KindReported && row.Labels[reported] == string(dora.TypeDeploy)
}

// errConflicts is that an incident's state was written by others again and again.
var errConflicts = errors.New("cannot keep a report: others write about the same incident all the time; send it again")

// earliest is before anything that can be reported: a time before it is a mistake, such as one that was never set.
var earliest = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// check refuses a report whose times cannot be. An incident's are bounded instead (see package incident): products that are refused too
// often stop to send.
func check(r *ingest.Report, now time.Time) error {
	var at, first, started time.Time
	switch {
	case r.Deployment != nil:
		at, first, started = r.Deployment.OccurredAt, r.Deployment.FirstCommitAt, r.Deployment.StartedAt
	case r.Change != nil:
		at, first = r.Change.OccurredAt, r.Change.FirstCommitAt
	default:
		return nil
	}
	if err := ingest.Past("occurred_at", at, now); err != nil {
		return err
	}
	switch {
	case at.Before(earliest):
		return &ingest.BadRequestError{Field: "occurred_at", Mend: "must be when it happened, not before the year 2000"}
	case !started.IsZero() && started.After(at):
		return &ingest.BadRequestError{Field: "started_at", Mend: "must not be after occurred_at"}
	case !first.IsZero() && first.Year() < 1970:
		return &ingest.BadRequestError{Field: "first_commit_ts", Mend: "must be when the first commit was made, not before the year 1970"}
	}
	return nil
}
