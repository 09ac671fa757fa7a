// Command benchtable runs the benchmarks that have an aim and prints one table:
// what was measured, what came out, and what should.
//
//	benchtable [-benchtime 1s]
//
// The figures are of this machine and of what else it does meanwhile, so none of
// them fails the run. It fails if a benchmark does, or if one that the table
// names is no longer there. While it runs it says what it runs.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// heartbeat is how long it stays silent before it says that it still goes on.
const heartbeat = 15 * time.Second

// suite is one call of go test.
type suite struct {
	folder, bench string
	// once: the benchmark measures what its first round measures, and a round takes long.
	once bool
}

var suites = []suite{
	{folder: "./internal/deploy", bench: "."},
	{folder: "./internal/ledger/sqlite", bench: "."},
	{folder: "./internal/argocd", bench: "Trim10000/(unstructured|trimmed)", once: true},
	{folder: "./internal/fourkeys", bench: "."},
	{folder: "./internal/commit/git", bench: ".", once: true},
	{folder: "./internal/sink/postgres", bench: "."},
	{folder: "./test/delivery", bench: ".", once: true},
}

func main() {
	benchtime := flag.String("benchtime", "1s", "how long to measure each, as go test -benchtime has it")
	flag.Parse()
	found := results{}
	for _, s := range suites {
		output, err := s.run(os.Stdout, *benchtime)
		if err != nil {
			fmt.Fprintf(os.Stdout, "%s\n%s: %v\n", output, s.folder, err)
			os.Exit(1)
		}
		found.read(output)
	}
	if !found.print(os.Stdout) {
		os.Exit(1)
	}
}

func (s suite) run(progress io.Writer, benchtime string) (output string, err error) {
	if s.once {
		benchtime = "1x"
	}
	var out bytes.Buffer
	//nolint:gosec,noctx // the words are our own, and Ctrl-C reaches the command by itself
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", s.bench, "-benchmem", "-benchtime", benchtime, s.folder)
	cmd.Stdout, cmd.Stderr = &out, &out
	fmt.Fprintf(progress, "==> %s\n", s.folder)
	began, done := time.Now(), make(chan error, 1)
	go func() { done <- cmd.Run() }()
	for ticker := time.NewTicker(heartbeat); ; {
		select {
		case err := <-done:
			ticker.Stop()
			return out.String(), err
		case <-ticker.C:
			fmt.Fprintf(progress, "    %s: %.0f s\n", s.folder, time.Since(began).Seconds())
		}
	}
}
