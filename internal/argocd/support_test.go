package argocd

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorded calls visit with every recorded Application, and fails if there is none.
func recorded(tb testing.TB, visit func(file string, raw []byte)) {
	tb.Helper()
	files, err := filepath.Glob("../../test/replay/testdata/*.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	found := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		if strings.Contains(name, ".") {
			continue // the actions and the expected events
		}
		for _, raw := range applications(tb, file) {
			visit(name, raw)
			found++
		}
	}
	if found < 1000 {
		tb.Fatalf("found %d recorded Applications, want more than 1000", found)
	}
}

func applications(tb testing.TB, file string) [][]byte {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var found [][]byte
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Object json.RawMessage `json:"object"`
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(line.Object, &kind); err != nil {
			tb.Fatal(err)
		}
		if kind.Kind == "Application" {
			found = append(found, line.Object)
		}
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return found
}
