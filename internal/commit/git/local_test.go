package git_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
)

func TestLocalRepositories(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	root := filepath.Dir(r.Dir)
	outside := t.TempDir()
	for from, to := range map[string]string{"inside": r.Dir, "outside": outside} {
		if err := os.Symlink(to, filepath.Join(root, from)); err != nil {
			t.Fatal(err)
		}
	}
	committest.Git(t, outside, nil, "clone", "--quiet", "--bare", r.Dir, "repo.git")
	committest.Git(t, root, nil, "clone", "--quiet", "--bare", r.Dir, "hollow.git")
	if err := os.RemoveAll(filepath.Join(root, "hollow.git", "objects")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "repo.git", "objects"), filepath.Join(root, "hollow.git", "objects")); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		root, path string
		want       error
	}{
		"by its full name":                         {root, r.Dir, nil},
		"without .git":                             {root, filepath.Join(root, "repo"), nil},
		"a work tree":                              {root, filepath.Join(root, "work"), nil},
		"by a link that stays below the root":      {root, filepath.Join(root, "inside"), nil},
		"by a link that leads out":                 {root, filepath.Join(root, "outside", "repo"), commit.ErrNoRepository},
		"with objects that are somewhere else":     {root, filepath.Join(root, "hollow"), commit.ErrNoRepository},
		"beside the root":                          {filepath.Join(root, "work"), r.Dir, commit.ErrNoRepository},
		"a folder that is no repository":           {root, root, commit.ErrNoRepository},
		"one that is not there":                    {root, filepath.Join(root, "nothing"), commit.ErrNoRepository},
		"where local repositories are not allowed": {"", r.Dir, commit.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			one, err := provider(t, git.Options{LocalRoot: row.root}).Open(t.Context(), commit.Location{URL: "file://" + row.path})
			if row.want != nil {
				wantError(t, err, row.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = one.Close() })
			if got, err := one.Commit(t.Context(), sha[:8]); got != sha || err != nil {
				t.Errorf("got %q and %v, want %s", got, err, sha)
			}
		})
	}
}
