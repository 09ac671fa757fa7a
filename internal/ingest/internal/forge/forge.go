// Package forge makes reports of what hosts of code tell: that commits came to the default branch of a repository, and that a release was
// published.
//
// A report is known by the repository and the commit, or the release's tag, and not by the number of the delivery, which no signature covers:
// who has seen a message and sends it again, under whatever number, tells nothing new.
package forge

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Repository is where something happened. NameField and AfterField are what the host calls the repository's name and the commit's id, for
// errors.
type Repository struct {
	Source     string
	Name       string // owner/name
	Address    string // for people, https://host/owner/name
	Branch     string // the default branch
	NameField  string
	AfterField string
}

// Commit is one of those that were pushed.
type Commit struct {
	ID        string `json:"id"`
	Timestamp string `json:"timestamp"`
}

// Push is that commits came to a branch, or to a tag.
type Push struct {
	Ref, After string
	Commits    []Commit
	// Whole tells that no commit is missing from the list.
	Whole bool
	// At is when it was pushed; if it is zero, the newest commit was made then.
	At time.Time
}

var (
	full = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	none = regexp.MustCompile(`^0+$`)
)

// Pushed reports that commits came to the default branch. A push elsewhere, and the end of a branch, tell nothing that counts.
func Pushed(r Repository, p Push) ([]ingest.Report, error) {
	if _, err := ingest.Name(r.NameField, r.Name); err != nil {
		return nil, err
	}
	if !full.MatchString(p.After) {
		return nil, &ingest.BadRequestError{Field: r.AfterField, Mend: "must be the id of a commit, 40 or 64 hexadecimal digits"}
	}
	if r.Branch == "" || p.Ref != "refs/heads/"+r.Branch || none.MatchString(p.After) {
		return nil, nil
	}
	first, newest := p.times()
	if p.At.IsZero() {
		p.At = newest
	}
	if p.At.IsZero() {
		return nil, nil // no commit came with it
	}
	if first.After(p.At) {
		first = time.Time{}
	}
	change := &ingest.Change{Commit: p.After, Repository: address(r.Address), OccurredAt: p.At, FirstCommitAt: first}
	return r.report("push:"+r.Name+"@"+p.After, change), nil
}

// times are those of the first of the commits, if it is known which that is, and of the one that was pushed. What git was told by a clock that
// was wrong is left out.
func (p *Push) times() (first, newest time.Time) {
	for _, c := range p.Commits {
		at, err := ingest.When("timestamp", c.Timestamp)
		if err != nil || at.IsZero() {
			p.Whole = false
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if c.ID == p.After {
			newest = at
		}
	}
	if !p.Whole {
		first = time.Time{}
	}
	return first, newest
}

// Released reports that a release was published, of a commit if the host tells which.
func Released(r Repository, tag, commit string, at time.Time) ([]ingest.Report, error) {
	if _, err := ingest.Name(r.NameField, r.Name); err != nil {
		return nil, err
	}
	if _, err := ingest.Name("tag", tag); err != nil {
		return nil, err
	}
	if !full.MatchString(commit) {
		return nil, nil // of which commit a tag is only the repository knows
	}
	change := &ingest.Change{Commit: commit, Repository: address(r.Address), OccurredAt: at}
	return r.report("release:"+r.Name+"@"+tag, change), nil
}

func (r *Repository) report(key string, change *ingest.Change) []ingest.Report {
	return []ingest.Report{ingest.Bounded(ingest.Report{Source: r.Source, Key: key, Service: path.Base(r.Name), Change: change})}
}

// address is where a repository is, without what would let somebody in; empty if it is no address.
func address(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(text) > ingest.MaxLink || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil ||
		strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return ""
	}
	return strings.TrimSuffix(text, ".git")
}
