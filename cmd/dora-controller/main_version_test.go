package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The linker sets a variable only if nothing initialises it, and says nothing if it cannot.
func TestTheLinkedVersionIsTold(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "dora-controller")
	build := exec.Command("go", "build", "-ldflags", "-X main.version=v9.9.9", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	out, err := exec.Command(binary, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "dora-controller v9.9.9 ") {
		t.Errorf("got %q (%v)", out, err)
	}
}
