package git

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// temporary begins the names of files and folders that are not finished. New removes them.
const temporary = "tmp-*"

// home is what the process knows of one copy.
type home struct {
	key  string
	lock chan struct{} // holds one token; whoever has it may change the copy
	// The rest is guarded by the provider's mutex.
	users   int
	asked   time.Time            // when the server told its branches and tags
	trusted map[string]trust     // by the fingerprint of credentials
	missed  map[string]time.Time // until when, by the fingerprint of credentials and what was not there for them
}

// treesEnd ends the name of a copy that has trees.
const treesEnd = "-trees"

// keyOf names the folder of a copy: one for each repository, and another if trees are kept. Credentials are no part of it.
func keyOf(at commit.Location) string {
	sum := sha256.Sum256([]byte(at.URL))
	if at.WholeTrees {
		return hex.EncodeToString(sum[:16]) + treesEnd
	}
	return hex.EncodeToString(sum[:16])
}

func (p *Provider) folder(key string) string { return filepath.Join(p.o.Folder, key) }

// enter marks a copy as in use.
func (p *Provider) enter(key string) *home {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.homes[key]
	if h == nil {
		h = &home{key: key, lock: make(chan struct{}, 1), trusted: map[string]trust{}, missed: map[string]time.Time{}}
		p.homes[key] = h
	}
	h.users++
	return h
}

// leave is the opposite of enter. Copies that nobody uses and of which nothing is remembered are forgotten.
func (p *Provider) leave(h *home) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.users--
	expire(h.trusted, p.o.Now(), func(t trust) time.Time { return t.until })
	expire(h.missed, p.o.Now(), func(until time.Time) time.Time { return until })
	if h.users == 0 && len(h.trusted) == 0 && len(h.missed) == 0 {
		delete(p.homes, h.key)
	}
}

// expire removes what is over, and everything if there is very much of it.
func expire[V any](all map[string]V, now time.Time, until func(V) time.Time) {
	for key, value := range all {
		if !now.Before(until(value)) || len(all) > 10_000 {
			delete(all, key)
		}
	}
}

// acquire waits until the copy is this goroutine's alone.
func (h *home) acquire(ctx context.Context) error {
	select {
	case h.lock <- struct{}{}:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *home) release() { <-h.lock }

// trust is that a server told branches and tags to somebody.
type trust struct {
	until time.Time
	told  [sha256.Size]byte // the digest of them
}

// trusted is the digest of what the server told these credentials a short while ago. Some servers show each one other branches, so that it
// accepted them does not mean that they may see what somebody else was told.
func (p *Provider) trusted(h *home, c commit.Credentials) (told [sha256.Size]byte, lately bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	given := h.trusted[c.Fingerprint()]
	return given.told, p.o.Now().Before(given.until)
}

// digest is the same for the same branches and tags.
func digest(refs []ref) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, r := range refs {
		_, _ = h.Write(r.object[:])
		_, _ = h.Write(r.commit[:])
		_, _ = io.WriteString(h, r.name+"\x00") // no name has that in it
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// told remembers which branches and tags the server told to somebody with these credentials.
func (p *Provider) told(h *home, c commit.Credentials, refs []ref) {
	sum := digest(refs)
	p.mu.Lock()
	defer p.mu.Unlock()
	h.asked = p.o.Now()
	h.trusted[c.Fingerprint()] = trust{until: h.asked.Add(p.o.TrustFor), told: sum}
}

// distrust forgets what the server told to somebody.
func (p *Provider) distrust(h *home, c commit.Credentials) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(h.trusted, c.Fingerprint())
}

func (p *Provider) outdated(h *home) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Now().Sub(h.asked) > p.o.RefetchAfter
}

// missedLately tells whether the server was asked for something a short while ago, with the same credentials, and did not show it.
func (r *repository) missedLately(what string) bool {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.o.Now().Before(r.home.missed[r.at.Credentials.Fingerprint()+what])
}

func (r *repository) miss(what string) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.home.missed[r.at.Credentials.Fingerprint()+what] = r.p.o.Now().Add(r.p.o.MissFor)
}

// copied is a copy on disk.
type copied struct {
	key  string
	size int64
	used time.Time
}

// evict removes the copies that were not asked about for the longest time until the rest is within bounds.
func (p *Provider) evict() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	copies, size, err := p.copies()
	if err != nil {
		return err
	}
	slices.SortFunc(copies, func(x, y copied) int { return cmp.Or(x.used.Compare(y.used), cmp.Compare(x.key, y.key)) })
	for _, c := range copies {
		if size <= p.o.MaxBytes {
			break
		}
		if h := p.homes[c.key]; h != nil && h.users > 0 {
			continue
		}
		if err := os.RemoveAll(p.folder(c.key)); err != nil {
			return err
		}
		size -= c.size
	}
	return nil
}

func (p *Provider) copies() (copies []copied, size int64, err error) {
	folders, err := os.ReadDir(p.o.Folder)
	for _, folder := range folders {
		if unfinished, _ := filepath.Match(temporary, folder.Name()); unfinished {
			continue // somebody fetches
		}
		c := copied{key: folder.Name()}
		files, err := os.ReadDir(p.folder(c.key))
		if err != nil {
			continue // no folder, or gone by now
		}
		for _, file := range files {
			info, err := file.Info()
			if err != nil {
				continue // gone by now
			}
			c.size += info.Size()
			if file.Name() == snapshotFile {
				c.used = info.ModTime()
			}
		}
		copies, size = append(copies, c), size+c.size
	}
	return copies, size, err
}

// touch notes that a copy was asked about.
func (p *Provider) touch(key string) {
	now := p.o.Now()
	_ = os.Chtimes(filepath.Join(p.folder(key), snapshotFile), now, now)
}

// kept reads the copy on disk: a new one if there is none. A damaged one is thrown away.
func (p *Provider) kept(key string) (*snapshot, packs, error) {
	folder := p.folder(key)
	s, err := readSnapshot(folder)
	var opened packs
	if err == nil {
		opened, err = openPacks(folder, s.packs)
	}
	if err == nil {
		return s, opened, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || s != nil {
		if err := os.RemoveAll(folder); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}
