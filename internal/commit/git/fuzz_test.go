package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-git/go-git/v6/plumbing"
	"github.com/go-git/go-git/v6/plumbing/filemode"
	"github.com/go-git/go-git/v6/plumbing/object"
	"github.com/go-git/go-git/v6/plumbing/protocol/packp"
)

// A pack is what a server says it is: whatever it holds, reading it ends without a panic, and what was kept can be read again. The packs in
// testdata are git's own, of one small repository: with the bases of differences told by their places, and by their names.
func FuzzUnpack(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.pack")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no packs to begin from: %v", err)
	}
	for _, path := range seeds {
		seed, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	file, err := os.Create(filepath.Join(f.TempDir(), "pack"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = file.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := file.Seek(0, 0)
		if err = errors.Join(err, file.Truncate(0)); err != nil {
			t.Fatal(err)
		}
		commits := &gathering{withTrees: true}
		u := newUnpacking(bytes.NewReader(data), file, commits, 1000)
		if u.run(t.Context()) != nil {
			return
		}
		for _, one := range u.index {
			k, content, err := u.object(t.Context(), one.at)
			if err != nil || nameOf(k, content) != one.name {
				t.Errorf("%s at %d: %v", one.name, one.at, err)
			}
		}
		g := commits.graph()
		for n := range int32(g.len()) {
			if g.find(g.id(n)) != n {
				t.Errorf("%s is not found", g.id(n))
			}
		}
	})
}

// A snapshot that reads without an error can be written and read again.
func FuzzSnapshot(f *testing.F) {
	folder := f.TempDir()
	path := filepath.Join(folder, snapshotFile)
	commits := gathering{withTrees: true}
	commits.add(id{1}, facts{committed: 7})
	commits.add(id{2}, facts{parents: []id{{1}, {9}}, authored: 8})
	if err := writeSnapshot(folder, &snapshot{refs: []ref{{name: tags + "v1", commit: id{2}}}, packs: []uint32{3}, graph: commits.graph()}); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(magic)+40])
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSnapshot(folder)
		if err != nil {
			return
		}
		if err := writeSnapshot(folder, s); err != nil {
			t.Fatal(err)
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, data) {
			t.Errorf("written again it differs: %v", err)
		}
	})
}

// What a server says first comes through the same however it arrives, tells no capability that is not understood, and go-git can read it or says
// that it cannot.
func FuzzAdvertised(f *testing.F) {
	pkt := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	const sha = "4f5e6d7000000000000000000000000000000000"
	first := pkt(sha + " HEAD\x00multi_ack thin-pack side-band-64k ofs-delta shallow filter symref=HEAD:refs/heads/main object-format=sha1 agent=git/2.39\n")
	f.Add([]byte(pkt("# service=git-upload-pack\n") + "0000" + first + pkt(sha+" refs/tags/v1\n") + pkt(sha+" refs/tags/v1^{}\n") + "0000"))
	f.Add([]byte(pkt(sha+" refs/heads/main\x00object-format=sha256") + "0000"))
	f.Add([]byte(pkt(strings.Repeat("0", 40)+" capabilities^{}\x00filter") + "0000"))
	f.Add([]byte("0001000200030004ffff" + sha + "\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, err := io.ReadAll(advertisedBy(bytes.NewReader(data)))
		apart, errApart := io.ReadAll(advertisedBy(iotest.OneByteReader(bytes.NewReader(data))))
		if !bytes.Equal(whole, apart) || (err == nil) != (errApart == nil) {
			t.Errorf("%q, %v byte by byte, and at once %q, %v", apart, errApart, whole, err)
		}
		if len(whole) > len(data)+1 {
			t.Errorf("%d bytes became %d", len(data), len(whole))
		}
		kept, err := only(data)
		for word := range strings.FieldsSeq(string(kept)) {
			if err == nil && !slices.Contains(understood, word) {
				t.Errorf("%q is not understood", word)
			}
		}
		_ = new(packp.AdvRefs).Decode(advertisedBy(bytes.NewReader(data))) // that it ends is enough
	})
}

