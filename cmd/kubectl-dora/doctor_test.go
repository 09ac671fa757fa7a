package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
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
	g.Expect(got.stdout).To(HaveSuffix("1 checks passed, 0 problems, 0 warnings, 39 not checked.\n"), got.stderr)
}
