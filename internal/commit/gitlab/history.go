package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/dora-controller/dora-controller/internal/commit"
)

const (
	// perPage is the most that GitLab gives at once.
	perPage = 100
	// maxPages bounds a list.
	maxPages = 100
	// maxLookups bounds for how many commits of a range their merge requests are looked up.
	maxLookups = 300
)

// dated is a commit and the time that counts.
type dated struct {
	sha string
	at  time.Time
}

// Range implements commit.Repository.
func (r *repository) Range(ctx context.Context, base, head string, o commit.RangeOptions) (commit.Range, error) {
	if err := r.ancestor(ctx, base, head); err != nil {
		return commit.Range{}, err
	}
	commits, err := r.between(ctx, base, head, o)
	if err != nil {
		return commit.Range{}, err
	}
	if o.Squash {
		if err := r.unsquash(ctx, commits, o.Clock); err != nil {
			return commit.Range{}, err
		}
	}
	var found commit.Range
	for _, c := range commits {
		found.Add(c.sha, c.at)
	}
	return found, nil
}

// ancestor fails unless base is an ancestor of head: then, and only then, is it their best common one.
func (r *repository) ancestor(ctx context.Context, base, head string) error {
	none := fmt.Errorf("%s %w of %s", base, commit.ErrNotAncestor, head)
	common, resp, err := r.api.Repositories.MergeBase(r.project, &gl.MergeBaseOptions{Ref: &[]string{base, head}}, gl.WithContext(ctx))
	switch {
	case resp != nil && resp.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w: GitLab at %s says %s", commit.ErrNotFound, r.host, r.said(err))
	case err != nil:
		return r.failed(ctx, resp, err, none)
	}
	r.exists = true
	if common.ID != base {
		return none
	}
	return nil
}

func (r *repository) between(ctx context.Context, base, head string, o commit.RangeOptions) ([]dated, error) {
	span := base + ".." + head
	options := gl.ListCommitsOptions{RefName: &span}
	if o.Path != "" {
		options.Path = &o.Path
	}
	return r.list(ctx, o.Clock, func(page gl.ListOptions) ([]*gl.Commit, *gl.Response, error) {
		options.ListOptions = page
		return r.api.Commits.ListCommits(r.project, &options, gl.WithContext(ctx))
	})
}

// list reads a list of commits to its end, and leaves out merges. GitLab does not say how many there are. Its header names a next page
// after each full one, even if that is empty; a full page is followed by a further one here even if something on the way lost the header.
func (r *repository) list(ctx context.Context, clock commit.Clock,
	ask func(gl.ListOptions) ([]*gl.Commit, *gl.Response, error),
) ([]dated, error) {
	var all []dated
	for page := int64(1); page <= maxPages; page++ {
		commits, resp, err := ask(gl.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, r.failed(ctx, resp, err, fmt.Errorf("GitLab at %s does not list the commits", r.host))
		}
		for _, c := range commits {
			if len(c.ParentIDs) > 1 {
				continue
			}
			at, err := timeOf(c, clock)
			if err != nil {
				return nil, err
			}
			all = append(all, dated{c.ID, at})
		}
		if len(commits) == 0 || len(commits) < perPage && resp.NextPage == 0 {
			return all, nil
		}
	}
	return nil, tooLarge("the list of commits", "10,000")
}

func timeOf(c *gl.Commit, clock commit.Clock) (time.Time, error) {
	at := c.CommittedDate
	if clock == commit.Author {
		at = c.AuthoredDate
	}
	if at == nil || !fullSHA.MatchString(c.ID) {
		return time.Time{}, errors.New("GitLab lists a commit without its SHA or its time")
	}
	return *at, nil
}

// unsquash puts in the place of each commit that a merge request was squashed into the first commit of that merge request.
func (r *repository) unsquash(ctx context.Context, commits []dated, clock commit.Clock) error {
	if len(commits) > maxLookups {
		return tooLarge("a range whose merge requests are to be looked up", fmt.Sprintf("%d commits", maxLookups))
	}
	for i, c := range commits {
		origin, err := r.origin(ctx, c, clock)
		if err != nil {
			return err
		}
		commits[i] = origin
	}
	return nil
}

func (r *repository) origin(ctx context.Context, c dated, clock commit.Clock) (dated, error) {
	requests, resp, err := r.api.Commits.ListMergeRequestsByCommit(r.project, c.sha, gl.WithContext(ctx))
	if err != nil {
		return dated{}, r.failed(ctx, resp, err, fmt.Errorf("GitLab at %s does not list the merge requests of %s", r.host, c.sha))
	}
	first := dated{}
	for _, request := range requests {
		if request.State != "merged" || request.SquashCommitSHA != c.sha && request.MergeCommitSHA != c.sha {
			continue
		}
		commits, err := r.requestCommits(ctx, request.IID, clock)
		if err != nil {
			return dated{}, err
		}
		for _, one := range commits {
			if first.sha == "" || one.at.Before(first.at) {
				first = one
			}
		}
	}
	if first.sha == "" {
		return c, nil
	}
	return first, nil
}

func (r *repository) requestCommits(ctx context.Context, iid int64, clock commit.Clock) ([]dated, error) {
	return r.list(ctx, clock, func(page gl.ListOptions) ([]*gl.Commit, *gl.Response, error) {
		options := gl.GetMergeRequestCommitsOptions{ListOptions: page}
		return r.api.MergeRequests.GetMergeRequestCommits(r.project, iid, &options, gl.WithContext(ctx))
	})
}
