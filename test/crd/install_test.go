package crd_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

const system = "dora-system"

var _ = Describe("Samples", func() {
	It("are admitted", func() {
		printed := kubectl("apply", "--server-side", "--dry-run=server", "-k", root+"/config/samples")
		Expect(strings.Count(printed, "doratarget.dora-controller.io/")).To(Equal(8), printed)
		Expect(strings.Count(printed, "dorasink.dora-controller.io/")).To(Equal(4), printed)
		Expect(strings.Count(printed, "dorareceiver.dora-controller.io/")).To(Equal(3), printed)
		Expect(strings.Count(printed, "secret/")).To(Equal(6), printed)
		Expect(strings.Count(printed, "serverside-applied")).To(Equal(21), printed)
	})

	It("are all in the kustomization, and leave out no type of sink", func() {
		var all struct{ Resources []string }
		Expect(yaml.Unmarshal(must(os.ReadFile(root+"/config/samples/kustomization.yaml")), &all)).To(Succeed())
		files := must(filepath.Glob(root + "/config/samples/*.yaml"))
		Expect(all.Resources).To(HaveLen(len(files)-1), "the kustomization is not among its resources")
		var types []string
		for _, file := range must(filepath.Glob(root + "/config/samples/sink_*.yaml")) {
			types = append(types, string(sampleOf(file).sink.Spec.Type))
		}
		Expect(types).To(ConsistOf("Port", "Postgres", "CloudEvents", "Stdout"))
	})

	It("name each other, and hold no credentials", func() {
		for _, file := range must(filepath.Glob(root + "/config/samples/sink_*.yaml")) {
			s := sampleOf(file)
			Expect(s.target.Spec.Sinks).To(ConsistOf(dorav1alpha1.SinkName(s.sink.Name)), file)
			if s.sink.Spec.Type == dorav1alpha1.SinkStdout {
				continue
			}
			Expect(string(must(yaml.Marshal(s.sink.Spec)))).To(ContainSubstring("secretRef:\n    name: "+s.secret.Name+"\n"), file)
			for key, value := range s.secret.StringData {
				if !slices.Contains([]string{"host", "database", "username"}, key) {
					Expect(value).To(Equal("REPLACE-ME"), file+": "+key)
				}
			}
		}
	})
})

// sample is what a file of a sink's samples holds.
type sample struct {
	secret corev1.Secret
	sink   dorav1alpha1.DoraSink
	target dorav1alpha1.DoraTarget
}

func sampleOf(file string) (s sample) {
	GinkgoHelper()
	for text := range strings.SplitSeq(string(must(os.ReadFile(file))), "\n---\n") {
		var meta metav1.TypeMeta
		Expect(yaml.Unmarshal([]byte(text), &meta)).To(Succeed())
		into := map[string]any{"Secret": &s.secret, "DoraSink": &s.sink, "DoraTarget": &s.target}[meta.Kind]
		Expect(yaml.UnmarshalStrict([]byte(text), into)).To(Succeed(), file)
	}
	return s
}

// People get their rights on a kind through the roles that every cluster has. Who adds these roles up is the controller manager, which is
// not here; so this binds them as they are.
var _ = Describe("Roles for people", Ordered, func() {
	BeforeAll(func() {
		kubectl("apply", "--server-side", "--force-conflicts", "-k", root+"/config/default")
		makeNamespace("people", nil)
		for _, kind := range []string{"doratarget", "dorasink", "dorareceiver"} {
			for _, role := range []string{"viewer", "editor"} {
				name := "dora-controller-" + kind + "-" + role
				kubectl("create", "rolebinding", name, "--clusterrole="+name, "--user="+kind+"-"+role, "-n", "people")
			}
		}
	})

	for _, kind := range []string{"doratarget", "dorasink", "dorareceiver"} {
		reading := []string{"get", "list", "watch"}
		writing := []string{"create", "update", "patch", "delete", "deletecollection"}
		It("let viewers of "+kind+"s read", func() {
			for _, verb := range reading {
				Expect(permitted(kind+"-viewer", verb+" dora-controller.io "+kind+"s", "people")).To(BeTrue(), verb)
			}
			for _, verb := range writing {
				Expect(permitted(kind+"-viewer", verb+" dora-controller.io "+kind+"s", "people")).To(BeFalse(), verb)
			}
		})

		It("let editors of "+kind+"s write, but not what the controller says", func() {
			for _, verb := range append(reading, writing...) {
				Expect(permitted(kind+"-editor", verb+" dora-controller.io "+kind+"s", "people")).To(BeTrue(), verb)
			}
			for _, verb := range []string{"update", "patch"} {
				Expect(permitted(kind+"-editor", verb+" dora-controller.io "+kind+"s/status", "people")).To(BeFalse(), verb)
			}
			Expect(permitted(kind+"-editor", "get dora-controller.io "+kind+"s/status", "people")).To(BeTrue())
			Expect(permitted(kind+"-editor", "get core secrets", "people")).To(BeFalse())
			Expect(permitted(kind+"-editor", "get dora-controller.io "+kind+"s", "default")).To(BeFalse())
		})
	}

	It("are part of view, edit and admin", func() {
		for name, into := range map[string][]string{"viewer": {"view"}, "editor": {"edit", "admin"}} {
			for _, kind := range []string{"doratarget", "dorasink", "dorareceiver"} {
				var role rbacv1.ClusterRole
				Expect(api.Get(context.Background(), client.ObjectKey{Name: "dora-controller-" + kind + "-" + name}, &role)).To(Succeed())
				for _, part := range into {
					Expect(role.Labels).To(HaveKeyWithValue("rbac.authorization.k8s.io/aggregate-to-"+part, "true"), role.Name)
				}
				Expect(role.Labels).To(HaveLen(len(into)+1), role.Name)
			}
		}
	})
})

