package giteatest

import (
	"os"
	"os/exec"
	"strings"
)

// resolve is the full SHA of the commit that git itself takes a revision for; empty if there is none.
func (a *answer) resolve(revision string) string {
	if strings.HasPrefix(revision, "-") || strings.ContainsAny(revision, " :\x00") || !a.ok("rev-parse", "--verify", "--quiet", revision+"^{commit}") {
		return ""
	}
	return a.git("rev-parse", "--verify", "--quiet", revision+"^{commit}")
}

// ok tells whether a git command succeeds.
func (a *answer) ok(args ...string) bool { return a.command(args...).Run() == nil }

// git is what a git command prints.
func (a *answer) git(args ...string) string {
	out, err := a.command(args...).Output()
	if err != nil && a.r.Context().Err() == nil {
		a.tb.Errorf("git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

func (a *answer) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(a.r.Context(), "git", args...)
	cmd.Dir = a.repo.Dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	return cmd
}
