// Command testreport turns `go test -json` into a report that a person can
// follow while it runs and a machine can read at its end.
//
// It prints one line per package as it finishes, everything a failed test said,
// a sign of life when a package takes long, the tests that were skipped, and as
// its very last line
//
//	N passed, N failed
//
// A test counts when it has no subtests of its own; a Ginkgo suite counts its
// specs instead of the one Go function that runs them. A package that fails
// without a failed test (it does not build, panics or exits early) counts as one
// failure, so that nothing goes wrong without being counted. The exit status is
// 1 if anything failed, or if nothing ran at all. A test that printed what tests
// use for secrets counts as a failure too, whatever it tested.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// heartbeat is how long the report stays silent before it says what runs.
	heartbeat = 15 * time.Second
	// longestLine bounds one JSON event; test output arrives line by line.
	longestLine = 16 << 20
)

func main() {
	if !run(os.Stdin, os.Stdout) {
		os.Exit(1)
	}
}

// run reports on the events until they end and tells whether all went well.
func run(in io.Reader, out io.Writer) bool {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, longestLine)
		for scanner.Scan() {
			lines <- append([]byte(nil), scanner.Bytes()...)
		}
		if err := scanner.Err(); err != nil {
			lines <- []byte("cannot read test events: " + err.Error())
		}
	}()

	started := time.Now()
	r := newReport(out)
	silence := time.NewTimer(heartbeat)
	for {
		select {
		case line, more := <-lines:
			if !more {
				return r.finish(time.Since(started))
			}
			if r.add(line) {
				silence.Reset(heartbeat)
			}
		case <-silence.C:
			fmt.Fprintf(out, "....  %4.0fs  running: %s\n", time.Since(started).Seconds(), r.running())
			silence.Reset(heartbeat)
		}
	}
}
