package git

import (
	"context"
	"fmt"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// between are the commits that head leads to and base does not: by parents alone, so clocks that were wrong change nothing. It fails with
// ErrNotAncestor, and with ErrShallow where a missing part of the history could change the answer.
func (g *graph) between(base, head int32) (set, error) {
	known := g.ancestors(base)
	found := g.outside(known, head)
	if head == base {
		return found, nil
	}
	if !g.ancestors(head).has(base) {
		if !known.has(head) && g.cut(g.ancestors(head)) {
			return nil, fmt.Errorf("%w: the part that is there does not tell whether %s comes before %s", commit.ErrShallow, g.id(base), g.id(head))
		}
		return nil, fmt.Errorf("%s %w of %s", g.id(base), commit.ErrNotAncestor, g.id(head))
	}
	if g.cut(found) || g.cut(known) && !g.follow(found, base) {
		return nil, fmt.Errorf("%w: some commits between %s and %s may be missing", commit.ErrShallow, g.id(base), g.id(head))
	}
	return found, nil
}

// follow tells whether all these commits come after base. If base's own history is cut off, others may be a part of what is missing.
func (g *graph) follow(commits set, base int32) bool {
	after := map[int32]bool{base: true}
	return !commits.any(func(n int32) bool {
		g.decide(commits, after, n)
		return !after[n]
	})
}

// decide tells of a commit, and of all that it needs to know for that, whether it comes after others.
func (g *graph) decide(commits set, after map[int32]bool, n int32) {
	for next := []int32{n}; len(next) > 0; {
		n = next[len(next)-1]
		waiting, follows := len(next), false
		for _, parent := range g.parentsOf(n) {
			known, ok := after[parent]
			follows = follows || known
			if !ok && parent != missing && commits.has(parent) {
				next = append(next, parent)
			}
		}
		if len(next) == waiting {
			after[n] = follows
			next = next[:len(next)-1]
		}
	}
}

// earliest counts commits without merges, and finds the one with the first time.
type earliest struct {
	graph  *graph
	times  []int64
	number int
	first  int32
}

func (g *graph) earliest(by commit.Clock) *earliest {
	e := &earliest{graph: g, times: g.committed}
	if by == commit.Author {
		e.times = g.authored
	}
	return e
}

func (e *earliest) add(n int32) {
	if len(e.graph.parentsOf(n)) > 1 {
		return
	}
	if e.number == 0 || e.times[n] < e.times[e.first] {
		e.first = n
	}
	e.number++
}

func (e *earliest) answer() commit.Range {
	if e.number == 0 {
		return commit.Range{}
	}
	return commit.Range{Commits: e.number, First: e.graph.id(e.first).String(), FirstAt: time.Unix(e.times[e.first], 0).UTC()}
}

// during fails once the context has ended; it looks only now and then.
func during(ctx context.Context, step int) error {
	if step%1024 == 0 {
		return ctx.Err()
	}
	return nil
}
