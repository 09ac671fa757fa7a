// Package chaos breaks what stands around the controller, and the controller itself, while Applications are deployed, and then asks whether the
// ledger holds exactly what it would hold if nothing had been broken: the same events, with the same ids, outcomes and times, none lost, none
// twice; and so does the table of a PostgreSQL sink.
//
// Everything is real: etcd, kube-apiserver, PostgreSQL, the ledger in a file and in a database, and the program itself, two of it with a lease,
// which are started again when they end, as a kubelet does. Argo CD alone is played: its statuses are written as it writes them. What an undisturbed
// run leads to is worked out from what was written, by package replay, while it is written.
//
//	faults_test.go    what is broken, by a seed that draws what comes when
//	handover_test.go  a leader that is paused, or cut off, and another that takes over
//	soak_test.go      half an hour of deployments, and what they leave in memory; on demand alone
//	stage_test.go     the API server, the database, and the replicas
//	argo_test.go      Applications that are deployed, and what must come of them
//	proxy_test.go     the line between a replica and the API server
//
// CHAOS_SEED is the first seed, CHAOS_SEEDS how many, CHAOS_ROUNDS how many faults of each. A failed test prints the command that repeats it. What depends
// on how fast a machine is, it cannot repeat: whether a leader was killed before or after a commit.
//
// # What is written while something is broken
//
// Between two looks at an Application Argo CD writes one step of it at most. A second one would be a step that nobody saw, and what is said of those (docs/concepts.md,
// rule 10) is not what an undisturbed run says. test/e2e makes up stories in which steps are missed.
package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

const (
	root = "../.."
	// patience is how long tests wait for what must happen. A lease takes 15 seconds to run out.
	patience = 2 * time.Minute
	// cluster is what the controllers call it.
	cluster = "chaos"
	// namespace is where the Applications are.
	namespace = "argocd"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	if settings := os.Getenv(childSettings); settings != "" {
		var l late
		err := json.Unmarshal([]byte(settings), &l)
		if err == nil {
			err = l.run()
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// program is the controller, built as `make build` does when it is first asked for.
var program = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "dora-chaos-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "dora-controller")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, root+"/cmd/dora-controller")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the controller: %w: %s", err, said)
	}
	return path, nil
})

// number is what the environment says, or otherwise.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), name+" is no number")
	return n
}
