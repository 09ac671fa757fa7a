package committest

import (
	"os"
	"path/filepath"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

func canPath(c Capabilities) bool { return c.Path }

// pathStories are about ranges within a folder of a monorepo: git log's own simplification of history.
var pathStories = []story{
	{name: "only what changes a folder counts", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app/a app2/a lib/a"})
		a.Commit(Commit{File: "app2/a"})
		a.Commit(Commit{File: "app/a"})
		a.Commit(Commit{File: "app/deep/er/b"})
		a.Commit(Commit{File: "lib/a app/a"})
		head := a.Commit(Commit{File: "README"})
		a.wantPath(base, head, "app", 3)
		a.wantPath(base, head, "app/deep", 1)
		a.wantPath(base, head, "app/deep/er/b", 1)
		a.wantPath(base, head, "app2", 1)
		a.wantPath(base, head, "README", 1)
		a.wantPath(base, head, "ap", 0)
		a.wantPath(base, head, "nowhere/at/all", 0)
	}},
	{name: "a folder that was made, removed and made again", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{})
		a.Commit(Commit{File: "app/a"})
		a.Commit(Commit{})
		if err := os.RemoveAll(filepath.Join(a.work, "app")); err != nil {
			a.Fatal(err)
		}
		a.Commit(Commit{File: "other"})
		head := a.Commit(Commit{File: "app/a"})
		a.wantPath(base, head, "app", 3)
	}},
	{name: "a file that became a folder", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app"})
		if err := os.Remove(filepath.Join(a.work, "app")); err != nil {
			a.Fatal(err)
		}
		a.Commit(Commit{File: "app/a"})
		head := a.Commit(Commit{File: "app/b"})
		a.wantPath(base, head, "app", 2)
		a.wantPath(base, head, "app/a", 1)
	}},
	{name: "a merged branch that changes the folder counts", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		a.Commit(Commit{File: "app/b"})
		a.Commit(Commit{File: "lib/b"})
		a.Switch("main")
		a.Commit(Commit{File: "app/c"})
		a.wantPath(base, a.Merge("feature"), "app", 2)
	}},
	{name: "a merged branch whose changes to the folder were undone is simplified away", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		undo := a.Commit(Commit{File: "app/a"})
		a.run(a.work, a.times(time.Time{}, time.Time{}), "revert", "--no-edit", undo)
		a.Commit(Commit{File: "lib/b"})
		a.Switch("main")
		a.Commit(Commit{File: "lib/c"})
		head := a.Merge("feature")
		a.wantPath(base, head, "app", 0)
		a.wantPath(base, head, "lib", 2)
	}},
	{name: "the same change on both sides of a merge counts on one", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		picked := a.Commit(Commit{File: "app/a"})
		a.Commit(Commit{File: "lib/a"})
		a.Switch("main")
		a.run(a.work, a.times(time.Time{}, time.Time{}), "cherry-pick", picked)
		a.Push()
		a.wantPath(base, a.Merge("feature"), "app", 1)
	}},
	{name: "a merge that takes one side's folder follows that side", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		a.Commit(Commit{File: "app/a", Message: "theirs"})
		a.Switch("main")
		a.Commit(Commit{File: "app/a", Message: "ours"})
		a.Commit(Commit{File: "app/a", Message: "ours again"})
		a.wantPath(base, a.Merge("feature", "--strategy=ours"), "app", 2)
	}},
	{name: "a merge that is the same as base in the folder follows base", needs: canPath, tell: func(a *asker) {
		a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		a.Commit(Commit{File: "app/a", Message: "theirs"})
		a.Switch("main")
		base := a.Commit(Commit{File: "lib/a"})
		a.wantPath(base, a.Merge("feature", "--strategy=ours"), "app", 0)
	}},
	{name: "a merge that is the same as an ancestor of base in the folder still looks at its other parent", needs: canPath, tell: func(a *asker) {
		a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		a.Commit(Commit{File: "app/a", Message: "theirs"})
		a.Switch("main")
		a.Commit(Commit{File: "lib/a"})
		a.Switch("release")
		base := a.Commit(Commit{File: "lib/b"})
		a.Switch("main")
		a.Merge("feature", "--strategy=ours")
		a.wantPath(base, a.Merge("release"), "app", 1)
	}},
	{name: "a merge that is the same as base's grandparent, and older than base, still looks at its other parent", needs: canPath, tell: func(a *asker) {
		a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		a.Commit(Commit{File: "app/a", Message: "theirs"})
		a.Switch("main")
		a.Commit(Commit{File: "lib/a"})
		a.Git("branch", "side")
		a.Commit(Commit{File: "lib/b"})
		a.Switch("side")
		a.Merge("feature", "--strategy=ours")
		a.Commit(Commit{File: "app/b"})
		a.Switch("main")
		base := a.Commit(Commit{File: "lib/c"})
		a.wantPath(base, a.Merge("side"), "app", 2)
	}},
	{name: "a merge of three branches, of which two change the folder", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app/a"})
		for _, branch := range []string{"app/b", "app/c", "lib/d"} {
			a.Switch("main")
			a.Switch("on/" + branch)
			a.Commit(Commit{File: branch})
		}
		a.Switch("main")
		a.run(a.work, a.times(time.Time{}, time.Time{}), "merge", "--quiet", "--message", "octopus", "on/app/b", "on/app/c", "on/lib/d")
		head := a.Push()
		a.wantPath(base, head, "app", 2)
		a.wantPath(base, head, "lib", 1)
	}},
	{name: "a root that is merged into a folder of its own", needs: canPath, tell: func(a *asker) {
		base := a.Commit(Commit{File: "app/a"})
		a.Git("switch", "--quiet", "--orphan", "other")
		a.Commit(Commit{File: "lib/a"})
		a.Commit(Commit{File: "lib/b"})
		a.Switch("main")
		head := a.Merge("other", "--allow-unrelated-histories")
		a.wantPath(base, head, "lib", 2)
		a.wantPath(base, head, "app", 0)
	}},
	{name: "a path does not make a base an ancestor", needs: canPath, tell: func(a *asker) {
		a.Commit(Commit{File: "app/a"})
		a.Switch("feature")
		other := a.Commit(Commit{File: "app/b"})
		a.Switch("main")
		head := a.Commit(Commit{File: "app/c"})
		got, err := a.driver().Range(a.Context(), other, head, commit.RangeOptions{Path: "app"})
		a.wantError("range", got.First, err, []error{commit.ErrNotAncestor})
	}},
}
