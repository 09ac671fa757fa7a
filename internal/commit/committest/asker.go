package committest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Asker answers for a fake server by running the git command in a repository, for as long as a request lasts.
type Asker struct {
	tb   testing.TB
	repo *Repo
	ctx  context.Context //nolint:containedctx // it stands for one request, as http.Request does
}

// Ask makes an Asker for one request.
func (r *Repo) Ask(ctx context.Context, tb testing.TB) Asker {
	tb.Helper()
	return Asker{tb, r, ctx}
}

// Resolve is the full SHA of the commit that git itself takes a revision for; empty if there is none.
func (a Asker) Resolve(revision string) string {
	if strings.HasPrefix(revision, "-") || strings.ContainsAny(revision, " :\x00") || !a.OK("rev-parse", "--verify", "--quiet", revision+"^{commit}") {
		return ""
	}
	return a.Git("rev-parse", "--verify", "--quiet", revision+"^{commit}")
}

// OK tells whether a git command succeeds.
func (a Asker) OK(args ...string) bool { return a.command(args...).Run() == nil }

// Git is what a git command prints. That it fails is an error of the test, unless the request ended.
func (a Asker) Git(args ...string) string {
	out, err := a.command(args...).Output()
	if err != nil && a.ctx.Err() == nil {
		a.tb.Errorf("git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

func (a Asker) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(a.ctx, "git", args...)
	cmd.Dir = a.repo.Dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	return cmd
}
