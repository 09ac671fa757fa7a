// Package git answers for every server that speaks git's own protocol: over https, over ssh, or from a folder of this machine.
//
// # Guarantees
//
//   - A range is the one of `git log --no-merges base..head [-- path]`, found by parents alone: clocks that were wrong change nothing. Where
//     a missing part of a shallow history could change it, the answer is commit.ErrShallow.
//   - An answer does not depend on what happens to be in the cache: a commit that no branch and no tag reaches any more is not found, as in
//     a fresh clone, unless the server still hands it out by its SHA.
//   - Repositories are shared between targets, rights are not: nobody gets an answer before the server accepted their own credentials, now
//     or a few minutes ago, and it is one from the branches and tags that it showed to them.
//   - Every connection goes through the guard of package egress. Credentials are sent to the host that they are for, and nowhere else.
//   - Whatever a server sends, bytes, commits, memory and time have a bound, and a fetch that fails leaves nothing behind.
//
// # What is kept
//
// Of a repository the driver keeps no git repository but a snapshot: the branches and tags, and each commit's name, parents and times,
// some 50 bytes a commit. Go-git speaks with the server; packs are read here, while they arrive, since a pack may ask for any amount of
// memory and only commits are of interest. Servers are asked for commits alone (a partial clone without trees). For ranges within a
// folder the packs with the trees are kept too, in a copy of their own.
//
//	Open ─▶ snapshot on disk? credentials accepted lately? ─no─▶ ask for branches and tags ─▶ fetch what is new ─▶ new snapshot
//	Commit, Tag, Range ─▶ in the snapshot? ─no─▶ the same, once for each opened repository
package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// Options of a Provider. Only Folder must be set.
type Options struct {
	// Folder keeps the copies. What is in it belongs to the provider and may be removed at any time that no provider runs.
	Folder string
	// MaxBytes bounds the folder; 1 GiB if zero. Copies that were not asked about for the longest time go first, never one in use. Each
	// fetch may need MaxRepositoryBytes beside that while it runs.
	MaxBytes int64
	// MaxRepositoryBytes bounds what is taken from a server at once, and one copy; 512 MiB if zero.
	MaxRepositoryBytes int64
	// MaxCommits bounds the commits of one repository; 1,000,000 if zero. Where trees are kept there may be four times as many of both. A
	// fetch takes some 100 bytes of memory for each.
	MaxCommits int
	// LocalRoot is the folder below which file:// repositories may lie, links followed. Empty refuses all of them.
	LocalRoot string
	// Guard says which addresses may be reached.
	Guard egress.Guard
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// RefetchAfter is how old a tag may be before the server is asked again; 5 minutes if zero. A tag that is not there, and a commit,
	// is always asked for.
	RefetchAfter time.Duration
	// TrustFor is how long credentials that a server accepted are good for an answer from the cache; 5 minutes if zero.
	TrustFor time.Duration
	// MissFor is how long something that the server did not have is not asked for again; 1 minute if zero.
	MissFor time.Duration
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<30)
	o.MaxRepositoryBytes = min(cmp.Or(o.MaxRepositoryBytes, 512<<20), o.MaxBytes)
	o.MaxCommits = cmp.Or(o.MaxCommits, 1_000_000)
	o.RefetchAfter = cmp.Or(o.RefetchAfter, 5*time.Minute)
	o.TrustFor = cmp.Or(o.TrustFor, 5*time.Minute)
	o.MissFor = cmp.Or(o.MissFor, time.Minute)
	return o
}

// Provider opens repositories of any git server.
type Provider struct {
	o     Options
	mu    sync.Mutex
	homes map[string]*home
}

// New prepares the folder, and removes what a process that was killed left in it.
func New(o Options) (*Provider, error) {
	p := &Provider{o: o.withDefaults(), homes: map[string]*home{}}
	if o.Folder == "" {
		return nil, errors.New("the git cache has no folder: name one")
	}
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the git cache cannot be made: %w", err)
	}
	for _, pattern := range []string{temporary, filepath.Join("*", temporary)} {
		leftovers, err := filepath.Glob(filepath.Join(o.Folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range leftovers {
			if err := os.RemoveAll(path); err != nil {
				return nil, fmt.Errorf("the git cache cannot be cleaned: %w", err)
			}
		}
	}
	if err := p.evict(); err != nil {
		return nil, fmt.Errorf("the git cache cannot be read: %w", err)
	}
	return p, nil
}

// Open opens a repository. It asks the server unless these credentials were accepted lately and there is a copy.
func (p *Provider) Open(ctx context.Context, at commit.Location) (commit.Repository, error) {
	u, err := url.Parse(at.URL)
	if err != nil {
		return nil, errors.New("the repository's address cannot be read: write it as https://host/path")
	}
	r := &repository{p: p, at: at, url: u, home: p.enter(keyOf(at))}
	if err := r.open(ctx); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func (r *repository) open(ctx context.Context) error {
	if told, lately := r.p.trusted(r.home, r.at.Credentials); lately && r.url.Scheme != "file" {
		if err := r.load(ctx, told); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return r.sync(ctx, nil)
}
