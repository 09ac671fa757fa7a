package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

var made = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// unpacked is the files of an archive by their names.
func unpacked(t *testing.T, b *Bundle) map[string]string {
	t.Helper()
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(content)
	}
}

func deployment(secret string) map[string]any {
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{
			"name": "dora-controller", "managedFields": []any{map[string]any{"manager": secret}},
			"annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": `{"x":"` + secret + `"}`, "kept": "yes"},
		},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"imagePullSecrets": []any{map[string]any{"name": "registry"}},
			"volumes":          []any{map[string]any{"name": "tls", "secret": map[string]any{"secretName": "tls-of-it"}}},
			"containers": []any{map[string]any{"name": "manager", "env": []any{
				map[string]any{"name": "HARMLESS_NAME", "value": secret},
				map[string]any{"name": "FROM", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "of-port", "key": "clientId"}}},
			}}},
		}}},
	}
}

func TestObjectsLoseWhatMayHoldACredential(t *testing.T) {
	g := NewWithT(t)
	original := deployment(sinktest.Secret("env"))
	b := New(Options{Made: made})
	g.Expect(b.Objects("controller.yaml", original)).To(Succeed())
	text := unpacked(t, b)["dora-bundle-20261120-120000/controller.yaml"]
	g.Expect(sinktest.Leaks(text)).To(BeFalse())
	g.Expect(text).To(And(ContainSubstring("name: HARMLESS_NAME"), ContainSubstring("value: REDACTED"), ContainSubstring("kept: "), ContainSubstring("name: of-port")))
	g.Expect(original).To(Equal(deployment(sinktest.Secret("env")))) // a copy was redacted
}

func TestNamesOfSecretsAreHashedAlikeInOneArchive(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made, HashNames: true})
	sink := map[string]any{"kind": "DoraSink", "spec": map[string]any{"port": map[string]any{"secretRef": map[string]any{"name": "of-port"}}}}
	g.Expect(b.Objects("controller.yaml", deployment("x"))).To(Succeed())
	g.Expect(b.Objects("sinks.yaml", sink)).To(Succeed())
	files := unpacked(t, b)
	for _, name := range []string{"of-port", "tls-of-it", "registry"} {
		for file, text := range files {
			g.Expect(text).NotTo(ContainSubstring(name), file)
		}
	}
	g.Expect(files["dora-bundle-20261120-120000/sinks.yaml"]).To(ContainSubstring(b.Secret("of-port")))
	g.Expect(files["dora-bundle-20261120-120000/controller.yaml"]).To(ContainSubstring(b.Secret("of-port")))
	g.Expect(New(Options{HashNames: true}).Secret("of-port")).NotTo(Equal(b.Secret("of-port")))
	g.Expect(New(Options{}).Secret("of-port")).To(Equal("of-port"))
}

func TestASecretIsRefused(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made})
	g.Expect(b.Objects("x.yaml", map[string]any{"kind": "Secret", "data": map[string]any{"x": sinktest.Secret("refused")}})).NotTo(Succeed())
	g.Expect(b.Entries()).To(HaveLen(1)) // the list alone
}

func TestTheListNamesWhatIsInTheArchiveAndWhatIsNot(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made})
	b.Add("logs/../versions.txt", "kubectl-dora dev\n")
	b.Missing("logs", errors.New("pods is forbidden:\n token="+sinktest.Secret("note")))
	files := unpacked(t, b)
	g.Expect(files).To(HaveLen(2))
	list := files["dora-bundle-20261120-120000/contents.txt"]
	g.Expect(list).To(And(ContainSubstring("versions.txt   17 bytes\n"), ContainSubstring("not in it: logs: pods is forbidden: token=REDACTED\n")))
	g.Expect(b.Notes()).To(HaveLen(1))
	g.Expect(b.Entries()[1]).To(Equal(Entry{"versions.txt", 17}))
}

