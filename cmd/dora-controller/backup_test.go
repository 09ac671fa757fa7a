package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// The controller has the ledger open all the while, and goes on writing.
func TestABackupIsALedger(t *testing.T) {
	g := NewWithT(t)
	path, store, events := ledgerOf(t, "d01-success", "r02-abort-retry")
	whole := runCommand(t, "", "events", "--ledger", path, "-o", "json").stdout

	copied := filepath.Join(t.TempDir(), "copy.db")
	got := runCommand(t, "", "backup", "--ledger", path, "--output", copied)
	g.Expect(got).To(Equal(result{}))
	streamed := filepath.Join(t.TempDir(), "streamed.db")
	got = runCommand(t, "", "backup", "--ledger", path, "--output", "-")
	g.Expect(got.code).To(Equal(exitOK), got.stderr)
	g.Expect(os.WriteFile(streamed, []byte(got.stdout), 0o600)).To(Succeed())
	g.Expect(filepath.Glob(filepath.Join(filepath.Dir(path), "backup-*"))).To(BeEmpty())

	later := events[0]
	later.ID = "5e98fc56-4631-5a64-bce3-c73236f6f3cf"
	record(t, store, later)
	for _, backup := range []string{copied, streamed} {
		g.Expect(runCommand(t, "", "events", "--ledger", backup, "-o", "json").stdout).To(Equal(whole))
		restored, err := sqlite.Open(t.Context(), backup, sqlite.Options{})
		g.Expect(err).NotTo(HaveOccurred(), "it takes the ledger's place")
		record(t, restored, later)
		g.Expect(restored.Close()).To(Succeed())
	}
	info, err := os.Stat(copied)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)), "it holds what the ledger holds")
}

func TestABackupReplacesNothing(t *testing.T) {
	g := NewWithT(t)
	path, _, _ := ledgerOf(t, "d01-success")
	there := filepath.Join(t.TempDir(), "there.db")
	g.Expect(os.WriteFile(there, []byte("mine"), 0o600)).To(Succeed())
	got := runCommand(t, "", "backup", "--ledger", path, "--output", there)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(os.ReadFile(there)).To(Equal([]byte("mine")))

	none := filepath.Join(t.TempDir(), "none.db")
	got = runCommand(t, "", "backup", "--ledger", filepath.Join(t.TempDir(), "nothing.db"), "--output", none)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(ContainSubstring("there is no ledger at"))
	g.Expect(none).NotTo(BeAnExistingFile())
	g.Expect(runCommand(t, "", "backup", "--ledger", path).code).To(Equal(exitUsage))
	g.Expect(runCommand(t, "", "backup", "--ledger", "postgres://db/dora", "--output", none).stderr).To(ContainSubstring("pg_dump"))
}
