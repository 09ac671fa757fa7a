package committest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// Capabilities are what a driver, and the server that it asks, can do beyond what every driver does. The zero value is the least.
type Capabilities struct {
	// Path: RangeOptions.Path is answered exactly. Otherwise the stories about folders are left out.
	Path bool
	// Ambiguous: a short SHA that several commits begin with is told apart from one that none does. Otherwise ErrNotFound will do.
	Ambiguous bool
	// Unreachable: a commit that no branch and no tag reaches any more is not found. Otherwise the server may know it for a while.
	Unreachable bool
	// Peeled: a full SHA of an object that is no commit (an annotated tag, a tree) is not found. Otherwise it is not asked for.
	Peeled bool
}

// Open opens a repository with a driver, as a resolver would.
type Open func(t *testing.T, r *Repo) commit.Repository

// story is one situation: a history is made, then questions are asked.
type story struct {
	name string
	tell func(*asker)
	// unless the driver can do this the story is left out.
	needs func(Capabilities) bool
}

// Suite asks a driver what every driver must answer, about real repositories. What is expected comes from git itself (Repo.Log) or is
// known from how the history was made.
func Suite(t *testing.T, caps Capabilities, open Open) {
	t.Helper()
	for _, stories := range [][]story{commitStories, tagStories, rangeStories, changeStories, pathStories} {
		for _, s := range stories {
			if s.needs != nil && !s.needs(caps) {
				continue
			}
			t.Run(s.name, func(t *testing.T) {
				s.tell(&asker{T: t, Repo: New(t), caps: caps, open: open})
			})
		}
	}
}

// asker is a repository and the questions about it. The driver opens it at the first question.
type asker struct {
	*testing.T
	*Repo
	caps   Capabilities
	open   Open
	opened commit.Repository
}

func (a *asker) driver() commit.Repository {
	a.Helper()
	if a.opened == nil {
		a.opened = a.open(a.T, a.Repo)
		opened := a.opened
		a.Cleanup(func() {
			if err := opened.Close(); err != nil {
				a.Errorf("close: %v", err)
			}
		})
	}
	return a.opened
}

// reopen makes the next question one to a repository that was opened anew.
func (a *asker) reopen() { a.opened = nil }

func (a *asker) wantCommit(sha, want string) {
	a.Helper()
	if got, err := a.driver().Commit(a.Context(), sha); got != want || err != nil {
		a.Errorf("commit %s: got %q and %v, want %s", sha, got, err, want)
	}
}

func (a *asker) wantNoCommit(sha string, wants ...error) {
	a.Helper()
	got, err := a.driver().Commit(a.Context(), sha)
	a.wantError("commit "+sha, got, err, wants)
}

func (a *asker) wantTag(name, want string) {
	a.Helper()
	if got, err := a.driver().Tag(a.Context(), name); got != want || err != nil {
		a.Errorf("tag %s: got %q and %v, want %s", name, got, err, want)
	}
}

func (a *asker) wantNoTag(name string) {
	a.Helper()
	got, err := a.driver().Tag(a.Context(), name)
	a.wantError("tag "+name, got, err, []error{commit.ErrNotFound})
}

func (a *asker) wantError(what, got string, err error, wants []error) {
	a.Helper()
	for _, want := range wants {
		if errors.Is(err, want) && got == "" {
			return
		}
	}
	a.Errorf("%s: got %q and %v, want %v", what, got, err, wants)
}

// wantRange asks by both times, and wants what git log says.
func (a *asker) wantRange(base, head string, commits int) {
	a.Helper()
	a.wantPath(base, head, "", commits)
}

func (a *asker) wantPath(base, head, path string, commits int) {
	a.Helper()
	for _, clock := range []commit.Clock{commit.Committer, commit.Author, ""} {
		o := commit.RangeOptions{Path: path, Clock: clock}
		want := a.Log(base, head, o)
		if want.Commits != commits {
			a.Fatalf("the story is wrong: it says %d commits and git log %d", commits, want.Commits)
		}
		got, err := a.driver().Range(a.Context(), base, head, o)
		if err != nil || got.Commits != want.Commits || !got.FirstAt.Equal(want.FirstAt) || !a.earliest(base, head, o, got) {
			a.Errorf("%s..%s by %+v: got %+v and %v, want %+v", base, head, o, got, err, want)
		}
		if got.FirstAt.Location() != time.UTC {
			a.Errorf("the time is in %v, want UTC", got.FirstAt.Location())
		}
	}
}

// earliest tells whether the named commit is one of those that have the first time.
func (a *asker) earliest(base, head string, o commit.RangeOptions, got commit.Range) bool {
	a.Helper()
	if got.Commits == 0 {
		return got.First == "" && got.FirstAt.IsZero()
	}
	field := "%ct"
	if o.Clock == commit.Author {
		field = "%at"
	}
	args := []string{"log", "--no-merges", "--format=" + field + " %H", base + ".." + head}
	if o.Path != "" {
		args = append(args, "--", o.Path)
	}
	want := strings.TrimSuffix(stamp(got.FirstAt), " +0000") + " " + got.First
	for row := range strings.Lines(a.run(a.Dir, nil, args...)) {
		if strings.TrimSpace(row) == want {
			return true
		}
	}
	return false
}

func (a *asker) wantNoRange(base, head string, wants ...error) {
	a.Helper()
	got, err := a.driver().Range(a.Context(), base, head, commit.RangeOptions{})
	a.wantError("range "+base+".."+head, got.First, err, wants)
	if got.Commits != 0 || !got.FirstAt.IsZero() {
		a.Errorf("range %s..%s: got %+v beside an error", base, head, got)
	}
}

// commits makes n commits and returns their SHAs.
func (a *asker) commits(n int) []string {
	a.Helper()
	shas := make([]string, n)
	for i := range shas {
		shas[i] = a.Commit(Commit{Message: "change " + stamp(a.clock)})
	}
	return shas
}

// ended is a context that has ended.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
