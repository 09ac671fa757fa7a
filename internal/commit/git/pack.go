package git

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // the names of git's objects
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-git/go-git/v6/plumbing/format/packfile"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// kind is the kind of an object, as a pack numbers them.
type kind byte

const (
	kindCommit      kind = 1
	kindTree        kind = 2
	kindOffsetDelta kind = 6
	kindNamedDelta  kind = 7
)

var kindNames = map[kind]string{kindCommit: "commit", kindTree: "tree"}

const (
	// largestTree bounds a tree. Real ones are far smaller: 16 MiB is a folder of some 300,000 files.
	largestTree = 16 << 20
	// largestCommit bounds a commit. What makes one long is its message, and nobody writes a book into that.
	largestCommit = 1 << 20
	// largestChain bounds the deltas that are held at once to make one object, together.
	largestChain = 2 * largestTree
	// deepestDelta bounds how many deltas make one object; git itself makes no more than 4095.
	deepestDelta = 4095
)

var (
	errBadPack    = errors.New("the server sent a damaged pack")
	errLargeChain = fmt.Errorf("%w: the differences that make a commit or a folder take more than %d MiB", commit.ErrTooLarge, largestChain>>20)
)

// largest is how long an object of that kind may be.
func (k kind) largest() uint64 {
	if k == kindCommit {
		return largestCommit
	}
	return largestTree // of a delta it is not known yet what it makes
}

func (k kind) tooLarge() error {
	what := "folder"
	if k == kindCommit {
		what = "commit"
	}
	return fmt.Errorf("%w: a %s of more than %d MiB", commit.ErrTooLarge, what, k.largest()>>20)
}

// source is where a pack is read from, byte for byte.
type source interface {
	io.Reader
	io.ByteReader
}

// header is what stands before the content of an object in a pack.
type header struct {
	kind   kind
	size   uint64
	offset int64 // of the base, before this object, if kind is kindOffsetDelta
	base   id    // if kind is kindNamedDelta
}

func readHeader(in source) (header, error) {
	b, err := in.ReadByte()
	if err != nil {
		return header{}, err
	}
	h := header{kind: kind(b >> 4 & 7), size: uint64(b & 15)}
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = in.ReadByte(); err != nil || shift > 56 {
			return h, errors.Join(errBadPack, err)
		}
		h.size |= uint64(b&0x7f) << shift
	}
	if h.kind == kindOffsetDelta {
		h.offset, err = readOffset(in)
	}
	if h.kind == kindNamedDelta {
		_, err = io.ReadFull(in, h.base[:])
	}
	return h, err
}

func readOffset(in source) (int64, error) {
	b, err := in.ReadByte()
	offset := int64(b & 0x7f)
	for err == nil && b&0x80 != 0 {
		if offset > 1<<48 {
			return 0, errBadPack
		}
		b, err = in.ReadByte()
		offset = (offset+1)<<7 | int64(b&0x7f)
	}
	return offset, err
}

// inflater inflates one object after the other with the same buffers.
type inflater struct{ z io.ReadCloser }

// open begins with the next object of in.
func (i *inflater) open(in source) (err error) {
	if i.z == nil {
		i.z, err = zlib.NewReader(in)
		return err
	}
	return i.z.(zlib.Resetter).Reset(in, nil) //nolint:forcetypeassert // zlib documents that its readers are Resetters
}

// inflate reads an object of that size, or the delta that makes one of that kind.
func (i *inflater) inflate(in source, k kind, size uint64) ([]byte, error) {
	if size > k.largest() {
		return nil, k.tooLarge()
	}
	if err := i.open(in); err != nil {
		return nil, err
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(i.z, content); err != nil {
		return nil, err
	}
	return content, i.end()
}

// skip reads an object of that size and lets it go.
func (i *inflater) skip(in source, size uint64) error {
	if err := i.open(in); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(i.z, int64(min(size, 1<<62)))); err != nil || uint64(n) != size { //nolint:gosec // bounded
		return errors.Join(errBadPack, err)
	}
	return i.end()
}

// end reads to the end of the object, which checks its sum.
func (i *inflater) end() error {
	var more [1]byte
	if n, err := i.z.Read(more[:]); n != 0 || !errors.Is(err, io.EOF) {
		return errors.Join(errBadPack, err)
	}
	return nil
}

