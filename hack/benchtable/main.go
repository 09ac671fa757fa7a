// Command benchtable runs the benchmarks that have an aim and prints one table:
// what was measured, what came out, and what should.
//
//	benchtable [-benchtime 1s] [-row WORDS]
//
// With -row it runs the benchmarks of those rows alone whose words, or whose benchmark's name, match that regular expression.
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
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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
	{folder: "./controllers/doratarget", bench: ".", once: true},
	{folder: "./internal/commit/git", bench: ".", once: true},
	{folder: "./internal/sink/postgres", bench: "."},
	{folder: "./internal/ledger/postgres", bench: "."},
	{folder: "./test/delivery", bench: ".", once: true},
	{folder: "./test/watch", bench: ".", once: true},
}

func main() {
	benchtime := flag.String("benchtime", "1s", "how long to measure each, as go test -benchtime has it")
	only := flag.String("row", "", "a regular expression: of the table, these rows alone")
	flag.Parse()
	wanted, err := regexp.Compile("(?i)" + *only)
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		os.Exit(2)
	}
	rows, found := rowsOf(wanted), results{}
	for _, s := range suites {
		if *only != "" {
			s.bench = s.only(rows)
		}
		if s.bench == "" {
			continue
		}
		output, err := s.run(os.Stdout, *benchtime)
		if err != nil {
			fmt.Fprintf(os.Stdout, "%s\n%s: %v\n", output, s.folder, err)
			os.Exit(1)
		}
		found.read(output)
	}
	if !found.print(os.Stdout, rows) {
		os.Exit(1)
	}
}

// only is the part of a suite that rows need, as go test -bench has it; nothing if they need none of it.
func (s suite) only(rows []row) string {
	var names []string
	for _, row := range rows {
		if function, _, _ := strings.Cut(row.bench, "/"); s.has(function) && !slices.Contains(names, function) {
			names = append(names, function)
		}
	}
	if len(names) == 0 {
		return ""
	}
	_, deeper, _ := strings.Cut(s.bench, "/")
	return strings.TrimSuffix("^Benchmark("+strings.Join(names, "|")+")$/"+deeper, "/")
}

// has tells whether a file of the suite's folder has the benchmark.
func (s suite) has(function string) bool {
	files, _ := filepath.Glob(filepath.Join(s.folder, "*_test.go"))
	return slices.ContainsFunc(files, func(name string) bool {
		text, err := os.ReadFile(name) //nolint:gosec // a file of this repository
		return err == nil && strings.Contains(string(text), "\nfunc Benchmark"+function+"(")
	})
}

func (s suite) run(progress io.Writer, benchtime string) (output string, err error) {
	if s.once {
		benchtime = "1x"
	}
	var out bytes.Buffer
	//nolint:gosec,noctx // the words are our own, and Ctrl-C reaches the command by itself
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", s.bench, "-benchmem", "-benchtime", benchtime, "-timeout", "2h", s.folder)
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
