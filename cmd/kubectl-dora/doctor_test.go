package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/doctor"
)

// The answer is due within doctorTimeout whatever the API server does. Without that limit this test never ends.
func TestDoctorOfAServerThatHangs(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			_, _ = w.Write([]byte(`{"major": "1", "minor": "34", "gitVersion": "v1.34.0"}`))
			return
		}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	config := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(os.WriteFile(config, []byte(strings.ReplaceAll(`{"apiVersion": "v1", "kind": "Config", "current-context": "slow",
		"contexts": [{"name": "slow", "context": {"cluster": "slow", "user": "ada"}}],
		"clusters": [{"name": "slow", "cluster": {"server": "SERVER"}}], "users": [{"name": "ada", "user": {}}]}`, "SERVER", server.URL)), 0o600)).To(Succeed())
	got := run(t, "doctor", "--kubeconfig", config)
	g.Expect(got.stdout).To(ContainSubstring("1 check passed, 0 problems, 0 warnings, 52 not checked.\n"), got.stderr)
	g.Expect(got.code).To(Equal(exitUnchecked), "a script must not take this for healthy")
}

func TestTheLastLineCountsAsPeopleDo(t *testing.T) {
	one := []doctor.Finding{{Severity: doctor.Problem}, {Severity: doctor.Warning}}
	for want, r := range map[string]doctor.Report{
		"1 check passed, 1 problem, 1 warning, 1 not checked.\n":    {Passed: []string{"a"}, Findings: one, Unchecked: []doctor.Unchecked{{}}},
		"2 checks passed, 0 problems, 0 warnings, 0 not checked.\n": {Passed: []string{"a", "b"}},
		"0 checks passed, 2 problems, 2 warnings, 0 not checked.\n": {Findings: append(one, one...)},
	} {
		var out strings.Builder
		NewWithT(t).Expect(printDoctor(&out, &r)).To(Succeed())
		NewWithT(t).Expect(out.String()).To(HaveSuffix(want))
	}
}

func TestTheVerdictOfTheDoctor(t *testing.T) {
	problem := []doctor.Finding{{Severity: doctor.Problem}}
	warning, unchecked := []doctor.Finding{{Severity: doctor.Warning}}, []doctor.Unchecked{{Check: "crd-missing"}}
	for name, c := range map[string]struct {
		report doctor.Report
		want   int
	}{
		"all is well":                    {doctor.Report{}, exitOK},
		"a warning":                      {doctor.Report{Findings: warning}, exitOK},
		"a problem":                      {doctor.Report{Findings: problem}, exitFailure},
		"a check that could not be made": {doctor.Report{Findings: warning, Unchecked: unchecked}, exitUnchecked},
		"a problem, and a check that was not made": {doctor.Report{Findings: problem, Unchecked: unchecked}, exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			got := exitOK
			if err := verdict(&c.report); err != nil {
				coded, _ := errors.AsType[*codedError](err)
				got = coded.code
			}
			NewWithT(t).Expect(got).To(Equal(c.want))
		})
	}
}
