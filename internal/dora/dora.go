// Package dora holds the nouns of this project: what is followed (Subject), what ran (Version), and
// what happened (Event). It depends on the standard library alone, never reads a clock and never logs.
//
// An Event is immutable once it is recorded; what is found out later about its commits (CommitFacts) and what people say about it (Mark)
// is kept beside it and joined by Enrich and Say when it is read. Its ID is a name-based UUID of facts that a later look
// at the cluster finds again (cluster, subject, attempt, type), so restarts, re-lists and replays write
// the same event and no duplicate. Times are UTC.
package dora

import (
	"encoding/json"
	"time"
)

// Schema names the JSON form of Event. Readers accept unknown fields; a field that is absent is not known.
const Schema = "dora/v1"

// Kind is the Kubernetes kind of a subject.
type Kind string

// The kinds whose deployments are followed.
const (
	KindApplication Kind = "Application" // an Argo CD Application
	KindRollout     Kind = "Rollout"     // an Argo Rollout that no followed Application manages
	// KindReported is no Kubernetes kind: a service in an environment of which reports come in from outside. Its namespace is that of the
	// receiver, its name the service's.
	KindReported Kind = "Reported"
)

// Subject is the object whose deployments are followed.
type Subject struct {
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Version is the set of container images that a subject runs in production.
type Version struct {
	// Images are full references, sorted, without duplicates.
	Images []string `json:"images"`
	// Tag is the tag (or, without one, the digest) of the image that changed.
	Tag string `json:"tag,omitempty"`
	// Commit is read from the image, never from the config repository.
	Commit string `json:"commit,omitempty"`
	// SettledAt is its rank as far as that was known when the event was recorded: when its service first ran it Healthy in this
	// environment, or, where nobody saw that, its first sight. Nil of a version that only failed or was stopped.
	SettledAt *time.Time `json:"settled_at,omitempty"`
	// ConfigRevisions are what Argo CD resolved: git SHAs of the config repository, chart versions or OCI digests.
	ConfigRevisions []string `json:"config_revisions,omitempty"`
}

// Predecessor is the version before a deployment, which can be known, known to be none, or not known.
// In JSON these are an object, null, and an absent field.
type Predecessor struct {
	Known   bool
	Version *Version // nil while Known says that this was the first deployment
}

// Type is what an event tells.
type Type string

// The four types of event.
const (
	TypeDeploy    Type = "deploy"    // an attempt to bring a version to production ended
	TypeDegraded  Type = "degraded"  // a failure of production started
	TypeRecovered Type = "recovered" // that failure ended
	TypeChange    Type = "change"    // code came to the default branch, or was released; it is in no figure
)

// Outcome is how a deployment ended. Empty for other types.
type Outcome string

// The outcomes of a deployment.
const (
	Succeeded  Outcome = "succeeded"   // the attempt's version reached Healthy
	Failed     Outcome = "failed"      // production degraded while it went out, or its operation failed after a workload was applied
	RolledBack Outcome = "rolled_back" // production went back to an earlier version
	Unknown    Outcome = "unknown"     // Argo no longer tells
)

// ChangeKind is what an attempt changed.
type ChangeKind string

// The kinds of change that can be counted.
const (
	ChangeImage  ChangeKind = "image"
	ChangeConfig ChangeKind = "config"
)

// Basis is what an event's verdict rests on.
type Basis string

// The bases of a verdict.
const (
	BasisLive        Basis = "live"         // seen as it happened
	BasisHistory     Basis = "history"      // read from what Argo still told after a gap in observation
	BasisPartialSync Basis = "partial_sync" // a selective or self-heal sync that carried a new image, which history does not list
	BasisAPI         Basis = "api"          // reported from elsewhere
)

// Event is one fact about production.
type Event struct { //nolint:recvcheck // Enrich completes an event in place, and events are encoded as values
	Schema      string  `json:"schema"`
	ID          string  `json:"id"`
	Type        Type    `json:"type"`
	Outcome     Outcome `json:"outcome,omitempty"`
	Service     string  `json:"service"`
	Team        string  `json:"team,omitempty"`
	Environment string  `json:"environment,omitempty"`
	Cluster     string  `json:"cluster,omitempty"`
	Subject     Subject `json:"subject"`
	// Attempt identifies one try to bring a version to production within its subject.
	Attempt string `json:"attempt,omitempty"`
	// StartedAt is when the attempt started. Absent for other types.
	StartedAt time.Time `json:"started_at,omitzero"`
	// OccurredAt is when it happened by Argo's clock; ObservedAt is when it was seen.
	OccurredAt time.Time `json:"occurred_at"`
	ObservedAt time.Time `json:"observed_at"`

	Change   ChangeKind  `json:"change,omitempty"`
	Version  *Version    `json:"version,omitempty"`
	Previous Predecessor `json:"previous,omitzero"`
	// Running is the version that serves production after the event.
	Running *Version `json:"running,omitempty"`

	// Success is true, false, or null for an unknown outcome. Absent for other types.
	Success    *bool `json:"success,omitempty"`
	IsRollback *bool `json:"is_rollback,omitempty"`
	// Unplanned marks rework: a forward deployment made because production was, or had been, broken.
	Unplanned *bool `json:"unplanned,omitempty"`
	// Exposed tells of an attempt that was aborted or reverted whether its version had taken production traffic.
	Exposed *bool `json:"exposed,omitempty"`

	// CommitCount, FirstCommitAt and LeadTimeSeconds are added by Enrich when the commits were found: how many commits this deployment
	// delivered, when the earliest was made, and how long a success took from there.
	CommitCount     *int       `json:"commit_count,omitempty"`
	FirstCommitAt   *time.Time `json:"first_commit_at,omitempty"`
	LeadTimeSeconds *float64   `json:"lead_time_seconds,omitempty"`
	// LeadTimeUnknown is why there is no lead time, once that is settled. While the commits are looked for there is neither.
	LeadTimeUnknown string `json:"lead_time_unknown,omitempty"`

	// FirstCommit and BaseCommit are full SHAs: git log BaseCommit..Version.Commit in Repository lists what was delivered, FirstCommit
	// among it. Repository is a normalized address without credentials. LeadTimeMessage says more than LeadTimeUnknown. Enrich adds them.
	FirstCommit     string `json:"first_commit,omitempty"`
	BaseCommit      string `json:"base_commit,omitempty"`
	Repository      string `json:"repository,omitempty"`
	LeadTimeMessage string `json:"lead_time_message,omitempty"`

	// FailureID is shared by a degraded event and its recovered event.
	FailureID string `json:"failure_id,omitempty"`
	// CausedBy is the id of the deploy event that caused a failure.
	CausedBy string `json:"caused_by,omitempty"`
	// RecoverySeconds is recovered minus degraded.
	RecoverySeconds *float64 `json:"recovery_seconds,omitempty"`

	Basis   Basis  `json:"basis,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`

	// Source is the product that reported the event, such as api or pagerduty, and Receiver the name of the DoraReceiver that took it,
	// whose namespace is the subject's. Both are empty of what was seen in Argo's objects.
	Source   string `json:"source,omitempty"`
	Receiver string `json:"receiver,omitempty"`
	// Severity (in the sender's words), Title and Link are those of an incident.
	Severity string `json:"severity,omitempty"`
	Title    string `json:"title,omitempty"`
	Link     string `json:"link,omitempty"`
	// Reported is what the sender told beside that: a JSON object, kept as it came. Nothing here reads it.
	Reported json.RawMessage `json:"reported,omitempty"`

	// Mark is the newest that people said about it, unless that was withdrawn. Say joins it.
	Mark *Mark `json:"mark,omitempty"`
}
