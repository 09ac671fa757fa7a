package git

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// unpacking reads a pack while it arrives: it collects the commits, and, if trees are kept, where in the file each commit and tree is. The
// file gets all that is read, since the base of a delta may have to be read again.
type unpacking struct {
	pack
	in       *counting
	commits  *gathering
	most     int // commits and trees
	offsets  []int64
	kinds    []kind // of the object at the same place in offsets; 0 is not known yet
	index    []located
	names    map[id]int64 // of index, once a delta calls its base by its name; most servers never do
	later    []int64      // deltas whose base comes later, or is not kept
	inflated inflater
	facts    facts
}

// located says where in a pack an object is.
type located struct {
	name id
	at   int64
}

// counting is a buffered reader that knows how far it has read.
type counting struct {
	*bufio.Reader
	at int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.at += int64(n)
	return n, err
}

func (c *counting) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.at++
	}
	return b, err
}

// mostObjects bounds the objects of a pack, those that are not kept among them: each takes a few bytes of memory.
const mostObjects = 10_000_000

// mostParents bounds how many parents commits have on average. With merges of two it is less than 2.
const mostParents = 4

func newUnpacking(from io.Reader, file *os.File, commits *gathering, most int) *unpacking {
	u := &unpacking{
		in:      &counting{Reader: bufio.NewReaderSize(io.TeeReader(from, file), 64<<10)},
		commits: commits, most: most,
	}
	u.file, u.at = file, u.find
	return u
}

// keeps tells whether objects of that kind are wanted.
func (u *unpacking) keeps(k kind) bool {
	return k == kindCommit || k == kindTree && u.commits.withTrees
}

// run reads the whole pack. Each object carries a checksum of its own, so that of the whole is not looked at.
func (u *unpacking) run(ctx context.Context) error {
	var start [12]byte
	if _, err := io.ReadFull(u.in, start[:]); err != nil || string(start[:8]) != "PACK\x00\x00\x00\x02" {
		return fmt.Errorf("%w: %w", errBadPack, errors.Join(errors.New("it does not begin as a pack of version 2 does"), err))
	}
	objects := binary.BigEndian.Uint32(start[8:])
	if objects > mostObjects {
		return fmt.Errorf("%w: the repository has more than %d objects", commit.ErrTooLarge, mostObjects)
	}
	room := int(min(objects, 1<<18)) // as much as is sure to be bearable: the server says how many there are, and need not send them
	u.offsets, u.kinds, u.index = make([]int64, 0, room), make([]kind, 0, room), make([]located, 0, room)
	for range objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := u.next(ctx); err != nil {
			return damaged(err)
		}
	}
	if err := u.rest(ctx); err != nil {
		return damaged(err)
	}
	if n, err := io.Copy(io.Discard, u.in); err != nil || n != idSize {
		return damaged(errors.Join(errors.New("it has no end"), err))
	}
	return nil
}

// damaged says that a pack is, unless the error has a meaning of its own.
func damaged(err error) error {
	for _, known := range []error{commit.ErrTooLarge, errBadPack, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errBadPack, err)
}

// next reads one object.
func (u *unpacking) next(ctx context.Context) error {
	at := u.in.at
	h, err := readHeader(u.in)
	if err != nil {
		return err
	}
	u.offsets, u.kinds = append(u.offsets, at), append(u.kinds, 0)
	if h.kind == kindOffsetDelta || h.kind == kindNamedDelta {
		return u.delta(ctx, at, h)
	}
	u.kinds[len(u.kinds)-1] = h.kind
	if !u.keeps(h.kind) {
		return u.inflated.skip(u.in, h.size)
	}
	content, err := u.inflated.inflate(u.in, h.kind, h.size)
	if err != nil {
		return err
	}
	return u.keep(at, h.kind, content)
}

// delta reads an object that is told by its difference to another.
func (u *unpacking) delta(ctx context.Context, at int64, h header) error {
	base, last := u.base(h, at), len(u.kinds)-1
	if base < 0 && h.kind == kindOffsetDelta {
		return errBadPack
	}
	known := u.kindAt(base)
	if known == 0 {
		u.later = append(u.later, at)
		return u.inflated.skip(u.in, h.size)
	}
	u.kinds[last] = known
	if !u.keeps(known) {
		return u.inflated.skip(u.in, h.size)
	}
	difference, err := u.inflated.inflate(u.in, known, h.size)
	if err != nil {
		return err
	}
	_, content, err := u.object(ctx, base)
	if err != nil {
		return err
	}
	if content, err = patch(known, content, difference); err != nil {
		return err
	}
	return u.keep(at, known, content)
}

func (u *unpacking) kindAt(offset int64) kind {
	if n, ok := slices.BinarySearch(u.offsets, offset); ok {
		return u.kinds[n]
	}
	return 0
}

func (u *unpacking) keep(at int64, k kind, content []byte) error {
	if len(u.index) >= u.most {
		return fmt.Errorf("%w: the repository has more than %d commits and folders", commit.ErrTooLarge, u.most)
	}
	u.recent.put(at, k, content)
	name := nameOf(k, content)
	u.index = append(u.index, located{name, at})
	if u.names != nil {
		u.names[name] = at
	}
	if k == kindCommit {
		u.facts.read(content)
		u.commits.add(name, u.facts)
	}
	if len(u.commits.parents) > mostParents*u.most*idSize {
		return fmt.Errorf("%w: the repository's commits have more than %d parents", commit.ErrTooLarge, mostParents*u.most)
	}
	return nil
}

// rest resolves the deltas whose bases come after them, as often as that makes more bases known. Servers that cannot leave files out, and
// name bases instead of telling their places, send differences to what is not kept and has no name here: those stay in later, and whether
// anything is missing shows in the commits.
func (u *unpacking) rest(ctx context.Context) error {
	for waiting := u.later; len(waiting) > 0; waiting = u.later {
		u.later = nil
		for _, at := range waiting {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := u.again(ctx, at); err != nil {
				return err
			}
		}
		if len(u.later) == len(waiting) {
			return nil
		}
	}
	return nil
}

func (u *unpacking) again(ctx context.Context, at int64) error {
	h, err := readHeader(bufio.NewReaderSize(io.NewSectionReader(u.file, at, 64), 64))
	if err != nil {
		return err
	}
	known := u.kindAt(u.base(h, at))
	if known == 0 {
		u.later = append(u.later, at)
		return nil
	}
	n, _ := slices.BinarySearch(u.offsets, at)
	u.kinds[n] = known
	if !u.keeps(known) {
		return nil
	}
	_, content, err := u.object(ctx, at)
	if err != nil {
		return err
	}
	return u.keep(at, known, content)
}

// sort brings the index into the order of names.
func (u *unpacking) sort() {
	slices.SortFunc(u.index, func(x, y located) int { return bytes.Compare(x.name[:], y.name[:]) })
}

// find is where an object is that was kept.
func (u *unpacking) find(name id) int64 {
	if u.names == nil {
		u.names = map[id]int64{}
		for _, l := range u.index {
			u.names[l.name] = l.at
		}
	}
	if at, ok := u.names[name]; ok {
		return at
	}
	return -1
}
