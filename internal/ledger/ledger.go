// Package ledger is the contract of the durable store: what was decided, why, and who has been told.
//
// Everything that follows from one observation is one Change and is committed in one transaction, or not
// at all: the new state of the subject, its events, its decisions and one outbox row for every sink.
// A state is written only over the version it was read at, so two writers can never both advance it: the
// second gets ErrConflict, reads again and decides again. Events are unique by id: writing one again is no error
// and changes nothing, which is what makes a repeated observation harmless.
//
// An outbox row is pending until it is delivered (counted and gone), passed (gone: its sink does not want it) or parked (kept with
// its reason, owed no more):
//
//	                ┌─Pass───────────▶ gone
//	Commit ──▶ pending ──Delivered──▶ counted and gone
//	  Owe      ▲ │  ▲ │
//	      Retry└─┘  │ └─Park─────────▶ parked
//	                └──Requeue, Owe─────┘
//
// What a destination answered to each attempt is kept in a log of its own, written in the transaction that settles the rows. It
// outlives the rows and their events, and is bounded by Retention.
//
// An event is durable and delivered first, then completed and delivered again under the same id: what is found out later about
// its commits (Change.Facts) is kept beside it, joined wherever it is read, and owed to sinks anew. A delivery tells with what
// content it went out, so one that was under way meanwhile does not pass for a delivery of what came to light. Which deployments
// are to be looked into is a queue of its own, committed with the event:
//
//	Change.Resolve ──▶ pending ──Change.Facts──▶ resolved, or unknown with a reason
//	                   ▲ │  ▲                                 │
//	      PutOff, Hurry└─┘  └──────────Reopen─────────────────┘
//
// What people say about an event (Change.Marks) is appended as well, joined and owed to sinks anew. All that was ever said is kept as long
// as the event; the newest mark is the one that is read with it.
//
// Times are kept in UTC to the microsecond and compared so in queries; what comes finer is cut off. An event itself is
// kept as it was given. Every method may be called from many goroutines at once. An error other than those below may
// leave the outcome of a write unknown, as a lost connection does: read the state again before deciding again.
//
// Drivers (package sqlite) implement Store and pass the conformance suite in package ledgertest.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// The errors that callers tell apart.
var (
	// ErrConflict: a state was written by someone else since it was read. Nothing of the change was kept.
	ErrConflict = errors.New("the state was changed by another writer")
	// ErrNotFound: no row of that key or id.
	ErrNotFound = errors.New("not found in the ledger")
	// ErrCorrupt: the store is damaged. It was left untouched.
	ErrCorrupt = errors.New("the ledger is corrupt")
	// ErrNewerSchema: the store was written by a newer release. It was left untouched.
	ErrNewerSchema = errors.New("the ledger was written by a newer release")
	// ErrInUse: another process writes this store.
	ErrInUse = errors.New("the ledger is in use by another process")
	// ErrUnreachable: the store cannot be reached now, which may pass.
	ErrUnreachable = errors.New("the ledger cannot be reached")
	// ErrFenced: another process opened this store since, and it alone may write it. Nothing of the write was kept, nor will be of any other.
	ErrFenced = errors.New("another process has taken over the ledger")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the ledger is closed")
)

// State is an opaque, versioned value. Version 0 means that it was never written.
type State struct {
	Key     string
	Version int64
	Data    []byte
}

// Subject is what the ledger remembers of a followed object, so that a target still counts what a deleted one deployed.
type Subject struct {
	dora.Subject
	Cluster     string            `json:"cluster"`
	Labels      map[string]string `json:"labels,omitempty"`
	Service     string            `json:"service"`
	Team        string            `json:"team,omitempty"`
	Environment string            `json:"environment,omitempty"`
	// FollowedSince is when the following of this subject began.
	FollowedSince time.Time `json:"followed_since"`
	// DeletedAt is zero while the object exists.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	// Gaps counts the history entries that could not be told after downtime.
	Gaps int `json:"gaps,omitempty"`
}

