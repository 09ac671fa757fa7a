package git

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// repository is one opened repository. It answers from one snapshot, and asks the server for a newer one at most once.
type repository struct {
	p     *Provider
	at    commit.Location
	url   *url.URL
	home  *home
	snap  *snapshot
	trees trees
	// asked is set once the server was asked on behalf of this repository.
	asked bool
	// wantable: the server may hand out commits by their SHA.
	wantable bool
	// extra are commits that the server handed out though no branch and no tag leads to them.
	extra []id
	// reached are the commits that branches, tags and extra lead to. It is found when it is needed.
	reached set
}

// Close implements commit.Repository.
func (r *repository) Close() error {
	defer r.p.leave(r.home)
	if r.trees != nil {
		return r.trees.Close()
	}
	return nil
}

// Commit implements commit.Repository.
func (r *repository) Commit(ctx context.Context, sha string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	found, err := r.resolve(ctx, strings.ToLower(sha))
	if err != nil {
		return "", err
	}
	return found.String(), nil
}

const fewestDigits = 7

// resolve finds a commit by its SHA or the beginning of one, and asks the server if it is not there.
func (r *repository) resolve(ctx context.Context, sha string) (id, error) {
	if len(sha) < fewestDigits || len(sha) > 2*idSize || strings.Trim(sha, "0123456789abcdef") != "" {
		return id{}, fmt.Errorf("%q is no SHA of %d to %d digits: %w", sha, fewestDigits, 2*idSize, commit.ErrNotFound)
	}
	if len(r.known(sha)) == 0 {
		if err := r.ask(ctx, sha); err != nil {
			return id{}, err
		}
	}
	switch found := r.known(sha); len(found) {
	case 0:
		return id{}, fmt.Errorf("commit %s: %w", sha, commit.ErrNotFound)
	case 1:
		return r.snap.graph.id(found[0]), nil
	}
	return id{}, fmt.Errorf("commit %s: %w: use more digits", sha, commit.ErrAmbiguous)
}

// known are the commits beginning with these digits that a fresh clone would have.
func (r *repository) known(sha string) []int32 {
	g := r.snap.graph
	candidates := g.beginning(sha)
	if len(candidates) == 0 {
		return nil
	}
	if r.reached == nil {
		tips := r.snap.tips()
		for _, name := range r.extra {
			tips = append(tips, g.find(name))
		}
		r.reached = g.ancestors(tips...)
	}
	var found []int32
	for _, n := range candidates {
		if r.reached.has(n) {
			found = append(found, n)
		}
	}
	return found
}

// ask asks the server for what is not there, unless it was asked lately.
func (r *repository) ask(ctx context.Context, what string) error {
	if r.missedLately(what) {
		return nil
	}
	if !r.asked {
		if err := r.sync(ctx, nil); err != nil {
			return err
		}
	}
	if name, ok := parseID([]byte(what)); ok && r.wantable && len(r.known(what)) == 0 {
		if err := r.sync(ctx, &name); err != nil && !errors.Is(err, errNotOurs) {
			return err
		}
	}
	if len(r.known(what)) == 0 {
		r.miss(what)
	}
	return nil
}

// Tag implements commit.Repository.
func (r *repository) Tag(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	_, there := r.snap.tag(name)
	old := r.p.outdated(r.home)
	if !r.asked && (old || !there && !r.missedLately(tags+name)) {
		if err := r.sync(ctx, nil); err != nil {
			return "", err
		}
	}
	if target, ok := r.snap.tag(name); ok && r.snap.graph.find(target) != missing {
		return target.String(), nil
	}
	r.miss(tags + name)
	return "", fmt.Errorf("tag %q: %w", name, commit.ErrNotFound)
}

// Range implements commit.Repository.
func (r *repository) Range(ctx context.Context, base, head string, o commit.RangeOptions) (commit.Range, error) {
	switch {
	case ctx.Err() != nil:
		return commit.Range{}, ctx.Err()
	case o.Squash:
		return commit.Range{}, fmt.Errorf("the commits of a squashed pull request: %w: name a provider with an API", commit.ErrUnsupported)
	case o.Path != "" && !r.at.WholeTrees:
		return commit.Range{}, fmt.Errorf("a range within a folder: %w unless the location asks for whole trees", commit.ErrUnsupported)
	}
	found, err := r.between(ctx, base, head, o)
	if err != nil && ctx.Err() == nil && !r.asked && !r.missedLately(base+".."+head) {
		// What was found in an old snapshot may not be there any more.
		if err = r.sync(ctx, nil); err == nil {
			found, err = r.between(ctx, base, head, o)
		}
		if err != nil {
			r.miss(base + ".." + head)
		}
	}
	return found, err
}

func (r *repository) between(ctx context.Context, base, head string, o commit.RangeOptions) (commit.Range, error) {
	if _, err := r.resolve(ctx, head); err != nil {
		return commit.Range{}, err
	}
	first, err := r.resolve(ctx, base)
	if err != nil {
		return commit.Range{}, r.beyond(err)
	}
	last, err := r.resolve(ctx, head) // once more: the snapshot may be newer than it was
	if err != nil {
		return commit.Range{}, err
	}
	g, count := r.snap.graph, r.snap.graph.earliest(o.Clock)
	commits, err := g.between(g.find(first), g.find(last))
	if err != nil {
		return commit.Range{}, err
	}
	if o.Path == "" {
		commits.any(func(n int32) bool { count.add(n); return false })
		return count.answer(), ctx.Err()
	}
	listed, err := g.simplified(ctx, g.find(first), g.find(last), commits, newFolder(r.trees, o.Path))
	if err != nil {
		return commit.Range{}, err
	}
	for _, n := range listed {
		count.add(n)
	}
	return count.answer(), nil
}

// beyond says of a base that is not there that it may be in the part that is missing, if one is.
func (r *repository) beyond(err error) error {
	g := r.snap.graph
	if r.reached != nil && g.cut(r.reached) || r.reached == nil && g.cut(g.ancestors(r.snap.tips()...)) {
		return fmt.Errorf("%w: %w", commit.ErrShallow, err)
	}
	return err
}
