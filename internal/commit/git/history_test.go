package git_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
)

// shallow makes the server's copy of a repository shallow, with so many commits of each branch.
func shallow(t *testing.T, r *committest.Repo, depth string) {
	t.Helper()
	committest.Git(t, filepath.Dir(r.Dir), nil, "clone", "--quiet", "--mirror", "--depth", depth, "file://"+r.Dir, "shallow.git")
	committest.Git(t, filepath.Dir(r.Dir), nil, "--git-dir=shallow.git", "config", "uploadpack.allowFilter", "true")
}

func TestShallowRepositories(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	r.Switch("old")
	beside := r.Commit(committest.Commit{File: "beside"})
	r.Switch("main")
	hidden := r.Commit(committest.Commit{})
	cut := r.Commit(committest.Commit{})
	r.Git("branch", "at-the-cut")
	middle := r.Commit(committest.Commit{})
	line := r.Commit(committest.Commit{})
	merged := r.Merge("old")
	shallow(t, r, "4")
	over := serve(t, backend(t, r))
	for name, at := range map[string]commit.Location{
		"over http":         {URL: over[:len(over)-len("repo")] + "shallow"},
		"in a local folder": {URL: "file://" + filepath.Join(filepath.Dir(r.Dir), "shallow")},
	} {
		one := opened(t, provider(t, git.Options{LocalRoot: filepath.Dir(r.Dir)}), at)
		for question, row := range map[string]struct {
			base, head string
			commits    int
			want       error
		}{
			"in a line":                                           {cut, line, 2, nil},
			"from a commit that is missing":                       {hidden, line, 0, commit.ErrShallow},
			"to a commit that is missing":                         {cut, hidden, 0, commit.ErrNotFound},
			"with a branch that may have been merged before":      {middle, merged, 0, commit.ErrShallow},
			"from a commit beside, which may be an ancestor":      {beside, line, 0, commit.ErrShallow},
			"back, which no missing commit can turn into forward": {line, cut, 0, commit.ErrNotAncestor},
			"nothing": {cut, cut, 0, nil},
		} {
			got, err := one.Range(t.Context(), row.base, row.head, commit.RangeOptions{})
			if row.want != nil {
				wantError(t, err, row.want)
			} else if err != nil || got.Commits != row.commits {
				t.Errorf("%s, %s: got %+v and %v, want %d commits", name, question, got, err, row.commits)
			}
		}
	}
}

func TestAShallowRepositoryThatIsCompleted(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	r.Commit(committest.Commit{})
	head := r.Commit(committest.Commit{})
	shallow(t, r, "2")
	over := serve(t, backend(t, r))
	c := newClock()
	at, p := commit.Location{URL: over[:len(over)-len("repo")] + "shallow"}, provider(t, git.Options{Now: c.Now})
	visit(t, p, at, func(one commit.Repository) {
		_, err := one.Range(t.Context(), base, head, commit.RangeOptions{})
		wantError(t, err, commit.ErrShallow)
	})
	committest.Git(t, filepath.Dir(r.Dir), nil, "--git-dir=shallow.git", "fetch", "--quiet", "--unshallow")
	c.pass(2 * time.Minute)
	if got, err := resolve(t.Context(), p, at, base, head, ""); err != nil || got.Commits != 2 {
		t.Errorf("after it was completed: got %+v and %v, want 2 commits", got, err)
	}
}

