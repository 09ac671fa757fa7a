package gitea_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/gitea/giteatest"
)

func TestLongRangesAreReadPageByPage(t *testing.T) {
	for _, test := range []struct{ commits, perPage, pages int }{{50, 50, 1}, {51, 50, 2}, {1250, 50, 25}, {70, 20, 4}} {
		r := committest.New(t)
		base := r.Commit(committest.Commit{})
		head := r.Grow(test.commits)
		server := giteatest.New(t, r, repository)
		server.PerPage = test.perPage
		for _, path := range []string{"", "grown"} {
			before, o := len(server.Asked()), commit.RangeOptions{Path: path}
			got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, o)
			if want := r.Log(base, head, o); err != nil || got != want || got.Commits != test.commits {
				t.Errorf("%+v of %q: got %+v and %v, want %+v", test, path, got, err, want)
			}
			if asked := len(server.Asked()) - before - 1; asked != test.pages { // the first asks whether base is an ancestor
				t.Errorf("%+v of %q: asked for %d pages", test, path, asked)
			}
		}
	}
}

// Gitea 1.21 lists the commits of a folder once more on later pages.
func TestACommitThatIsListedAgainCountsOnce(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Grow(230)
	server := giteatest.New(t, r, repository)
	server.Repeats = true
	o := commit.RangeOptions{Path: "grown"}
	got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, o)
	if want := r.Log(base, head, o); err != nil || got != want {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

// stripped is a response without some headers, as a proxy on the way might leave it.
type stripped struct {
	http.ResponseWriter
	of []string
}

func (s stripped) WriteHeader(status int) {
	for _, name := range s.of {
		s.Header().Del(name)
	}
	s.ResponseWriter.WriteHeader(status)
}

func TestAListIsReadToItsEndWhateverHeadersAreLost(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Grow(150)
	for _, lost := range [][]string{{"Link"}, {"X-Total-Count"}, {"X-Hasmore"}, {"Link", "X-Total-Count", "X-Hasmore"}} {
		fake := giteatest.New(t, r, repository)
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(stripped{w, lost}, r) }))
		got, err := open(t, proxy.URL+"/"+repository, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{})
		if want := r.Log(base, head, commit.RangeOptions{}); err != nil || got != want {
			t.Errorf("without %v: got %+v and %v, want %+v", lost, got, err, want)
		}
		proxy.Close()
	}
}

// answering is a server that lists what it is told to, for any range.
func answering(t *testing.T, header map[string]string, body func(page string) string) commit.Repository {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("limit") == "1" { // base is an ancestor
			_, _ = io.WriteString(w, "[]")
			return
		}
		for name, value := range header {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, body(r.URL.Query().Get("page")))
	}))
	t.Cleanup(server.Close)
	return open(t, server.URL+"/"+repository, commit.Credentials{})
}

const listed = `{"sha":"SHA","commit":{"author":{"date":"2026-03-01T09:00:00Z"},"committer":{"date":"2026-03-01T09:00:00Z"}},"parents":[]}`

func TestListsThatAreNotTaken(t *testing.T) {
	one := func(string) string { return "[" + strings.ReplaceAll(listed, "SHA", strings.Repeat("c", 40)) + "]" }
	for _, test := range []struct {
		name   string
		header map[string]string
		body   func(page string) string
		want   error
		says   string
	}{
		{"one that says it is too long", map[string]string{"X-Total-Count": "10001"}, one, commit.ErrTooLarge, "10000"},
		{"one without end", nil, func(page string) string {
			return "[" + strings.ReplaceAll(listed, "SHA", strings.Repeat("0", 40-len(page))+page) + "]"
		}, commit.ErrTooLarge, "pages"},
		{"one page for ever", nil, one, commit.ErrTooLarge, "pages"},
		{"one that ends too early", map[string]string{"X-Total-Count": "3", "X-Hasmore": "false"}, one, nil, "promised 3 commits and listed 1"},
		{"a commit without times", nil, func(string) string { return `[{"sha":"SHA"}]` }, nil, "or its times"},
		{"a commit without a SHA", nil, func(string) string { return "[" + listed + "]" }, nil, "without its SHA"},
		{"nothing where a commit should be", nil, func(string) string { return `[null]` }, nil, "or its times"},
		{"a time that is none", nil, func(page string) string { return strings.ReplaceAll(one(page), "2026-", "in 2026-") }, nil, "a time that is none"},
	} {
		opened := answering(t, test.header, test.body)
		got, err := opened.Range(t.Context(), strings.Repeat("a", 40), strings.Repeat("b", 40), commit.RangeOptions{})
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || got != (commit.Range{}) {
			t.Errorf("%s: got %+v and %v, want %v that says %q", test.name, got, err, test.want, test.says)
		}
	}
}

