package github_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/github"
	"github.com/dora-controller/dora-controller/internal/commit/github/githubtest"
)

func TestARangeOfMoreThanAThousandCommitsIsReadToItsEnd(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.repo.Switch("feature")
	f.repo.Grow(130)
	f.repo.Switch("main")
	f.repo.Grow(1100)
	head := f.repo.Merge("feature")
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	for _, o := range []commit.RangeOptions{{}, {Clock: commit.Author}, {Path: "grown"}, {Path: "grown/1"}} {
		want := f.repo.Log(f.head, head, o)
		want.First = ""
		got, err := r.Range(t.Context(), f.head, head, o)
		got.First = "" // of several with the same time any will do
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%+v: got %+v and %v, want %+v", o, got, err, want)
		}
	}
	pages := 0
	for _, asked := range f.Requests() {
		if strings.Contains(asked.Path, "/compare/") && strings.Contains(asked.Query, "per_page=100") && asked.Status == http.StatusOK {
			pages++
		}
	}
	if pages != 13 { // 1,231 commits with the merge
		t.Errorf("took %d pages, want 13", pages)
	}
}

// TestAFolderOfAnyHistory asks about made-up histories, with merges that take what they like from either side.
func TestAFolderOfAnyHistory(t *testing.T) {
	const commits = 14
	random := rand.New(rand.NewPCG(4, 2))
	for n := range 4 {
		t.Run(fmt.Sprint("history ", n), func(t *testing.T) {
			repo := committest.New(t)
			repo.Import(anyHistory(random, commits))
			s := githubtest.New(t, repo)
			r := open(t, github.New(github.Options{Guard: loopback}), s.Location(commit.Credentials{}))
			last := fmt.Sprint("refs/heads/c", commits-1)
			head := committest.Git(t, repo.Dir, nil, "rev-parse", last)
			for base := range strings.FieldsSeq(committest.Git(t, repo.Dir, nil, "rev-list", last)) {
				for _, path := range []string{"app", "lib/a"} {
					o := commit.RangeOptions{Path: path}
					got, err := r.Range(t.Context(), base, head, o)
					if want := repo.Log(base, head, o); err != nil || !cmp.Equal(got, want) {
						t.Errorf("%s..%s -- %s: got %+v and %v, want %+v", base, head, path, got, err, want)
					}
				}
			}
		})
	}
}

func TestASideThatWasSimplifiedAwayIsNotAskedFor(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.repo.Commit(committest.Commit{File: "app/a"})
	f.repo.Switch("feature")
	f.repo.Commit(committest.Commit{File: "app/a", Message: "undone by the merge"})
	f.repo.Switch("main")
	f.repo.Commit(committest.Commit{File: "lib/a"})
	f.repo.Switch("side")
	f.repo.Merge("feature", "--strategy=ours") // as its parent before base has it
	f.repo.Switch("main")
	base := f.repo.Commit(committest.Commit{File: "lib/b"})
	f.repo.Commit(committest.Commit{File: "lib/c"})
	head := f.repo.Merge("side") // as its first parent has it
	o := commit.RangeOptions{Path: "app"}
	got, err := open(t, f.provider, f.Location(commit.Credentials{})).Range(t.Context(), base, head, o)
	if want := f.repo.Log(base, head, o); err != nil || want.Commits != 0 || got != want {
		t.Errorf("got %+v and %v, want %+v, which is nothing", got, err, want)
	}
}

