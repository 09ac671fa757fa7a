package watch

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
)

const (
	// patience is how long to wait for what must happen.
	patience = 10 * time.Minute
	poll     = 20 * time.Millisecond
	// childKubeconfig makes this test's binary the baseline: a cache that holds all Applications whole.
	childKubeconfig = "WATCH_CACHE_OF"
	filled          = "filled"
)

var (
	built bool
	// program is the controller, as the image has it, built when it is first asked for.
	program = sync.OnceValues(func() (string, error) {
		built = true
		folder, err := os.MkdirTemp("", "dora-watch-")
		if err != nil {
			return "", err
		}
		path := filepath.Join(folder, "dora-controller")
		build := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", path, root+"/cmd/dora-controller")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, text)
		}
		return path, nil
	})
)

// process is a program that was started, and what it prints.
type process struct {
	cmd     *exec.Cmd
	out     *bufio.Scanner
	log     *tail
	probes  string
	metrics string
	began   time.Time
}

// controller starts dora-controller on an empty ledger.
func (c *cluster) controller(b *testing.B, more ...string) *process {
	b.Helper()
	path, err := program()
	if err != nil {
		b.Fatal(err)
	}
	probes, metrics := freeAddress(b), freeAddress(b)
	args := append([]string{
		"run", "--cluster=bench", "--stdout-sink", "--ledger=" + filepath.Join(b.TempDir(), "ledger.db"),
		"--health-probe-bind-address=" + probes, "--metrics-bind-address=" + metrics,
	}, more...)
	p := c.run(b, path, args, "KUBECONFIG="+c.written(b))
	p.probes, p.metrics = probes, metrics
	return p
}

// unstructuredCache starts what holds all Applications as they are.
func (c *cluster) unstructuredCache(b *testing.B) *process {
	b.Helper()
	return c.run(b, os.Args[0], nil, childKubeconfig+"="+c.written(b))
}

func (c *cluster) written(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, c.kubeconfig, 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

func (c *cluster) run(b *testing.B, path string, args []string, env string) *process {
	b.Helper()
	p := &process{log: &tail{}}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		p.end()
		if b.Failed() {
			b.Logf("%s said at last:\n%s", filepath.Base(path), p.log)
		}
	})
	return p
}

// end stops the process and waits for it.
func (p *process) end() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	}
}

// await waits until the controller is ready, and tells how long that took.
func (p *process) awaitReady(b *testing.B) time.Duration {
	b.Helper()
	await(b, "it is ready", func() error {
		response, err := http.Get("http://" + p.probes + "/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	return time.Since(p.began)
}

// awaitFollowed waits until the ledger knows that many Applications.
func (p *process) awaitFollowed(b *testing.B, want int) time.Duration {
	b.Helper()
	await(b, fmt.Sprintf("it follows %d Applications", want), func() error {
		if got := p.metric(b, `dora_followed_subjects{kind="Application"}`); int(got) < want {
			return fmt.Errorf("it follows %v", got)
		}
		return nil
	})
	return time.Since(p.began)
}

// metric is the sum of the series whose line begins with that.
func (p *process) metric(b *testing.B, prefix string) (sum float64) {
	b.Helper()
	response, err := http.Get("http://" + p.metrics + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), prefix); found {
			fields := strings.Fields(value)
			number, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += number
		}
	}
	return sum
}

// looks is how many times an Application was looked at.
func (p *process) looks(b *testing.B) int {
	b.Helper()
	return int(p.metric(b, `controller_runtime_reconcile_total{controller="application"`))
}

// idle waits until nothing is looked at for a second.
func (p *process) idle(b *testing.B) {
	b.Helper()
	before := -1
	for now := p.looks(b); now != before; now = p.looks(b) {
		before = now
		pass(b, time.Second)
	}
}

// events hands on each event that the controller prints, until it ends.
func (p *process) events(each func(dora.Event)) error {
	for p.out.Scan() {
		var event dora.Event
		if err := json.Unmarshal(p.out.Bytes(), &event); err != nil {
			return fmt.Errorf("%w: %s", err, p.out.Bytes())
		}
		each(event)
	}
	return nil
}

// memory are figures of /proc/PID/status, in MB.
func memory(b *testing.B, pid int, field string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), field+":")
	var kilobytes float64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes / 1000
}

// processor is how long a process has worked, in seconds.
func processor(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	const userTime, systemTime, ticks = 14 - 3, 15 - 3, 100 // of proc(5), after the name; sysconf(_SC_CLK_TCK) is 100 wherever Go runs on Linux
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, err := strconv.ParseFloat(fields[userTime], 64)
	system, err2 := strconv.ParseFloat(fields[systemTime], 64)
	if err := cmp.Or(err, err2); err != nil {
		b.Fatal(err)
	}
	return (user + system) / ticks
}

// written is how many bytes a process has had written to a disk.
func written(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\nwrite_bytes:")
	var count float64
	if _, err := fmt.Sscan(after, &count); err != nil {
		b.Fatal(err)
	}
	return count
}

func await(b *testing.B, what string, check func() error) {
	b.Helper()
	deadline := time.Now().Add(patience)
	err := check()
	for ; err != nil && time.Now().Before(deadline); err = check() {
		pass(b, poll)
	}
	if err != nil {
		b.Fatalf("waited %s until %s: %v", patience, what, err)
	}
}

// pass lets time pass, which is what is measured.
func pass(b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-time.After(d):
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

func freeAddress(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = bytes.Clone(t.text[max(0, len(t.text)-8192):])
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// cacheUnstructured holds all Applications as unstructured objects, says when it has them, and goes on until it is told to end. It drops
// managed fields, as whoever uses controller-runtime would.
func cacheUnstructured(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	objects, err := cache.New(config, cache.Options{DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return err
	}
	ctx := context.Background()
	go func() { _ = objects.Start(ctx) }()
	app := &unstructured.Unstructured{}
	app.SetGroupVersionKind(schema.GroupVersionKind{Group: argocd.GroupVersion.Group, Version: argocd.GroupVersion.Version, Kind: "Application"})
	if _, err := objects.GetInformer(ctx, app); err != nil {
		return err
	}
	if !objects.WaitForCacheSync(ctx) {
		return errors.New("the cache did not fill")
	}
	fmt.Fprintln(os.Stdout, filled)
	_, err = io.Copy(io.Discard, os.Stdin)
	if err != nil {
		return err
	}
	select {} // it is stopped by a signal
}
