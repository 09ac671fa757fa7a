// Package watch measures what watching a fleet costs: the real binary, as a process of its own, on a real kube-apiserver with the real CRD of
// Argo CD. Nothing here is asserted but that everything was recorded, once; times and memory are those of the machine, and stand beside a
// baseline from the same run.
//
//	memory_test.go       5,000 Applications held, beside a cache of unstructured objects; 10,000 seen first, beside a bare list
//	rewrites_test.go     statuses that are rewritten and say nothing new, beside what the API server works for that
//	deployments_test.go  deployments as fast as the API server takes them, with and without a few objects that misbehave
//
// They are benchmarks, each of which measures once: make bench ROW=watched runs one, and -benchtime 1x is what it runs them with. WATCH_SCALE
// divides how many objects there are, to try one out.
package watch

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

const root = "../.."

func TestMain(m *testing.M) {
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	if kubeconfig := os.Getenv(childKubeconfig); kubeconfig != "" {
		if err := cacheUnstructured(kubeconfig); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	shared.stop()
	if path, err := program(); built && err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// scaled is how many there are of what there should be.
func scaled(tb testing.TB, n int) int {
	tb.Helper()
	text := os.Getenv("WATCH_SCALE")
	if text == "" {
		return n
	}
	by, err := strconv.Atoi(text)
	if err != nil || by < 1 {
		tb.Fatalf("WATCH_SCALE=%s is no number to divide by: write one such as 10", text)
	}
	return max(1, n/by)
}