// anyHistory is n commits for git's fast importer. Each is on a branch of its own, a minute after the last.
func anyHistory(random *rand.Rand, n int) []byte {
	var in bytes.Buffer
	trees := make([]map[string]int, n)
	for i := range n {
		trees[i] = map[string]int{"app/a": 0, "lib/a": 0}
		fmt.Fprintf(&in, "commit refs/heads/c%d\nmark :%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nx\n", i, i+1, committest.Epoch.Add(time.Duration(i)*time.Minute).Unix())
		if i > 0 {
			from := max(0, i-1-random.IntN(4))
			fmt.Fprintf(&in, "from :%d\n", from+1)
			trees[i] = map[string]int{"app/a": trees[from]["app/a"], "lib/a": trees[from]["lib/a"]}
			if merged := max(0, i-1-random.IntN(6)); merged != from && random.IntN(2) == 0 {
				fmt.Fprintf(&in, "merge :%d\n", merged+1)
				for path := range trees[i] {
					trees[i][path] = trees[[]int{from, merged}[random.IntN(2)]][path]
				}
			} else {
				trees[i][[]string{"app/a", "lib/a"}[random.IntN(2)]] = random.IntN(2)
			}
		}
		fmt.Fprintf(&in, "deleteall\nM 100644 inline app/a\ndata 1\n%d\nM 100644 inline lib/a\ndata 1\n%d\n\n", trees[i]["app/a"], trees[i]["lib/a"])
	}
	return in.Bytes()
}

func TestAComparisonThatCannotBeTrustedIsAnError(t *testing.T) {
	sha := strings.Repeat("a", 40)
	date := `{"date":"2026-03-01T09:00:00Z"}`
	one := `{"sha":"` + sha + `","commit":{"author":` + date + `,"committer":` + date + `},"parents":[]}`
	for name, c := range map[string]struct {
		status  int
		body    string
		want    error
		wantSay string
	}{
		"it lists fewer than it counts":    {body: `{"status":"ahead","total_commits":2,"commits":[` + one + `]}`, wantSay: "counts 2 commits in the range and lists 1"},
		"it lists more than it counts":     {body: `{"status":"ahead","total_commits":0,"commits":[` + one + `]}`, wantSay: "counts 0"},
		"it counts less than nothing":      {body: `{"status":"ahead","total_commits":-1,"commits":[]}`, wantSay: "counts -1"},
		"it counts more than can be read":  {body: `{"status":"ahead","total_commits":50001,"commits":[` + one + `]}`, want: commit.ErrTooLarge, wantSay: "50000"},
		"a status that is not known":       {body: `{"status":"` + canary + `"}`, wantSay: "compared the commits as"},
		"no status":                        {body: `{}`, wantSay: "compared the commits as"},
		"a commit without a SHA":           {body: `{"status":"ahead","total_commits":1,"commits":[{}]}`, wantSay: "without its SHA"},
		"a commit without times":           {body: `{"status":"ahead","total_commits":1,"commits":[{"sha":"` + sha + `"}]}`, wantSay: "times"},
		"a SHA that is none":               {body: strings.ReplaceAll(`{"status":"ahead","total_commits":1,"commits":[`+one+`]}`, sha, canary), wantSay: "SHA"},
		"a time that is none":              {body: strings.ReplaceAll(`{"status":"ahead","total_commits":1,"commits":[`+one+`]}`, "2026-03-01T09", canary), wantSay: "API"},
		"an answer that is no JSON":        {body: `<html>`, wantSay: "API"},
		"a JSON of another form":           {body: `["` + canary + `"]`, wantSay: "API"},
		"a JSON that is nested for ever":   {body: strings.Repeat(`[`, 1<<20), wantSay: "API"},
		"no common ancestor":               {status: 404, body: `{"message":"No common ancestor between a and b.","status":"404"}`, want: commit.ErrNotAncestor, wantSay: "no history in common"},
		"a comparison that GitHub refuses": {status: 404, body: `{"message":"Not Found"}`, wantSay: "does not compare"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, github.Options{})
			f.Token(canary, never)
			f.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/compare/") {
					return false
				}
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				_, _ = w.Write([]byte(c.body))
				return true
			})
			r := open(t, f.provider, f.Location(commit.Credentials{Token: canary}))
			got, err := r.Range(t.Context(), f.base, f.head, commit.RangeOptions{})
			if c.want == nil {
				c.want = err
				wantPlain(t, err)
			}
			wantError(t, err, c.want, c.wantSay)
			if got != (commit.Range{}) {
				t.Errorf("got %+v beside an error", got)
			}
		})
	}
}

