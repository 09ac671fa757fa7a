package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

func TestConformance(t *testing.T) {
	ledgertest.Run(t, func(t testing.TB, place ledgertest.Place) ledger.Store {
		s, err := Open(t.Context(), filepath.Join(place.Dir, "ledger.db"), Options{Now: place.Now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