// Decision says why something was, or was not, counted.
type Decision struct {
	Seq     int64     `json:"seq"`
	Cluster string    `json:"cluster"`
	UID     string    `json:"uid"`
	Service string    `json:"service"`
	At      time.Time `json:"at"`
	Attempt string    `json:"attempt,omitempty"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	EventID string    `json:"event_id,omitempty"`
}

// Change is everything that follows from one observation.
type Change struct {
	// States are written if every one still has the version it was read at; each is stored with its version plus one.
	// Their keys are distinct.
	States []State
	// Subject, if set, replaces what is remembered of that subject.
	Subject *Subject
	// Events have an id, one of dora's types and, if that is deploy, one of its outcomes; else the change is refused.
	Events []dora.Event
	// Facts take the place of earlier facts of the same event, and end its place in the queue of those to be looked into. Facts of
	// an event that the ledger does not have (any more), or that is no deployment, are passed over.
	Facts []dora.CommitFacts
	// Marks are appended, each after those that its event has. One that says what the newest says already is passed over, and so are one
	// that withdraws what does not stand and those of an event that the ledger does not have. A verdict that there is not is refused.
	Marks []dora.Mark
	// Sinks get one outbox row for each of Events that is new, and for each event of which Facts or Marks change what is read of it, due at
	// once. A row that is there already stays as it is, pending or parked, and brings what is read of the event when it goes out.
	Sinks []string
	// Resolve queues those of Events that are new and deploy an image, so that their commits are looked for.
	Resolve bool
	// Decisions are numbered by the ledger: their Seq is ignored.
	Decisions []Decision
	// Observation, if set, is what all of this rests on. Its N and Events are told by the ledger: the events are those of the change. The
	// newest KeptObservations of a subject are kept.
	Observation *Observation
}

// Observation is what somebody saw of a subject, in a form that the ledger does not know (package evidence does).
type Observation struct {
	UID string
	At  time.Time
	// N puts the observations of a subject into the order in which they were made.
	N int64
	// Events are the ids of those that came of it.
	Events []string
	Data   []byte
}

// KeptObservations is how many observations are kept of each subject: those of some five deployments.
const KeptObservations = 40

// EventQuery selects events. Zero fields select everything; a list that is empty but not nil selects nothing,
// so that a target without subjects does not count everybody's.
type EventQuery struct {
	IDs         []string
	UIDs        []string // of subjects
	Cluster     string
	Service     string
	Environment string
	Types       []dora.Type
	// Since (inclusive) and Until (exclusive) bound OccurredAt.
	Since, Until time.Time
	// AfterSeq selects rows that were written later than that row.
	AfterSeq int64
	// Newest returns the newest rows first (by OccurredAt, then sequence); else the order of writing.
	Newest bool
	// Limit bounds the number of rows; zero and less do not.
	Limit int
}

// Row is an event, with its facts and its newest mark, and its place in the ledger: a later row has a greater sequence, and none is used twice.
type Row struct {
	Seq   int64
	Event dora.Event
	// Search is what became of the search for its commits.
	Search Search
}

// Search is what became of the search for the commits of a deployment. It is empty if they were never looked for.
type Search string

// The states of a search.
const (
	SearchPending  Search = "pending"
	SearchResolved Search = "resolved" // it has a lead time, or all that there is to be known of one that is none by its outcome
	SearchUnknown  Search = "unknown"  // it ended with a reason, the event's LeadTimeUnknown
)

// History is the events of one service that tell of one subject: those that have its uid and name the service and the environment.
type History struct {
	UID, Service, Environment string
	// Changed is the revision at which what Events answers about them changed last: one was added or dropped, or reads differently.
	Changed int64
}

// MarkQuery selects marks. Zero fields select everything; a list that is empty but not nil selects nothing.
type MarkQuery struct {
	EventIDs []string
	UIDs     []string // of the events' subjects
	Source   string
	// Standing selects of each event the newest mark alone, and that only if it was not withdrawn.
	Standing bool
}

// Marked is a mark, and the event that it is about.
type Marked struct {
	Mark dora.Mark
	Seq  int64  // of the event
	UID  string // of its subject
}

// SubjectQuery selects remembered subjects. Zero fields select everything.
type SubjectQuery struct {
	Cluster   string
	Namespace string
	Kind      dora.Kind
	UID       string
}

// Delivery is one outbox row: an event that a sink is owed.
type Delivery struct {
	Seq  int64 // of the event
	Sink string
	// Event as it is read now, with its facts and its newest mark. Content grows each time that facts or a mark change it; 0 is the event
	// as it was recorded.
	Event   dora.Event
	Content int64
	// Attempts counts those that failed.
	Attempts int
	// NextAt is when the row is due; at first, when it was recorded.
	NextAt time.Time
	// LastError is the redacted answer of the last attempt.
	LastError string
}

// Attempt is one attempt to deliver.
type Attempt struct {
	// At is when it began, Took how long it lasted.
	At   time.Time
	Took time.Duration
	// Answer is what the destination said, redacted, or why none came.
	Answer string
}

// Fate is what an attempt meant for a row.
type Fate string

// The fates of rows.
const (
	FateDelivered Fate = "delivered"
	FateRetried   Fate = "retried"
	FateParked    Fate = "parked"
)

// DeliveryRecord is one attempt to deliver one event, as the log keeps it. It outlives the event.
type DeliveryRecord struct {
	Seq      int64        `json:"seq"` // of the record: a later one has a greater one
	Sink     string       `json:"sink"`
	EventSeq int64        `json:"event_seq"`
	EventID  string       `json:"event_id"`
	Service  string       `json:"service"`
	Type     dora.Type    `json:"type"`
	Outcome  dora.Outcome `json:"outcome,omitempty"`
	Fate     Fate         `json:"fate"`
	// Content is what went out, as Delivery tells it; of an attempt that failed, what the event held when that was recorded.
	Content int64         `json:"content"`
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"-"` // written as took_seconds
	Answer  string        `json:"answer"`
}

