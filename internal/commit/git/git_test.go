package git_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
)

// all is what git's own protocol tells of a server in its default settings.
func all() committest.Capabilities {
	return committest.Capabilities{Path: true, Ambiguous: true, Unreachable: true, Peeled: true}
}

func TestTheSuite(t *testing.T) {
	withoutPath := all()
	withoutPath.Path = false
	t.Run("commits alone over http", func(t *testing.T) { suite(t, withoutPath, false, func(*committest.Repo) {}) })
	t.Run("with trees over http", func(t *testing.T) { suite(t, all(), true, func(*committest.Repo) {}) })
	t.Run("a server that cannot leave files out", func(t *testing.T) {
		suite(t, all(), true, func(r *committest.Repo) { unfiltered(t, r) })
	})
}

// unfiltered makes the server of a repository one that sends everything.
func unfiltered(t *testing.T, r *committest.Repo) {
	t.Helper()
	committest.Git(t, r.Dir, nil, "config", "uploadpack.allowFilter", "false")
}

// suite runs the suite over http. One provider opens a repository again and again, as in life.
func suite(t *testing.T, caps committest.Capabilities, wholeTrees bool, configure func(*committest.Repo)) {
	t.Helper()
	p, addresses := provider(t, git.Options{}), map[*committest.Repo]string{}
	committest.Suite(t, caps, func(t *testing.T, r *committest.Repo) commit.Repository {
		t.Helper()
		if addresses[r] == "" {
			configure(r)
			addresses[r] = serve(t, backend(t, r))
		}
		return open(t, p, commit.Location{URL: addresses[r], WholeTrees: wholeTrees})
	})
}

func TestTheSuiteOnLocalFolders(t *testing.T) {
	folder := t.TempDir()
	committest.Suite(t, all(), func(t *testing.T, r *committest.Repo) commit.Repository {
		t.Helper()
		p := provider(t, git.Options{LocalRoot: filepath.Dir(filepath.Dir(r.Dir)), Folder: folder})
		return open(t, p, commit.Location{URL: "file://" + r.Dir, WholeTrees: true})
	})
}

func TestAServerThatCannotLeaveTreesOut(t *testing.T) {
	r := committest.New(t)
	unfiltered(t, r)
	base := r.Commit(committest.Commit{File: "app/a app/b lib/c"})
	middle := r.Grow(300)
	committest.Git(t, r.Dir, nil, "repack", "-adq") // differences between trees, and between files
	folder := t.TempDir()
	at, p := commit.Location{URL: serve(t, backend(t, r))}, provider(t, git.Options{Folder: folder})
	for head, want := range map[string]int{middle: 300, r.Commit(committest.Commit{File: "app/a"}): 301} {
		if got, err := resolve(t.Context(), p, at, base, head, ""); err != nil || got.Commits != want {
			t.Errorf("got %+v and %v, want %d commits", got, err, want)
		}
	}
	if got := size(t, folder); got > 0.1 {
		t.Errorf("the copy takes %.1f MB: it holds more than commits", got)
	}
}

// Such a server names the bases of differences, those between files and folders among them.
func TestAServerThatTellsNoPlacesAndLeavesNothingOut(t *testing.T) {
	r := committest.New(t)
	unfiltered(t, r)
	text := strings.Repeat("a long line of text that is worth a difference\n", 300)
	base := r.Commit(committest.Commit{File: "app/a", Message: text})
	for n := range 20 {
		r.Commit(committest.Commit{File: "app/a lib/b", Message: text + strconv.Itoa(n)})
	}
	r.Tag("v1", "a tag that is an object too")
	files := r.Grow(50)
	committest.Git(t, r.Dir, nil, "repack", "-adfq")
	url := serve(t, telling(backend(t, r), " ofs-delta ", " "))
	p := provider(t, git.Options{})
	for path, want := range map[string]int{"": 70, "lib": 20, "grown/7": 1} {
		at := commit.Location{URL: url, WholeTrees: path != ""}
		got, err := resolve(t.Context(), p, at, base, files, path)
		if err != nil || got.Commits != want {
			t.Errorf("below %q: got %+v and %v, want %d commits", path, got, err, want)
		}
	}
	more := r.Commit(committest.Commit{File: "lib/b"})
	for _, path := range []string{"", "lib"} {
		at := commit.Location{URL: url, WholeTrees: path != ""}
		if got, err := resolve(t.Context(), p, at, files, more, path); err != nil || got.Commits != 1 {
			t.Errorf("one more below %q: got %+v and %v, want 1 commit", path, got, err)
		}
	}
}

func TestAServerOfTomorrow(t *testing.T) {
	for name, words := range map[string]string{
		"a capability that nobody knows": " brand-new brand-new=again ",
		"one with a value that is new":   " filter=tree no-progress=never session-id ",
		"one told twice":                 " agent=git/9 agent=git/9.1 ",
		"a HEAD that leads nowhere":      " symref=HEAD ",
	} {
		t.Run(name, func(t *testing.T) {
			r := committest.New(t)
			base := r.Commit(committest.Commit{})
			head := r.Grow(10)
			at := commit.Location{URL: serve(t, telling(backend(t, r), " ofs-delta ", words+"ofs-delta "))}
			if got, err := resolve(t.Context(), provider(t, git.Options{}), at, base, head, ""); err != nil || got.Commits != 10 {
				t.Errorf("got %+v and %v, want 10 commits", got, err)
			}
		})
	}
}

func TestARepositoryOfSHA256(t *testing.T) {
	folder := t.TempDir()
	dir := filepath.Join(folder, "repo.git")
	committest.Git(t, folder, nil, "init", "--quiet", "--object-format=sha256", "--initial-branch=main", "work")
	committest.Git(t, filepath.Join(folder, "work"), nil, "commit", "--quiet", "--allow-empty", "--message=a change")
	committest.Git(t, folder, nil, "clone", "--quiet", "--bare", "work", dir)
	p := provider(t, git.Options{LocalRoot: folder})
	for _, url := range []string{serve(t, backend(t, &committest.Repo{Dir: dir})), "file://" + dir} {
		_, err := p.Open(t.Context(), commit.Location{URL: url})
		wantError(t, err, commit.ErrMisconfigured, "SHA-256 object ids are not supported")
	}
}
