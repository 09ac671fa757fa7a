package incident

import (
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Tie is why an incident belongs to a deployment, or to none.
type Tie string

// The ties.
const (
	NamedByEvent   Tie = "NamedByEvent"   // it names the id of the deployment's event
	NamedByVersion Tie = "NamedByVersion" // it names the tag of the deployment's version
	NamedByCommit  Tie = "NamedByCommit"  // it names the deployment's commit
	WithinWindow   Tie = "WithinWindow"   // it names none, and began at most the window after the service's latest
	NoDeployment   Tie = "NoDeployment"   // it names none, and began later than that
	NotCounted     Tie = "NotCounted"     // no target counted it when it opened, so that no deployment was looked for
)

// CauseOf is the deployment that an incident belongs to, by its id (empty if to none), and why. Events are those of its service, in any order,
// and others than deployments among them do not matter.
//
// It is the latest of those that the mentions name and that had begun before the incident did, else the latest that users met, if that was
// at most the window before the incident began. What was stopped before anybody met it, or of which nobody knows the end, is named or
// nothing: time alone says nothing about it.
func CauseOf(began time.Time, mentions []string, events []dora.Event, window time.Duration) (id string, why Tie) {
	words := wordsOf(mentions)
	var named, latest *dora.Event
	for i := range events {
		e := &events[i]
		if e.Type != dora.TypeDeploy {
			continue
		}
		if !startOf(e).After(began) && words.name(e) != "" && later(e, named) {
			named = e
		}
		if !e.OccurredAt.After(began) && met(e) && later(e, latest) {
			latest = e
		}
	}
	switch {
	case named != nil:
		return named.ID, words.name(named)
	case latest != nil && began.Sub(latest.OccurredAt) <= window:
		return latest.ID, WithinWindow
	}
	return "", NoDeployment
}

func startOf(e *dora.Event) time.Time {
	if e.StartedAt.IsZero() || e.StartedAt.After(e.OccurredAt) {
		return e.OccurredAt
	}
	return e.StartedAt
}

// later puts events of the same second in the order of their ids, so that the answer does not depend on theirs.
func later(e, than *dora.Event) bool {
	return than == nil || e.OccurredAt.After(than.OccurredAt) || e.OccurredAt.Equal(than.OccurredAt) && e.ID > than.ID
}

// met says that users met what the deployment brought.
func met(e *dora.Event) bool {
	return e.Outcome != dora.Unknown && (e.Outcome != dora.RolledBack || e.Exposed == nil || *e.Exposed)
}

// words are what mentions say, in lower case, without the punctuation around. Those with a slash are there as a whole, too: a tag may have one.
type words []string

// names is how many of the words of notes are kept until the opening comes, and nameLength how long each may be.
const (
	names      = 64
	nameLength = 128
)

// Names are the words of mentions that may name a deployment: all of those that do have a digit.
func Names(mentions []string) []string {
	all := slices.DeleteFunc([]string(wordsOf(mentions)), func(word string) bool { return len(word) > nameLength || !strings.ContainsAny(word, digits) })
	return all[:min(len(all), names)]
}

// longest is how much of the mentions is read.
const longest = 64 << 10

func wordsOf(mentions []string) words {
	text := strings.Join(mentions, " ")
	text = strings.ToLower(text[:min(len(text), longest)])
	var all []string
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.+/", r)
	}) {
		if run = strings.Trim(run, "-_.+/"); strings.Contains(run, "/") {
			all = append(all, run)
		}
		for word := range strings.SplitSeq(run, "/") {
			all = append(all, strings.Trim(word, "-_.+"))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// name says by what a deployment is among the words: its event's id, its version's tag or the digest of an image, or its commit (in full, or 7
// digits of it or more).
// A tag has to look like a version: digits alone could be any number, such as a port, and latest is a word like any other.
func (w words) name(e *dora.Event) Tie {
	if w.has(e.ID) {
		return NamedByEvent
	}
	if e.Version == nil {
		return ""
	}
	if tag := e.Version.Tag; strings.ContainsAny(tag, digits) && strings.Trim(tag, digits) != "" && w.hasTag(tag) {
		return NamedByVersion
	}
	if slices.ContainsFunc(e.Version.Images, w.hasDigest) {
		return NamedByVersion
	}
	if dora.IsSHA(strings.ToLower(e.Version.Commit)) && slices.ContainsFunc(w, func(word string) bool { return sameCommit(word, e.Version.Commit) }) {
		return NamedByCommit
	}
	return ""
}

const digits = "0123456789"

func (w words) has(word string) bool {
	_, found := slices.BinarySearch(w, strings.ToLower(word))
	return found
}

// hasTag looks for a tag with a slash also within an address, between slashes.
func (w words) hasTag(tag string) bool {
	if !strings.Contains(tag, "/") {
		return w.has(tag)
	}
	whole := "/" + strings.ToLower(tag) + "/"
	return slices.ContainsFunc(w, func(word string) bool { return strings.Contains("/"+word+"/", whole) })
}

// hasDigest looks for the digest of an image, in full.
func (w words) hasDigest(image string) bool {
	_, digest, found := strings.Cut(image, "@sha256:")
	return found && digest != "" && w.has(digest)
}

// sameCommit compares a word with a commit, either of which may be shortened.
func sameCommit(word, commit string) bool {
	commit = strings.ToLower(commit)
	return dora.IsSHA(word) && (strings.HasPrefix(commit, word) || strings.HasPrefix(word, commit))
}
