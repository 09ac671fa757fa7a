package chart_test

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// policies are those of an administrator who lets team-a alone share, and nobody send to other hosts than these.
const policies = `{trustedNamespaces: [argocd], admissionPolicies: {enabled: true, sharedSinkNamespaces: [team-a],
	sinkTypes: [Port, Postgres, CloudEvents], sinkHosts: ["*.example.com", "::1", api.port.io]}}`

var judged = map[string]struct {
	namespace, spec string
	want            string // what the refusal says; empty if the sink is taken
}{
	"a sink that is not shared":             {"team-b", `{type: CloudEvents, cloudEvents: {url: "https://events.example.com/x"}}`, ""},
	"one that is, where that is allowed":    {"team-a", `{type: CloudEvents, shared: true, cloudEvents: {url: "https://events.example.com/x"}}`, ""},
	"one that is, elsewhere":                {"team-b", `{type: CloudEvents, shared: true, cloudEvents: {url: "https://events.example.com/x"}}`, "shared in team-a only"},
	"another type":                          {"team-a", `{type: Stdout}`, "allows Port, Postgres, CloudEvents only"},
	"another host":                          {"team-a", `{type: CloudEvents, cloudEvents: {url: "https://example.org/x"}}`, "send to *.example.com"},
	"a host that only ends like it":         {"team-a", `{type: CloudEvents, cloudEvents: {url: "https://evil-example.com/x"}}`, "send to *.example.com"},
	"the domain itself":                     {"team-a", `{type: CloudEvents, cloudEvents: {url: "https://example.com/x"}}`, "send to *.example.com"},
	"a host in the user's place":            {"team-a", `{type: CloudEvents, cloudEvents: {url: "https://events.example.com@evil.org/x"}}`, "without credentials"},
	"a host with a port":                    {"team-a", `{type: CloudEvents, cloudEvents: {url: "https://events.example.com:8443/x"}}`, ""},
	"a portal at its usual place":           {"team-a", `{type: Port, port: {secretRef: {name: port}}}`, ""},
	"a portal of the other region":          {"team-a", `{type: Port, port: {secretRef: {name: port}, region: US}}`, "send to *.example.com"},
	"a portal behind something else":        {"team-a", `{type: Port, port: {secretRef: {name: port}, baseURL: "https://port.example.org"}}`, "send to *.example.com"},
	"a database":                            {"team-a", `{type: Postgres, postgres: {secretRef: {name: db}, host: "a.example.com:6432,b.example.com"}}`, ""},
	"a database one of whose hosts is else": {"team-a", `{type: Postgres, postgres: {secretRef: {name: db}, host: "a.example.com,b.example.org"}}`, "send to *.example.com"},
	"a database by its address":             {"team-a", `{type: Postgres, postgres: {secretRef: {name: db}, host: "[::1]:5432"}}`, ""},
	"a database that its Secret names":      {"team-a", `{type: Postgres, postgres: {secretRef: {name: db}}}`, "has to stand here and not in the Secret"},
}

func policiesHold(t *testing.T, c *cluster) {
	t.Helper()
	g := NewWithT(t)
	var kinds []*apiextensionsv1.CustomResourceDefinition
	for _, o := range render(t, policies) {
		switch o.GetKind() {
		case "CustomResourceDefinition":
			kind := &apiextensionsv1.CustomResourceDefinition{}
			g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, kind)).To(Succeed())
			kinds = append(kinds, kind)
		case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
			g.Expect(c.api.Create(t.Context(), o)).To(Succeed())
		}
	}
	_, err := envtest.InstallCRDs(c.config, envtest.CRDInstallOptions{CRDs: kinds})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() error { return c.sink(t.Context(), "team-b", judged["one that is, elsewhere"].spec) }).WithTimeout(patience).
		Should(MatchError(ContainSubstring("shared in")), "the server takes a moment to heed a policy")
	for name, j := range judged {
		t.Run(name, func(t *testing.T) {
			err := c.sink(t.Context(), j.namespace, j.spec)
			if j.want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(j.want)))
		})
	}
}

// sink is what the server says to such a DoraSink.
func (c *cluster) sink(ctx context.Context, namespace, spec string) error {
	sink := &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "sink"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &sink.Spec); err != nil {
		return err
	}
	err := c.tried(ctx, sink)
	if meta.IsNoMatchError(err) {
		c.api, err = client.New(c.config, client.Options{Scheme: c.api.Scheme()})
	}
	return err
}
