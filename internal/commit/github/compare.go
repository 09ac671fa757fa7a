package github

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	gh "github.com/google/go-github/v92/github"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// listed is a commit in one of GitHub's lists. What else stands there (messages, people, changed files) is not kept.
type listed struct {
	SHA    string `json:"sha"`
	Commit struct {
		Author    signature `json:"author"`
		Committer signature `json:"committer"`
	} `json:"commit"`
	Parents []struct {
		SHA string `json:"sha"`
	} `json:"parents"`
}

type signature struct {
	Date time.Time `json:"date"`
}

func (c listed) at(clock commit.Clock) time.Time {
	if clock == commit.Author {
		return c.Commit.Author.Date.UTC()
	}
	return c.Commit.Committer.Date.UTC()
}

func (c listed) isMerge() bool { return len(c.Parents) > 1 }

// check refuses what cannot be a commit, so that nothing made up gets into an answer.
func (c listed) check() error {
	if !fullSHA.MatchString(c.SHA) || c.Commit.Author.Date.IsZero() || c.Commit.Committer.Date.IsZero() {
		return errors.New("GitHub listed a commit without its SHA or its times")
	}
	return nil
}

type comparison struct {
	Status  string   `json:"status"`
	Total   int      `json:"total_commits"`
	Commits []listed `json:"commits"`
}

// Range implements commit.Repository.
func (r *repository) Range(ctx context.Context, base, head string, o commit.RangeOptions) (commit.Range, error) {
	all, err := r.compare(ctx, base, head)
	if err != nil {
		return commit.Range{}, err
	}
	counted := withoutMerges(all)
	if o.Path != "" && len(counted) > 0 {
		if counted, err = r.touching(ctx, base, head, o.Path, all); err != nil {
			return commit.Range{}, err
		}
	}
	found := commit.Range{Commits: len(counted)}
	earliest(&found, counted, o.Clock)
	if o.Squash {
		err = r.unsquash(ctx, &found, counted, o.Clock)
	}
	if err != nil {
		return commit.Range{}, err
	}
	return found, nil
}

func withoutMerges(all []listed) []listed {
	var counted []listed
	for _, c := range all {
		if !c.isMerge() {
			counted = append(counted, c)
		}
	}
	return counted
}

// earliest sets the first commit to the earliest of these, if that is earlier than what is there.
func earliest(found *commit.Range, commits []listed, clock commit.Clock) {
	for _, c := range commits {
		if at := c.at(clock); found.FirstAt.IsZero() || at.Before(found.FirstAt) {
			found.First, found.FirstAt = c.SHA, at
		}
	}
}

// compare lists all commits of base..head, merges among them. Without paging GitHub gives 250 at most. Changed files come with the first
// page alone; they are read over.
func (r *repository) compare(ctx context.Context, base, head string) ([]listed, error) {
	if !fullSHA.MatchString(base) || !fullSHA.MatchString(head) {
		return nil, fmt.Errorf("%w: a range needs two full SHAs", commit.ErrNotFound)
	}
	var all []listed
	known := map[string]bool{}
	for page := 1; page <= maxPages; page++ {
		var c comparison
		if _, err := r.get(ctx, r.path("compare", base+"..."+head)+query(page), &c); err != nil {
			return nil, r.notCompared(ctx, err, base, head)
		}
		if err := c.check(base, head); err != nil {
			return nil, err
		}
		before := len(all)
		for _, l := range c.Commits {
			if !known[l.SHA] {
				known[l.SHA], all = true, append(all, l)
			}
		}
		if len(all) == c.Total {
			return all, nil
		}
		if len(all) == before {
			return nil, fmt.Errorf("GitHub counts %d commits in the range and lists %d", c.Total, len(all))
		}
	}
	return nil, errLongRange
}

var errLongRange = fmt.Errorf("%w: more than %d commits in the range", commit.ErrTooLarge, maxPages*perPage)

// check says whether a page of a comparison can be taken. Status is head's, as seen from base: only "ahead" and "identical" make base
// an ancestor of head.
func (c comparison) check(base, head string) error {
	switch c.Status {
	case "ahead", "identical":
	case "behind", "diverged":
		return fmt.Errorf("%s %w of %s", base, commit.ErrNotAncestor, head)
	default:
		return fmt.Errorf("GitHub compared the commits as %q, which means nothing here", said(c.Status))
	}
	if c.Total > maxPages*perPage {
		return errLongRange
	}
	for _, l := range c.Commits {
		if err := l.check(); err != nil {
			return err
		}
	}
	return nil
}

// notCompared says what is behind a comparison's 404: no repository, no such commit, or no common history.
func (r *repository) notCompared(ctx context.Context, err error, base, head string) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	if strings.Contains(err.Error(), "No common ancestor") {
		return fmt.Errorf("%s %w of %s: they have no history in common", base, commit.ErrNotAncestor, head)
	}
	for _, sha := range []string{base, head} {
		if _, err := r.Commit(ctx, sha); err != nil {
			return err
		}
	}
	return fmt.Errorf("GitHub has %s and %s and does not compare them", base, head)
}

// following is the page after this one; 0 if that was the last.
func following(resp *gh.Response, page int) int {
	if resp.NextPage != page+1 {
		return 0
	}
	return page + 1
}
