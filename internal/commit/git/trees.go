package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// trees reads folders of the repository.
type trees interface {
	// tree is the content of a tree; nil if it is not there.
	tree(ctx context.Context, name id) ([]byte, error)
	io.Closer
}

// entry is what a folder has under a name: its mode and its object. The zero value is nothing.
type entry struct {
	mode string
	id   id
}

const modeFolder = "40000"

// folder finds the entries of one path in many trees, most of which have the same folders on the way to it.
type folder struct {
	trees trees
	path  []string
	known []map[id]entry // for each step of the path, what was found in which tree
}

// rememberedFolders bounds what a folder remembers, for each step of its path.
const rememberedFolders = 100_000

func newFolder(from trees, path string) *folder {
	f := &folder{trees: from, path: strings.Split(path, "/")}
	f.known = make([]map[id]entry, len(f.path))
	return f
}

// in is what a root tree has at the path.
func (f *folder) in(ctx context.Context, root id) (entry, error) {
	at := entry{mode: modeFolder, id: root}
	for step := range f.path {
		if at.mode != modeFolder {
			return entry{}, nil
		}
		var err error
		if at, err = f.step(ctx, step, at.id); err != nil {
			return entry{}, err
		}
	}
	return at, nil
}

func (f *folder) step(ctx context.Context, step int, tree id) (entry, error) {
	if found, ok := f.known[step][tree]; ok {
		return found, nil
	}
	content, err := f.trees.tree(ctx, tree)
	if err != nil {
		return entry{}, err
	}
	found := lookUp(content, f.path[step])
	if f.known[step] == nil || len(f.known[step]) >= rememberedFolders {
		f.known[step] = map[id]entry{}
	}
	f.known[step][tree] = found
	return found, nil
}

// lookUp finds a name in the content of a tree: mode, space, name, a zero byte, and the object's name, again and again.
func lookUp(tree []byte, name string) entry {
	for len(tree) > 0 {
		head, rest, ok := bytes.Cut(tree, []byte{0})
		mode, called, spaced := bytes.Cut(head, []byte{' '})
		if !ok || !spaced || len(rest) < idSize {
			return entry{}
		}
		if string(called) == name {
			return entry{mode: strings.TrimLeft(string(mode), "0"), id: id(rest)}
		}
		tree = rest[idSize:]
	}
	return entry{}
}

// packs reads trees from the packs of a copy.
type packs []*indexed

// indexed is a pack with its index: a file of names and places, sorted by name.
type indexed struct {
	pack
	data, index *os.File
	objects     int64
}

const locatedSize = idSize + 8

func (p packs) tree(ctx context.Context, name id) ([]byte, error) {
	for _, one := range p {
		at := one.find(name)
		if at < 0 {
			continue
		}
		k, content, err := one.object(ctx, at)
		if err != nil {
			return nil, damaged(err)
		}
		if k == kindTree {
			return content, nil
		}
	}
	return nil, fmt.Errorf("the tree %s is not in the copy", name)
}

// Close closes the files.
func (p packs) Close() error {
	for _, one := range p {
		_ = one.data.Close()
		_ = one.index.Close()
	}
	return nil
}

// openPack opens a pack and its index.
func openPack(path string) (*indexed, error) {
	data, err := os.Open(path + ".pack") //nolint:gosec // a path of the cache folder
	if err != nil {
		return nil, err
	}
	index, err := os.Open(path + ".idx") //nolint:gosec // likewise
	if err != nil {
		_ = data.Close()
		return nil, err
	}
	p := &indexed{data: data, index: index}
	p.file, p.at = data, p.find
	info, err := index.Stat()
	if err != nil {
		_ = packs{p}.Close()
		return nil, err
	}
	p.objects = info.Size() / locatedSize
	return p, nil
}

// find looks a name up in the index.
func (p *indexed) find(name id) int64 {
	low, high := int64(0), p.objects
	var record [locatedSize]byte
	for low < high {
		middle := (low + high) / 2
		if _, err := p.index.ReadAt(record[:], middle*locatedSize); err != nil {
			return -1
		}
		switch order := bytes.Compare(record[:idSize], name[:]); {
		case order == 0:
			return int64(endian.Uint64(record[idSize:])) //nolint:gosec // written from an int64
		case order < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return -1
}

// writeIndex writes the index of a pack.
func writeIndex(path string, index []located) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // a path of the cache folder
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	for _, l := range index {
		_, _ = out.Write(l.name[:])
		_, _ = out.Write(endian.AppendUint64(out.AvailableBuffer(), uint64(l.at))) //nolint:gosec // not negative
	}
	return errors.Join(out.Flush(), file.Close())
}
