package git_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
)

// made is a commit of a random history.
type made struct {
	parents []int
	files   map[string]int
	at      int
	sha     string
	// from are the numbers of the commits that it leads to, itself among them.
	from map[int]bool
}

var paths = []string{"a/x", "a/y", "a/b/x", "ab/x", "c"}

// drawHistory tells a random history: several roots, branches that are merged early, late, twice or never, and merges of three. Files have
// few contents, so that both sides of a merge are often the same, wholly or within a folder.
func drawHistory(t *rapid.T, times func(*rapid.T, []made, []int) int) []made {
	history := make([]made, rapid.IntRange(2, 40).Draw(t, "commits"))
	for n := range history {
		c := made{files: map[string]int{}, from: map[int]bool{n: true}}
		for range min(n, rapid.SampledFrom([]int{0, 1, 1, 1, 1, 1, 2, 2, 2, 3}).Draw(t, "parents")) {
			back := min(n, rapid.SampledFrom([]int{1, 1, 2, 3, 5, 8, 13, 30}).Draw(t, "back"))
			if parent := n - back; !slices.Contains(c.parents, parent) {
				c.parents = append(c.parents, parent)
			}
		}
		for _, path := range paths {
			c.files[path] = drawFile(t, history, c.parents, path)
		}
		for _, parent := range c.parents {
			for one := range history[parent].from {
				c.from[one] = true
			}
		}
		c.at = times(t, history, c.parents)
		history[n] = c
	}
	return history
}

// drawFile is what a file has: mostly what one of the parents has, sometimes another thing, sometimes nothing.
func drawFile(t *rapid.T, history []made, parents []int, path string) int {
	if len(parents) == 0 || rapid.IntRange(0, 9).Draw(t, "changed") == 0 {
		return rapid.IntRange(0, 2).Draw(t, "content")
	}
	return history[rapid.SampledFrom(parents).Draw(t, "side")].files[path]
}

// inOrder: a commit is later than its parents, as clocks should have it.
func inOrder(t *rapid.T, history []made, parents []int) int {
	at := 0
	for _, parent := range parents {
		at = max(at, history[parent].at)
	}
	return at + rapid.SampledFrom([]int{1, 1, 2, 7, 20}).Draw(t, "later")
}

// anyhow: clocks are off.
func anyhow(t *rapid.T, _ []made, _ []int) int { return rapid.IntRange(1, 12).Draw(t, "at") }

// write makes the history. Each commit has a branch, so that each can be asked about.
func write(tb testing.TB, history []made) *committest.Repo {
	tb.Helper()
	var in bytes.Buffer
	for n, c := range history {
		at := committest.Epoch.Unix() + int64(c.at)
		fmt.Fprintf(&in, "commit refs/heads/b%d\nmark :%d\nauthor A <a@b> %d +0000\ncommitter A <a@b> %d +0000\ndata %d\n%d\n",
			n, n+1, committest.Epoch.Unix()-int64(c.at), at, len(strconv.Itoa(n)), n)
		for i, parent := range c.parents {
			fmt.Fprintf(&in, "%s :%d\n", []string{"from", "merge", "merge"}[i], parent+1)
		}
		in.WriteString("deleteall\n")
		for path, content := range c.files {
			if content > 0 {
				fmt.Fprintf(&in, "M 100644 inline %s\ndata 1\n%d\n", path, content)
			}
		}
	}
	r := committest.New(tb)
	r.Import(in.Bytes())
	for line := range strings.Lines(committest.Git(tb, r.Dir, nil, "log", "--all", "--format=%s %H")) {
		number, sha, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			tb.Fatal(err)
		}
		history[n].sha = sha
	}
	return r
}

// asked are random questions about a history.
func asked(rt *rapid.T, history []made, ask func(base, head int)) {
	number := rapid.IntRange(0, len(history)-1)
	for range 12 {
		head := rapid.IntRange(len(history)/2, len(history)-1).Draw(rt, "head")
		ask(number.Draw(rt, "base"), head)
	}
}

// address serves a repository over http, or allows it as a folder: trees are read in another way there.
func address(tb testing.TB, r *committest.Repo, local bool) (*git.Provider, commit.Location) {
	tb.Helper()
	if local {
		return provider(tb, git.Options{LocalRoot: filepath.Dir(r.Dir)}), commit.Location{URL: "file://" + r.Dir, WholeTrees: true}
	}
	return provider(tb, git.Options{}), commit.Location{URL: serve(tb, backend(tb, r)), WholeTrees: true}
}

func TestRandomHistoriesAreAsGitLogTellsThem(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history := drawHistory(rt, inOrder)
		r := write(t, history)
		p, at := address(t, r, rapid.Bool().Draw(rt, "local"))
		one := open(t, p, at)
		defer func() { _ = one.Close() }()
		asked(rt, history, func(base, head int) {
			o := commit.RangeOptions{
				Path:  rapid.SampledFrom([]string{"", "a", "a", "a/b", "ab", "c", "a/x", "none"}).Draw(rt, "path"),
				Clock: rapid.SampledFrom([]commit.Clock{commit.Committer, commit.Author}).Draw(rt, "clock"),
			}
			got, err := one.Range(t.Context(), history[base].sha, history[head].sha, o)
			if !history[head].from[base] {
				if !errors.Is(err, commit.ErrNotAncestor) {
					rt.Fatalf("%d..%d: got %+v and %v, want %v", base, head, got, err, commit.ErrNotAncestor)
				}
				return
			}
			want := r.Log(history[base].sha, history[head].sha, o)
			if err != nil || got.Commits != want.Commits || !got.FirstAt.Equal(want.FirstAt) {
				rt.Fatalf("%d..%d by %+v: got %+v and %v, want %+v", base, head, o, got, err, want)
			}
		})
	})
}

// With clocks that are off git log itself may list what base leads to, so what is expected comes from how the history was made.
func TestRandomHistoriesWithWrongClocks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history := drawHistory(rt, anyhow)
		p, at := address(t, write(t, history), true)
		one := open(t, p, at)
		defer func() { _ = one.Close() }()
		asked(rt, history, func(base, head int) {
			got, err := one.Range(t.Context(), history[base].sha, history[head].sha, commit.RangeOptions{})
			if !history[head].from[base] {
				if !errors.Is(err, commit.ErrNotAncestor) {
					rt.Fatalf("%d..%d: got %+v and %v, want %v", base, head, got, err, commit.ErrNotAncestor)
				}
				return
			}
			want := 0
			for n := range history[head].from {
				if !history[base].from[n] && len(history[n].parents) < 2 {
					want++
				}
			}
			if err != nil || got.Commits != want {
				rt.Fatalf("%d..%d: got %+v and %v, want %d commits", base, head, got, err, want)
			}
		})
	})
}
