package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

const (
	maxFolders = 500 // look-ups of a folder at a commit, for one range
	asObject   = "application/vnd.github.object+json"
)

// touching keeps the commits that change something in a folder, as `git log --no-merges base..head -- path` does.
//
// GitHub has no such question for a range, but for all that a commit has, newest first: `git log start -- path`. Of that, what is in the
// range is kept. Both simplify history alike, with one difference. A merge that left the folder as one of its parents has it is
// followed to that parent alone, unless that parent is outside the range (base itself counts as inside): then git goes on to the
// others in a range, and not in a whole history. Where that happens, GitHub is asked from those others as well.
func (r *repository) touching(ctx context.Context, base, head, path string, all []listed) ([]listed, error) {
	s := &simplified{repository: r, path: path, base: base, in: map[string]listed{}, trees: map[string]string{}}
	for _, c := range all {
		s.in[c.SHA] = c
	}
	starts, err := s.starts(ctx, head)
	if err != nil {
		return nil, err
	}
	touching := map[string]bool{}
	for _, start := range starts {
		if err := s.list(ctx, start, oldest(all), touching); err != nil {
			return nil, err
		}
	}
	var counted []listed
	for _, c := range withoutMerges(all) {
		if touching[c.SHA] {
			counted = append(counted, c)
		}
	}
	return counted, nil
}

func oldest(commits []listed) time.Time {
	since := commits[0].at(commit.Committer)
	for _, c := range commits {
		if at := c.at(commit.Committer); at.Before(since) {
			since = at
		}
	}
	return since
}

// simplified is the history of a range as git simplifies it for a path.
type simplified struct {
	*repository
	path, base string
	in         map[string]listed // the range, by SHA
	trees      map[string]string // what the path is at a commit, as far as it was asked for
}

// list notes what GitHub lists from a commit on.
//
// Since loses nothing: git stops following a line of history at a commit that is older, every commit between the start and one of the
// range is in the range too (or base would reach both), and none of the range is older than its oldest. A second is taken off, since
// GitHub's documentation says "after" and git means "not before".
func (s *simplified) list(ctx context.Context, start string, oldest time.Time, touching map[string]bool) error {
	since := oldest.Add(-time.Second).Format(time.RFC3339)
	for page := 1; page != 0; {
		if page > maxPages {
			return fmt.Errorf("%w: more than %d commits to look through for %s", commit.ErrTooLarge, maxPages*perPage, said(s.path))
		}
		var commits []listed
		resp, err := s.get(ctx, s.repository.path("commits")+query(page, "sha", start, "path", s.path, "since", since), &commits)
		if errors.Is(err, errAbsent) {
			return fmt.Errorf("%w: commit %s", commit.ErrNotFound, start)
		}
		if err != nil {
			return err
		}
		for _, c := range commits {
			touching[c.SHA] = true
		}
		if page = following(resp, page); len(touching) >= len(s.in) && s.done(touching) {
			return nil
		}
	}
	return nil
}

// done tells whether all of the range was seen.
func (s *simplified) done(touching map[string]bool) bool {
	for sha := range s.in {
		if !touching[sha] {
			return false
		}
	}
	return true
}

// starts are the commits to ask GitHub from: head, and wherever the range's history goes on and the whole one does not. Few ranges have
// a merge for that, so history is only walked where one is found.
func (s *simplified) starts(ctx context.Context, head string) ([]string, error) {
	differs := map[string]bool{}
	for _, c := range s.in {
		strays, err := s.strays(ctx, c)
		if err != nil {
			return nil, err
		}
		if strays {
			differs[c.SHA] = true
		}
	}
	starts := []string{head}
	if len(differs) == 0 {
		return starts, nil
	}
	visited := map[string]bool{}
	for next := []string{head}; len(next) > 0; {
		c, inside := s.in[next[0]]
		next = next[1:]
		if !inside || visited[c.SHA] {
			continue
		}
		visited[c.SHA] = true
		parents, err := s.parents(ctx, c)
		if err != nil {
			return nil, err
		}
		next = append(next, parents...)
		if differs[c.SHA] {
			starts = append(starts, s.inside(parents)...)
		}
	}
	return starts, nil
}

func (s *simplified) inside(shas []string) []string {
	var inside []string
	for _, sha := range shas {
		if _, ok := s.in[sha]; ok {
			inside = append(inside, sha)
		}
	}
	return inside
}

// relevant parents are those in the range, and base.
func (s *simplified) relevant(sha string) bool {
	_, inside := s.in[sha]
	return inside || sha == s.base
}

// strays tells whether the whole history goes on from a merge to a parent outside the range alone.
func (s *simplified) strays(ctx context.Context, c listed) (bool, error) {
	if !c.isMerge() || !s.hasBoth(c) {
		return false, nil
	}
	for _, p := range c.Parents {
		same, err := s.same(ctx, c.SHA, p.SHA)
		if err != nil {
			return false, err
		}
		if same {
			return !s.relevant(p.SHA), nil
		}
	}
	return false, nil
}

// hasBoth tells whether some parents are relevant and some are not.
func (s *simplified) hasBoth(c listed) bool {
	relevant := 0
	for _, p := range c.Parents {
		if s.relevant(p.SHA) {
			relevant++
		}
	}
	return relevant > 0 && relevant < len(c.Parents)
}

// parents are where git goes on from a commit of the range: the first relevant parent that has the folder as it is, or all relevant ones.
func (s *simplified) parents(ctx context.Context, c listed) ([]string, error) {
	var relevant []string
	for _, p := range c.Parents {
		if s.relevant(p.SHA) {
			relevant = append(relevant, p.SHA)
		}
	}
	if len(relevant) < 2 {
		return relevant, nil
	}
	for _, p := range relevant {
		same, err := s.same(ctx, c.SHA, p)
		if err != nil {
			return nil, err
		}
		if same {
			return []string{p}, nil
		}
	}
	return relevant, nil
}

func (s *simplified) same(ctx context.Context, a, b string) (bool, error) {
	left, err := s.tree(ctx, a)
	if err != nil {
		return false, err
	}
	right, err := s.tree(ctx, b)
	return left == right, err
}

// tree is the SHA of what the path is at a commit; empty if there is nothing.
func (s *simplified) tree(ctx context.Context, sha string) (string, error) {
	if known, ok := s.trees[sha]; ok {
		return known, nil
	}
	if len(s.trees) >= maxFolders {
		return "", fmt.Errorf("%w: the merges in the range take more than %d look-ups of %s", commit.ErrTooLarge, maxFolders, said(s.path))
	}
	var found object
	_, err := s.get(ctx, s.repository.path("contents", escaped(s.path))+"?ref="+sha, &found,
		func(req *http.Request) { req.Header.Set("Accept", asObject) })
	if errors.Is(err, errAbsent) {
		s.trees[sha] = ""
		return "", nil
	}
	if err == nil && !fullSHA.MatchString(found.SHA) {
		err = errors.New("GitHub's answer for a folder has no SHA")
	}
	if err == nil {
		s.trees[sha] = found.SHA
	}
	return found.SHA, err
}
