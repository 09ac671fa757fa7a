package recording_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/recording"
	"github.com/dora-controller/dora-controller/internal/replay"
)

// Whatever a recording holds, its copy holds as many events, is read without an error, tells the same when it is replayed, and is its own copy; and a copy
// with a key repeats no name.
func FuzzCopy(f *testing.F) {
	for _, name := range []string{"d01-success", "d13-digest", "r08-blue-green"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "test", "replay", "testdata", name+".jsonl"))
		if err != nil {
			f.Fatal(err)
		}
		for i, line := range bytes.SplitAfter(data, []byte("\n")) {
			if i%25 == 0 {
				f.Add(bytes.ReplaceAll(line, []byte(name), []byte(hidden)))
			}
		}
	}
	f.Add([]byte(`{"seen":"2026-11-20T20:59:01Z","type":"BOOKMARK","object":{"kind":"Rollout"},"gap":{"kind":"Rollout","since":"2026-11-20T20:58:01Z"}}`))
	f.Add([]byte(`{"kind":"List","items":[{"kind":"Application","metadata":{"uid":"` + hidden + `","labels":{"` + hidden + `":"a"}}},null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if nameless(data) {
			return
		}
		plain := new(bytes.Buffer)
		_ = recording.Copy("fuzz", data, recording.NewWriter(plain, recording.Options{})) // what cannot be read is named, and the rest is written
		want, events, _ := told(data)
		got, written, err := told(plain.Bytes())
		if err != nil || written != events {
			t.Errorf("%d events of %d were copied, %v", written, events, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-recording +copy)\n%s", diff)
		}
		again := new(bytes.Buffer)
		if err := recording.Copy("copy", plain.Bytes(), recording.NewWriter(again, recording.Options{})); err != nil || !bytes.Equal(again.Bytes(), plain.Bytes()) {
			t.Errorf("copied again it is\n%s, %v, and was\n%s", again, err, plain)
		}
		redacted := new(bytes.Buffer)
		_ = recording.Copy("fuzz", data, recording.NewWriter(redacted, recording.Options{Key: []byte(strings.Repeat("k", 32))}))
		if _, kept, err := told(redacted.Bytes()); err != nil || kept != events {
			t.Errorf("%d events of %d were redacted, %v", kept, events, err)
		}
		if strings.Contains(redacted.String(), hidden) {
			t.Errorf("a name is told:\n%s", redacted)
		}
	})
}

// hidden is a name that nobody who gets a redacted recording may read.
const hidden = "canary-7d1f3b"

// nameless tells that some object has no uid as it is read, though its head has one, which is read by encoding/json: "Uid" counts there. No API
// server writes it so, and there is nothing to know such an object by.
func nameless(data []byte) (found bool) {
	_ = replay.Read("recording", bytes.NewReader(data), func(e replay.Event) {
		found = found || e.Application != nil && e.Application.UID == "" || e.Rollout != nil && e.Rollout.UID == "" || e.ReplicaSet != nil && e.ReplicaSet.UID == ""
	})
	return found
}

// told is what a replay tells of a recording, and how many events that has.
func told(data []byte) (ids []string, events int, err error) {
	world := replay.NewWorld("test", func(_ map[string]string, name string) deploy.Policy {
		return deploy.Policy{Service: name, FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout}
	})
	tell := func(steps []replay.Step) {
		for _, step := range steps {
			for _, e := range step.Events {
				ids = append(ids, string(e.Type)+" "+string(e.Outcome)+" "+e.ID+" "+e.OccurredAt.UTC().Format(time.RFC3339))
			}
		}
	}
	last := time.Time{}
	err = replay.Read("recording", bytes.NewReader(data), func(e replay.Event) {
		if e.Application != nil || e.Rollout != nil || e.ReplicaSet != nil {
			events++
		}
		last = e.Seen
		tell(world.Apply(e))
	})
	tell(world.Finish(last.Add(time.Hour)))
	return slices.Clip(ids), events, err
}
