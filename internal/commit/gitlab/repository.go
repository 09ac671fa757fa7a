package gitlab

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// repository is one project of a GitLab server.
type repository struct {
	api           *gl.Client
	host, project string
	credentials   commit.Credentials
	close         func()
	// exists: the server has shown something of the project.
	exists bool
}

var (
	digits  = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)
	fullSHA = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
)

// Commit implements commit.Repository.
func (r *repository) Commit(ctx context.Context, sha string) (string, error) {
	if !digits.MatchString(sha) {
		return "", fmt.Errorf("%w: %q is no SHA", commit.ErrNotFound, sha)
	}
	found, err := r.resolve(ctx, sha, sha)
	if errors.Is(err, commit.ErrNotFound) && len(sha) < 40 {
		return r.resolve(ctx, "c-0-g"+sha, sha)
	}
	return found, err
}

// resolve asks for a revision, and takes the answer if it begins with what is wanted.
func (r *repository) resolve(ctx context.Context, revision, want string) (string, error) {
	absent := fmt.Errorf("%w: no commit, or more than one, begins with %s", commit.ErrNotFound, want)
	noStats := false
	found, resp, err := r.api.Commits.GetCommit(r.project, revision, &gl.GetCommitOptions{Stats: &noStats}, gl.WithContext(ctx))
	if err != nil {
		return "", r.failed(ctx, resp, err, absent)
	}
	r.exists = true
	if !fullSHA.MatchString(found.ID) || !strings.HasPrefix(found.ID, strings.ToLower(want)) {
		return "", absent // a branch or a tag of that name, or the commit of a tag object
	}
	return found.ID, nil
}

// Tag implements commit.Repository.
func (r *repository) Tag(ctx context.Context, name string) (string, error) {
	absent := fmt.Errorf("%w: no tag %q that leads to a commit", commit.ErrNotFound, name)
	if name == "" {
		return "", absent
	}
	tag, resp, err := r.api.Tags.GetTag(r.project, name, gl.WithContext(ctx))
	if err != nil {
		return "", r.failed(ctx, resp, err, absent)
	}
	r.exists = true
	if tag.Name != name || tag.Commit == nil || !fullSHA.MatchString(tag.Commit.ID) {
		return "", absent
	}
	return tag.Commit.ID, nil
}

// Close implements commit.Repository.
func (r *repository) Close() error {
	r.close()
	return nil
}
