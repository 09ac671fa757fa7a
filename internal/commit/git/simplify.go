package git

import (
	"container/heap"
	"context"
	"slices"
)

// simplification walks a range as `git log base..head -- path` does, and finds the commits that it lists.
//
// Git leaves out more than the commits that change nothing: at a merge that is the same as one of its parents, as far as the path goes, it
// follows that parent alone, since the rest of the history explains nothing about the path. Whether such a parent counts depends on
// whether git knows at that moment that base leads to it, and that depends on the order of its walk: newest first, by the committer's
// time. So the walk here is git's own (limit_list and try_to_simplify_commit of revision.c), with one difference: which commits base leads
// to is known beforehand, by parents alone, so that a wrong clock cannot bring them back in.
type simplification struct {
	*graph
	folder *folder
	base   int32
	marks  []mark
	walk   queue
	// kept are the parents that a merge was reduced to.
	kept  map[int32][]int32
	found map[int32]entry // of each commit, what it has at the path
	open  int             // commits in the queue that are not hidden
}

// mark is what the walk knows of a commit.
type mark uint8

const (
	seen   mark = 1 << iota // was queued once
	parsed                  // its parents are known to the walk
	hidden                  // base leads to it
	same                    // changes nothing at the path
	merge                   // has several parents
	listed                  // was walked as part of the range
)

func (g *graph) simplified(ctx context.Context, base, head int32, inRange set, folder *folder) ([]int32, error) {
	s := &simplification{
		graph: g, folder: folder, base: base, marks: make([]mark, g.len()), kept: map[int32][]int32{}, found: map[int32]entry{},
	}
	s.marks[base] |= hidden | parsed
	s.hideParents(base)
	s.walk.time = g.committed
	s.push(base)
	s.push(head)
	var commits []int32
	for step := 0; s.open > 0; step++ {
		if err := during(ctx, step); err != nil {
			return nil, err
		}
		n := s.pop()
		if err := s.visit(ctx, n); err != nil {
			return nil, err
		}
		if s.marks[n]&listed != 0 && inRange.has(n) {
			commits = append(commits, n)
		}
	}
	return slices.DeleteFunc(commits, func(n int32) bool { return s.marks[n]&(same|merge) != 0 }), nil
}

func (s *simplification) push(n int32) {
	if n == missing || s.marks[n]&seen != 0 {
		return
	}
	s.marks[n] |= seen | parsed
	if s.marks[n]&hidden == 0 {
		s.open++
	}
	heap.Push(&s.walk, queued{n, s.walk.pushed})
	s.walk.pushed++
}

func (s *simplification) pop() int32 {
	n := heap.Pop(&s.walk).(queued).commit //nolint:forcetypeassert // only queued is pushed
	if s.marks[n]&hidden == 0 {
		s.open--
		s.marks[n] |= listed
	} else {
		s.marks[n] &^= listed
	}
	return n
}

// hide marks a commit that base leads to, and what it leads to as far as the walk has been there.
func (s *simplification) hide(n int32) {
	next := []int32{n}
	for len(next) > 0 {
		n = next[len(next)-1]
		next = next[:len(next)-1]
		if n == missing || s.marks[n]&hidden != 0 {
			continue
		}
		if s.marks[n]&seen != 0 && s.marks[n]&listed == 0 {
			s.open-- // it is in the queue
		}
		s.marks[n] |= hidden
		if s.marks[n]&parsed != 0 {
			next = append(next, s.parentsNow(n)...)
		}
	}
}

func (s *simplification) hideParents(n int32) {
	for _, parent := range s.parentsNow(n) {
		s.hide(parent)
	}
}

// parentsNow are a commit's parents, or the one that it was reduced to.
func (s *simplification) parentsNow(n int32) []int32 {
	if kept, ok := s.kept[n]; ok {
		return kept
	}
	return s.parentsOf(n)
}

func (s *simplification) visit(ctx context.Context, n int32) error {
	if s.marks[n]&hidden == 0 {
		if err := s.reduce(ctx, n); err != nil {
			return err
		}
	}
	for _, parent := range s.parentsNow(n) {
		if parent == missing {
			continue
		}
		s.marks[parent] |= parsed
		if s.marks[n]&hidden != 0 {
			s.hide(parent)
			s.hideParents(parent)
		}
		s.push(parent)
	}
	return nil
}

// relevant tells whether a parent may explain what the path is: those that base leads to do not, and base itself does.
func (s *simplification) relevant(n int32) bool {
	return n != missing && (n == s.base || s.marks[n]&hidden == 0)
}

// reduce compares a commit with its parents at the path. The first relevant one that is the same becomes its only one.
func (s *simplification) reduce(ctx context.Context, n int32) error {
	own, err := s.at(ctx, n)
	if err != nil {
		return err
	}
	parents := s.parentsOf(n)
	if len(parents) > 1 {
		s.marks[n] |= merge
	}
	unchanged := len(parents) > 0 || own == entry{}
	for _, parent := range parents {
		theirs, err := s.at(ctx, parent)
		if err != nil {
			return err
		}
		if theirs == own && s.relevant(parent) {
			s.kept[n] = []int32{parent}
			s.marks[n] |= same
			return nil
		}
		unchanged = unchanged && theirs == own
	}
	if unchanged {
		s.marks[n] |= same
	}
	return nil
}

// at is what a commit has at the path; nothing if the commit is missing.
func (s *simplification) at(ctx context.Context, n int32) (entry, error) {
	if n == missing {
		return entry{}, nil
	}
	if found, ok := s.found[n]; ok {
		return found, nil
	}
	s.marks[n] |= parsed
	found, err := s.folder.in(ctx, s.tree(n))
	if err == nil {
		s.found[n] = found
	}
	return found, err
}

// queue holds the commits that are to be visited: the newest first, and of several with one time the one that came first.
type queue struct {
	heap   []queued
	time   []int64
	pushed int
}

type queued struct {
	commit int32
	turn   int
}

func (q *queue) Len() int      { return len(q.heap) }
func (q *queue) Swap(i, j int) { q.heap[i], q.heap[j] = q.heap[j], q.heap[i] }
func (q *queue) Push(x any)    { q.heap = append(q.heap, x.(queued)) } //nolint:forcetypeassert // only queued is pushed

func (q *queue) Less(i, j int) bool {
	x, y := q.heap[i], q.heap[j]
	if q.time[x.commit] != q.time[y.commit] {
		return q.time[x.commit] > q.time[y.commit]
	}
	return x.turn < y.turn
}

func (q *queue) Pop() any {
	last := q.heap[len(q.heap)-1]
	q.heap = q.heap[:len(q.heap)-1]
	return last
}
