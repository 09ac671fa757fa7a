package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunSaysWhatIsWrongBeforeItStarts(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(nowhere, []byte("apiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args string
		code int
		want string
	}{
		"a flag with a value that is none":   {"run --cluster=EU", exitUsage, `error: --cluster="EU" is no name: use lower-case`},
		"a flag that is unknown":             {"run --legder=x", exitUsage, "unknown flag: --legder"},
		"an argument":                        {"run now", exitUsage, "See 'dora-controller run --help'"},
		"a time that is none":                {"run --keep-events=long", exitUsage, "--keep-events"},
		"a time that is too short":           {"run --keep-events=30d", exitUsage, "--keep-events=720h0m0s is shorter"},
		"flags without the command":          {"--health-probe-bind-address=8081", exitUsage, "--health-probe-bind-address"},
		"a level of an area that is none":    {"run --log-level=info,leger=debug", exitUsage, `for "--log-level" flag: there is no area "leger": use application, client,`},
		"a level that is none":               {"run --log-level=info,ledger=loud", exitUsage, `for "--log-level" flag: "loud" is no level: use debug, info, error,`},
		"a kubeconfig that is not there":     {"run --kubeconfig=" + nowhere + ".missing", exitFailure, "--kubeconfig: "},
		"a kubeconfig that names no cluster": {"run --ledger=x --metrics-bind-address=0 --kubeconfig=" + nowhere, exitFailure, "error: "},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := execute(t.Context(), withDefaultCommand(strings.Fields(test.args)), nil, &out, &errOut)
			if code != test.code || !strings.Contains(errOut.String(), test.want) {
				t.Errorf("exit code %d, want %d; said:\n%s\nwant %s", code, test.code, errOut.String(), test.want)
			}
			if out.Len() > 0 {
				t.Errorf("on standard output, which is for events: %s", out.String())
			}
		})
	}
}

func TestRunExplainsItsFlags(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := execute(t.Context(), []string{"run", "--help"}, nil, &out, &errOut); code != exitOK {
		t.Fatal(errOut.String())
	}
	for _, flag := range []string{
		"--ledger", "--cluster", "--namespaces", "--trusted-namespaces", "--stdout-sink", "--explain", "--leader-elect",
		"--metrics-bind-address", "--health-probe-bind-address", "--keep-events", "--log-level", "--kubeconfig",
	} {
		if !strings.Contains(out.String(), flag) {
			t.Errorf("%s is not explained", flag)
		}
	}
}