// Before 1.20 "not" is unknown, so that every base would seem to be no ancestor. Before 1.22 no pull request may be found for a commit.
func TestAServerThatIsTooOld(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Commit(committest.Commit{})
	for _, test := range []struct {
		version string
		o       commit.RangeOptions
		old     bool
	}{
		{"1.19.4", commit.RangeOptions{}, true},
		{"1.18.5+1", commit.RangeOptions{Squash: true}, true},
		{"1.21.11-1", commit.RangeOptions{Squash: true}, true},
		{"1.22.0", commit.RangeOptions{Squash: true}, false},
		{"1.26.0+dev-123-gabcdef0", commit.RangeOptions{Squash: true}, false},
		{"7.0.0+gitea-1.22.0", commit.RangeOptions{Squash: true}, false},
		{"15.0.1+gitea-1.22.0", commit.RangeOptions{}, false},
		{"development", commit.RangeOptions{Squash: true}, false},
	} {
		server := giteatest.New(t, r, repository)
		server.Version = test.version
		got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, test.o)
		if test.old {
			if err == nil || !strings.Contains(err.Error(), "is too old") || !strings.Contains(err.Error(), test.version) {
				t.Errorf("%s: got %+v and %v", test.version, got, err)
			}
			continue
		}
		if err != nil || got.First != head {
			t.Errorf("%s: got %+v and %v, want %s", test.version, got, err, head)
		}
	}
}

func TestTheVersionIsAskedForOnlyIfNeeded(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Commit(committest.Commit{})
	server := giteatest.New(t, r, repository)
	opened := open(t, server.URL, commit.Credentials{})
	versions := func() (n int) {
		for _, asked := range server.Asked() {
			if strings.HasSuffix(asked.URL.Path, "/version") {
				n++
			}
		}
		return n
	}
	if _, err := opened.Range(t.Context(), base, head, commit.RangeOptions{}); err != nil || versions() != 0 {
		t.Errorf("asked for the version %d times, %v", versions(), err)
	}
	for range 3 {
		if _, err := opened.Range(t.Context(), head, base, commit.RangeOptions{}); !errors.Is(err, commit.ErrNotAncestor) {
			t.Errorf("got %v, want ErrNotAncestor", err)
		}
	}
	if versions() != 1 {
		t.Errorf("asked for the version %d times, want once", versions())
	}
}

func TestAServerBelowAPath(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	server := giteatest.New(t, r, "apps/git/"+repository)
	if got, err := open(t, server.URL, commit.Credentials{}).Commit(t.Context(), sha[:10]); got != sha || err != nil {
		t.Errorf("got %q and %v, want %s", got, err, sha)
	}
}

func TestASquashedPullRequestCountsFromItsFirstCommit(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	r.Switch("feature")
	first := r.Commit(committest.Commit{File: "a", AuthoredAt: committest.Epoch.Add(-time.Hour)})
	commits := []string{r.Commit(committest.Commit{File: "b"}), first}
	r.Switch("main")
	squashed := r.Squash("feature")
	head := r.Commit(committest.Commit{File: "c"})
	r.Git("push", "--quiet", "origin", "--delete", "feature")
	for _, test := range []struct {
		name    string
		request giteatest.PullRequest
		squash  bool
		want    string
	}{
		{"squashed", giteatest.PullRequest{Number: 7, Merged: true, MergeCommitSHA: squashed, Commits: commits}, true, first},
		{"nobody asks for it", giteatest.PullRequest{Number: 7, Merged: true, MergeCommitSHA: squashed, Commits: commits}, false, squashed},
		{"not merged", giteatest.PullRequest{Number: 7, MergeCommitSHA: squashed, Commits: commits}, true, squashed},
		{"merged as another commit", giteatest.PullRequest{Number: 7, Merged: true, MergeCommitSHA: base, Commits: commits}, true, squashed},
		{"without commits", giteatest.PullRequest{Number: 7, Merged: true, MergeCommitSHA: squashed}, true, squashed},
	} {
		server := giteatest.New(t, r, repository)
		server.Add(test.request)
		for clock, format := range map[commit.Clock]string{commit.Committer: "%cI", commit.Author: "%aI"} {
			at, err := time.Parse(time.RFC3339, r.Git("show", "--no-patch", "--format="+format, test.want))
			if err != nil {
				t.Fatal(err)
			}
			got, err := open(t, server.URL, commit.Credentials{}).
				Range(t.Context(), base, head, commit.RangeOptions{Squash: test.squash, Clock: clock})
			if err != nil || got.First != test.want || got.Commits != 2 || !got.FirstAt.Equal(at) {
				t.Errorf("%s by the %s's time: got %+v and %v, want %s", test.name, clock, got, err, test.want)
			}
		}
	}
}

func TestAPullRequestOfManyCommitsWithAMergeInIt(t *testing.T) {
	r := committest.New(t)
	early := r.Commit(committest.Commit{})
	r.Switch("feature")
	r.Grow(70)
	r.Switch("main")
	base := r.Commit(committest.Commit{File: "other"})
	r.Switch("feature")
	r.Merge("main")
	tip := r.Grow(60)
	r.Switch("main")
	head := r.Squash("feature")
	commits := strings.Fields(r.Git("rev-list", base+".."+tip))
	if len(commits) != 131 {
		t.Fatalf("the story is wrong: %d commits", len(commits))
	}
	server := giteatest.New(t, r, repository)
	slices.Reverse(commits)
	server.Add(giteatest.PullRequest{Number: 7, Merged: true, MergeCommitSHA: head, Commits: commits})
	got, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{Squash: true})
	if want := r.Log(early, tip, commit.RangeOptions{}).First; err != nil || got.First != want || got.Commits != 1 {
		t.Errorf("got %+v and %v, want %s", got, err, want)
	}
}

func TestPullRequestsAreLookedUpForSomeCommitsOnly(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	head := r.Grow(301)
	server := giteatest.New(t, r, repository)
	_, err := open(t, server.URL, commit.Credentials{}).Range(t.Context(), base, head, commit.RangeOptions{Squash: true})
	if !errors.Is(err, commit.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}
