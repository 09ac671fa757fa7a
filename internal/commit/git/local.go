package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v6/osfs"
	"github.com/go-git/go-git/v6/plumbing"
	"github.com/go-git/go-git/v6/plumbing/cache"
	format "github.com/go-git/go-git/v6/plumbing/format/config"
	"github.com/go-git/go-git/v6/storage/filesystem"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// local is a repository in a folder of this machine. Its commits are read one by one: there is nothing to send, and so nothing to pack.
type local struct {
	root    *os.Root
	storage *filesystem.Storage
	kept    bool // by trees
}

// local opens a repository below the root. Neither a link nor a name leads out of it.
func (p *Provider) local(path string) (remote, error) {
	if p.o.LocalRoot == "" {
		return nil, refuse(commit.ErrMisconfigured,
			"file:// repositories are not allowed: the administrator can name a folder for them with --local-repositories")
	}
	top, err := filepath.EvalSymlinks(p.o.LocalRoot)
	if err != nil {
		return nil, err
	}
	for _, candidate := range []string{filepath.Join(path, ".git"), path, path + ".git"} {
		folder, err := filepath.EvalSymlinks(candidate)
		if err != nil {
			continue
		}
		if inside, err := filepath.Rel(top, folder); err != nil || !filepath.IsLocal(inside) {
			break
		}
		if root, err := os.OpenRoot(folder); err == nil {
			l, err := openLocal(root)
			if err == nil {
				return l, nil
			}
			_ = root.Close()
			if errors.Is(err, commit.ErrMisconfigured) {
				return nil, err
			}
		}
	}
	return nil, refuse(commit.ErrNoRepository, "no git repository at file://%s below the folder that is allowed", path)
}

func openLocal(root *os.Root) (*local, error) {
	for _, name := range []string{"HEAD", "objects"} {
		if _, err := root.Stat(name); err != nil {
			return nil, err
		}
	}
	fs, err := osfs.FromRoot(root)
	if err != nil {
		return nil, err
	}
	remembered := cache.NewObjectLRU(contentsBytes)
	l := &local{root: root, storage: filesystem.NewStorageWithOptions(fs, remembered, filesystem.Options{KeepDescriptors: true})}
	settings, err := l.storage.Config()
	if err == nil && settings.Extensions.ObjectFormat == format.SHA256 {
		err = errSHA256
	}
	if err != nil {
		_ = l.storage.Close()
		return nil, err
	}
	return l, nil
}

func (l *local) wantable() bool { return false }

func (l *local) close() {
	if !l.kept {
		_ = l.storage.Close()
		_ = l.root.Close()
	}
}

func (l *local) refs(ctx context.Context) ([]ref, error) {
	all, err := l.storage.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("the repository's branches and tags cannot be read: %w", err)
	}
	defer all.Close()
	var refs []ref
	err = all.ForEach(func(one *plumbing.Reference) error {
		name := one.Name().String()
		if one.Type() == plumbing.HashReference && (strings.HasPrefix(name, branches) || strings.HasPrefix(name, tags)) {
			object := id(one.Hash().Bytes())
			refs = append(refs, ref{name: name, object: object, commit: l.peel(object)})
		}
		return ctx.Err()
	})
	slices.SortFunc(refs, func(x, y ref) int { return strings.Compare(x.name, y.name) })
	return refs, err
}

// peel follows annotated tags.
func (l *local) peel(name id) id {
	for range 100 {
		content, err := l.object(plumbing.TagObject, name)
		if err != nil {
			return name
		}
		digits, _, _ := strings.Cut(strings.TrimPrefix(string(content), "object "), "\n")
		target, ok := parseID([]byte(digits))
		if !ok {
			return name
		}
		name = target
	}
	return name
}

func (l *local) object(k plumbing.ObjectType, name id) ([]byte, error) {
	hash, _ := plumbing.FromBytes(name[:])
	found, err := l.storage.EncodedObject(k, hash)
	if err != nil {
		return nil, err
	}
	if as := kind(k); uint64(found.Size()) > as.largest() { //nolint:gosec // not negative
		return nil, as.tooLarge()
	}
	in, err := found.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return io.ReadAll(in)
}

// fetch walks from wants to what is known. A commit that is not there is a cut in the history.
func (l *local) fetch(ctx context.Context, wants, _ []id, in *incoming) error {
	var next []id
	for _, want := range wants {
		next = append(next, l.peel(want))
	}
	var c facts
	for seen := map[id]bool{}; len(next) > 0; {
		name := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[name] || in.known(name) {
			continue
		}
		seen[name] = true
		if err := l.read(ctx, name, &c, in, len(seen)); err != nil {
			return err
		}
		next = append(next, c.parents...)
	}
	return nil
}

// read adds one commit.
func (l *local) read(ctx context.Context, name id, c *facts, in *incoming, number int) error {
	if err := during(ctx, number); err != nil {
		return err
	}
	if number > in.most {
		return fmt.Errorf("%w: the repository has more than %d commits", commit.ErrTooLarge, in.most)
	}
	content, err := l.object(plumbing.CommitObject, name)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		*c = facts{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("commit %s cannot be read: %w", name, err)
	}
	c.read(content)
	in.commits.add(name, *c)
	return nil
}

// trees hands the storage over, to read trees from.
func (l *local) trees() trees {
	l.kept = true
	return localTrees{l}
}

type localTrees struct{ *local }

func (l localTrees) tree(_ context.Context, name id) ([]byte, error) {
	return l.object(plumbing.TreeObject, name)
}

// Close lets go of the repository's files.
func (l localTrees) Close() error {
	return errors.Join(l.storage.Close(), l.root.Close())
}
