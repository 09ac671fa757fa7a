package dora

import (
	"slices"
	"time"
)

// NegativeLeadTime is why a deployment that has a first commit has no lead time: that commit is, by its author's clock, younger.
const NegativeLeadTime = "NegativeLeadTime"

// CommitFacts are what was found out about the commits of a deployment after it was recorded. Zero fields are not known.
type CommitFacts struct {
	EventID string `json:"event_id"`
	// Commit is the full SHA that the version was built from.
	Commit string `json:"commit,omitempty"`
	// FirstCommit is the full SHA of the earliest commit that the deployment delivered, and FirstCommitAt its time.
	FirstCommit   string    `json:"first_commit,omitempty"`
	FirstCommitAt time.Time `json:"first_commit_at,omitzero"`
	// Commits is how many commits it delivered, merges left out, counted from Base.
	Commits int `json:"commits,omitempty"`
	// Base is the full SHA of the version that the change was counted from.
	Base string `json:"base,omitempty"`
	// Repository is the normalized address of the repository, without credentials.
	Repository string `json:"repository,omitempty"`
	// Reason is why there is no lead time; empty if there is one. Message says more.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// ResolvedAt is when this was found out.
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
}

// Enrich completes a deploy event with what was found out about its commits, in place of what earlier facts said. Other events stay
// as they are, and so does whatever shares a version with this one.
func (e *Event) Enrich(f CommitFacts) {
	if e.Type != TypeDeploy {
		return
	}
	same := e.runsItsVersion()
	if f.Commit != "" && e.Version != nil {
		e.Version = e.Version.at(f.Commit)
		if same {
			e.Running = e.Running.at(f.Commit)
		}
	}
	e.CommitCount, e.FirstCommitAt, e.LeadTimeSeconds = nil, nil, nil
	e.FirstCommit, e.BaseCommit, e.Repository = f.FirstCommit, f.Base, f.Repository
	e.LeadTimeUnknown, e.LeadTimeMessage = f.Reason, f.Message
	if f.Base != "" || f.Commits > 0 {
		e.CommitCount = new(f.Commits)
	}
	if !f.FirstCommitAt.IsZero() && writable(f.FirstCommitAt) {
		e.FirstCommitAt = new(f.FirstCommitAt.UTC())
		e.measure(f.FirstCommitAt)
	}
}

// writable says that a time can stand in JSON. An event with another could never be sent.
func writable(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 0 && year <= 9999
}

// measure tells the lead time of a success, unless there is a reason to tell none.
func (e *Event) measure(first time.Time) {
	if e.Outcome != Succeeded || e.LeadTimeUnknown != "" {
		return
	}
	seconds := e.OccurredAt.Sub(first).Seconds()
	if seconds < 0 {
		e.LeadTimeUnknown = NegativeLeadTime
		return
	}
	e.LeadTimeSeconds = &seconds
}

// runsItsVersion tells whether what serves production is what the attempt brought.
func (e *Event) runsItsVersion() bool {
	return e.Version != nil && e.Running != nil && e.Running.Tag == e.Version.Tag && slices.Equal(e.Running.Images, e.Version.Images)
}

// at is a copy of a version with that commit: versions are shared by events.
func (v *Version) at(commit string) *Version {
	known := *v
	known.Commit = commit
	return &known
}
