package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// demoArguments are those of `make demo`, seen from this folder.
func demoArguments(t *testing.T, ledger string) []string {
	t.Helper()
	args := []string{"demo", "--checkout", root, "--crds", filepath.Join(root, "bin", "crds"), "--ledger", ledger}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		args = append(args, "--assets", filepath.Join(root, "bin", "envtest")) // where hack/envtest.sh puts the control plane
	}
	return args
}

// temporaryFiles makes whatever is started keep its files in a folder of its own, which must be empty afterwards.
func temporaryFiles(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	t.Cleanup(func() {
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("the demo left %v (%v)", left, err)
		}
	})
}

// The whole demo takes about a minute, since it tells its stories as fast as they happened.
func TestDemo(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "demo.db")
	temporaryFiles(t)
	got := runCommand(t, "", demoArguments(t, ledger)...)
	if got.code != exitOK || got.stderr != "" {
		t.Fatalf("exit code %d, stderr %s, stdout\n%s", got.code, got.stderr, got.stdout)
	}
	for _, want := range []string{
		"==> the ledger holds exactly the 14 events",
		"argocd      production   3      prod   7 ",
		" 22%   3s ",
		"caused by the deployment of bad-",
		" –       2d3h   22%",
		ledger,
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	events := runCommand(t, "", "events", "-o", "json", "--ledger", ledger)
	if n := strings.Count(events.stdout, "\n"); n != 14 || events.code != exitOK {
		t.Errorf("want 14 events in the ledger that stays, got %d: %s", n, events.stderr)
	}
}

func TestDemoStopsWhenAsked(t *testing.T) {
	temporaryFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr := &trigger{on: "telling three recorded stories", do: cancel}, &bytes.Buffer{}
	code := execute(ctx, demoArguments(t, filepath.Join(t.TempDir(), "demo.db")), strings.NewReader(""), stdout, stderr)
	if code != exitFailure || stderr.String() != "error: stopped before the end\n" || !strings.HasSuffix(stdout.text.String(), "==> stopping\n") {
		t.Errorf("exit code %d, stderr %s, stdout\n%s", code, stderr, &stdout.text)
	}
}

func TestDemoWithoutAControlPlane(t *testing.T) {
	temporaryFiles(t)
	got := runCommand(t, "", append(demoArguments(t, filepath.Join(t.TempDir(), "demo.db")), "--assets", t.TempDir())...)
	if got.code != exitFailure || !strings.Contains(got.stderr, "cannot find etcd") {
		t.Errorf("got %+v", got)
	}
}

// The ledger of the demo before is there until the next one has begun.
func TestADemoThatCannotBegin(t *testing.T) {
	assets, ledger := t.TempDir(), filepath.Join(t.TempDir(), "ledger.db")
	t.Setenv("TMPDIR", t.TempDir())
	for path, text := range map[string]string{
		ledger: "the last one's", filepath.Join(assets, "etcd"): "#!/bin/sh\nexit 1\n",
		filepath.Join(assets, "kube-apiserver"): "#!/bin/sh\nexit 1\n", filepath.Join(assets, "kubectl"): "#!/bin/sh\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got := runCommand(t, "", append(demoArguments(t, ledger), "--assets", assets)...)
	if got.code != exitFailure || !strings.Contains(got.stderr, "cannot start the control plane") {
		t.Errorf("got %+v", got)
	}
	if kept, err := os.ReadFile(ledger); err != nil || string(kept) != "the last one's" {
		t.Errorf("the ledger has %q (%v)", kept, err)
	}
}

// trigger does something once a text has been written.
type trigger struct {
	on   string
	do   func()
	once sync.Once
	text bytes.Buffer
}

var _ io.Writer = (*trigger)(nil)

func (tr *trigger) Write(p []byte) (int, error) {
	n, err := tr.text.Write(p)
	if strings.Contains(tr.text.String(), tr.on) {
		tr.once.Do(tr.do)
	}
	return n, err
}
