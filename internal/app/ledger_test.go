package app

import (
	"context"
	"os"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

// fenceable is a ledger that another process may take over.
type fenceable struct {
	ledger.Store

	fenced chan struct{}
}

func (f fenceable) Fenced() <-chan struct{} { return f.fenced }

// TestWhoIsFencedEnds: the error ends the manager, and so the process.
func TestWhoIsFencedEnds(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	store := fenceable{ledgertest.NewMemory(nil), make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- untilFenced(ctx, store) }()
	close(store.fenced)
	g.Expect(<-ended).To(MatchError(ledger.ErrFenced))

	cancel()
	g.Expect(untilFenced(ctx, fenceable{store.Store, make(chan struct{})})).To(Succeed(), "it was told to stop")
	g.Expect(untilFenced(t.Context(), ledgertest.NewMemory(nil))).To(Succeed(), "a file is never taken over")
}

// TestWhatIsNoFileIsNotRepeated by those who read or mend a ledger, and makes no file.
func TestWhatIsNoFileIsNotRepeated(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, location := range []string{"postgre://dora:s3cret@db/dora", "password=s3cret host=db"} {
		_, read := ReadLedger(t.Context(), location, "eu-1")
		_, write := WriteLedger(t.Context(), location)
		for _, err := range []error{read, write, CheckSource(location), CheckSource("POSTGRES://dora:s3cret@db/dora")} {
			g := NewWithT(t)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).NotTo(ContainSubstring("s3cret"))
		}
	}
	g := NewWithT(t)
	g.Expect(os.ReadDir(".")).To(BeEmpty())
	g.Expect(CheckSource("postgres://db/dora")).To(MatchError(ContainSubstring("there is no way back into a file")))
	g.Expect(CheckSource("sqlite:///var/lib/ledger.db")).To(Succeed())
}
