package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func TestRecordRefusesWhatMeansNothing(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a file that is no flag's":        {[]string{"web.jsonl"}, "only --from takes files"},
		"a cluster and files":             {[]string{"--from", "x", "--namespace", "argocd"}, "--namespace is about a cluster"},
		"a time for files":                {[]string{"--from", "x", "--for", "5m"}, "--for is about a cluster"},
		"everything, redacted":            {[]string{"--raw", "--redact"}, "leave out --raw or --redact"},
		"messages, redacted":              {[]string{"--messages", "--redact"}, "free text"},
		"a length that is none":           {[]string{"--for", "soon"}, `"soon" is no duration`},
		"a negative length":               {[]string{"--for", "-5m"}, "must not be negative"},
		"messages, redacted with the key": {[]string{"--from", "x", "--messages", "--redact-key", keyFile(t, "a key of sixteen bytes")}, "free text"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := runCommand(t, "", append([]string{"record", "--output", "-"}, test.args...)...)
			g.Expect(got.code).To(Equal(exitUsage))
			g.Expect(got.stderr).To(ContainSubstring(test.want))
			g.Expect(got.stdout).To(BeEmpty())
		})
	}
}

func keyFile(t *testing.T, key string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARecordingFromAFileReplaysAlike(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "clean.jsonl")
	got := runCommand(t, "", "record", "--output", path, "--from", recording("r02-abort-retry"))
	g.Expect(got).To(Equal(result{stderr: "recorded 152 events of 4 objects in " + path + "\n"}))
	g.Expect(strings.Count(readRecording(t, "r02-abort-retry"), "\n")).To(Equal(152))
	g.Expect(runCommand(t, "", "replay", "-o", "json", "--explain", path)).
		To(Equal(runCommand(t, "", "replay", "-o", "json", "--explain", recording("r02-abort-retry"))))

	info, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)), "others cannot read it")
	again := runCommand(t, "", "record", "--output", path, "--from", recording("r02-abort-retry"))
	g.Expect(again).To(Equal(result{code: exitFailure, stderr: "error: " + path + " exists already: remove it, or name another file with --output\n"}))
}

func TestPseudonymsAgreeOnlyUnderOneKey(t *testing.T) {
	g := NewWithT(t)
	redacted := func(args ...string) string {
		got := runCommand(t, "", append([]string{"record", "--output", "-", "--from", recording("d01-success")}, args...)...)
		g.Expect(got.code).To(Equal(exitOK), got.stderr)
		g.Expect(got.stdout).NotTo(ContainSubstring("d01-success"))
		return got.stdout
	}
	key := keyFile(t, sinktest.Secret("key"))
	g.Expect(redacted("--redact-key", key)).To(Equal(redacted("--redact-key", key, "--redact")))
	g.Expect(redacted("--redact")).NotTo(Equal(redacted("--redact")), "each has a key of its own")
	g.Expect(redacted("--redact-key", keyFile(t, "another one, not secret"))).NotTo(Equal(redacted("--redact-key", key)))

	short := keyFile(t, sinktest.Canary[:8])
	got := runCommand(t, "", "record", "--output", "-", "--from", recording("d01-success"), "--redact-key", short)
	g.Expect(got).To(Equal(result{
		code: exitFailure, stderr: "error: " + short + " holds no key of 16 to 4096 bytes; make one with: openssl rand -hex 32 > " + short + "\n",
	}))
}

// Three kubectl processes write three files, which are one world.
func TestSeveralFilesAreOneRecording(t *testing.T) {
	g := NewWithT(t)
	var files []string
	for _, kind := range []string{"Application", "Rollout", "ReplicaSet"} {
		var lines strings.Builder
		for line := range strings.Lines(readRecording(t, "r02-abort-retry")) {
			if strings.Contains(line, `"kind":"`+kind+`","metadata":{"annotations"`) {
				_, _ = lines.WriteString(regexp.MustCompile(`"seen":"[^"]*",`).ReplaceAllString(line, ""))
			}
		}
		files = append(files, filepath.Join(t.TempDir(), kind))
		g.Expect(os.WriteFile(files[len(files)-1], []byte(strings.TrimSpace(lines.String())), 0o600)).To(Succeed())
	}
	got := runCommand(t, "", append([]string{"record", "--output", "-", "--from"}, files...)...)
	g.Expect(got.stderr).To(Equal("recorded 152 events of 4 objects in standard output\n"))
	var all []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		all = append(append(all, data...), '\n')
	}
	g.Expect(runCommand(t, got.stdout, "replay", "-o", "json", "-")).To(Equal(runCommand(t, string(all), "replay", "-o", "json", "-")))
}

func TestABadLineIsNamedAndTheRestIsRecorded(t *testing.T) {
	g := NewWithT(t)
	got := runCommand(t, "{\n"+readRecording(t, "d01-success"), "record", "--output", "-", "--from", "-")
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(ContainSubstring("error: -:1: not JSON"))
	g.Expect(strings.Count(got.stdout, "\n")).To(Equal(strings.Count(readRecording(t, "d01-success"), "\n")))
	missing := runCommand(t, "", "record", "--output", "-", "--from", "no-such-file")
	g.Expect(missing.code).To(Equal(exitFailure))
	g.Expect(missing.stderr).To(ContainSubstring("no-such-file"))
}

