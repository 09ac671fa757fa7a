package record_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Whatever the ledger holds as the state of a subject and of its service, of an older release or a newer one, it cannot be read and the error says so; or
// it is decided by, what follows is told once, and a process that starts anew tells nothing more.
func FuzzStoredState(f *testing.F) {
	f.Add([]byte(`{"known":true,"based":true,"settled":["registry.example.com/cart:main-1a1a1a1"],"previous_known":true,"followed_since":"2026-11-01T11:00:00Z"}`), []byte(`{}`))
	f.Add([]byte(`{"known":true,"ops":[{"start":"2026-11-01T12:00:00Z"}],"pods":{"a":"0001-01-01T00:00:00Z"},"failure":{}}`), []byte(`{"ranks":{}}`))
	f.Add([]byte(`{"known":true,"pending":{},"rollouts":{"a":null},"deploy":null,"last_id":-1,"tomorrow":[]}`), []byte(`null`))
	f.Add([]byte(`{"known":"yes"}`), []byte(`{`))
	f.Fuzz(func(t *testing.T, subjectState, serviceState []byte) {
		w := newWorld(t)
		cart := w.create("cart", "cart-1")
		cart.image, cart.app.Images = v2, []string{v2}
		err := w.store.Store.Commit(t.Context(), ledger.Change{States: []ledger.State{
			{Key: "subject/eu/cart-1", Data: subjectState}, {Key: "service/eu/prod/cart", Data: serviceState},
		}})
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Hour)
		if _, err := w.tryLook(cart); err != nil {
			if text := err.Error(); !strings.Contains(text, "cannot decode state") && !strings.Contains(text, "cannot encode state") {
				t.Errorf("the error is of something else: %v", err)
			}
			return
		}
		told := events(w)
		if result := w.look(cart); len(result.Events) > 0 {
			t.Errorf("looked at again it tells %+v", result.Events)
		}
		w.open()
		w.look(cart)
		if again := events(w); strings.Join(again, "\n") != strings.Join(told, "\n") {
			t.Errorf("a new process tells %q, and it was %q", again, told)
		}
	})
}

// events are the ids of what the ledger holds.
func events(w *world) []string {
	w.Helper()
	var ids []string
	for row, err := range w.store.Events(w.Context(), ledger.EventQuery{}) {
		if err != nil {
			w.Fatal(err)
		}
		ids = append(ids, row.Event.ID)
	}
	return ids
}
