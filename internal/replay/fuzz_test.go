package replay_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/replay"
)

// Whatever a file holds, reading and replaying it ends without a panic, and time never runs backwards.
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
		world, last := replay.NewWorld("test", policy), time.Time{}
		err := replay.Read("fuzz", bytes.NewReader(data), func(e replay.Event) {
			if e.Seen.Before(last) {
				t.Errorf("%s comes after %s", e.Seen, last)
			}
			last = e.Seen
			world.Apply(e)
		})
		_ = err // a bad line is reported, and no concern here
		world.Finish(last.Add(time.Hour))
	})
}
