package git

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// snapshot is a repository as it was when its server was asked last.
type snapshot struct {
	refs  []ref // branches and tags, sorted by name
	packs []uint32
	graph *graph
}

// ref is a branch or a tag.
type ref struct {
	name   string
	object id // what the server says it is; of an annotated tag the tag
	commit id // what it leads to in the end
}

const (
	branches = "refs/heads/"
	tags     = "refs/tags/"
)

func (s *snapshot) tag(name string) (id, bool) {
	n, ok := slices.BinarySearchFunc(s.refs, tags+name, func(r ref, name string) int { return strings.Compare(r.name, name) })
	if !ok {
		return id{}, false
	}
	return s.refs[n].commit, true
}

// tips are the commits that branches and tags lead to. A tag may lead to something else, which is no tip.
func (s *snapshot) tips() []int32 {
	var found []int32
	for _, r := range s.refs {
		if n := s.graph.find(r.commit); n != missing {
			found = append(found, n)
		}
	}
	return found
}

// magic begins the file of a snapshot. Its number changes with the format.
const magic = "dora-controller git 1\n"

var (
	errDamaged = errors.New("the copy is damaged")
	endian     = binary.LittleEndian
)

const snapshotFile = "snapshot"

// writeSnapshot replaces the snapshot of a folder in one step.
func writeSnapshot(folder string, s *snapshot) error {
	file, err := os.CreateTemp(folder, temporary)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // nothing, if it was renamed
	sum := crc32.NewIEEE()
	out := bufio.NewWriterSize(io.MultiWriter(file, sum), 64<<10)
	s.write(out)
	if err = out.Flush(); err == nil {
		err = binary.Write(file, endian, sum.Sum32())
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), filepath.Join(folder, snapshotFile))
}

// write writes everything but the checksum. An error stays in out.
func (s *snapshot) write(out *bufio.Writer) {
	put := func(v any) { _ = binary.Write(out, endian, v) }
	g := s.graph
	_, _ = out.WriteString(magic)
	for _, n := range []int{len(s.refs), len(s.packs), g.len(), len(g.trees), len(g.parents)} {
		put(uint64(n)) //nolint:gosec // a length is not negative
	}
	for _, r := range s.refs {
		put(uint64(len(r.name)))
		_, _ = out.WriteString(r.name)
		_, _ = out.Write(r.object[:])
		_, _ = out.Write(r.commit[:])
	}
	put(s.packs)
	_, _ = out.Write(g.ids)
	_, _ = out.Write(g.trees)
	put(g.committed)
	put(g.authored)
	put(g.first)
	put(g.parents)
}

// readSnapshot reads what writeSnapshot wrote. It fails with fs.ErrNotExist if there is none, and otherwise with errDamaged.
func readSnapshot(folder string) (*snapshot, error) {
	file, err := os.Open(filepath.Join(folder, snapshotFile)) //nolint:gosec // a path of the cache folder
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	in := &reading{size: uint64(info.Size())} //nolint:gosec // not negative
	in.from = io.TeeReader(bufio.NewReaderSize(file, 64<<10), &in.sum)
	s := in.snapshot()
	sum := in.sum.value
	var stored uint32
	in.get(&stored)
	if more, _ := in.from.Read(make([]byte, 1)); in.err != nil || stored != sum || more > 0 {
		return nil, fmt.Errorf("%w: %w", errDamaged, errors.Join(errors.New("its sum is wrong"), in.err))
	}
	return s, nil
}

// checksum is a CRC-32 of what was written to it.
type checksum struct{ value uint32 }

func (c *checksum) Write(p []byte) (int, error) {
	c.value = crc32.Update(c.value, crc32.IEEETable, p)
	return len(p), nil
}

// reading reads a snapshot. It asks for no more memory than the file has bytes, whatever the file says.
type reading struct {
	from io.Reader
	sum  checksum
	size uint64
	err  error
}

func (r *reading) get(v any) {
	if r.err == nil {
		r.err = binary.Read(r.from, endian, v)
	}
}

// sized is how many things to make room for; none if they cannot be in the file.
func (r *reading) sized(n, each uint64) uint64 {
	if r.err == nil && n > r.size/each {
		r.err = errDamaged
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *reading) bytes(n uint64) []byte {
	b := make([]byte, r.sized(n, 1))
	r.get(b)
	return b
}

func (r *reading) snapshot() *snapshot {
	if string(r.bytes(uint64(len(magic)))) != magic {
		r.err = errors.Join(errDamaged, r.err)
	}
	var size [5]uint64
	r.get(&size)
	s := &snapshot{refs: make([]ref, r.sized(size[0], 2*idSize)), packs: make([]uint32, r.sized(size[1], 4))}
	for n := range s.refs {
		s.refs[n] = r.ref()
	}
	r.get(s.packs)
	s.graph = r.graph(r.sized(size[2], idSize), size[3], size[4])
	return s
}

func (r *reading) ref() ref {
	var n uint64
	r.get(&n)
	one := ref{name: string(r.bytes(n))}
	r.get(&one.object)
	r.get(&one.commit)
	return one
}

func (r *reading) graph(commits, trees, parents uint64) *graph {
	g := &graph{
		ids: r.bytes(commits * idSize), trees: r.bytes(trees),
		committed: make([]int64, commits), authored: make([]int64, commits), first: make([]uint32, commits+1),
		parents: make([]int32, r.sized(parents, 4)),
	}
	r.get(g.committed)
	r.get(g.authored)
	r.get(g.first)
	r.get(g.parents)
	return g
}
