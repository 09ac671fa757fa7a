package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// root is the checkout.
const root = "../.."

// result is what one command line did.
type result struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := execute(t.Context(), args, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// demoArguments are those of `make demo`, seen from this folder.
func demoArguments(t *testing.T, path string) []string {
	t.Helper()
	args := []string{"--checkout", root, "--crds", filepath.Join(root, "bin", "crds"), "--ledger", path}
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
	path := filepath.Join(t.TempDir(), "demo.db")
	temporaryFiles(t)
	got := run(t, demoArguments(t, path)...)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit code %d, stderr %s, stdout\n%s", got.code, got.stderr, got.stdout)
	}
	for _, want := range []string{
		"==> the ledger holds exactly the 14 events",
		"argocd      production   3      prod   7 ",
		"caused by the deployment of bad-",
		" –       2d3h   22%",
		path,
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if rate := regexp.MustCompile(` 22% {3}\d+s `); !rate.MatchString(got.stdout) { // a machine that is busy tells the stories slower
		t.Errorf("%s is not in\n%s", rate, got.stdout)
	}
	if n := events(t, path); n != 14 {
		t.Errorf("want 14 events in the ledger that stays, got %d", n)
	}
}

// events is how many the ledger in a file holds.
func events(t *testing.T, path string) (n int) {
	t.Helper()
	kept, err := sqlite.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for _, err := range kept.Events(t.Context(), ledger.EventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestDemoStopsWhenAsked(t *testing.T) {
	temporaryFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr := &trigger{on: "telling three recorded stories", do: cancel}, &bytes.Buffer{}
	code := execute(ctx, demoArguments(t, filepath.Join(t.TempDir(), "demo.db")), stdout, stderr)
	if code != 1 || stderr.String() != "error: stopped before the end\n" || !strings.HasSuffix(stdout.text.String(), "==> stopping\n") {
		t.Errorf("exit code %d, stderr %s, stdout\n%s", code, stderr, &stdout.text)
	}
}

func TestDemoWithoutAControlPlane(t *testing.T) {
	temporaryFiles(t)
	got := run(t, append(demoArguments(t, filepath.Join(t.TempDir(), "demo.db")), "--assets", t.TempDir())...)
	if got.code != 1 || !strings.Contains(got.stderr, "cannot find etcd") {
		t.Errorf("got %+v", got)
	}
}

// The ledger of the demo before is there until the next one has begun.
func TestADemoThatCannotBegin(t *testing.T) {
	assets, path := t.TempDir(), filepath.Join(t.TempDir(), "ledger.db")
	t.Setenv("TMPDIR", t.TempDir())
	for name, text := range map[string]string{
		path: "the last one's", filepath.Join(assets, "etcd"): "#!/bin/sh\nexit 1\n",
		filepath.Join(assets, "kube-apiserver"): "#!/bin/sh\nexit 1\n", filepath.Join(assets, "kubectl"): "#!/bin/sh\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got := run(t, append(demoArguments(t, path), "--assets", assets)...)
	if got.code != 1 || !strings.Contains(got.stderr, "cannot start the control plane") {
		t.Errorf("got %+v", got)
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != "the last one's" {
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
