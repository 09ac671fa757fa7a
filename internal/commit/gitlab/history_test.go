package gitlab_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/gitlab/gitlabtest"
)

// Two full pages are followed by an empty one.
func TestLongRangesAreReadPageByPage(t *testing.T) {
	for commits, pages := range map[int]int{99: 1, 100: 2, 1250: 13} {
		r := committest.New(t)
		base := r.Commit(committest.Commit{})
		head := r.Grow(commits)
		server := gitlabtest.New(t, r, project)
		got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{})
		if want := r.Log(base, head, commit.RangeOptions{}); err != nil || got != want || got.Commits != commits {
			t.Errorf("got %+v and %v, want %+v", got, err, want)
		}
		if asked := len(server.Asked()) - 1; asked != pages { // the first asks for the merge base
			t.Errorf("%d commits: asked for %d pages, want %d", commits, asked, pages)
		}
	}
}

// stripped is a response without the headers of pages, as a proxy on the way might leave it.
type stripped struct{ http.ResponseWriter }

func (s stripped) WriteHeader(status int) {
	for _, name := range []string{"Link", "X-Next-Page", "X-Page", "X-Per-Page"} {
		s.Header().Del(name)
	}
	s.ResponseWriter.WriteHeader(status)
}

func TestAFullPageIsFollowedByTheNextWhateverHeadersSay(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Grow(150)
	fake := gitlabtest.New(t, r, project)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(stripped{w}, r) }))
	defer proxy.Close()
	got, err := open(t, proxy.URL+"/"+project, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{})
	if want := r.Log(base, head, commit.RangeOptions{}); err != nil || got != want {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

// A server that never comes to the end of its list.
func TestARangeHasABound(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Commit(committest.Commit{})
	server := gitlabtest.New(t, r, project)
	server.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/repository/commits") {
			return false
		}
		one := `{"id":"` + head + `","committed_date":"2026-03-01T09:00:00.000Z"}`
		_, _ = io.WriteString(w, "["+strings.Repeat(one+",", 99)+one+"]")
		return true
	}
	got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{})
	if !errors.Is(err, commit.ErrTooLarge) || got != (commit.Range{}) {
		t.Errorf("got %+v and %v, want ErrTooLarge", got, err)
	}
	if asked := len(server.Asked()); asked != 101 {
		t.Errorf("asked %d times, want 101", asked)
	}
}

func TestACommitWithoutItsTimeIsAnError(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Commit(committest.Commit{})
	server := gitlabtest.New(t, r, project)
	server.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/repository/commits") {
			_, _ = io.WriteString(w, `[{"id":"`+head+`"}]`)
			return true
		}
		return false
	}
	if got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{}); err == nil {
		t.Errorf("got %+v", got)
	}
}

// GitLab follows what git log would simplify away, unless its feature flag is set. Each commit that counts does change the folder.
func TestAFolder(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{File: "app/a"})
	r.Switch("feature")
	first := r.Commit(committest.Commit{File: "app/a"})
	r.Git("revert", "--no-edit", first)
	r.Commit(committest.Commit{File: "lib/a"})
	r.Switch("main")
	r.Commit(committest.Commit{File: "lib/b"})
	merged := r.Merge("feature")
	head := r.Commit(committest.Commit{File: "app/b"})
	for _, test := range []struct {
		path       string
		unfollowed bool
		head       string
		want       int
	}{
		{"app", false, merged, 2},
		{"app", true, merged, 0},
		{"app", false, head, 3},
		{"app", true, head, 1},
		{"lib", false, head, 2},
		{"lib", true, head, 2},
		{"app/b", false, head, 1},
		{"nowhere", false, head, 0},
		{"ap", false, head, 0},
		{"*", false, head, 0},
	} {
		server := gitlabtest.New(t, r, project)
		server.Unfollowed = test.unfollowed
		got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, test.head, commit.RangeOptions{Path: test.path})
		if err != nil || got.Commits != test.want {
			t.Errorf("%+v: got %+v and %v", test, got, err)
		}
		if test.path == "app" && !test.unfollowed && got.First != first {
			t.Errorf("%+v: the first is %s, want %s", test, got.First, first)
		}
	}
}

