package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/dora-controller/dora-controller/internal/commit"
)

const (
	// perPage is the most that a server gives at once, unless its administrator says otherwise.
	perPage = 50
	// maxCommits bounds a list, and maxPages how often it is asked for: a server may give fewer at once.
	maxCommits, maxPages = 10_000, 300
	// maxLookups bounds for how many commits of a range their pull requests are looked up.
	maxLookups = 300
)

// dated is a commit and the time that counts.
type dated struct {
	sha string
	at  time.Time
}

// Range implements commit.Repository.
func (r *repository) Range(ctx context.Context, base, head string, o commit.RangeOptions) (commit.Range, error) {
	r.api.SetContext(ctx)
	if err := r.ancestor(base, head); err != nil {
		return commit.Range{}, err
	}
	commits, err := r.between(base, head, o)
	if err != nil {
		return commit.Range{}, err
	}
	if o.Squash {
		if err := r.unsquash(commits, o.Clock); err != nil {
			return commit.Range{}, err
		}
	}
	var found commit.Range
	for _, c := range commits {
		found.Add(c.sha, c.at)
	}
	return found, nil
}

// ancestor fails unless base is an ancestor of head: then, and only then, does base reach nothing that head does not reach.
func (r *repository) ancestor(base, head string) error {
	if base == head {
		_, err := r.commit(head)
		return err
	}
	only, resp, err := r.api.ListRepoCommits(r.owner, r.name, sdk.ListCommitOptions{
		ListOptions: sdk.ListOptions{Page: 1, PageSize: 1}, SHA: base, Not: head,
	})
	switch {
	case err != nil:
		return r.unlisted(resp, err, base, head)
	case len(only) == 0:
		r.exists = true
		return nil
	}
	if err := r.notTooOld(); err != nil {
		return err
	}
	return fmt.Errorf("%s %w of %s", base, commit.ErrNotAncestor, head)
}

// unlisted tells why commits are not listed: of a commit that does not exist the server says 404, or 500 if it is the one left out.
func (r *repository) unlisted(resp *sdk.Response, err error, shas ...string) error {
	failed := r.failed(resp, err, r.unlistable())
	if resp == nil || resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusInternalServerError {
		return failed
	}
	for _, sha := range shas {
		if _, err := r.commit(sha); err != nil {
			return err
		}
	}
	return failed
}

func (r *repository) unlistable() error { return fmt.Errorf("%s does not list the commits", r.host) }

// between lists a range whose base is known to be an ancestor. A folder that no commit of it changes is a 404.
func (r *repository) between(base, head string, o commit.RangeOptions) ([]dated, error) {
	return r.list(o.Clock, func(page sdk.ListOptions) ([]*sdk.Commit, *sdk.Response, error) {
		commits, resp, err := r.api.ListRepoCommits(r.owner, r.name, sdk.ListCommitOptions{ListOptions: page, SHA: head, Not: base, Path: o.Path})
		if err != nil && o.Path != "" && page.Page == 1 && resp != nil && resp.StatusCode == http.StatusNotFound {
			return nil, resp, nil
		}
		return commits, resp, err
	})
}

// list reads a list of commits to its end, and leaves out merges. Some servers repeat commits on later pages; each counts once.
func (r *repository) list(clock commit.Clock, ask func(sdk.ListOptions) ([]*sdk.Commit, *sdk.Response, error)) ([]dated, error) {
	var all []dated
	seen := map[string]bool{}
	for page := 1; page <= maxPages; page++ {
		commits, resp, err := ask(sdk.ListOptions{Page: page, PageSize: perPage})
		if err != nil {
			return nil, r.failed(resp, err, r.unlistable())
		}
		for _, c := range commits {
			sha, at, err := read(c, clock)
			if err != nil {
				return nil, err
			}
			if !seen[sha] && len(c.Parents) <= 1 {
				all = append(all, dated{sha, at})
			}
			seen[sha] = true
		}
		if end, err := atEnd(resp.Header, len(commits), len(seen)); end || err != nil {
			return all, err
		}
	}
	return nil, tooLarge("the list of commits", "300 pages")
}

// atEnd tells from a page's headers whether it is the last, and fails if the list is too long or does not have what it promised. Without
// headers an empty page is the last.
func atEnd(h http.Header, onPage, seen int) (bool, error) {
	total, err := strconv.Atoi(h.Get("X-Total-Count"))
	promised := err == nil
	switch {
	case promised && total > maxCommits, seen > maxCommits:
		return true, tooLarge("the list of commits", strconv.Itoa(maxCommits))
	case promised && seen >= total:
		return true, nil
	case onPage > 0 && h.Get("X-Hasmore") != "false":
		return false, nil
	case promised:
		return true, fmt.Errorf("the server promised %d commits and listed %d", total, seen)
	}
	return true, nil
}

func read(c *sdk.Commit, clock commit.Clock) (string, time.Time, error) {
	if c == nil || c.CommitMeta == nil || c.RepoCommit == nil || c.RepoCommit.Committer == nil || c.RepoCommit.Author == nil || !fullSHA.MatchString(c.SHA) {
		return "", time.Time{}, errors.New("the server lists a commit without its SHA or its times")
	}
	text := c.RepoCommit.Committer.Date
	if clock == commit.Author {
		text = c.RepoCommit.Author.Date
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("the server lists commit %s with a time that is none", c.SHA)
	}
	return c.SHA, at, nil
}
