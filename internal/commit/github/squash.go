package github

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// pull is a pull request that GitHub associates with a commit.
type pull struct {
	Number         int        `json:"number"`
	MergedAt       *time.Time `json:"merged_at"`
	MergeCommitSHA string     `json:"merge_commit_sha"`
	Base           struct {
		Repo struct {
			FullName string `json:"full_name"`
		} `json:"repo"`
	} `json:"base"`
}

// unsquash moves the first commit of a range back to the first of the pull requests that were merged as commits of the range. That is
// the squashed commit, or the last of a rebased pull request's; merge commits are not in a range, and the commits that they brought
// are in it themselves.
func (r *repository) unsquash(ctx context.Context, found *commit.Range, counted []listed, clock commit.Clock) error {
	if len(counted) > maxSquashed {
		return fmt.Errorf("%w: %d commits in the range, and the pull requests of %d at most are looked up; turn the lookup of squashed commits "+
			"off for this target", commit.ErrTooLarge, len(counted), maxSquashed)
	}
	for _, c := range counted {
		pulls, err := r.mergedAs(ctx, c.SHA)
		if err != nil {
			return err
		}
		for _, p := range pulls {
			commits, err := r.commitsOf(ctx, p)
			if err != nil {
				return err
			}
			earliest(found, withoutMerges(commits), clock)
		}
	}
	return nil
}

// mergedAs lists the pull requests that were merged as this very commit. Others only contain it.
func (r *repository) mergedAs(ctx context.Context, sha string) ([]pull, error) {
	var associated, merged []pull
	if _, err := r.get(ctx, r.path("commits", sha, "pulls")+query(1), &associated); err != nil {
		return nil, r.pullsRefused(ctx, err)
	}
	for _, p := range associated {
		if p.MergedAt != nil && p.MergeCommitSHA == sha {
			merged = append(merged, p)
		}
	}
	return merged, nil
}

// commitsOf lists the commits of a pull request, in the repository that it was made for. GitHub lists the first 250 of a larger one and
// has no way to ask for the others, so those 250 are what the earliest is chosen from.
func (r *repository) commitsOf(ctx context.Context, p pull) ([]listed, error) {
	owner, name, _ := strings.Cut(p.Base.Repo.FullName, "/")
	if !isName(owner) || !isName(name) {
		owner, name = r.owner, r.name
	}
	path := strings.Join([]string{"repos", owner, name, "pulls", strconv.Itoa(p.Number), "commits"}, "/")
	var all []listed
	for page := 1; page != 0 && page <= maxPullPages; {
		var commits []listed
		resp, err := r.get(ctx, path+query(page), &commits)
		if err != nil {
			return nil, r.pullsRefused(ctx, err)
		}
		for _, c := range commits {
			if err := c.check(); err != nil {
				return nil, err
			}
		}
		all, page = append(all, commits...), following(resp, page)
	}
	return all, nil
}

// pullsRefused says what a 404 about pull requests means: the commit is known, so they are not shown.
func (r *repository) pullsRefused(ctx context.Context, err error) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	return r.absent(ctx, fmt.Errorf("%w: GitHub does not show the pull requests; the credentials need read access to them", commit.ErrUnauthorized))
}
