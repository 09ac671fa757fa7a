package gitea

import (
	"fmt"
	"net/http"
	"strconv"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// unsquash puts in the place of each commit that a pull request was merged as the first commit of that pull request.
func (r *repository) unsquash(commits []dated, clock commit.Clock) error {
	if len(commits) > maxLookups {
		return tooLarge("a range whose pull requests are to be looked up", strconv.Itoa(maxLookups)+" commits")
	}
	if err := r.notTooOld(); err != nil {
		return err
	}
	for i, c := range commits {
		origin, err := r.origin(c, clock)
		if err != nil {
			return err
		}
		commits[i] = origin
	}
	return nil
}

func (r *repository) origin(c dated, clock commit.Clock) (dated, error) {
	request, resp, err := r.api.GetCommitPullRequest(r.owner, r.name, c.sha)
	switch {
	case resp != nil && resp.StatusCode == http.StatusNotFound:
		return c, nil
	case err != nil:
		return dated{}, r.failed(resp, err, err)
	case !request.HasMerged || request.MergedCommitID == nil || *request.MergedCommitID != c.sha:
		return c, nil
	}
	commits, err := r.list(clock, func(page sdk.ListOptions) ([]*sdk.Commit, *sdk.Response, error) {
		return r.api.ListPullRequestCommits(r.owner, r.name, request.Index, sdk.ListPullRequestCommitsOptions{ListOptions: page})
	})
	if err != nil {
		return dated{}, err
	}
	for i, one := range commits {
		if i == 0 || one.at.Before(c.at) {
			c = one
		}
	}
	return c, nil
}

// notTooOld fails if the server is older than what the answers here rely on. A version that cannot be read is taken for a recent one.
func (r *repository) notTooOld() error {
	if r.recent {
		return nil
	}
	version, resp, err := r.api.ServerVersion()
	if err != nil {
		return r.failed(resp, err, fmt.Errorf("%s does not tell its version: is it a Gitea or a Forgejo?", r.host))
	}
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 && (major < 1 || major == 1 && minor < 22) {
		return fmt.Errorf("%s runs version %s, which is too old: Gitea 1.22, Forgejo 7.0 or newer is needed", r.host, r.credentials.Quote(version))
	}
	r.recent = true
	return nil
}