func TestAServerThatPagesForEverIsLeft(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/compare/") {
			return false
		}
		page := r.URL.Query().Get("page")
		next := map[string]string{"1": "2", "2": "2"}[page]
		w.Header().Set("Link", `<http://x/?page=`+next+`>; rel="next"`)
		_, _ = w.Write([]byte("[]"))
		return true
	})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	if _, err := r.Range(t.Context(), f.base, f.head, commit.RangeOptions{Path: "file"}); err != nil {
		t.Error(err)
	}
	if got := len(f.Requests()); got != 3 {
		t.Errorf("made %d requests, want 3", got)
	}
}

func TestAFolderAmongTooManyCommitsIsTooLarge(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/compare/") {
			return false
		}
		var page int
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		w.Header().Set("Link", fmt.Sprintf(`<http://x/?page=%d>; rel="next"`, page+1))
		_, _ = w.Write([]byte("[]"))
		return true
	})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	_, err := r.Range(t.Context(), f.base, f.head, commit.RangeOptions{Path: "file"})
	wantError(t, err, commit.ErrTooLarge, "file")
}

// squashed makes a branch of n commits, a day before what follows, and squashes it into main. It returns the branch's commits.
func squashed(f *fixture, branch string, n int) (merged string, commits []string) {
	f.repo.Switch(branch)
	for i := range n {
		at := committest.Epoch.Add(-24*time.Hour + time.Duration(i)*time.Minute)
		commits = append(commits, f.repo.Commit(committest.Commit{File: branch, At: at, AuthoredAt: at.Add(-time.Duration(n-i) * time.Hour)}))
	}
	f.repo.Switch("main")
	return f.repo.Squash(branch), commits
}

func TestASquashedPullRequestCountsFromItsFirstCommit(t *testing.T) {
	f := newFixture(t, github.Options{})
	merged, commits := squashed(f, "feature", 3)
	f.Pull(githubtest.Pull{Number: 1, MergedAs: merged, Commits: commits})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	for clock, want := range map[commit.Clock]commit.Range{
		commit.Committer: {Commits: 1, First: commits[0], FirstAt: committest.Epoch.Add(-24 * time.Hour)},
		commit.Author:    {Commits: 1, First: commits[0], FirstAt: committest.Epoch.Add(-27 * time.Hour)},
	} {
		got, err := r.Range(t.Context(), f.head, merged, commit.RangeOptions{Squash: true, Clock: clock})
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("by %s: got %+v and %v, want %+v", clock, got, err, want)
		}
	}
	got, err := r.Range(t.Context(), f.head, merged, commit.RangeOptions{})
	if want := f.repo.Log(f.head, merged, commit.RangeOptions{}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("without the lookup: got %+v and %v, want %+v", got, err, want)
	}
}