func TestOfALongFileTheEndIsKept(t *testing.T) {
	g := NewWithT(t)
	b := New(Options{Made: made})
	b.Add("log", "first\n"+strings.Repeat("x\n", maxFile/2)+"last\n")
	text := unpacked(t, b)["dora-bundle-20261120-120000/log"]
	g.Expect(text).To(And(HavePrefix(cut), HaveSuffix("last\n")))
	g.Expect(text).To(HaveLen(len(cut) + maxFile))
}

// No path leads out of the folder that the archive is unpacked to.
func TestNamesStayInTheFolder(t *testing.T) {
	b := New(Options{Made: made})
	b.Add("../../etc/passwd", "x")
	for name := range unpacked(t, b) {
		if strings.Contains(name, "..") || !strings.HasPrefix(name, "dora-bundle-") {
			t.Errorf("the archive has %q", name)
		}
	}
}

// Values that are credentials and look like none, where they stand in what is read of a cluster.
func TestWhatOnlyItsPlaceTellsIsTakenOut(t *testing.T) {
	pod := map[string]any{
		"kind": "Pod",
		"metadata": map[string]any{"annotations": map[string]any{
			"deploy-key": "hunter11", "example.com/note": "token hunter12", "kubectl.kubernetes.io/default-container": "manager",
		}},
		"spec": map[string]any{"containers": []any{map[string]any{
			"args":    []any{"--password", "hunter13", "--ledger=/var/lib/ledger.db", "--api-key=hunter14"},
			"command": []any{"sh", "-c", "proxy --auth-token hunter15 --listen :80"},
		}}},
	}
	sink := map[string]any{"kind": "DoraSink", "spec": map[string]any{
		"type": "CloudEvents", "cloudEvents": map[string]any{"url": "https://hooks.example.com/services/hunter16?key=hunter17&sig=hunter18"},
		"port": map[string]any{"baseURL": "https://api.example.com"},
	}}
	g := NewWithT(t)
	b := New(Options{Made: made})
	g.Expect(b.Objects("all.yaml", pod, sink)).To(Succeed())
	text := unpacked(t, b)["dora-bundle-20261120-120000/all.yaml"]
	g.Expect(text).NotTo(ContainSubstring("hunter"))
	for _, kept := range []string{
		"deploy-key: REDACTED", "default-container: manager", "- --ledger=/var/lib/ledger.db", "--listen :80", "url: https://hooks.example.com/REDACTED",
		"baseURL: https://api.example.com",
	} {
		g.Expect(text).To(ContainSubstring(kept))
	}
}

// With names hashed a name of a Secret is in no sentence and no command, wherever it comes from; a word that is the same stays.
func TestNamesOfSecretsAreHashedInTexts(t *testing.T) {
	for _, text := range []string{
		"the controller may not read Secret argocd/of-port", `secrets "of-port" is forbidden`, `secret \"of-port\" not found`, "there is no Secret of-port.",
		"kubectl create role dora-controller-reads-of-port -n argocd --verb=get --resource=secrets --resource-name=of-port && x",
	} {
		g := NewWithT(t)
		b := New(Options{Made: made, HashNames: true})
		b.Add("early.txt", text)
		b.Missing("logs", errors.New(text))
		hash := b.Secret("of-port")
		b.Secret("of")
		for _, found := range unpacked(t, b) {
			g.Expect(found).NotTo(ContainSubstring("of-port"))
			g.Expect(found).To(ContainSubstring(hash))
		}
		g.Expect(b.Notes()[0]).NotTo(ContainSubstring("of-port"))
		plain := New(Options{Made: made})
		plain.Add("x", text)
		plain.Secret("of-port")
		g.Expect(unpacked(t, plain)["dora-bundle-20261120-120000/x"]).To(Equal(text))
	}
	g := NewWithT(t)
	b := New(Options{Made: made, HashNames: true})
	b.Secret("port")
	b.Add("x", "the port of Service argocd/port")
	g.Expect(unpacked(t, b)["dora-bundle-20261120-120000/x"]).To(Equal("the port of Service argocd/port"))
}
