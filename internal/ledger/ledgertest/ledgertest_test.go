package ledgertest_test

import (
	"sync"
	"testing"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

// TestMemory: the model keeps the contract that it is the model of.
func TestMemory(t *testing.T) {
	var mu sync.Mutex
	places := map[string]*ledgertest.Memory{}
	ledgertest.Run(t, func(_ testing.TB, place ledgertest.Place) ledger.Store {
		mu.Lock()
		defer mu.Unlock()
		if m, ok := places[place.Dir]; ok {
			m.OpenAgain()
			return m
		}
		places[place.Dir] = ledgertest.NewMemory(place.Now)
		places[place.Dir].LimitCache(place.Cached)
		return places[place.Dir]
	})
}