func TestARebasedPullRequestCountsFromItsFirstCommit(t *testing.T) {
	f := newFixture(t, github.Options{})
	_, commits := squashed(f, "feature", 2)
	f.repo.Git("reset", "--quiet", "--hard", f.head)
	f.repo.Commit(committest.Commit{File: "other"})
	f.repo.Git("cherry-pick", commits[0], commits[1])
	merged := f.repo.Push()
	f.Pull(githubtest.Pull{Number: 7, MergedAs: merged, Commits: commits, Contains: []string{f.repo.Git("rev-parse", "HEAD~1")}})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	got, err := r.Range(t.Context(), f.head, merged, commit.RangeOptions{Squash: true})
	if want := (commit.Range{Commits: 3, First: commits[0], FirstAt: committest.Epoch.Add(-24 * time.Hour)}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestPullRequestsThatOnlyContainACommitDoNotCount(t *testing.T) {
	f := newFixture(t, github.Options{})
	merged, commits := squashed(f, "feature", 2)
	f.Pull(githubtest.Pull{Number: 1, Commits: commits, Contains: []string{merged}})                   // open
	f.Pull(githubtest.Pull{Number: 2, MergedAs: f.base, Commits: commits, Contains: []string{merged}}) // merged as another
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	got, err := r.Range(t.Context(), f.head, merged, commit.RangeOptions{Squash: true})
	if want := f.repo.Log(f.head, merged, commit.RangeOptions{}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
}

func TestMergesWithinAPullRequestDoNotCount(t *testing.T) {
	f := newFixture(t, github.Options{})
	merged, commits := squashed(f, "feature", 1)
	f.repo.Switch("feature")
	old := committest.Epoch.Add(-72 * time.Hour).Format(time.RFC3339)
	committest.Git(t, f.repo.Dir, nil, "update-ref", "refs/heads/feature",
		committest.Git(t, f.repo.Dir, []string{"GIT_COMMITTER_DATE=" + old, "GIT_AUTHOR_DATE=" + old},
			"commit-tree", "-m", "merge main", "-p", commits[0], "-p", f.head, f.head+"^{tree}"))
	merge := committest.Git(t, f.repo.Dir, nil, "rev-parse", "refs/heads/feature")
	f.Pull(githubtest.Pull{Number: 1, MergedAs: merged, Commits: append(commits, merge)})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	got, err := r.Range(t.Context(), f.head, merged, commit.RangeOptions{Squash: true})
	if err != nil || got.First != commits[0] {
		t.Errorf("got %+v and %v, want the first to be %s", got, err, commits[0])
	}
}

func TestOfALargePullRequestTheListedCommitsCount(t *testing.T) {
	f := newFixture(t, github.Options{})
	merged, _ := squashed(f, "feature", 1)
	f.repo.Switch("long")
	f.repo.Git("reset", "--quiet", "--hard", f.base)
	last := f.repo.Grow(260)
	f.repo.Switch("main")
	commits := strings.Fields(f.repo.Git("rev-list", "--reverse", f.base+".."+last))
	f.Pull(githubtest.Pull{Number: 1, MergedAs: merged, Commits: commits})
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	got, err := r.Range(t.Context(), f.head, merged, commit.RangeOptions{Squash: true})
	earliest := f.repo.Log(f.head, merged, commit.RangeOptions{})
	if first := f.repo.Log(f.base, commits[0], commit.RangeOptions{}); first.FirstAt.Before(earliest.FirstAt) {
		earliest = first
	}
	if err != nil || got.Commits != 1 || !got.FirstAt.Equal(earliest.FirstAt) {
		t.Errorf("got %+v and %v, want %+v", got, err, earliest)
	}
	pages := 0
	for _, path := range paths(f.Requests()) {
		if path == "/pulls/1/commits" {
			pages++
		}
	}
	if pages != 3 {
		t.Errorf("took %d pages, want 3", pages)
	}
}

func TestSquashesOfTooManyCommitsAreTooLarge(t *testing.T) {
	f := newFixture(t, github.Options{})
	head := f.repo.Grow(301)
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	_, err := r.Range(t.Context(), f.head, head, commit.RangeOptions{Squash: true})
	wantError(t, err, commit.ErrTooLarge, "301 commits", "300")
	for _, path := range paths(f.Requests()) {
		if strings.HasSuffix(path, "/pulls") {
			t.Fatalf("looked up %s", path)
		}
	}
}

func TestPullRequestsThatAreNotShownAreAMatterOfRights(t *testing.T) {
	for name, status := range map[string]int{"refused": http.StatusForbidden, "hidden": http.StatusNotFound} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, github.Options{})
			f.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/pulls") {
					return false
				}
				w.WriteHeader(status)
				_ = json.NewEncoder(w).Encode(map[string]string{"message": "Resource not accessible by personal access token"})
				return true
			})
			r := open(t, f.provider, f.Location(commit.Credentials{}))
			_, err := r.Range(t.Context(), f.base, f.head, commit.RangeOptions{Squash: true})
			wantError(t, err, commit.ErrUnauthorized, "pull requests")
		})
	}
}
