package record_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// What a decision rests on is kept with it, in the same change; what changes nothing leaves nothing.
func TestWhatADecisionRestsOnIsKept(t *testing.T) {
	w := newWorld(t)
	web := w.create("web", "1")
	w.look(web)
	w.deploy(web, "web:1")
	want := web.observe()
	w.deploy(web, "web:2")
	seen := w.seen(web.UID)
	var led []string
	for i, o := range seen {
		led = append(led, o.Events...)
		read, err := evidence.Decode(o.Data)
		if err != nil || !read.Now.Equal(o.At) || len(read.State) == 0 || len(read.Service) == 0 {
			t.Fatalf("observation %d: %+v, %v", i, read, err)
		}
		if rules, err := read.Policy.Rules(); err != nil || rules.Service != "web" || rules.Environment != "prod" {
			t.Errorf("judged by %+v, %v", rules, err)
		}
	}
	var events []string
	for row, err := range w.store.Events(t.Context(), ledger.EventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, row.Event.ID)
	}
	if d := cmp.Diff(events, led); d != "" || len(led) != 2 {
		t.Errorf("events and those that observations led to (-want +got)\n%s", d)
	}
	i := slices.IndexFunc(seen, func(o ledger.Observation) bool { return slices.Contains(o.Events, events[0]) })
	read, err := evidence.Decode(seen[i].Data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, &read.Observation); d != "" {
		t.Errorf("the observation of the first event (-want +got)\n%s", d)
	}

	before := len(seen)
	w.look(web)
	web.labels = map[string]string{"team": "other"}
	w.look(web)
	if after := len(w.seen(web.UID)); after != before {
		t.Errorf("%d observations, and %d after what decided nothing", before, after)
	}
}

func (w *world) seen(uid string) []ledger.Observation {
	w.Helper()
	seen, err := w.store.Observations(w.Context(), uid)
	if err != nil {
		w.Fatal(err)
	}
	return seen
}