// MarshalJSON writes Took in seconds, as events tell their durations.
func (r DeliveryRecord) MarshalJSON() ([]byte, error) {
	type plain DeliveryRecord // without this method
	return json.Marshal(struct {
		plain

		TookSeconds float64 `json:"took_seconds"`
	}{plain(r), r.Took.Seconds()})
}

// DeliveryQuery selects records of the log. Zero fields select everything, and a list of fates that is empty but not nil nothing.
type DeliveryQuery struct {
	Sink    string
	EventID string
	Service string
	Fates   []Fate
	// Since (inclusive) bounds At.
	Since time.Time
	// Limit bounds the number of records; zero and less do not.
	Limit int
}

// Outstanding is an outbox row with what people ask about it.
type Outstanding struct {
	Delivery

	// Since is since when the sink is owed the event.
	Since time.Time
	// Parked tells that it is kept with its reason and owed no more.
	Parked bool
}

// OutstandingQuery selects rows of the outbox. Zero fields select everything.
type OutstandingQuery struct {
	Sink    string
	EventID string
	Service string
	// Parked selects the parked rows alone, or, if false, the pending ones alone.
	Parked *bool
	// Limit bounds the number of rows; zero and less do not.
	Limit int
}

// SinkState counts the outbox rows of one sink.
type SinkState struct {
	Sink      string
	Cursor    int64 // every row up to this sequence is delivered, passed or parked; it goes back when an older event is owed again
	Delivered int64 // ever, each time that an event was; pruning does not lower it
	Pending   int64
	Parked    int64
	// OldestPending is since when the sink waits for the row that is pending longest. Zero if none is.
	OldestPending time.Time
	LastDelivery  time.Time
	// LastError is the newest among the rows that are parked or being retried. Empty once none is.
	LastError string
	// GoneAt is since when the object that declares the sink is gone, as Gone told. Zero while it exists.
	GoneAt time.Time
}

// Resolution is a deployment whose commits are to be found.
type Resolution struct {
	Seq   int64      // of the event
	Event dora.Event // with the facts that are known, as of one that was reopened
	// Attempts counts those that failed, since it was queued or reopened; Reason and Message are the last one's.
	Attempts        int
	Reason, Message string
	// NextAt is when it is due; at first, when it was queued.
	NextAt time.Time
	// RecordedAt is when it was queued or reopened.
	RecordedAt time.Time
}

// ReopenQuery selects deployments whose commits are to be looked for again. Zero fields select everything, and a list of UIDs that
// is empty but not nil nothing.
type ReopenQuery struct {
	UIDs    []string // of subjects
	Cluster string
	// Since (inclusive) bounds OccurredAt.
	Since time.Time
	// Reasons, unless empty, selects those that ended unknown for one of these.
	Reasons []string
	// Missing adds the deployments of images that were never queued and have no facts.
	Missing bool
}

// ResolutionQuery selects deployments, as EventQuery does.
type ResolutionQuery struct {
	// Queued selects those alone that are queued.
	Queued  bool
	UIDs    []string // of subjects
	Cluster string
	// Since (inclusive) bounds OccurredAt.
	Since time.Time
}

// Resolutions counts deployments by what became of the search for their commits. Those that were never queued are not among them.
type Resolutions struct {
	// Pending are queued; Failing are those among them of which an attempt has failed, by the last one's reason.
	Pending int64
	Failing []ReasonCount
	// Resolved have a lead time, or all that there is to be known of one that is none by its outcome. Unknown ended with a reason,
	// that of the event's LeadTimeUnknown.
	Resolved int64
	Unknown  []ReasonCount
}

// ReasonCount counts deployments with the same reason. Lists of them are sorted by reason.
type ReasonCount struct {
	Reason string
	Count  int64
	// Message is that of the deployment that was recorded last.
	Message string
}

