package gitea

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// repository is one repository of a Gitea or Forgejo server. Its client keeps the context of the question that is being answered.
type repository struct {
	api               *sdk.Client
	host, owner, name string
	credentials       commit.Credentials
	close             func()
	// exists: the server has shown something of the repository. recent: it is known not to be too old.
	exists, recent bool
}

var (
	digits  = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)
	fullSHA = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
)

// Commit implements commit.Repository.
func (r *repository) Commit(ctx context.Context, sha string) (string, error) {
	r.api.SetContext(ctx)
	return r.commit(sha)
}

func (r *repository) commit(sha string) (string, error) {
	if !digits.MatchString(sha) {
		return "", fmt.Errorf("%w: %q is no SHA", commit.ErrNotFound, sha)
	}
	found, err := r.resolve(sha, sha)
	if errors.Is(err, commit.ErrNotFound) && len(sha) < 40 {
		return r.resolve("c-0-g"+sha, sha)
	}
	return found, err
}

// resolve asks for a revision, and takes the answer if it begins with what is wanted.
func (r *repository) resolve(revision, want string) (string, error) {
	absent := fmt.Errorf("%w: no commit, or more than one, begins with %s", commit.ErrNotFound, want)
	found, resp, err := r.api.GetSingleCommit(r.owner, r.name, revision)
	if err != nil {
		return "", r.failed(resp, err, absent)
	}
	r.exists = true
	if found.CommitMeta == nil || !fullSHA.MatchString(found.SHA) || !strings.HasPrefix(found.SHA, strings.ToLower(want)) {
		return "", absent // a branch or a tag of that name, or the commit of a tag object
	}
	return found.SHA, nil
}

// Tag implements commit.Repository. What the server calls the tag's commit is what the tag names: of a tag of a tag, that tag. So the
// commit is asked for.
func (r *repository) Tag(ctx context.Context, name string) (string, error) {
	r.api.SetContext(ctx)
	absent := fmt.Errorf("%w: no tag %q that leads to a commit", commit.ErrNotFound, name)
	if name == "" {
		return "", absent
	}
	tag, resp, err := r.api.GetTag(r.owner, r.name, name)
	if err != nil {
		return "", r.failed(resp, err, absent)
	}
	r.exists = true
	if tag.Name != name || tag.Commit == nil || !digits.MatchString(tag.Commit.SHA) {
		return "", absent
	}
	found, resp, err := r.api.GetSingleCommit(r.owner, r.name, tag.Commit.SHA)
	if err != nil {
		return "", r.failed(resp, err, absent)
	}
	if found.CommitMeta == nil || !fullSHA.MatchString(found.SHA) {
		return "", absent
	}
	return found.SHA, nil
}

// Close implements commit.Repository.
func (r *repository) Close() error {
	r.close()
	return nil
}
