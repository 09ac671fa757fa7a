package git

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// written is a pack that is made by hand.
type written struct {
	bytes.Buffer
	at []int64 // where each object begins
}

// add writes an object; one of kindOffsetDelta is a difference to the object before it.
func (w *written) add(k kind, content []byte) {
	last := int64(0)
	if len(w.at) > 0 {
		last = w.at[len(w.at)-1]
	}
	w.at = append(w.at, int64(12+w.Len()))
	head, size := byte(k)<<4|byte(len(content)&15), len(content)>>4
	for ; size > 0; size >>= 7 {
		w.WriteByte(head | 0x80)
		head = byte(size & 0x7f)
	}
	w.WriteByte(head)
	if k == kindOffsetDelta {
		w.Write(distance(w.at[len(w.at)-1] - last))
	}
	z := zlib.NewWriter(&w.Buffer)
	_, _ = z.Write(content)
	_ = z.Close()
}

// distance is how a pack writes the way to a base: 7 bits a byte, the highest first, each but the last one less.
func distance(n int64) []byte {
	out := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		out = append([]byte{0x80 | byte(n&0x7f)}, out...)
	}
	return out
}

// pack is the whole pack. Nobody looks at the sum at its end.
func (w *written) pack() []byte {
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(w.at)))
	return append(append(head, w.Bytes()...), make([]byte, idSize)...)
}

// clumsy is a difference that takes three bytes for each byte that it makes: copy one byte from the beginning.
func clumsy(base, size int) []byte {
	sizes := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(base)), uint64(size))
	return append(sizes, bytes.Repeat([]byte{0x91, 0, 1}, size)...)
}

// again is a difference of a few bytes that makes the base once more: copy 64 KiB from each multiple of 64 KiB.
func again(size int) []byte {
	delta := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(size)), uint64(size))
	for from := 0; from < size; from += 1 << 16 {
		delta = append(delta, 0x84, byte(from>>16)) // no size stands for 64 KiB
	}
	return delta
}

func unpacked(t *testing.T, pack []byte, trees bool) (*unpacking, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "pack"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	u := newUnpacking(bytes.NewReader(pack), file, &gathering{withTrees: trees}, 1000)
	err = u.run(t.Context())
	return u, err
}

// allocated is how many bytes of memory a function asks for, those that it lets go of again among them.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestALongChainOfDifferencesIsNotHeldInMemory(t *testing.T) {
	const depth, size = 40, 5 << 20
	var w written
	w.add(kindTree, make([]byte, size))
	for range depth {
		w.add(kindOffsetDelta, clumsy(size, size))
	}
	p := pack{file: bytes.NewReader(w.pack())}
	var err error
	took := allocated(func() { _, _, err = p.object(t.Context(), w.at[depth]) })
	if !errors.Is(err, commit.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, commit.ErrTooLarge)
	}
	if took > 100<<20 {
		t.Errorf("it took %d MiB of memory", took>>20)
	}
}

// Each of a chain is made from the one before it, and not from the beginning of the chain.
func TestAChainOfLargeFoldersTakesLinearTime(t *testing.T) {
	const depth, size = 60, 2 << 20
	var w written
	w.add(kindTree, make([]byte, size))
	for range depth {
		w.add(kindOffsetDelta, again(size))
	}
	pack := w.pack()
	var u *unpacking
	var err error
	took := allocated(func() { u, err = unpacked(t, pack, true) })
	if err != nil || len(u.index) != depth+1 {
		t.Fatalf("%d folders and %v, want %d", len(u.index), err, depth+1)
	}
	if most := uint64(10 * depth * size); took > most {
		t.Errorf("it took %d MiB of memory, want at most %d", took>>20, most>>20)
	}
}

func TestACommitHasABoundOfItsOwn(t *testing.T) {
	base := bytes.Repeat([]byte("x"), 1<<16)
	for name, add := range map[string]func(*written){
		"as it is": func(w *written) { w.add(kindCommit, make([]byte, largestCommit+1)) },
		"as a difference": func(w *written) {
			w.add(kindCommit, base)
			w.add(kindOffsetDelta, append([]byte{0x80, 0x80, 0x04, 0x81, 0x80, 0x40}, bytes.Repeat([]byte{0x80}, 17)...)) // 1 MiB and a byte
		},
		"by a difference that is long itself": func(w *written) {
			w.add(kindCommit, base)
			w.add(kindOffsetDelta, clumsy(len(base), largestCommit/3+1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w written
			add(&w)
			if _, err := unpacked(t, w.pack(), false); !errors.Is(err, commit.ErrTooLarge) {
				t.Errorf("got %v, want %v", err, commit.ErrTooLarge)
			}
		})
	}
}

func TestDifferencesAreAppliedNoLongerThanTheContextLasts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := patchAll(ctx, kindTree, make([]byte, 1<<16), [][]byte{again(1 << 16)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