// Retention bounds what is kept.
type Retention struct {
	// EventsBefore, unless zero, drops observations that were made earlier, and events that occurred earlier and are pending for no sink;
	// the parked rows of these go with them, and so do their facts, their marks and their place in the queue of those to be looked into.
	// A dropped event's id is forgotten: that it is not recorded again is up to its subject's state.
	EventsBefore time.Time
	// DecisionsPerSubject keeps the newest n of each subject; zero means DefaultDecisions.
	DecisionsPerSubject int
	// DeliveriesPerSink keeps the newest n records of the log of each sink; zero means DefaultDeliveries.
	DeliveriesPerSink int
}

// DefaultDecisions is how many decisions are kept of each subject.
const DefaultDecisions = 200

// DefaultDeliveries is how many records of the log are kept of each sink.
const DefaultDeliveries = 10_000

// DefaultCached is how many entries the cache keeps.
const DefaultCached = 100_000

// Writer records what was decided.
type Writer interface {
	// ReadState returns the state of that key, with Version 0 and no data if there is none.
	ReadState(ctx context.Context, key string) (State, error)
	// Commit keeps all of a change, durably, or nothing of it. A change whose context ended before it was taken is
	// not written; one that was taken is finished, and the answer tells what became of it. An empty change writes nothing.
	Commit(ctx context.Context, change Change) error
}

// Reader reads back what was recorded.
type Reader interface {
	// Events streams the selected events, with their facts and newest marks, from one snapshot: what is committed meanwhile is not among them.
	// The sequence ends with the first error.
	Events(ctx context.Context, q EventQuery) iter.Seq2[Row, error]
	// Subjects lists what is remembered of followed objects, by cluster, namespace, name and uid.
	Subjects(ctx context.Context, q SubjectQuery) ([]Subject, error)
	// Marks lists the selected marks, by event in the order of writing, then as they were made.
	Marks(ctx context.Context, q MarkQuery) ([]Marked, error)
	// Decisions lists the newest decisions about a subject (by uid) first, up to limit, or all if that is zero.
	Decisions(ctx context.Context, uid string, limit int) ([]Decision, error)
	// Observations lists those that are kept of a subject (by uid), as they were made.
	Observations(ctx context.Context, uid string) ([]Observation, error)
	// Deliveries lists the selected records of the log, newest (by Seq) first.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]DeliveryRecord, error)
	// Outstanding lists the selected rows of the outbox, by event in the order of writing, then by sink.
	Outstanding(ctx context.Context, q OutstandingQuery) ([]Outstanding, error)
	// Histories lists those that changed after a revision, all there ever were after 0: who has read them up to the greatest Changed that it
	// was told misses none by asking for those after it. A change that is committed later never has a lower one.
	Histories(ctx context.Context, after int64) ([]History, error)
	// Revision grows with each committed change, each prune that dropped events and each search that is made again, but not with deliveries,
	// failed attempts to find commits, or the cache: while it is unchanged, Events, Histories, Subjects and ReadState answer the same.
	Revision(ctx context.Context) (int64, error)
	// Since is when the ledger wrote its first record; zero if it has none.
	Since(ctx context.Context) (time.Time, error)
}

// FarAhead is longer than any row is put off.
const FarAhead = 2 * time.Hour

// Outbox is what the delivery worker needs.
type Outbox interface {
	// Due returns, in their order, rows of a sink that may be sent: up to limit that never failed, and up to limit that did and whose time has
	// come, those first that have been due longest. Of each service it has only those with no pending row before them that is not itself among
	// the rows returned, and behind a row that failed none, so that what a few services wait for takes no room from the others. Parked rows
	// hold nobody up. A row that is put off beyond FarAhead is due: the clock was wrong when it was.
	Due(ctx context.Context, sink string, now time.Time, limit int) ([]Delivery, error)
	// NextDue is the earliest time at which Due has a row of that sink; zero if nothing is pending. A row that waits
	// behind a retried one of its service does not count, or the worker would spin.
	NextDue(ctx context.Context, sink string) (time.Time, error)
	// Delivered marks rows as sent in one attempt, all in one transaction, by the Seq and the Content that Due told. A row whose event has
	// other content by now is not settled: it stays pending, due at once and without failed attempts. Rows that are not pending are
	// passed over; every other one is logged, also one that was not settled. Of a row that is told twice the newest content counts.
	Delivered(ctx context.Context, sink string, a Attempt, sent ...Delivery) error
	// Pass drops rows that the sink does not want, by Seq and Content as Delivered does, but they are neither counted as delivered nor
	// logged. They move the cursor. A row whose event has other content by now stays pending, since that may be wanted.
	Pass(ctx context.Context, sink string, rows ...Delivery) error
	// Retry puts a row off until next and logs the attempt, whose answer is the reason. ErrNotFound if it is not pending.
	Retry(ctx context.Context, sink string, seq int64, next time.Time, a Attempt) error
	// Park sets a row aside that no retry will mend, and logs the attempt, whose answer is the reason. ErrNotFound if it is not pending.
	Park(ctx context.Context, sink string, seq int64, a Attempt) error
	// Hasten makes the pending rows of a sink that have failed attempts due at once and as if none had, and counts them: what stood in
	// the way may be mended.
	Hasten(ctx context.Context, sink string, now time.Time) (int64, error)
	// Sinks counts the rows of each sink that ever had one and was not forgotten, by name.
	Sinks(ctx context.Context) ([]SinkState, error)
}

