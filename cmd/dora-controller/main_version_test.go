package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The linker sets a variable only if nothing initialises it, and says nothing if it cannot.
//
// And it leaves out methods that nobody calls only if nothing in the binary looks for methods by name, as templates do. With one that does, the
// binary has 24 MB more, most of which come into memory: see why with go build -ldflags=-dumpdep.
func TestTheLinkedBinary(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "dora-controller")
	build := exec.Command("go", "build", "-tags", "grpcnotrace", "-ldflags", "-dumpdep -X main.version=v9.9.9", "-o", binary, ".")
	said, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, said[max(0, len(said)-4096):])
	}
	if !bytes.Contains(said, []byte(" -> main.main")) {
		t.Error("the linker does not tell what it keeps")
	}
	for line := range bytes.Lines(said) {
		if bytes.Contains(line, []byte("<ReflectMethod>")) {
			t.Errorf("methods are looked for by name in: %s", line)
			break
		}
	}
	out, err := exec.Command(binary, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "dora-controller v9.9.9 ") {
		t.Errorf("got %q (%v)", out, err)
	}
}
