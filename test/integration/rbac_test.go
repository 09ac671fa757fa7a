package integration_test

import (
	"bytes"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	systemNamespace = "dora-system"
	serviceAccount  = "dora-controller"
)

var _ = Describe("With the rights of config/rbac and no others", Ordered, func() {
	BeforeAll(func(ctx SpecContext) {
		makeNamespaces(systemNamespace)
		for _, file := range []string{
			"service_account.yaml", "role.yaml", "role_binding.yaml", "leader_election_role.yaml", "leader_election_role_binding.yaml",
			"secret_reader_role.yaml",
		} {
			apply(ctx, filepath.Join(root, "config", "rbac", file))
		}
		// All namespaces are watched: what other specs left there would ask for its own Secrets.
		var left corev1.NamespaceList
		Expect(api.List(ctx, &left)).To(Succeed())
		for _, namespace := range left.Items {
			Expect(api.DeleteAllOf(ctx, &dorav1alpha1.DoraTarget{}, client.InNamespace(namespace.Name))).To(Succeed())
			Expect(api.DeleteAllOf(ctx, &dorav1alpha1.DoraSink{}, client.InNamespace(namespace.Name))).To(Succeed())
		}
	})

	It("everything works, and nothing that is asked for is forbidden", func(ctx SpecContext) {
		refused := &refusals{}
		p := start(refused.watch(asServiceAccount()), func(o *app.Options) {
			o.LeaderElect, o.LeaderElectionNamespace, o.Explain = true, systemNamespace, true
		})
		p.awaitReady()
		namespace := newNamespace(ctx, api)
		target := newTarget(ctx, api, namespace, "all", `{applications: {}, rollouts: {}}`)
		// These are services that no other spec has.
		newApplication(ctx, api, p.clock, namespace, "books", nil).deploy(v1)
		newRollout(ctx, api, p.clock, namespace, "films").deploy(v2)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(2)))
		})
		Eventually(func(g Gomega) {
			var list eventsv1.EventList
			g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			g.Expect(list.Items).To(ContainElement(HaveField("Reason", "Deployed")))
		}).WithTimeout(patience).Should(Succeed())
		p.end()
		Expect(refused.all()).To(BeEmpty())
	})

	It("reads Secrets of a namespace once somebody there lets it", func(ctx SpecContext) {
		repo := committest.New(GinkgoTB())
		git := serveGit(repo)
		git.locked.Store(true)
		p := start(asServiceAccount(), func(o *app.Options) {
			o.AllowNetworks, o.GitCache = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, GinkgoT().TempDir()
		})
		p.awaitReady()
		namespace := newNamespace(ctx, api)
		Expect(api.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "git"}, StringData: map[string]string{"username": "ci", "password": canary},
		})).To(Succeed())
		target := newTarget(ctx, api, namespace, "all", `{applications: {}, degradedFor: 0s, source: {
			repository: {fromAnnotation: example.com/repository}, hosts: ["`+strings.TrimPrefix(git.URL, "http://")+`"], secretRef: {name: git}}}`)
		cart := newApplication(ctx, api, p.clock, namespace, "cart", nil)
		cart.annotate(ctx, "example.com/repository", git.URL+"/repo.git")
		cart.deploy(image(repo.Commit(committest.Commit{})))
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved=True (SecretNotUsable)"))
			g.Expect(meta.FindStatusCondition(s.Conditions, "CommitsUnresolved").Message).To(ContainSubstring(
				"by a Role and a RoleBinding in namespace " + namespace))
		})
		Expect(api.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dora-controller-secret-reader"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "dora-controller-secret-reader"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: systemNamespace, Name: serviceAccount}},
		})).To(Succeed())
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			cart.wait(time.Hour)
			// In clear text an annotation's repository gets no credentials, so the server still asks who it is.
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved=True (CredentialsRefused)"))
		})
		git.locked.Store(false)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			cart.wait(time.Hour)
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved is absent"))
			g.Expect(s).To(HaveField("Commits.Pending", BeZero()))
		})
	})

	It("delivers with a sink's Secret once somebody there lets it, and never with a token of its own", func(ctx SpecContext) {
		refused, token := &refusals{}, sinktest.Secret("token")
		p := start(refused.watch(asServiceAccount()), loopback)
		p.awaitReady()
		namespace := newNamespace(ctx, api)
		receiver := cloudeventstest.New(GinkgoTB(), cloudeventstest.Settings{Token: token})
		newSecret(ctx, namespace, "hooks", map[string]string{"token": token})
		hooks := newSink(ctx, namespace, "hooks", `{type: CloudEvents, default: true, cloudEvents: {url: "`+receiver.URL+`", secretRef: {name: hooks}}}`)
		expectSink(ctx, p, hooks, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("False (CredentialsMissing) 0/0/0"))
		})
		newTarget(ctx, api, namespace, "all", `{applications: {}}`)
		newApplication(ctx, api, p.clock, namespace, "orders", nil).deploy(v1)
		expectSink(ctx, p, hooks, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("False (CredentialsMissing) 0/1/0"))
			g.Expect(meta.FindStatusCondition(s.Conditions, "Ready").Message).To(ContainSubstring(
				"by a Role and a RoleBinding in namespace " + namespace))
		})
		// What other specs left behind names Secrets too, which are none of this controller's business either.
		Expect(refused.all()).To(And(ContainElement(HaveSuffix(namespace+"/secrets/hooks")), HaveEach(ContainSubstring("/secrets/"))), "nothing else is forbidden")
		Expect(api.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dora-controller-secret-reader"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "dora-controller-secret-reader"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: systemNamespace, Name: serviceAccount}},
		})).To(Succeed())
		annotateSink(ctx, hooks, dorav1alpha1.AnnotationRetry, "the right is there")
		expectSink(ctx, p, hooks, func(g Gomega, s *dorav1alpha1.DoraSinkStatus) {
			g.Expect(stateOf(s)).To(Equal("True (Delivering) 1/0/0"))
		})
		for _, r := range receiver.Received() {
			Expect(r.Header.Values("Authorization")).To(Equal([]string{"Bearer " + token}))
		}
	})
})

// asServiceAccount is a way to the server with the rights of the controller's service account.
func asServiceAccount() *rest.Config {
	GinkgoHelper()
	user, err := server.AddUser(envtest.User{
		Name:   strings.Join([]string{"system:serviceaccount", systemNamespace, serviceAccount}, ":"),
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + systemNamespace, "system:authenticated"},
	}, nil)
	Expect(err).NotTo(HaveOccurred())
	return user.Config()
}

// apply creates all objects of a file.
func apply(ctx SpecContext, path string) {
	GinkgoHelper()
	data, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	for document := range bytes.SplitSeq(data, []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		Expect(yaml.Unmarshal(bytes.TrimPrefix(document, []byte("---\n")), &o.Object)).To(Succeed())
		Expect(api.Create(ctx, o)).To(Succeed())
	}
}

// refusals collects what the server forbids.
type refusals struct {
	mu    sync.Mutex
	found []string
}

func (r *refusals) watch(config *rest.Config) *rest.Config {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(req)
			if err == nil && (response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.found = append(r.found, req.Method+" "+req.URL.Path)
			}
			return response, err
		})
	})
	return config
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