// Commits is what the worker needs that finds the commits of deployments. What it found, it commits as Change.Facts.
type Commits interface {
	// Unresolved returns up to limit queued deployments whose time has come, those recorded first at the front.
	Unresolved(ctx context.Context, now time.Time, limit int) ([]Resolution, error)
	// NextUnresolved is the earliest time at which Unresolved has one; zero if none is queued.
	NextUnresolved(ctx context.Context) (time.Time, error)
	// PutOff counts a failed attempt and puts the next one off, with the redacted reason. ErrNotFound if that event is not queued.
	PutOff(ctx context.Context, eventID string, next time.Time, reason, message string) error
	// Reopen queues deployments again that ended unknown, due at once and without failed attempts, and counts them. What is read of
	// their events stays until new facts come. Those that are queued or resolved stay as they are. It works in small transactions.
	Reopen(ctx context.Context, q ReopenQuery, now time.Time) (int64, error)
	// Hurry makes the selected deployments that are queued, and of which an attempt failed, due at once and as if none had, and counts
	// them: what stood in the way may be mended.
	Hurry(ctx context.Context, q ResolutionQuery, now time.Time) (int64, error)
	// Resolutions counts the selected deployments.
	Resolutions(ctx context.Context, q ResolutionQuery) (Resolutions, error)
}

// Cache keeps answers that can be had again, through restarts. It is bounded: beyond that the entries whose key came first go first.
type Cache interface {
	// CacheGet returns the value of a key, and whether there is one.
	CacheGet(ctx context.Context, key string) (value []byte, found bool, err error)
	// CachePut keeps a value, in place of the one before. The key is not empty.
	CachePut(ctx context.Context, key string, value []byte) error
}

// Upkeep is what those need who declare sinks, mend them and take them away.
type Upkeep interface {
	// Requeue makes the parked rows of a sink pending again, due at once and without failed attempts, and counts them.
	Requeue(ctx context.Context, sink string) (int64, error)
	// Owe makes the events that Events would select owed to a sink, again if they were before: each that has no row gets one that is
	// due at once, and a parked one becomes pending again; these are counted. A pending one stays as it is. The sink need not have had
	// a row before. It works in small transactions between which changes are committed; stopped half way, what it owed is owed.
	Owe(ctx context.Context, sink string, q EventQuery, now time.Time) (int64, error)
	// Gone remembers since when the object that declares a sink is gone, unless that is remembered already. The zero time says that it
	// is back. A sink that never had a row stays unknown.
	Gone(ctx context.Context, sink string, at time.Time) error
	// Forget drops what a sink that is gone was owed before a time, all of it if that is zero, so that it no longer keeps events, and counts the
	// rows that were dropped, pending and parked. If nothing is left its figures and records go too. It works in small transactions between
	// which changes are committed.
	Forget(ctx context.Context, sink string, before time.Time) (dropped int64, err error)
}

// Neighbours is what a store can have that keeps the ledgers of several clusters: it reads those that other processes write.
type Neighbours interface {
	// Clusters are the other ones that have a ledger here, in order.
	Clusters(ctx context.Context) ([]string, error)
	// Neighbour reads the ledger of another cluster, for as long as this store is open. ErrNotFound if there is none.
	Neighbour(ctx context.Context, cluster string) (Reader, error)
}

// Store is what a driver implements.
type Store interface {
	Writer
	Reader
	Outbox
	Upkeep
	Commits
	Cache
	// Prune drops what the retention no longer keeps and says how many events went. It works in small transactions
	// between which changes are committed; stopped half way, what it dropped is dropped.
	Prune(ctx context.Context, r Retention) (events int64, err error)
	// Ping fails when the store cannot be written. It writes only while that is in doubt, as after a write that failed.
	Ping(ctx context.Context) error
	Close() error
}
