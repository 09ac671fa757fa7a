package git

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// remote is a connection to where a repository is.
type remote interface {
	// refs are its branches and tags, sorted by name.
	refs(ctx context.Context) ([]ref, error)
	// wantable tells whether it may hand out commits by their SHA.
	wantable() bool
	// fetch adds what wants lead to, and haves do not, to what comes in.
	fetch(ctx context.Context, wants, haves []id, in *incoming) error
	close()
}

// incoming is what a fetch brings.
type incoming struct {
	commits gathering
	// folder is a temporary one, for the pack.
	folder string
	bytes  int64 // how many to take
	most   int   // how many objects to keep
	// known tells which commits are there already.
	known func(id) bool
	// index tells where in the pack objects are; empty if there was no pack.
	index []located
	// unknown counts what the pack tells by its difference to something that was not kept. No commit may be among it.
	unknown int
}

const packName = "pack"

// maxPacks bounds the packs of a copy with trees. With more it is made anew, which leaves one.
const maxPacks = 20

// load takes the copy on disk as it is. It fails with errNoCopy if there is none of what the server told.
func (r *repository) load(ctx context.Context, told [sha256.Size]byte) error {
	if err := r.home.acquire(ctx); err != nil {
		return err
	}
	defer r.home.release()
	s, opened, err := r.p.kept(r.home.key)
	if err != nil {
		return err
	}
	if s == nil {
		return errNoCopy
	}
	if digest(s.refs) != told {
		_ = opened.Close()
		return errNoCopy
	}
	r.use(s, opened)
	r.p.touch(r.home.key)
	return nil
}

var errNoCopy = errors.New("no copy")

// use answers from another snapshot from now on.
func (r *repository) use(s *snapshot, from trees) {
	if r.trees != nil {
		_ = r.trees.Close()
	}
	r.snap, r.trees, r.reached = s, from, nil
}

// sync asks the server for its branches and tags, and for the commits that are new. With extra it asks for one more commit, by its SHA.
func (r *repository) sync(ctx context.Context, extra *id) error {
	r.asked = true
	if err := r.home.acquire(ctx); err != nil {
		return err
	}
	defer r.home.release()
	to, err := r.p.connect(ctx, r.url, r.at.Credentials)
	if err != nil {
		r.p.refused(r.home, r.at.Credentials, err)
		return err
	}
	defer to.close()
	refs, err := to.refs(ctx)
	if err != nil {
		r.p.refused(r.home, r.at.Credentials, err)
		return err
	}
	r.wantable = to.wantable()
	r.p.told(r.home, r.at.Credentials, refs)
	if err := r.update(ctx, to, refs, extra); err != nil {
		return err
	}
	if local, ok := to.(*local); ok {
		r.trees = local.trees()
	}
	r.p.touch(r.home.key)
	return r.p.evict()
}

// refused forgets that credentials were accepted, if the server does not accept them any more.
func (p *Provider) refused(h *home, c commit.Credentials, err error) {
	if errors.Is(err, commit.ErrUnauthorized) || errors.Is(err, commit.ErrNoRepository) {
		p.distrust(h, c)
	}
}

// update brings the copy up to date.
func (r *repository) update(ctx context.Context, to remote, refs []ref, extra *id) error {
	s, opened, err := r.p.kept(r.home.key)
	if err != nil {
		return err
	}
	if s != nil && (slices.Contains(s.graph.parents, missing) || len(s.packs) > maxPacks) {
		// What is behind a cut may be there by now, and nothing but a fetch of everything tells.
		_ = opened.Close()
		s = nil
	}
	if s != nil && extra == nil && slices.Equal(s.refs, refs) {
		r.use(s, opened)
		return nil
	}
	_ = opened.Close()
	if s == nil {
		s = &snapshot{graph: (&gathering{}).graph()}
	}
	next, err := r.p.renew(ctx, to, s, refs, r.home.key, extra)
	if err != nil {
		return err
	}
	if extra != nil && next.graph.find(*extra) != missing {
		r.extra = append(r.extra, *extra)
	}
	opened, err = openPacks(r.p.folder(r.home.key), next.packs)
	r.use(next, opened)
	return err
}

// wants are the objects to ask for: what branches and tags lead to and the snapshot does not have. A tag of something else than a commit is
// asked for once.
func (s *snapshot) wants(refs []ref) []id {
	var wants []id
	for _, r := range refs {
		if s.graph.find(r.commit) == missing && !slices.Contains(s.refs, r) {
			wants = append(wants, r.object)
		}
	}
	return wants
}

// complete tells whether every parent is there, and what every branch leads to.
func (s *snapshot) complete() bool {
	return !slices.Contains(s.graph.parents, missing) && !slices.ContainsFunc(s.refs, func(r ref) bool {
		return strings.HasPrefix(r.name, branches) && s.graph.find(r.commit) == missing
	})
}

// most haves that are sent of each sort. More would need more than one question.
const mostHaves = 8

