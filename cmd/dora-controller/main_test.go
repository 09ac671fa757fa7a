package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// asCommand makes the test binary be the command itself, for tests that need a process.
const asCommand = "DORA_TEST_AS_COMMAND"

func TestWhatServersSendUnaskedIsNotLogged(t *testing.T) {
	var out bytes.Buffer
	logger := log.New(withoutAnswers{&out}, "", 0)
	logger.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "Bearer t0ken", nil)
	logger.Print("http: TLS handshake error")
	if out.String() != "http: TLS handshake error\n" {
		t.Errorf("logged %q", out.String())
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// root is the checkout, from where docs and recordings are named.
const root = "../.."

func recording(name string) string {
	return filepath.Join(root, "test", "replay", "testdata", name+".jsonl")
}

// result is what one command line did.
type result struct {
	code           int
	stdout, stderr string
}

func runCommand(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := execute(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

func expectGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; if that is meant, run go test ./cmd/dora-controller -update (-want +got):\n%s", name, diff)
	}
}

func TestWrongCommandLines(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a word that is no command":              {[]string{"repaly"}, `"repaly" is no command of dora-controller; did you mean replay?`},
		"an unknown flag":                        {[]string{"replay", "--nope", "x"}, "unknown flag: --nope"},
		"no recording":                           {[]string{"replay"}, "name at least one recording"},
		"a duration that is none":                {[]string{"replay", "--degraded-for", "soon", "x"}, `"soon" is no duration`},
		"a negative duration":                    {[]string{"replay", "--degraded-for", "-5s", "x"}, "must not be negative"},
		"a change that is none":                  {[]string{"replay", "--changes", "Image,Label", "x"}, `want Image or Config`},
		"an output that is none":                 {[]string{"replay", "-o", "yaml", "x"}, "want json or table"},
		"an end that is neither time nor length": {[]string{"replay", "--until", "then", "x"}, "neither a time such as"},
		"events with an argument":                {[]string{"events", "checkout"}, "unknown command"},
		"events of a type that is none":          {[]string{"events", "--type", "rollback"}, "want deploy, degraded, recovered or change"},
		"a negative limit":                       {[]string{"events", "--limit", "-1"}, "must not be negative"},
		"version with an argument":               {[]string{"version", "x"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			got := runCommand(t, "", test.args...)
			if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, test.want) || !strings.Contains(got.stderr, "--help") {
				t.Errorf("want exit code 2 and %q with a hint on stderr, got %+v", test.want, got)
			}
		})
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	got := runCommand(t, "", "--help")
	for _, name := range []string{"run", "replay", "events", "sinks", "deliveries", "migrate", "version"} {
		if !strings.Contains(got.stdout, "\n  "+name+" ") {
			t.Errorf("--help does not name %s:\n%s", name, got.stdout)
		}
	}
	if got.code != exitOK {
		t.Errorf("want exit code 0, got %d", got.code)
	}
}

func TestFlagsWithoutACommandAreThoseOfRun(t *testing.T) {
	for name, test := range map[string]struct{ args, want []string }{
		"nothing":    {nil, []string{"run"}},
		"a flag":     {[]string{"--leader-elect"}, []string{"run", "--leader-elect"}},
		"help":       {[]string{"--help"}, []string{"--help"}},
		"version":    {[]string{"--version"}, []string{"--version"}},
		"a command":  {[]string{"replay", "-"}, []string{"replay", "-"}},
		"empty word": {[]string{""}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, withDefaultCommand(test.args)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if got := runCommand(t, "", "version"); !strings.HasPrefix(got.stdout, "dora-controller "+buildVersion()+" (go1.") {
		t.Errorf("got %+v", got)
	}
	if got := runCommand(t, "", "--version"); got.stdout != buildVersion()+"\n" {
		t.Errorf("got %+v", got)
	}
}

// A reader that has seen enough, such as head, must end the command without a trace of the runtime.
func TestAReaderThatGoesAway(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "replay", "-o", "json", recording("r11-undo"))
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &stderr
	in.Close()
	err = cmd.Run()
	out.Close()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), "panic") || strings.Contains(stderr.String(), "goroutine") {
		t.Errorf("stderr:\n%s", stderr.String())
	}
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	for _, format := range []string{outputJSON, outputTable} {
		var stderr bytes.Buffer
		code := execute(context.Background(), []string{"replay", "-o", format, recording("d01-success")}, strings.NewReader(""), io.Writer(fullWriter{}), &stderr)
		if code != exitFailure || !strings.Contains(stderr.String(), "disk is full") {
			t.Errorf("-o %s: exit code %d, stderr %q", format, code, stderr.String())
		}
	}
}
