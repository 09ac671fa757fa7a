package crd_test

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dora-controller/dora-controller/internal/kube"
)

const system = "dora-system"

var _ = Describe("Samples", func() {
	It("are admitted", func() {
		printed := kubectl("apply", "--server-side", "--dry-run=server", "-k", root+"/config/samples")
		Expect(strings.Count(printed, "serverside-applied")).To(Equal(3), printed)
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
		bind := commandsOf("kubectl create rolebinding ")
		Expect(bind).To(HaveLen(1))
		kubectl(strings.Fields(strings.ReplaceAll(bind[0], "NAMESPACE", "with-secrets"))[1:]...)
	})

	It("is allowed in a namespace that binds the role", func() {
		Expect(kube.SecretReaderRole).To(Equal("dora-controller-secret-reader"))
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

// allowed asks the server whether the controller's account may do something: verb, group and resource.
func allowed(action, namespace string) bool {
	GinkgoHelper()
	words := strings.Fields(action)
	group, resource := words[1], words[2]
	if group == "core" {
		group = ""
	}
	resource, subresource, _ := strings.Cut(resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:" + system + ":dora-controller",
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: words[0], Group: group, Resource: resource, Subresource: subresource,
		},
	}}
	Expect(api.Create(context.Background(), review)).To(Succeed())
	return review.Status.Allowed
}
