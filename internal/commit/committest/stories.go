package committest

import (
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// unknown is no commit's SHA, since nobody can choose one.
const unknown = "0123456789abcdef0123456789abcdef01234567"

var commitStories = []story{
	{name: "a commit is found by its full SHA and by its first digits", tell: func(a *asker) {
		for _, sha := range a.commits(3) {
			for _, digits := range []int{40, 39, 20, 12, 8, 7} {
				a.wantCommit(sha[:digits], sha)
			}
		}
	}},
	{name: "a commit on a branch that was never merged is found", tell: func(a *asker) {
		a.commits(1)
		a.Switch("feature/one")
		sha := a.commits(1)[0]
		a.Switch("main")
		a.wantCommit(sha, sha)
		a.wantCommit(sha[:7], sha)
	}},
	{name: "a commit that only a tag reaches is found", tell: func(a *asker) {
		a.commits(1)
		sha := a.commits(1)[0]
		a.Tag("v1", "")
		a.Git("reset", "--quiet", "--hard", "HEAD~1")
		a.Push()
		a.wantCommit(sha, sha)
	}},
	{name: "a SHA that no commit has is not found", tell: func(a *asker) {
		a.commits(2)
		a.wantNoCommit(unknown, commit.ErrNotFound)
		a.wantNoCommit(unknown[:7], commit.ErrNotFound)
		a.wantNoCommit(strings.Repeat("0", 40), commit.ErrNotFound)
	}},
	{name: "digits that two commits begin with are ambiguous until one more tells", tell: func(a *asker) {
		a.commits(1)
		twins := a.Twins()
		wants := []error{commit.ErrAmbiguous}
		if !a.caps.Ambiguous {
			wants = append(wants, commit.ErrNotFound)
		}
		a.wantNoCommit(twins[0][:7], wants...)
		for _, twin := range twins {
			a.wantCommit(twin, twin)
			a.wantCommit(twin[:20], twin)
		}
	}},
	{name: "a branch and a tag that are named like a SHA do not answer for it", tell: func(a *asker) {
		shas := a.commits(2)
		a.Switch("abcdef0")
		a.commits(1)
		a.Switch(shas[0][:7])
		a.commits(1)
		a.Switch("main")
		a.Tag(shas[1][:7]+"0", "")
		a.Tag(shas[0][:8], "an annotated tag")
		a.wantNoCommit("abcdef0", commit.ErrNotFound)
		a.wantCommit(shas[0][:7], shas[0])
		a.wantCommit(shas[0][:8], shas[0])
	}},
	{name: "an object that is no commit is not found", tell: func(a *asker) {
		a.commits(1)
		a.Tag("v1", "an annotated tag")
		a.wantNoCommit(a.Git("rev-parse", "v1^{tag}"), commit.ErrNotFound)
		a.wantNoCommit(a.Git("rev-parse", "v1^{tag}")[:9], commit.ErrNotFound)
		a.wantNoCommit(a.Git("rev-parse", "HEAD^{tree}"), commit.ErrNotFound)
	}, needs: func(c Capabilities) bool { return c.Peeled }},
	{name: "a repository without commits has none", tell: func(a *asker) {
		a.wantNoCommit(unknown, commit.ErrNotFound)
		a.wantNoTag("v1")
	}},
	{name: "a question whose context has ended gets no answer", tell: func(a *asker) {
		shas := a.commits(2)
		opened, ctx := a.driver(), ended(a.Context())
		if _, err := opened.Commit(ctx, shas[0][:8]); err == nil {
			a.Error("commit: no error")
		}
		if _, err := opened.Range(ctx, shas[0], shas[1], commit.RangeOptions{}); err == nil {
			a.Error("range: no error")
		}
	}},
}

var tagStories = []story{
	{name: "a tag leads to its commit, light, annotated or nested", tell: func(a *asker) {
		first := a.commits(1)[0]
		a.Tag("light", "")
		a.Tag("annotated", "a message")
		a.Git("tag", "--annotate", "--message", "a tag of a tag", "nested", "annotated")
		a.Push()
		a.commits(1)
		for _, name := range []string{"light", "annotated", "nested"} {
			a.wantTag(name, first)
		}
	}},
	{name: "a tag's name is taken exactly", tell: func(a *asker) {
		names := []string{"v1.2.3", "v1.2", "release/1.2.3", "v1.2.3+build.7", "a#b", "100%", "größe"}
		shas := a.commits(len(names))
		for i, name := range names {
			a.Git("tag", name, shas[i])
		}
		a.Push()
		for i, name := range names {
			a.wantTag(name, shas[i])
		}
		for _, name := range []string{"v1", "1.2.3", "v1.2.3+build", "V1.2.3", "v1.2.*", "refs/tags/v1.2.3", "tags/v1.2.3", "release", "100%25", ""} {
			a.wantNoTag(name)
		}
	}},
	{name: "a branch is no tag, and a tag with a branch's name is one", tell: func(a *asker) {
		first := a.commits(1)[0]
		a.Git("tag", "both", first)
		a.Switch("branch")
		a.Git("branch", "both")
		a.commits(1)
		a.Git("push", "--quiet", "origin", "refs/tags/both", "refs/heads/both", "refs/heads/branch")
		a.wantTag("both", first)
		a.wantNoTag("branch")
		a.wantNoTag("HEAD")
	}},
	{name: "a tag that is named like another commit's SHA is a tag", tell: func(a *asker) {
		shas := a.commits(2)
		a.Tag(shas[0][:10], "")
		a.wantTag(shas[0][:10], shas[1])
		a.wantNoTag(shas[0])
	}},
	{name: "a tag made after the repository was opened first is found", tell: func(a *asker) {
		a.commits(1)
		a.wantNoTag("v1")
		sha := a.commits(1)[0]
		a.Tag("v2", "")
		a.reopen()
		a.wantTag("v2", sha)
		a.wantCommit(sha, sha)
	}},
}

var rangeStories = []story{
	{name: "commits in a line", tell: func(a *asker) {
		shas := a.commits(6)
		a.wantRange(shas[0], shas[5], 5)
		a.wantRange(shas[2], shas[3], 1)
		a.wantRange(shas[4], shas[4], 0)
	}},
	{name: "a merged branch counts from its first commit, and the merge does not count", tell: func(a *asker) {
		base := a.commits(1)[0]
		a.Switch("feature")
		a.commits(3)
		a.Switch("main")
		middle := a.Commit(Commit{File: "other"})
		head := a.Merge("feature")
		a.wantRange(base, head, 4)
		a.wantRange(middle, head, 3)
	}},
	{name: "what a branch had before base was made counts, if it was merged after", tell: func(a *asker) {
		a.commits(1)
		a.Switch("feature")
		a.commits(2)
		a.Switch("main")
		base := a.Commit(Commit{File: "other"})
		a.wantRange(base, a.Merge("feature"), 2)
	}},
	{name: "a range of nothing but a merge is empty", tell: func(a *asker) {
		a.commits(1)
		a.Switch("feature")
		base := a.commits(1)[0]
		a.Switch("main")
		a.wantRange(base, a.Merge("feature"), 0)
	}},
	{name: "a squashed branch is one commit", tell: func(a *asker) {
		base := a.commits(1)[0]
		a.Switch("feature")
		a.commits(3)
		a.Switch("main")
		a.wantRange(base, a.Squash("feature"), 1)
	}},
	{name: "a revert is a commit like any other", tell: func(a *asker) {
		shas := a.commits(2)
		a.run(a.work, a.times(time.Time{}, time.Time{}), "revert", "--no-edit", shas[1])
		head := a.Push()
		a.wantRange(shas[0], head, 2)
		a.wantRange(shas[1], head, 1)
	}},
	{name: "a cherry-pick keeps the author's time", tell: func(a *asker) {
		base := a.commits(1)[0]
		a.Switch("feature")
		picked := a.Commit(Commit{File: "picked", AuthoredAt: Epoch.Add(-72 * time.Hour)})
		a.Switch("main")
		a.run(a.work, a.times(time.Time{}, time.Time{})[:1], "cherry-pick", picked)
		head := a.Push()
		a.wantRange(base, head, 1)
		got, err := a.driver().Range(a.Context(), base, head, commit.RangeOptions{Clock: commit.Author})
		if err != nil || !got.FirstAt.Equal(Epoch.Add(-72*time.Hour)) {
			a.Errorf("by the author's time: got %+v and %v", got, err)
		}
	}},
	{name: "author's and committer's times name different first commits", tell: func(a *asker) {
		base := a.commits(1)[0]
		at := Epoch.Add(24 * time.Hour)
		a.Commit(Commit{At: at, AuthoredAt: at})
		a.Commit(Commit{At: at.Add(time.Hour), AuthoredAt: at.Add(-time.Hour)})
		head := a.Commit(Commit{At: at.Add(-2 * time.Hour), AuthoredAt: at.Add(2 * time.Hour)})
		a.wantRange(base, head, 3)
	}},
	{name: "commits with the same time", tell: func(a *asker) {
		base := a.commits(1)[0]
		for range 3 {
			a.Commit(Commit{At: Epoch.Add(time.Hour), Message: stamp(a.clock)})
		}
		a.wantRange(base, a.Push(), 3)
	}},
	{name: "clocks that were years off do not change what is reachable", tell: func(a *asker) {
		shas := []string{a.Commit(Commit{At: Epoch})}
		for _, days := range []int{400, -4000, 2, 9000, -1, -9000, 3} {
			shas = append(shas, a.Commit(Commit{At: Epoch.Add(time.Duration(days) * 24 * time.Hour), Message: stamp(a.clock)}))
		}
		a.Switch("old")
		a.Git("reset", "--quiet", "--hard", shas[1])
		a.Commit(Commit{File: "other", At: Epoch.Add(-20000 * time.Hour)})
		a.Switch("main")
		a.Merge("old")
		head := a.Push()
		for _, base := range shas {
			a.wantRange(base, head, len(strings.Fields(a.Git("rev-list", "--no-merges", base+".."+head))))
		}
	}},
	{name: "criss-cross merges", tell: func(a *asker) {
		base := a.commits(1)[0]
		a.Switch("left")
		left := a.Commit(Commit{File: "left"})
		a.Switch("main")
		a.Commit(Commit{File: "right"})
		a.Git("branch", "right")
		a.Merge("left")
		a.Switch("left")
		a.Merge("right")
		a.Commit(Commit{File: "left"})
		a.Switch("main")
		a.Commit(Commit{File: "right"})
		head := a.Merge("left")
		a.wantRange(base, head, 4)
		a.wantRange(left, head, 3)
	}},
	{name: "a merge of three branches at once", tell: func(a *asker) {
		base := a.commits(1)[0]
		for _, branch := range []string{"a", "b", "c"} {
			a.Switch("main")
			a.Switch(branch)
			a.Commit(Commit{File: branch})
		}
		a.Switch("main")
		a.Commit(Commit{File: "main"})
		a.run(a.work, a.times(time.Time{}, time.Time{}), "merge", "--quiet", "--message", "octopus", "a", "b", "c")
		a.wantRange(base, a.Push(), 4)
	}},
	{name: "a history with several roots", tell: func(a *asker) {
		base := a.commits(2)[1]
		a.Git("switch", "--quiet", "--orphan", "other")
		a.Commit(Commit{File: "other"})
		a.Commit(Commit{File: "other"})
		a.Switch("main")
		a.wantRange(base, a.Merge("other", "--allow-unrelated-histories"), 2)
	}},
	{name: "a commit without changes counts", tell: func(a *asker) {
		base := a.commits(1)[0]
		a.run(a.work, a.times(time.Time{}, time.Time{}), "commit", "--quiet", "--allow-empty", "--message", "empty")
		a.wantRange(base, a.Push(), 1)
	}},
	{name: "hundreds of commits", tell: func(a *asker) {
		base := a.commits(1)[0]
		middle := a.Grow(260)
		a.Switch("feature")
		a.Grow(140)
		a.Switch("main")
		a.Commit(Commit{File: "other"})
		head := a.Merge("feature")
		a.wantRange(base, head, 401)
		a.wantRange(middle, head, 141)
		a.wantRange(middle, middle, 0)
	}},
	{name: "a base that is no ancestor", tell: func(a *asker) {
		shas := a.commits(3)
		a.Switch("feature")
		sibling := a.commits(1)[0]
		a.Switch("main")
		head := a.Commit(Commit{File: "other"})
		a.wantNoRange(shas[2], shas[0], commit.ErrNotAncestor)
		a.wantNoRange(sibling, head, commit.ErrNotAncestor)
		a.wantNoRange(head, sibling, commit.ErrNotAncestor)
	}},
	{name: "a base of another root is no ancestor", tell: func(a *asker) {
		head := a.commits(2)[1]
		a.Git("switch", "--quiet", "--orphan", "other")
		other := a.Commit(Commit{File: "other"})
		a.wantNoRange(other, head, commit.ErrNotAncestor)
	}},
	{name: "a range with a commit that does not exist", tell: func(a *asker) {
		shas := a.commits(2)
		a.wantNoRange(unknown, shas[1], commit.ErrNotFound)
		a.wantNoRange(shas[0], unknown, commit.ErrNotFound)
		a.wantNoRange(unknown, unknown, commit.ErrNotFound)
	}},
}

// changeStories are about repositories that change between questions.
var changeStories = []story{
	{name: "commits that were pushed later are found", tell: func(a *asker) {
		shas := a.commits(3)
		a.wantRange(shas[0], shas[2], 2)
		a.reopen()
		shas = append(shas, a.commits(3)...)
		a.wantRange(shas[2], shas[5], 3)
		a.wantRange(shas[0], shas[5], 5)
	}},
	{name: "after a force push the old head is gone and the new one counts from base", tell: func(a *asker) {
		shas := a.commits(3)
		a.wantRange(shas[0], shas[2], 2)
		a.reopen()
		a.Git("reset", "--quiet", "--hard", shas[1])
		head := a.Commit(Commit{Message: "instead"})
		a.wantRange(shas[1], head, 1)
		wants := []error{commit.ErrNotFound}
		if !a.caps.Unreachable {
			wants = append(wants, commit.ErrNotAncestor)
		}
		a.wantNoRange(shas[2], head, wants...)
		if a.caps.Unreachable {
			a.wantNoCommit(shas[2], commit.ErrNotFound)
			a.wantNoCommit(shas[2][:8], commit.ErrNotFound)
		}
	}},
	{name: "a branch that was deleted takes its commits along", tell: func(a *asker) {
		base := a.commits(1)[0]
		a.Switch("feature")
		gone := a.commits(2)[1]
		a.Switch("main")
		a.wantRange(base, gone, 2)
		a.reopen()
		a.Git("push", "--quiet", "origin", "--delete", "feature")
		a.Git("branch", "--delete", "--force", "feature")
		head := a.commits(1)[0]
		a.wantRange(base, head, 1)
		a.wantNoRange(gone, head, commit.ErrNotFound)
		a.wantNoCommit(gone, commit.ErrNotFound)
	}, needs: func(c Capabilities) bool { return c.Unreachable }},
}
