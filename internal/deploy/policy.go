package deploy

import (
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// The defaults of a Policy.
const (
	DefaultDegradedFor    = 60 * time.Second
	DefaultFailureWindow  = time.Hour
	DefaultVerdictTimeout = 24 * time.Hour
)

// Policy is what the deciding target says about a subject.
type Policy struct {
	Service     string `json:"service,omitempty"`
	Team        string `json:"team,omitempty"`
	Environment string `json:"environment,omitempty"`
	// Include and Exclude are globs over image references; `*` matches any run of characters. No Include means all.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Sourced: a target says where the commits are, so they are looked for once a deployment is recorded.
	Sourced bool `json:"sourced,omitempty"`
	// CommitImage is a glob over the images whose tags may carry the commit; empty means all. Tags says where in the tag it stands.
	CommitImage string           `json:"commit_image,omitempty"`
	Tags        *dora.TagPattern `json:"-"`
	// CountConfig counts changes that leave the images alone.
	CountConfig bool `json:"count_config,omitempty"`
	// DegradedFor is how long a Degraded must last before it counts.
	DegradedFor time.Duration `json:"degraded_for,omitempty"`
	// FailureWindow is how long after a deployment a failure is still caused by it.
	FailureWindow time.Duration `json:"failure_window,omitempty"`
	// VerdictTimeout is how long a finished operation may go without a verdict.
	VerdictTimeout time.Duration `json:"verdict_timeout,omitempty"`
	// ImportHistory judges, at first sight, what an Application's history tells of the time before it was followed.
	ImportHistory bool `json:"import_history,omitempty"`
	// FollowedSince is the later of the ledger's first record and the creation of the first target that selects the subject.
	FollowedSince time.Time `json:"followed_since,omitzero"`
}

// Decision names why something was, or was not, counted.
type Decision struct {
	Reason  Reason
	Attempt string
	Message string
	// EventID is set if an event came of it.
	EventID string
}

// Reason is the name of a decision. Docs explain each.
type Reason string

// Result is what follows from one observation.
type Result struct {
	State   State
	Service Service
	// Changed is false if nothing needs to be written: no event, no decision, and the same State and Service.
	Changed   bool
	Events    []dora.Event
	Decisions []Decision
	// RecheckAt is when the same observation may mean something else; zero if never.
	RecheckAt time.Time
}