// Commits and folders that go-git writes are read as what it wrote, under the names that it gives them.
func FuzzObjects(f *testing.F) {
	f.Add("Ada <> Lovelace", int64(1_772_366_400), int64(1_772_366_399), uint8(2), "A message\n\nparent 00\ncommitter x <y> 1 +0000\n", "app lib README.md")
	f.Add("", int64(0), int64(253_402_300_800), uint8(0), "", "")
	f.Add("é\x00", int64(-1), int64(1), uint8(17), "tree 00", ". .. a a/b \x00")
	f.Fuzz(func(t *testing.T, who string, committed, authored int64, parents uint8, message, names string) {
		who = strings.Map(func(r rune) rune {
			if strings.ContainsRune("<>\n\x00", r) {
				return -1
			}
			return r
		}, who)
		written := &object.Commit{
			Author:    object.Signature{Name: who, Email: who, When: time.Unix(max(authored, 0), 0).UTC()},
			Committer: object.Signature{Name: who, Email: who, When: time.Unix(max(committed, 0), 0).UTC()},
			Message:   message, TreeHash: plumbing.NewHash(strings.Repeat("c", 2*idSize)),
		}
		for n := range parents {
			written.ParentHashes = append(written.ParentHashes, plumbing.NewHash(strings.Repeat(fmt.Sprintf("%02x", n), idSize)))
		}
		var read facts
		content, name := encoded(t, written)
		read.read(content)
		if got := nameOf(kindCommit, content).String(); got != name {
			t.Errorf("it is named %s, want %s", got, name)
		}
		if read.committed != max(committed, 0) || read.authored != max(authored, 0) || read.tree.String() != written.TreeHash.String() {
			t.Errorf("got %+v, want %+v", read, written)
		}
		if len(read.parents) != len(written.ParentHashes) {
			t.Fatalf("%d parents, want %d", len(read.parents), len(written.ParentHashes))
		}
		for n, parent := range read.parents {
			if parent.String() != written.ParentHashes[n].String() {
				t.Errorf("parent %d is %s, want %s", n, parent, written.ParentHashes[n])
			}
		}
		hasEntries(t, names)
		_ = lookUp([]byte(message), who)
		read.read([]byte(message))
	})
}

// hasEntries looks up each name of a folder.
func hasEntries(t *testing.T, names string) {
	t.Helper()
	folder, sum := &object.Tree{}, plumbing.NewHash(strings.Repeat("d", 2*idSize))
	for n, name := range slices.Compact(slices.Sorted(slices.Values(strings.Fields(names)))) {
		mode := []filemode.FileMode{filemode.Regular, filemode.Executable, filemode.Symlink, filemode.Submodule}[n%4]
		folder.Entries = append(folder.Entries, object.TreeEntry{Name: name, Mode: mode, Hash: sum})
	}
	if folder.Validate() != nil {
		return
	}
	content, name := encoded(t, folder)
	if got := nameOf(kindTree, content).String(); got != name {
		t.Errorf("the folder is named %s, want %s", got, name)
	}
	for _, e := range folder.Entries {
		found := lookUp(content, e.Name)
		if mode, err := filemode.New(found.mode); err != nil || mode != e.Mode || found.id.String() != sum.String() {
			t.Errorf("%q is %+v, want %+v", e.Name, found, e)
		}
		if found := lookUp(content, e.Name+"x"); found != (entry{}) && !slices.Contains(strings.Fields(names), e.Name+"x") {
			t.Errorf("%qx is %+v", e.Name, found)
		}
	}
}

func encoded(t *testing.T, o interface {
	Encode(to plumbing.EncodedObject) error
},
) (content []byte, name string) {
	t.Helper()
	to := &plumbing.MemoryObject{}
	if err := o.Encode(to); err != nil {
		t.Fatal(err)
	}
	from, err := to.Reader()
	if err != nil {
		t.Fatal(err)
	}
	content, err = io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return content, to.Hash().String()
}