func TestALongRangeOfAFolder(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Grow(230)
	for _, unfollowed := range []bool{false, true} {
		server := gitlabtest.New(t, r, project)
		server.Unfollowed = unfollowed
		o := commit.RangeOptions{Path: "grown"}
		got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, o)
		if want := r.Log(base, head, o); err != nil || got != want || got.Commits != 230 {
			t.Errorf("got %+v and %v, want %+v", got, err, want)
		}
	}
}

// squashed is a history of a merge request with commits of its own that was squashed into main, and its branch deleted.
type squashed struct {
	*committest.Repo
	base, first, commit, head string
	commits                   []string
}

func squash(t *testing.T) squashed {
	t.Helper()
	r := committest.New(t)
	s := squashed{Repo: r, base: r.Commit(committest.Commit{})}
	r.Switch("feature")
	s.first = r.Commit(committest.Commit{File: "a", AuthoredAt: committest.Epoch.Add(-time.Hour)})
	s.commits = []string{r.Commit(committest.Commit{File: "b"}), s.first}
	r.Switch("main")
	s.commit = r.Squash("feature")
	s.head = r.Commit(committest.Commit{File: "c"})
	r.Git("push", "--quiet", "origin", "--delete", "feature")
	return s
}

func TestASquashedMergeRequestCountsFromItsFirstCommit(t *testing.T) {
	s := squash(t)
	for _, test := range []struct {
		name    string
		request gitlabtest.MergeRequest
		squash  bool
		want    string
	}{
		{"squashed", gitlabtest.MergeRequest{IID: 7, State: "merged", SquashCommitSHA: s.commit, Commits: s.commits}, true, s.first},
		{"squashed, and merged by fast-forward", gitlabtest.MergeRequest{IID: 7, State: "merged", MergeCommitSHA: s.commit, Commits: s.commits}, true, s.first},
		{"nobody asks for it", gitlabtest.MergeRequest{IID: 7, State: "merged", SquashCommitSHA: s.commit, Commits: s.commits}, false, s.commit},
		{"not merged", gitlabtest.MergeRequest{IID: 7, State: "closed", SquashCommitSHA: s.commit, Commits: s.commits}, true, s.commit},
		{"merged without a squash", gitlabtest.MergeRequest{IID: 7, State: "merged", Commits: []string{s.commit}}, true, s.commit},
		{"without commits", gitlabtest.MergeRequest{IID: 7, State: "merged", SquashCommitSHA: s.commit}, true, s.commit},
	} {
		server := gitlabtest.New(t, s.Repo, project)
		server.Add(test.request)
		for _, clock := range []commit.Clock{commit.Committer, commit.Author} {
			got, err := open(t, server.URL, commit.Credentials{}).
				Range(t.Context(), s.base, s.head, commit.RangeOptions{Squash: test.squash, Clock: clock})
			if err != nil || got.First != test.want || got.Commits != 2 || !got.FirstAt.Equal(timeOf(t, s.Repo, test.want, clock)) {
				t.Errorf("%s by the %s's time: got %+v and %v, want %s", test.name, clock, got, err, test.want)
			}
		}
	}
}

func timeOf(t *testing.T, r *committest.Repo, sha string, clock commit.Clock) time.Time {
	t.Helper()
	format := map[commit.Clock]string{commit.Committer: "%cI", commit.Author: "%aI"}[clock]
	at, err := time.Parse(time.RFC3339, r.Git("show", "--no-patch", "--format="+format, sha))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestAMergeRequestOfManyCommits(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	r.Switch("feature")
	tip := r.Grow(120)
	r.Switch("main")
	head := r.Squash("feature")
	commits := strings.Fields(r.Git("rev-list", base+".."+tip))
	server := gitlabtest.New(t, r, project)
	server.Add(gitlabtest.MergeRequest{IID: 7, State: "merged", SquashCommitSHA: head, Commits: commits})
	got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{Squash: true})
	if want := commits[119]; err != nil || got.First != want || got.Commits != 1 {
		t.Errorf("got %+v and %v, want %s", got, err, want)
	}
}

func TestMergeRequestsAreLookedUpForSomeCommitsOnly(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Grow(301)
	server := gitlabtest.New(t, r, project)
	_, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{Squash: true})
	if !errors.Is(err, commit.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}
