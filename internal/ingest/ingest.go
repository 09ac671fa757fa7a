// Package ingest is the contract of what comes in from outside: deployments that Argo does not see, changes of code, and incidents.
//
// A driver (a package inside this one) understands what one product sends. It checks who sent a request, and turns it into reports;
// it keeps nothing and reaches nobody:
//
//	request ─▶ Verify ─┬─ not the sender ──▶ 401
//	                   └─ Read ─┬─ BadRequestError ──▶ 400, with the field and its mend
//	                            ├─ none ────────▶ 202, nothing that counts
//	                            └─ reports ─▶ taken into the ledger ─┬─ ConflictError ──▶ 409, with the field and its mend
//	                                                                 └─ durable ──▶ 202, only then
//
// Senders repeat themselves, and tell things in any order: a report has the key by which its sender knows it, and one that is
// read again is the same report. What a request says is data: it is never executed, never fetched, and never sent back.
package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// ErrNotSender is that a request was not made by who knows the secret. It says no more, since who asks is not known.
var ErrNotSender = errors.New("the sender could not be verified")

// BadRequestError is what is wrong with a request, for the person who wrote it.
type BadRequestError struct {
	// Field is the path of what is wrong, such as occurred_at or event.data.id. Empty if it is the request as a whole.
	Field string
	// Mend says what is expected there, and repeats nothing of what came.
	Mend string
}

func (e *BadRequestError) Error() string {
	if e.Field == "" {
		return e.Mend
	}
	return fmt.Sprintf("%s: %s", e.Field, e.Mend)
}

// ConflictError is that a report of that key was taken, and told something else.
type ConflictError struct {
	// Field is the path of the key, and Mend says what is expected there.
	Field, Mend string
}

func (e *ConflictError) Error() string { return e.Field + ": " + e.Mend }

// Request is what came in, its body bounded and read to the end.
type Request struct {
	Header http.Header
	Query  url.Values
	// Path is that of the request, such as /events/deploy.
	Path string
	Body []byte
	// Now is when it came in.
	Now time.Time
}

// Driver understands what one product sends. It may be called from many goroutines at once.
type Driver interface {
	// Verify returns ErrNotSender unless the request was made by who knows the secret, as that product documents. It compares in
	// constant time. Secrets are the values of one Secret, by key.
	Verify(r *Request, secret map[string][]byte) error
	// Read returns what a request tells, and none if it tells nothing that counts. Its errors are BadRequestError. Of a batch it may return both:
	// what can be read is taken, and the answer tells what cannot.
	Read(r *Request) ([]Report, error)
}

// Report is one thing that a sender told. Exactly one of Deployment, Change and Incident is set.
type Report struct {
	// Source names the product, in lower case: api, github, pagerduty. It is the column source of the table of events.
	Source string
	// Key is how the sender knows it: an idempotency key, or what it is made of. Two reports with one key are the same.
	Key string
	// Given tells that its sender made the key up and not of the report's facts, such as of the number of a job. It is then a key of its service and
	// its environment alone, and what contradicts the first report that has it is refused.
	Given bool
	// Service as the sender calls it; a receiver may map that name to another. Environment and Team are empty if it does not tell. So is
	// Service in a message that adds to an incident, such as a note, and does not name its service again.
	Service, Environment, Team string

	Deployment *Deployment
	Change     *Change
	Incident   *Incident

	// Rest is what the sender told beside that and is kept as it came: a JSON object that the function Rest made, or nil.
	Rest json.RawMessage
}

// Deployment is one that happened where nobody watches Argo.
type Deployment struct {
	Commit, Repository string
	// Version is a tag or a release's name; Images are references, where they are known.
	Version string
	Images  []string
	// StartedAt and FirstCommitAt are zero if they are not known.
	StartedAt, OccurredAt, FirstCommitAt time.Time
	Success, IsRollback                  bool
}

// Change is code that came to the default branch, or a release.
type Change struct {
	Commit, Repository        string
	OccurredAt, FirstCommitAt time.Time
}

// Incident is what is known of an incident after one message about it. Messages of one incident share its ID.
type Incident struct {
	ID string
	// OpenedAt and ResolvedAt are the incident's own times. Zero where the message does not tell: a message that it was resolved may come
	// first, and need not say when it began.
	OpenedAt, ResolvedAt time.Time
	// Reopened tells that an incident which was resolved is open again, at OpenedAt.
	Reopened bool
	// Note tells that this adds texts to an incident and nothing else: it has no times, and never opens one.
	Note bool
	// Severity in the sender's own words, such as P1, critical or SEV2.
	Severity string
	// Title and Link are for people. Link is empty unless it is an absolute https or http address.
	Title, Link string
	// Mentions are texts in which a deployment may be named by its commit, its version or its event id: title, notes, custom fields.
	Mentions []string
}