var _ = Describe("Installation", Ordered, func() {
	BeforeAll(func() {
		kubectl("apply", "--server-side", "--force-conflicts", "-k", root+"/config/default")
	})

	It("runs where only restricted pods may", func() {
		var deployment appsv1.Deployment
		Expect(api.Get(context.Background(), client.ObjectKey{Namespace: system, Name: "dora-controller"}, &deployment)).To(Succeed())
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "restricted", Labels: deployment.Spec.Template.Labels},
			Spec:       deployment.Spec.Template.Spec,
		}
		Expect(try(pod)).To(Succeed())

		pod.Spec.SecurityContext.RunAsNonRoot = new(false)
		Expect(try(pod)).To(MatchError(ContainSubstring("violates PodSecurity")), "the namespace does not enforce anything")
	})

	It("may read what it follows and write what is its own", func() {
		for _, action := range []string{
			"get argoproj.io applications", "list argoproj.io applications", "watch argoproj.io applications",
			"get argoproj.io rollouts", "list argoproj.io rollouts", "watch argoproj.io rollouts",
			"list apps replicasets", "watch apps replicasets",
			"list dora-controller.io doratargets", "watch dora-controller.io doratargets",
			"patch dora-controller.io doratargets/status",
			"create events.k8s.io events", "patch events.k8s.io events",
		} {
			Expect(allowed(action, "anywhere")).To(BeTrue(), action)
		}
		Expect(allowed("create coordination.k8s.io leases", system)).To(BeTrue())
	})

	It("may never write to Argo's objects, or read secrets", func() {
		for _, resource := range []string{"argoproj.io applications", "argoproj.io rollouts", "apps replicasets", "dora-controller.io doratargets"} {
			for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
				Expect(allowed(verb+" "+resource, "anywhere")).To(BeFalse(), verb+" "+resource)
			}
		}
		for _, action := range []string{
			"patch argoproj.io applications/status", "patch argoproj.io rollouts/status", "get core secrets", "list core secrets",
			"update dora-controller.io doratargets/status", "create coordination.k8s.io leases", "* * *",
		} {
			Expect(allowed(action, "anywhere")).To(BeFalse(), action)
		}
	})
})

// Secrets are read where somebody let the controller, in the words of the page, and nowhere else.
var _ = Describe("Reading Secrets", Ordered, func() {
	BeforeAll(func() {
		kubectl("apply", "--server-side", "--force-conflicts", "-k", root+"/config/default")
		makeNamespace("with-secrets", nil)
		bind := commandsOf(targetPage, "kubectl create rolebinding ")
		Expect(bind).To(HaveLen(1))
		kubectl(strings.Fields(strings.ReplaceAll(bind[0], "NAMESPACE", "with-secrets"))[1:]...)
	})

	It("is allowed in a namespace that binds the role", func() {
		Expect(allowed("get core secrets", "with-secrets")).To(BeTrue())
	})

	It("is neither listing nor writing, and stays in that namespace", func() {
		for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete"} {
			Expect(allowed(verb+" core secrets", "with-secrets")).To(BeFalse(), verb)
		}
		Expect(allowed("get core configmaps", "with-secrets")).To(BeFalse())
		Expect(allowed("get core secrets", "default")).To(BeFalse())
		Expect(allowed("get core secrets", system)).To(BeFalse())
	})
})

// allowed asks the server whether the controller's account may do something: verb, group and resource, and perhaps a name.
func allowed(action, namespace string) bool {
	GinkgoHelper()
	return permitted("system:serviceaccount:"+system+":dora-controller", action, namespace)
}

// permitted asks the server whether somebody may do something.
func permitted(user, action, namespace string) bool {
	GinkgoHelper()
	words := append(strings.Fields(action), "")
	group, resource := words[1], words[2]
	if group == "core" {
		group = ""
	}
	resource, subresource, _ := strings.Cut(resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: words[0], Group: group, Resource: resource, Subresource: subresource, Name: words[3],
		},
	}}
	Expect(api.Create(context.Background(), review)).To(Succeed())
	return review.Status.Allowed
}
