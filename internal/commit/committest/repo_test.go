package committest_test

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
)

func TestARepositoryTellsWhatGitLogTells(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{})
	r.Switch("feature")
	early := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	first := r.Commit(committest.Commit{File: "a/b", AuthoredAt: early})
	r.Switch("main")
	r.Commit(committest.Commit{File: "c"})
	head := r.Merge("feature")

	got := r.Log(base, head, commit.RangeOptions{})
	if want := (commit.Range{Commits: 2, First: first, FirstAt: committest.Epoch.Add(time.Minute)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = r.Log(base, head, commit.RangeOptions{Path: "a", Clock: commit.Author})
	if want := (commit.Range{Commits: 1, First: first, FirstAt: early}); got != want {
		t.Errorf("by path and author: got %+v, want %+v", got, want)
	}
}
