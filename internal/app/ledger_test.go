package app

import (
	"context"
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