// recordedCluster is an API server that has one Application, and no Argo Rollouts.
func recordedCluster(t *testing.T, watched func()) (kubeconfig string) {
	t.Helper()
	const app = `{"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"namespace":"argocd","name":"web","uid":"u","resourceVersion":"7","annotations":{"mine":"x"}}}`
	mux := http.NewServeMux()
	mux.HandleFunc("/apis/argoproj.io/v1alpha1", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"kind":"APIResourceList","resources":[{"name":"applications","kind":"Application"}]}`)
	})
	mux.HandleFunc("/apis/argoproj.io/v1alpha1/applications", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			answer(w, `{"apiVersion":"argoproj.io/v1alpha1","kind":"ApplicationList","metadata":{"resourceVersion":"7"},"items":[`+app+`]}`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush()
		watched()
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"` + server.URL + `"}}],
		"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func answer(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, text)
}

func TestARecordingEndsWhenItIsToldTo(t *testing.T) {
	for name, signal := range map[string]os.Signal{"by Ctrl-C": os.Interrupt, "by whoever stops the machine": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			watched := make(chan bool, 1)
			kubeconfig := recordedCluster(t, func() { watched <- true })
			path := filepath.Join(t.TempDir(), "web.jsonl")
			cmd := exec.CommandContext(t.Context(), os.Args[0], "record", "--kubeconfig", kubeconfig, "--output", path)
			cmd.Env = append(os.Environ(), asCommand+"=1")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			g.Expect(cmd.Start()).To(Succeed())
			<-watched
			g.Expect(cmd.Process.Signal(signal)).To(Succeed())
			g.Expect(cmd.Wait()).To(Succeed(), "it did what it was asked to do")
			g.Expect(stderr.String()).To(Equal("recording until Ctrl-C\nthis cluster serves no Rollouts: they are left out\nrecorded 1 event of 1 object in " + path + "\n"))
			data, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(data)).To(MatchRegexp(`^\{"seen":"[^"]+Z","type":"ADDED","object":\{.*"name":"web".*\}\}\n$`))
		})
	}
}

func TestARecordingEndsWhenItsTimeIsOver(t *testing.T) {
	g := NewWithT(t)
	got := runCommand(t, "", "record", "--kubeconfig", recordedCluster(t, func() {}), "--for", "1ms", "--output", "-")
	g.Expect(got.stderr).To(MatchRegexp(`(?s)^recording for 1ms; Ctrl-C ends it earlier\n.*recorded [01] events? of [01] objects? in standard output\n`))
}

func TestARecordingOfNothingIsAFailure(t *testing.T) {
	g := NewWithT(t)
	nothing, path := filepath.Join(t.TempDir(), "nothing.jsonl"), filepath.Join(t.TempDir(), "recording.jsonl")
	g.Expect(os.WriteFile(nothing, nil, 0o600)).To(Succeed())
	got := runCommand(t, "", "record", "--from", nothing, "--output", path)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(Equal("error: nothing was recorded: nothing was there, or --namespace and --application left all of it out\n"))
	g.Expect(path).NotTo(BeAnExistingFile())
}

// recordUntilWatched ends as soon as what there is was recorded.
func recordUntilWatched(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	args = append([]string{"record", "--kubeconfig", recordedCluster(t, cancel), "--output", "-"}, args...)
	code := execute(ctx, args, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

func TestWhatIsRecordedLive(t *testing.T) {
	const told = "recording until Ctrl-C\nthis cluster serves no Rollouts: they are left out\nrecorded 1 event of 1 object in standard output\n"
	const warning = "warning: --raw keeps specs, environment variables and annotations, which may hold secrets; do not send this recording to anybody\n"
	for name, test := range map[string]struct {
		args         []string
		stderr       string
		named, noted bool
	}{
		"what decisions read": {nil, told, true, false},
		"of one Application":  {[]string{"--application", "web", "--namespace", "argocd,all"}, told, true, false},
		"redacted":            {[]string{"--redact"}, told, false, false},
		"everything there is": {[]string{"--raw"}, warning + told, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got := recordUntilWatched(t, test.args...)
			g.Expect(got.code).To(Equal(exitOK))
			g.Expect(got.stderr).To(Equal(test.stderr))
			g.Expect(strings.Contains(got.stdout, `"web"`)).To(Equal(test.named))
			g.Expect(strings.Contains(got.stdout, "mine")).To(Equal(test.noted))
		})
	}
}

func TestNoClusterNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.jsonl")
	got := runCommand(t, "", "record", "--kubeconfig", filepath.Join(t.TempDir(), "none"), "--output", path)
	g := NewWithT(t)
	g.Expect(got.code).To(Equal(exitFailure))
	g.Expect(got.stderr).To(HavePrefix("error: --kubeconfig: "))
	g.Expect(path).NotTo(BeAnExistingFile())
}

func TestAnEmptyFlagIsNotOneThatWasLeftOut(t *testing.T) {
	g := NewWithT(t)
	for _, flag := range []string{"--redact-key", "--application", "--namespace"} {
		got := runCommand(t, "", "record", "--output", "-", flag, "")
		g.Expect(got.code).To(Equal(exitUsage), flag)
		g.Expect(got.stderr).To(ContainSubstring(flag+" is empty"), flag)
	}
}

func TestARecordingThatCameToNothingLeavesNoFile(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "x.jsonl")
	g.Expect(runCommand(t, "", "record", "--from", filepath.Join(t.TempDir(), "missing"), "--output", file).code).To(Equal(exitFailure))
	g.Expect(file).NotTo(BeAnExistingFile())
}
