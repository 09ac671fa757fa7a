package git

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
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
