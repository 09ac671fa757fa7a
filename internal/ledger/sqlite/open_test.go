package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// filled is a closed ledger with enough events for a tree of several pages.
func filled(t *testing.T) string {
	t.Helper()
	path := ledgerPath(t)
	s := open(t, path, Options{})
	fill(t, s, 500)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func fill(tb testing.TB, s *Store, n int) {
	tb.Helper()
	change := ledger.Change{Sinks: []string{"port"}}
	for i := range n {
		event := benchmarkChange(i).Events[0]
		change.Events = append(change.Events, event)
	}
	if err := s.Commit(tb.Context(), change); err != nil {
		tb.Fatal(err)
	}
}

// crashed is a ledger as a crash leaves it: most of it in the file, the last change in the log.
func crashed(t *testing.T) string {
	t.Helper()
	s := open(t, filled(t), Options{})
	if err := s.Commit(t.Context(), ledger.Change{Events: []dora.Event{ledgertest.Deployment("logged", "cart", noon)}}); err != nil {
		t.Fatal(err)
	}
	path := ledgerPath(t)
	source := filepath.Join(filepath.Dir(lockedPath(s)), "ledger.db")
	for _, suffix := range []string{"", "-wal"} {
		put(t, path+suffix, read(t, source+suffix))
	}
	return path
}

func lockedPath(s *Store) string { return s.lock.file.Name() }

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// execute runs SQL on a closed ledger, behind the driver's back.
func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "rwc"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedAndLeftUntouched(t *testing.T) {
	overwrite := func(t *testing.T, path string, from, to int, with byte) {
		t.Helper()
		content := read(t, path)
		copy(content[from:to], bytes.Repeat([]byte{with}, to-from))
		put(t, path, content)
	}
	mendable := And(MatchError(ledger.ErrCorrupt), MatchError(ContainSubstring("restore it from a backup")))

	for name, test := range map[string]struct {
		prepare func(*testing.T) string
		want    types.GomegaMatcher
	}{
		"no database": {func(t *testing.T) string {
			t.Helper()
			path := ledgerPath(t)
			put(t, path, bytes.Repeat([]byte("this is no database\n"), 1000))
			return path
		}, mendable},
		"its header overwritten": {func(t *testing.T) string {
			t.Helper()
			path := filled(t)
			overwrite(t, path, 0, 100, 0)
			return path
		}, mendable},
		"cut off at half": {func(t *testing.T) string {
			t.Helper()
			path := filled(t)
			content := read(t, path)
			put(t, path, content[:len(content)/2])
			return path
		}, mendable},
		"cut off within a page": {func(t *testing.T) string {
			t.Helper()
			path := filled(t)
			content := read(t, path)
			put(t, path, content[:len(content)/2+1000])
			return path
		}, mendable},
		"cut off to its first page": {func(t *testing.T) string {
			t.Helper()
			path := filled(t)
			put(t, path, read(t, path)[:4096])
			return path
		}, mendable},
		"a page overwritten": {func(t *testing.T) string {
			t.Helper()
			path := filled(t)
			overwrite(t, path, 10*4096, 11*4096, 0xff)
			return path
		}, mendable},
		"damaged, with a change in its log": {func(t *testing.T) string {
			t.Helper()
			path := crashed(t)
			overwrite(t, path, 4096, len(read(t, path)), 0xff)
			return path
		}, mendable},
		"cut off, with a change in its log": {func(t *testing.T) string {
			t.Helper()
			path := crashed(t)
			put(t, path, read(t, path)[:20*4096])
			return path
		}, mendable},
		"emptied, with a change in its log": {func(t *testing.T) string {
			t.Helper()
			path := crashed(t)
			put(t, path, nil)
			return path
		}, mendable},
		"written by a newer release": {func(t *testing.T) string {
			t.Helper()
			path := filled(t)
			execute(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
			return path
		}, And(MatchError(ledger.ErrNewerSchema), MatchError(ContainSubstring("has schema 99, but this release knows up to 7")))},
		"another program's database": {func(t *testing.T) string {
			t.Helper()
			path := ledgerPath(t)
			execute(t, path, `CREATE TABLE customers (id INTEGER)`)
			return path
		}, MatchError(ContainSubstring("no ledger: give the ledger a path of its own"))},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			path := test.prepare(t)
			before := contents(t, path)
			for range 2 {
				s, err := Open(t.Context(), path, Options{})
				g.Expect(s).To(BeNil())
				g.Expect(err).To(And(test.want, MatchError(ContainSubstring(path))))
			}
			g.Expect(contents(t, path)).To(Equal(before))
		})
	}
}

// contents are the file and its log. What SQLite keeps in -shm is derived from them, and the lock is ours.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, suffix := range []string{"", "-wal", "-journal"} {
		if content, err := os.ReadFile(path + suffix); err == nil && (suffix == "" || len(content) > 0) {
			found[suffix] = string(content)
		}
	}
	return found
}

func TestMissingFileBesideItsLog(t *testing.T) {
	g := NewWithT(t)
	path := crashed(t)
	g.Expect(os.Remove(path)).To(Succeed())
	before := contents(t, path)
	_, err := Open(t.Context(), path, Options{})
	g.Expect(err).To(MatchError(ledger.ErrCorrupt))
	g.Expect(contents(t, path)).To(Equal(before))
}