func TestACommitThatNothingLeadsTo(t *testing.T) {
	for setting, want := range map[string]bool{"uploadpack.allowAnySHA1InWant": true, "uploadpack.allowReachableSHA1InWant": false, "uploadpack.none": false} {
		t.Run(setting, func(t *testing.T) {
			r := committest.New(t)
			committest.Git(t, r.Dir, nil, "config", setting, "true")
			base := r.Commit(committest.Commit{})
			r.Git("commit", "--quiet", "--allow-empty", "--message", "on no branch")
			loose := r.Git("rev-parse", "HEAD")
			r.Git("push", "--quiet", "origin", "HEAD:refs/heads/gone")
			at, p := commit.Location{URL: serve(t, backend(t, r))}, provider(t, git.Options{})
			visit(t, p, at, wantCommit(t, loose))
			r.Git("push", "--quiet", "origin", "--delete", "gone")
			r.Git("reset", "--quiet", "--hard", base)
			head := r.Commit(committest.Commit{})
			for _, p := range []*git.Provider{p, provider(t, git.Options{})} {
				visit(t, p, at, wantCommit(t, head))
				visit(t, p, at, func(one commit.Repository) {
					got, err := one.Commit(t.Context(), loose)
					switch {
					case want && (got != loose || err != nil):
						t.Errorf("got %q and %v, want it", got, err)
					case !want:
						wantError(t, err, commit.ErrNotFound)
					}
					_, err = one.Range(t.Context(), loose, head, commit.RangeOptions{})
					if want {
						wantError(t, err, commit.ErrNotAncestor)
					} else {
						wantError(t, err, commit.ErrNotFound)
					}
				})
				// Its first digits name it nowhere.
				visit(t, p, at, wantNone(t, loose[:12]))
			}
		})
	}
}

func TestTagsOfWhatIsNoCommit(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{File: "app/a"})
	r.Git("tag", "tree", "HEAD^{tree}")
	r.Git("tag", "file", "HEAD:app/a")
	r.Git("tag", "--annotate", "--message", "a tree", "annotated", "HEAD^{tree}")
	r.Push()
	w := watch(backend(t, r))
	over := serve(t, w)
	for _, at := range []commit.Location{{URL: over}, {URL: over, WholeTrees: true}, {URL: "file://" + r.Dir}} {
		p := provider(t, git.Options{LocalRoot: filepath.Dir(r.Dir)})
		one := opened(t, p, at)
		for _, name := range []string{"tree", "file", "annotated"} {
			_, err := one.Tag(t.Context(), name)
			wantError(t, err, commit.ErrNotFound)
		}
		w.since()
		visit(t, p, commit.Location{URL: at.URL, WholeTrees: at.WholeTrees, Credentials: commit.Credentials{Token: "other"}}, wantCommit(t, sha))
		if requests, _ := w.since(); requests > 1 {
			t.Errorf("%d requests: tags without a commit are fetched again and again", requests)
		}
	}
}

func TestQuestionsThatCannotBeAnswered(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	at := commit.Location{URL: serve(t, backend(t, r))}
	one := opened(t, provider(t, git.Options{}), at)
	_, err := one.Range(t.Context(), sha, sha, commit.RangeOptions{Squash: true})
	wantError(t, err, commit.ErrUnsupported)
	_, err = one.Range(t.Context(), sha, sha, commit.RangeOptions{Path: "app"})
	wantError(t, err, commit.ErrUnsupported)
	for _, digits := range []string{"", "abc", "HEAD~12", "main", sha + "0", "../../etc", sha[:6]} {
		_, err := one.Commit(t.Context(), digits)
		wantError(t, err, commit.ErrNotFound)
	}
	for _, address := range []string{"git://127.0.0.1/repo", "ext::sh -c id", "repo", "", "http://[::1", "https:///repo"} {
		if _, err := provider(t, git.Options{}).Open(t.Context(), commit.Location{URL: address}); err == nil {
			t.Errorf("%q: no error", address)
		}
	}
}

// A commit as git itself would not write it: no time, and one far in the future.
func TestCommitsWithOddTimes(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	tree := r.Git("rev-parse", "HEAD^{tree}")
	head := base
	for _, by := range []string{"Ada <ada@example.com> 4102444800 +0000", "Ada <a@b> x> 7 -0730"} {
		head = r.Object("commit", []byte("tree "+tree+"\nparent "+head+"\nauthor "+by+"\ncommitter "+by+"\nencoding latin1\n\nparent of "+tree+"\n"))
	}
	committest.Git(t, r.Dir, nil, "update-ref", "refs/heads/main", head)
	one := opened(t, provider(t, git.Options{}), commit.Location{URL: serve(t, backend(t, r))})
	got, err := one.Range(t.Context(), base, head, commit.RangeOptions{})
	if want := r.Log(base, head, commit.RangeOptions{}); got != want || err != nil {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}
