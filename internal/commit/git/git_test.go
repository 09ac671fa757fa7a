package git_test

import (
	"path/filepath"
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
	t.Run("commits alone over http", func(t *testing.T) { suite(t, withoutPath, false, nil) })
	t.Run("with trees over http", func(t *testing.T) { suite(t, all(), true, nil) })
	t.Run("a server that cannot leave anything out", func(t *testing.T) {
		suite(t, withoutPath, false, func(r *committest.Repo) {
			committest.Git(t, r.Dir, nil, "config", "uploadpack.allowFilter", "false")
		})
	})
	t.Run("a server that cannot leave anything out, with trees", func(t *testing.T) {
		suite(t, all(), true, func(r *committest.Repo) {
			committest.Git(t, r.Dir, nil, "config", "uploadpack.allowFilter", "false")
		})
	})
}

// suite runs the suite over http. One provider opens a repository again and again, as in life.
func suite(t *testing.T, caps committest.Capabilities, wholeTrees bool, configure func(*committest.Repo)) {
	t.Helper()
	p, addresses := provider(t, git.Options{}), map[*committest.Repo]string{}
	committest.Suite(t, caps, func(t *testing.T, r *committest.Repo) commit.Repository {
		t.Helper()
		if addresses[r] == "" {
			if configure != nil {
				configure(r)
			}
			addresses[r] = serve(t, backend(t, r))
		}
		return open(t, p, commit.Location{URL: addresses[r], WholeTrees: wholeTrees})
	})
}

func TestTheSuiteOnLocalFolders(t *testing.T) {
	root := t.TempDir()
	for name, wholeTrees := range map[string]bool{"commits alone": false, "with trees": true} {
		t.Run(name, func(t *testing.T) {
			caps := all()
			caps.Path = wholeTrees
			committest.Suite(t, caps, func(t *testing.T, r *committest.Repo) commit.Repository {
				t.Helper()
				p := provider(t, git.Options{LocalRoot: filepath.Dir(filepath.Dir(r.Dir)), Folder: filepath.Join(root, filepath.Base(t.Name()))})
				return open(t, p, commit.Location{URL: "file://" + r.Dir, WholeTrees: wholeTrees})
			})
		})
	}
}