// patch makes an object of that kind from its base. The sizes that the delta states are looked at first, since a few bytes can ask for
// gigabytes.
func patch(k kind, base, delta []byte) ([]byte, error) {
	in := bytes.NewReader(delta)
	if _, err := readSize(in); err != nil {
		return nil, err
	}
	size, err := readSize(in)
	if err != nil {
		return nil, err
	}
	if size > k.largest() {
		return nil, k.tooLarge()
	}
	return packfile.PatchDelta(base, delta)
}

func readSize(in io.ByteReader) (size uint64, err error) {
	for shift := 0; shift < 63; shift += 7 {
		b, err := in.ReadByte()
		if err != nil {
			return 0, errBadPack
		}
		size |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return size, nil
		}
	}
	return 0, errBadPack
}

func nameOf(k kind, content []byte) id {
	h := sha1.New() //nolint:gosec // the names of git's objects
	_, _ = h.Write(strconv.AppendInt([]byte(kindNames[k]+" "), int64(len(content)), 10))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(content)
	return id(h.Sum(nil))
}

// pack reads single objects of a pack in a file.
type pack struct {
	file io.ReaderAt
	// at finds an object by its name; negative if it is not there.
	at       func(id) int64
	recent   contents
	inflater inflater
}

// object is what stands at that place in the file: its kind and its content, deltas applied.
func (p *pack) object(ctx context.Context, at int64) (kind, []byte, error) {
	var deltas [][]byte
	wanted, held := at, 0
	for {
		k, content, base, err := p.stored(ctx, at)
		if err != nil {
			return 0, nil, err
		}
		if k != kindOffsetDelta && k != kindNamedDelta {
			if content, err = patchAll(ctx, k, content, deltas); err == nil {
				p.recent.put(wanted, k, content)
			}
			return k, content, err
		}
		if base < 0 || len(deltas) >= deepestDelta {
			return 0, nil, errBadPack
		}
		if held += len(content); held > largestChain {
			return 0, nil, errLargeChain
		}
		deltas, at = append(deltas, content), base
	}
}

// patchAll applies deltas, the last one first. Each may copy megabytes, so the context is looked at each time.
func patchAll(ctx context.Context, k kind, content []byte, deltas [][]byte) (_ []byte, err error) {
	for n := len(deltas) - 1; n >= 0; n-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if content, err = patch(k, content, deltas[n]); err != nil {
			return nil, err
		}
		deltas[n] = nil
	}
	return content, nil
}

// stored is an object as the file has it, or as it is remembered: perhaps a delta, and then base is where its base is.
func (p *pack) stored(ctx context.Context, at int64) (_ kind, _ []byte, base int64, err error) {
	if k, content, ok := p.recent.get(at); ok {
		return k, content, 0, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, nil, 0, err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(p.file, at, 1<<62), 1024)
	h, err := readHeader(in)
	if err != nil {
		return 0, nil, 0, err
	}
	if h.kind != kindOffsetDelta && h.kind != kindNamedDelta && kindNames[h.kind] == "" {
		return h.kind, nil, 0, nil // of a blob or a tag only its kind is of interest
	}
	content, err := p.inflater.inflate(in, h.kind, h.size)
	return h.kind, content, p.base(h, at), err
}

// base is where the base of a delta is, negative if that cannot be told. It stands before the delta or has another name.
func (p *pack) base(h header, at int64) int64 {
	switch {
	case h.kind == kindOffsetDelta && h.offset > 0 && h.offset < at:
		return at - h.offset
	case h.kind == kindNamedDelta:
		return p.at(h.base)
	}
	return -1
}

// contents remembers the objects that were read last, up to a few megabytes, and the very last however large: it is the base of the next
// in a chain, which would have to be made from its beginning otherwise.
type contents struct {
	kept map[int64]content
	old  []int64
	size int
}

type content struct {
	kind kind
	data []byte
}

const contentsBytes = 4 << 20

func (c *contents) get(at int64) (kind, []byte, bool) {
	found, ok := c.kept[at]
	return found.kind, found.data, ok
}

func (c *contents) put(at int64, k kind, data []byte) {
	if c.kept == nil {
		c.kept = map[int64]content{}
	}
	if _, ok := c.kept[at]; ok {
		return
	}
	c.kept[at] = content{k, data}
	c.old = append(c.old, at)
	c.size += len(data)
	for c.size > contentsBytes && len(c.old) > 1 {
		c.size -= len(c.kept[c.old[0]].data)
		delete(c.kept, c.old[0])
		c.old = c.old[1:]
	}
}
