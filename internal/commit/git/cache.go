package git

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	trusted map[string]time.Time // until when, by the fingerprint of credentials
	missed  map[string]time.Time // until when, by what was not there
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
		h = &home{key: key, lock: make(chan struct{}, 1), trusted: map[string]time.Time{}, missed: map[string]time.Time{}}
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
	p.expire(h.trusted)
	p.expire(h.missed)
	if h.users == 0 && len(h.trusted) == 0 && len(h.missed) == 0 {
		delete(p.homes, h.key)
	}
}

// expire removes what is over, and everything if there is very much of it.
func (p *Provider) expire(until map[string]time.Time) {
	now := p.o.Now()
	for key, end := range until {
		if !now.Before(end) || len(until) > 10_000 {
			delete(until, key)
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

func (p *Provider) trusts(h *home, c commit.Credentials) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Now().Before(h.trusted[c.Fingerprint()])
}

// told remembers that the server told its branches and tags to somebody with these credentials, or refused to.
func (p *Provider) told(h *home, c commit.Credentials, accepted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !accepted {
		delete(h.trusted, c.Fingerprint())
		return
	}
	h.asked = p.o.Now()
	h.trusted[c.Fingerprint()] = h.asked.Add(p.o.TrustFor)
}

func (p *Provider) outdated(h *home) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Now().Sub(h.asked) > p.o.RefetchAfter
}

// missedLately tells whether the server was asked for something a short while ago, and did not have it.
func (p *Provider) missedLately(h *home, what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Now().Before(h.missed[what])
}

func (p *Provider) miss(h *home, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.missed[what] = p.o.Now().Add(p.o.MissFor)
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