func TestCrashedLedgerIsRecovered(t *testing.T) {
	g := NewWithT(t)
	s := open(t, crashed(t), Options{})
	g.Expect(ids(t, s)).To(And(HaveLen(501), ContainElement("logged")))
}

func TestNetworkFilesystem(t *testing.T) {
	g := NewWithT(t)
	path := ledgerPath(t)
	_, err := Open(t.Context(), path, Options{network: func(string) (string, error) { return "NFS", nil }})
	g.Expect(err).To(MatchError(And(ContainSubstring(path), ContainSubstring("network file system (NFS)"), ContainSubstring("ReadWriteOnce"))))
	g.Expect(filepath.Glob(path + "*")).To(BeEmpty())

	g.Expect(networkFilesystem(t.TempDir())).To(BeEmpty())
	_, err = networkFilesystem(filepath.Join(t.TempDir(), "none"))
	g.Expect(err).To(MatchError(os.ErrNotExist))
}

func TestNoRegularFile(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	_, err := Open(t.Context(), folder, Options{})
	g.Expect(err).To(MatchError(ContainSubstring("not a regular file")))
	_, err = Open(t.Context(), filepath.Join(emptyFile(t, folder), "ledger.db"), Options{})
	g.Expect(err).To(MatchError(ContainSubstring("cannot create the ledger's folder")))
}

// emptyFile is the path of an empty file in a folder.
func emptyFile(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(folder, "file")
	put(t, path, nil)
	return path
}

func TestSecondStoreOfOneProcess(t *testing.T) {
	g := NewWithT(t)
	path := ledgerPath(t)
	first := open(t, path, Options{})
	_, err := Open(t.Context(), path, Options{})
	g.Expect(err).To(MatchError(ledger.ErrInUse))
	link := filepath.Join(t.TempDir(), "link.db")
	g.Expect(os.Symlink(path, link)).To(Succeed())
	_, err = Open(t.Context(), link, Options{})
	g.Expect(err).To(MatchError(ledger.ErrInUse), "another name of the same file")
	g.Expect(first.Close()).To(Succeed())
	g.Expect(open(t, link, Options{}).Ping(t.Context())).To(Succeed())
}

func TestFileModes(t *testing.T) {
	g := NewWithT(t)
	folder := filepath.Join(t.TempDir(), "new", "folder")
	path := filepath.Join(folder, "a name with ?&#%20 and spaces.db")
	s := open(t, path, Options{})
	fill(t, s, 10)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)), suffix)
	}
	info, err := os.Stat(folder)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o700)))
	g.Expect(s.Close()).To(Succeed())
	g.Expect(path + "-wal").NotTo(BeAnExistingFile())
}

func TestOpeningIsCancelled(t *testing.T) {
	g := NewWithT(t)
	path := filled(t)
	before := contents(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Open(ctx, path, Options{})
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(err).NotTo(MatchError(ledger.ErrCorrupt))
	g.Expect(contents(t, path)).To(Equal(before))
	g.Expect(ids(t, open(t, path, Options{}))).To(HaveLen(500))
}

func TestReadOnly(t *testing.T) {
	g := NewWithT(t)
	path := ledgerPath(t)
	_, err := OpenReadOnly(t.Context(), path)
	g.Expect(err).To(MatchError(ledger.ErrNotFound))
	g.Expect(filepath.Glob(path+"*")).To(BeEmpty(), "looking creates nothing")
	_, err = OpenReadOnly(t.Context(), filepath.Dir(path))
	g.Expect(err).To(And(MatchError(ledger.ErrNotFound), MatchError(ContainSubstring("is a folder; name the ledger's file in it"))))
	put(t, path, nil)
	_, err = OpenReadOnly(t.Context(), path)
	g.Expect(err).To(MatchError(ledger.ErrNotFound))

	writing := open(t, path, Options{})
	reading, err := OpenReadOnly(t.Context(), path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ids(t, reading)).To(BeEmpty())
	fill(t, writing, 3)
	g.Expect(ids(t, reading)).To(HaveLen(3), "it sees what is committed meanwhile")
	g.Expect(writing.Close()).To(Succeed())
	g.Expect(ids(t, reading)).To(HaveLen(3))
	g.Expect(reading.Close()).To(Succeed())
	_, err = reading.Revision(t.Context())
	g.Expect(err).To(MatchError(ledger.ErrClosed))

	reading, err = OpenReadOnly(t.Context(), path)
	g.Expect(err).NotTo(HaveOccurred(), "also when no controller runs")
	_, err = reading.db.ExecContext(t.Context(), `DELETE FROM states`)
	g.Expect(err).To(HaveOccurred())
	g.Expect(reading.Close()).To(Succeed())
}

func TestReadOnlyRefusesOtherSchemas(t *testing.T) {
	g := NewWithT(t)
	path := filled(t)
	execute(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	_, err := OpenReadOnly(t.Context(), path)
	g.Expect(err).To(MatchError(ledger.ErrNewerSchema))

	execute(t, path, `DELETE FROM goose_db_version WHERE version_id > 0`)
	_, err = OpenReadOnly(t.Context(), path)
	g.Expect(err).To(MatchError(ContainSubstring("has schema 0, but this release reads 7")))

	put(t, path, []byte("this is no database, and it is longer than a header of one hundred bytes, which SQLite reads first"))
	_, err = OpenReadOnly(t.Context(), path)
	g.Expect(err).To(MatchError(ledger.ErrCorrupt))
}
