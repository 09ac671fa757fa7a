package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// A test that needs another process starts its own binary again with these set; TestMain then runs that part instead.
const (
	childRole = "SQLITE_TEST_CHILD"
	childPath = "SQLITE_TEST_LEDGER"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := children[role](os.Getenv(childPath)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

var children = map[string]func(path string) error{"write": writeForever, "hold": hold}

// child is another process on the same ledger, until it is killed.
type child struct {
	*exec.Cmd

	out *bufio.Scanner
}

func startChild(t *testing.T, role, path string) *child {
	t.Helper()
	g := NewWithT(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Start()).To(Succeed())
	return &child{Cmd: cmd, out: bufio.NewScanner(out)}
}

// kill ends the process without a chance to tidy up, and returns the whole lines that it had still printed.
func (c *child) kill(t *testing.T) []string {
	t.Helper()
	g := NewWithT(t)
	g.Expect(c.Process.Kill()).To(Succeed())
	var lines []string
	for c.out.Scan() {
		lines = append(lines, c.out.Text())
	}
	g.Expect(c.Wait()).To(MatchError("signal: killed"))
	return lines
}

// hold opens a ledger, says so and waits to be killed.
func hold(path string) error {
	_, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "open")
	select {} // killed here; nothing is closed
}

func open(tb testing.TB, path string, opts Options) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), path, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func ledgerPath(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "ledger.db")
}

func ids(tb testing.TB, r ledger.Reader) []string {
	tb.Helper()
	list := []string{}
	for row, err := range r.Events(tb.Context(), ledger.EventQuery{}) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, row.Event.ID)
	}
	return list
}
