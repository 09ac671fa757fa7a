package replay_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/replay"
)

// Whatever a file holds, time never runs backwards, each event is told once, and the same are told again.
func FuzzReplay(f *testing.F) {
	for _, name := range []string{"d01-success", "r08-blue-green"} {
		data, err := os.ReadFile(filepath.Join(testdata, name+".jsonl"))
		if err != nil {
			f.Fatal(err)
		}
		for i, line := range bytes.SplitAfter(data, []byte("\n")) {
			if i%10 == 0 {
				f.Add(line)
			}
		}
	}
	for _, text := range []string{"", "{", "null", "[]", `{"type":"ADDED","object":null}`, `{"kind":"List","items":[null,{}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, second := played(t, data), played(t, data)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("played again it tells (-first +second)\n%s", diff)
		}
		seen := map[string]bool{}
		for _, id := range first {
			if seen[id] {
				t.Errorf("%s is told twice", id)
			}
			seen[id] = true
		}
	})
}

// played is the ids of the events that a recording tells. A process that starts anew at its end adds none.
func played(t *testing.T, data []byte) []string {
	t.Helper()
	world, last := replay.NewWorld("test", policy), time.Time{}
	var ids []string
	keep := func(steps []replay.Step) {
		for _, step := range steps {
			for _, e := range step.Events {
				ids = append(ids, e.ID)
			}
		}
	}
	err := replay.Read("fuzz", bytes.NewReader(data), func(e replay.Event) {
		if e.Seen.Before(last) {
			t.Errorf("%s comes after %s", e.Seen, last)
		}
		last = e.Seen
		keep(world.Apply(e))
	})
	_ = err // a bad line is reported, and no concern here
	keep(world.Finish(last.Add(time.Hour)))
	steps, err := world.Restart()
	if err != nil {
		t.Errorf("what was decided cannot be stored: %v", err)
	}
	before := len(ids)
	keep(steps)
	if len(ids) > before {
		t.Errorf("a process that starts anew tells %v", ids[before:])
	}
	return ids
}
