package rollouts

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// look is a recorded Rollout, raw and decoded, with the ReplicaSets as they were known by then.
type look struct {
	file string
	raw  []byte
	ro   *Rollout
	sets []appsv1.ReplicaSet
}

func (l look) observe() deploy.Rollout { return Observe(l.ro, l.sets) }

// recorded calls visit after every recorded change of a Rollout or of a ReplicaSet, and fails if there are few.
func recorded(tb testing.TB, pattern string, visit func(look)) {
	tb.Helper()
	files, err := filepath.Glob("../../test/replay/testdata/" + pattern + ".jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	looks := 0
	for _, file := range files {
		if strings.Count(filepath.Base(file), ".") == 1 {
			looks += play(tb, file, visit)
		}
	}
	if looks < 10 {
		tb.Fatalf("%s: found %d looks at a Rollout", pattern, looks)
	}
}

func play(tb testing.TB, file string, visit func(look)) (looks int) {
	tb.Helper()
	now := look{file: strings.TrimSuffix(filepath.Base(file), ".jsonl")}
	sets := map[string]appsv1.ReplicaSet{}
	for _, raw := range objects(tb, file) {
		var kind struct{ Kind string }
		unmarshal(tb, raw, &kind)
		switch kind.Kind {
		case "ReplicaSet":
			var set appsv1.ReplicaSet
			unmarshal(tb, raw, &set)
			sets[set.Name] = set
		case "Rollout":
			now.raw, now.ro = raw, decode(tb, raw)
		default:
			continue
		}
		if now.ro != nil {
			now.sets = values(sets)
			visit(now)
			looks++
		}
	}
	return looks
}

func values(sets map[string]appsv1.ReplicaSet) []appsv1.ReplicaSet {
	var all []appsv1.ReplicaSet
	for _, set := range sets {
		all = append(all, *set.DeepCopy())
	}
	return all
}

func objects(tb testing.TB, file string) []json.RawMessage {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var found []json.RawMessage
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Object json.RawMessage }
		unmarshal(tb, lines.Bytes(), &line)
		found = append(found, line.Object)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return found
}

func decode(tb testing.TB, raw []byte) *Rollout {
	tb.Helper()
	var ro Rollout
	unmarshal(tb, raw, &ro)
	return &ro
}

func unmarshal(tb testing.TB, raw []byte, into any) {
	tb.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		tb.Fatal(err)
	}
}
