package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

func TestConformance(t *testing.T) {
	ledgertest.Run(t, func(tb testing.TB, place ledgertest.Place) ledger.Store {
		tb.Helper()
		s, err := Open(tb.Context(), filepath.Join(place.Dir, "ledger.db"), Options{Now: place.Now, Cached: place.Cached})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}