// haves are commits to begin from: the newest that the server still has, and ancestors of those that it had, further and further back.
func (s *snapshot) haves(refs []ref) []id {
	now := map[id]bool{}
	for _, r := range refs {
		now[r.commit] = true
	}
	var shared, lost []int32
	for _, n := range s.tips() {
		if now[s.graph.id(n)] {
			shared = append(shared, n)
		} else {
			lost = append(lost, n)
		}
	}
	newest := func(x, y int32) int { return cmp.Compare(s.graph.committed[y], s.graph.committed[x]) }
	slices.SortFunc(shared, newest)
	slices.SortFunc(lost, newest)
	shared, lost = slices.Compact(shared), slices.Compact(lost)
	haves := shared[:min(len(shared), mostHaves)]
	for _, n := range lost[:min(len(lost), 1)] {
		haves = append(slices.Clip(haves), s.graph.back(n)...)
	}
	names := make([]id, len(haves))
	for i, n := range haves {
		names[i] = s.graph.id(n)
	}
	return names
}

// back are a commit and its first parents' line, at doubling distances.
func (g *graph) back(n int32) (found []int32) {
	for step, next := 0, 0; n != missing && len(found) < mostHaves; step++ {
		if step == next {
			found, next = append(found, n), max(1, 2*step)
		}
		parents := g.parentsOf(n)
		if len(parents) == 0 {
			break
		}
		n = parents[0]
	}
	return found
}

// renew fetches what is new and writes the snapshot.
func (p *Provider) renew(ctx context.Context, to remote, old *snapshot, refs []ref, key string, extra *id) (*snapshot, error) {
	folder := p.folder(key)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	next := &snapshot{refs: refs, packs: old.packs, graph: old.graph}
	wants := old.wants(refs)
	if extra != nil {
		wants = append(wants, *extra) // though it may be here: what counts is whether the server shows it
	}
	if len(wants) > 0 {
		if err := p.fetch(ctx, to, wants, old, next, folder); err != nil {
			return nil, err
		}
	}
	if err := writeSnapshot(folder, next); err != nil {
		return nil, fmt.Errorf("the git cache cannot be written: %w", err)
	}
	return next, p.tidy(folder, next)
}

// fetch adds to next what the server has and old does not.
func (p *Provider) fetch(ctx context.Context, to remote, wants []id, old, next *snapshot, folder string) error {
	temp, err := os.MkdirTemp(p.o.Folder, temporary)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	in := &incoming{folder: temp, bytes: p.o.MaxRepositoryBytes, most: p.o.MaxCommits}
	in.known = func(name id) bool { return old.graph.find(name) != missing }
	in.commits.withTrees = strings.HasSuffix(folder, treesEnd)
	if in.commits.withTrees {
		in.most *= 4
	}
	haves := slices.DeleteFunc(old.haves(next.refs), func(have id) bool { return slices.Contains(wants, have) })
	if err := to.fetch(ctx, wants, haves, in); err != nil {
		return err
	}
	in.commits.addAll(old.graph)
	next.graph = in.commits.graph()
	if in.unknown > 0 && !next.complete() {
		return fmt.Errorf("%w: it lacks commits, and has differences to objects that it does not have", errBadPack)
	}
	if next.graph.len() > p.o.MaxCommits {
		return fmt.Errorf("%w: the repository has more than %d commits", commit.ErrTooLarge, p.o.MaxCommits)
	}
	if len(in.index) > 0 && in.commits.withTrees {
		return p.keepPack(in, next, folder)
	}
	return nil
}

// keepPack moves a pack that came in to the copy.
func (p *Provider) keepPack(in *incoming, next *snapshot, folder string) error {
	number := uint32(1)
	if len(next.packs) > 0 {
		number += slices.Max(next.packs)
	}
	from, to := filepath.Join(in.folder, packName), packPath(folder, number)
	if err := writeIndex(from+".idx", in.index); err != nil {
		return err
	}
	for _, end := range []string{".idx", ".pack"} {
		if err := os.Rename(from+end, to+end); err != nil {
			return err
		}
	}
	next.packs = append(slices.Clone(next.packs), number)
	size := int64(0)
	for _, n := range next.packs {
		info, err := os.Stat(packPath(folder, n) + ".pack")
		if err != nil {
			return err
		}
		size += info.Size()
	}
	if size > p.o.MaxRepositoryBytes {
		return tooLarge(p.o.MaxRepositoryBytes)
	}
	return nil
}

func tooLarge(most int64) error {
	return fmt.Errorf("%w: the repository takes more than %d bytes", commit.ErrTooLarge, most)
}

func packPath(folder string, number uint32) string {
	return filepath.Join(folder, packName+"-"+strconv.FormatUint(uint64(number), 10))
}

// tidy removes packs that the snapshot does not name.
func (p *Provider) tidy(folder string, s *snapshot) error {
	found, err := filepath.Glob(filepath.Join(folder, packName+"-*"))
	if err != nil {
		return err
	}
	for _, path := range found {
		if !slices.ContainsFunc(s.packs, func(n uint32) bool { return path[:len(path)-len(filepath.Ext(path))] == packPath(folder, n) }) {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func openPacks(folder string, numbers []uint32) (packs, error) {
	var opened packs
	for _, n := range slices.Backward(numbers) {
		one, err := openPack(packPath(folder, n))
		if err != nil {
			_ = opened.Close()
			return nil, err
		}
		opened = append(opened, one)
	}
	return opened, nil
}
