package drift

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorded calls visit with every recorded object of a kind and fails unless there are many.
func recorded(t *testing.T, kind string, visit func(raw []byte)) {
	t.Helper()
	files, err := filepath.Glob("../replay/testdata/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.Count(filepath.Base(file), ".") > 1 {
			continue // the actions and the expected events
		}
		for _, raw := range objects(t, file, kind) {
			visit(raw)
			found++
		}
	}
	if found < 500 {
		t.Fatalf("found %d recorded objects of kind %s, want more than 500", found, kind)
	}
}

func objects(t *testing.T, file, kind string) [][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var found [][]byte
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Object json.RawMessage }
		decode(t, lines.Bytes(), &line)
		var object struct{ Kind string }
		decode(t, line.Object, &object)
		if object.Kind == kind {
			found = append(found, line.Object)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("cannot decode into %T: %v", into, err)
	}
}

func encode(t *testing.T, object any) []byte {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatalf("cannot encode %T: %v", object, err)
	}
	return raw
}
