package committest_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
)

// The git command itself passes the suite, so the stories are true.
func TestTheGitCommandPassesTheSuite(t *testing.T) {
	caps := committest.Capabilities{Path: true, Ambiguous: true, Unreachable: true, Peeled: true}
	committest.Suite(t, caps, func(_ *testing.T, r *committest.Repo) commit.Repository { return command{r} })
}

// command answers by running git in the repository itself.
type command struct{ r *committest.Repo }

func (c command) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = c.r.Dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

func (c command) Commit(ctx context.Context, sha string) (string, error) {
	all, err := c.git(ctx, "rev-list", "--all")
	if err != nil {
		return "", err
	}
	var found []string
	for one := range strings.FieldsSeq(all) {
		if strings.HasPrefix(one, sha) {
			found = append(found, one)
		}
	}
	switch len(found) {
	case 0:
		return "", commit.ErrNotFound
	case 1:
		return found[0], nil
	}
	return "", commit.ErrAmbiguous
}

func (c command) Tag(ctx context.Context, name string) (string, error) {
	if name == "" || strings.Contains(name, "*") {
		return "", commit.ErrNotFound
	}
	sha, err := c.git(ctx, "rev-parse", "--verify", "--quiet", "refs/tags/"+name+"^{commit}")
	if err != nil {
		return "", errors.Join(commit.ErrNotFound, err)
	}
	return sha, nil
}

func (c command) Range(ctx context.Context, base, head string, o commit.RangeOptions) (commit.Range, error) {
	for _, sha := range []string{base, head} {
		if _, err := c.Commit(ctx, sha); err != nil {
			return commit.Range{}, err
		}
	}
	if _, err := c.git(ctx, "merge-base", "--is-ancestor", base, head); err != nil {
		return commit.Range{}, errors.Join(commit.ErrNotAncestor, err)
	}
	return c.r.Log(base, head, o), nil
}

func (c command) Close() error { return nil }
