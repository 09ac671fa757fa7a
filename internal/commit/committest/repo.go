// Package committest holds what the drivers of package commit have in common: real git repositories to ask about, made and read by the
// git command, and the suite that every driver passes.
package committest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// Repo is a real git repository, bare, in a folder of its own.
type Repo struct {
	t testing.TB
	// Dir is the bare repository's folder.
	Dir string
	// work is a work tree of it.
	work string
	// clock is the time of the next commit.
	clock time.Time
}

// Epoch is when the first commit of a Repo is made. Each further one is made a minute later, unless it says otherwise.
var Epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// New makes a repository without commits. Its branch is main.
func New(tb testing.TB) *Repo {
	tb.Helper()
	base := tb.TempDir()
	r := &Repo{t: tb, Dir: filepath.Join(base, "repo.git"), work: filepath.Join(base, "work"), clock: Epoch}
	r.run(base, nil, "init", "--quiet", "--bare", "--initial-branch=main", r.Dir)
	r.run(r.Dir, nil, "config", "uploadpack.allowFilter", "true")
	r.run(r.Dir, nil, "config", "http.receivepack", "false")
	r.run(base, nil, "clone", "--quiet", r.Dir, r.work)
	return r
}

// Commit says how a commit is to be made. The zero value changes the file "file".
type Commit struct {
	// File is what changes; several are separated by spaces.
	File string
	// At is the committer's time, AuthoredAt the author's; the committer's if it is zero.
	At, AuthoredAt time.Time
	Message        string
}

// Commit commits to the branch that is checked out, and pushes it. It returns the full SHA.
func (r *Repo) Commit(c Commit) string {
	r.t.Helper()
	if c.File == "" {
		c.File = "file"
	}
	if c.Message == "" {
		c.Message = "a change"
	}
	env := r.times(c.At, c.AuthoredAt)
	for file := range strings.FieldsSeq(c.File) {
		path := filepath.Join(r.work, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(r.clock.String()+c.Message), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.Git("add", "--all")
	r.run(r.work, env, "commit", "--quiet", "--message", c.Message)
	return r.Push()
}

// Merge merges a branch into the one that is checked out, always with a merge commit, and pushes it.
func (r *Repo) Merge(branch string, flags ...string) string {
	r.t.Helper()
	args := append([]string{"merge", "--quiet", "--no-ff", "--message", "merge " + branch}, flags...)
	r.run(r.work, r.times(time.Time{}, time.Time{}), append(args, branch)...)
	return r.Push()
}

// Squash commits what a branch has as one commit to the branch that is checked out, and pushes it.
func (r *Repo) Squash(branch string) string {
	r.t.Helper()
	r.Git("merge", "--quiet", "--squash", branch)
	r.run(r.work, r.times(time.Time{}, time.Time{}), "commit", "--quiet", "--message", "squashed "+branch)
	return r.Push()
}

// Switch checks out a branch, and makes it where the checked-out one is if there is none.
func (r *Repo) Switch(branch string) {
	r.t.Helper()
	if r.git("rev-parse", "--verify", "--quiet", "refs/heads/"+branch) == nil {
		r.Git("switch", "--quiet", branch)
		return
	}
	r.Git("switch", "--quiet", "--create", branch)
}

// Tag makes a tag of the commit that is checked out, annotated if there is a message, and pushes it.
func (r *Repo) Tag(name, message string) {
	r.t.Helper()
	args := []string{"tag", name}
	if message != "" {
		args = []string{"tag", "--annotate", "--message", message, name}
	}
	r.run(r.work, r.times(time.Time{}, time.Time{}), args...)
	r.Push()
}

// Push pushes all branches and tags, by force, and returns the SHA of the commit that is checked out.
func (r *Repo) Push() string {
	r.t.Helper()
	r.Git("push", "--quiet", "--force", "origin", "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
	return r.Git("rev-parse", "HEAD")
}

// Git runs git in the work tree and returns what it prints.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.run(r.work, nil, args...)
}

// Log is what git itself says about a range, by the log that package commit's Range names.
func (r *Repo) Log(base, head string, o commit.RangeOptions) commit.Range {
	r.t.Helper()
	field := "%ct"
	if o.Clock == commit.Author {
		field = "%at"
	}
	args := []string{"log", "--no-merges", "--format=" + field + " %H", base + ".." + head}
	if o.Path != "" {
		args = append(args, "--", o.Path)
	}
	var found commit.Range
	for row := range strings.SplitSeq(r.run(r.Dir, nil, args...), "\n") {
		seconds, sha, ok := strings.Cut(row, " ")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			r.t.Fatal(err)
		}
		found.Commits++
		if at := time.Unix(n, 0).UTC(); found.FirstAt.IsZero() || at.Before(found.FirstAt) {
			found.First, found.FirstAt = sha, at
		}
	}
	return found
}

func (r *Repo) times(at, authored time.Time) []string {
	if at.IsZero() {
		at = r.clock
	}
	if authored.IsZero() {
		authored = at
	}
	r.clock = r.clock.Add(time.Minute)
	return []string{"GIT_COMMITTER_DATE=" + stamp(at), "GIT_AUTHOR_DATE=" + stamp(authored)}
}

func stamp(at time.Time) string { return fmt.Sprintf("%d +0000", at.Unix()) }

func (r *Repo) git(args ...string) error { return command(r.work, nil, args...).Run() }

func (r *Repo) run(dir string, env []string, args ...string) string {
	r.t.Helper()
	return Git(r.t, dir, env, args...)
}

// Git runs the git command in a folder, with nothing of this machine's configuration, and returns what it prints.
func Git(tb testing.TB, dir string, env []string, args ...string) string {
	tb.Helper()
	cmd := command(dir, env, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, problems.String())
	}
	return strings.TrimSpace(out.String())
}

func command(dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME="+dir,
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=core.fsync", "GIT_CONFIG_VALUE_0=none", "GIT_CONFIG_KEY_1=gc.auto", "GIT_CONFIG_VALUE_1=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com"), env...)
	return cmd
}
