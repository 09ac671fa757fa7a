package integration_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// newTarget creates a DoraTarget whose spec is written as YAML.
func newTarget(ctx context.Context, c client.Client, namespace, name, spec string, changes ...func(*dorav1alpha1.DoraTarget)) *dorav1alpha1.DoraTarget {
	GinkgoHelper()
	target := &dorav1alpha1.DoraTarget{}
	Expect(yaml.UnmarshalStrict([]byte(spec), &target.Spec)).To(Succeed(), spec)
	target.Namespace, target.Name = namespace, name
	for _, change := range changes {
		change(target)
	}
	Expect(c.Create(ctx, target)).To(Succeed())
	return target
}

// expectStatus waits until the status of a target passes.
func expectStatus(ctx context.Context, target *dorav1alpha1.DoraTarget, pass func(g Gomega, status *dorav1alpha1.DoraTargetStatus)) {
	GinkgoHelper()
	expectStatusOn(ctx, api, target, pass)
}

func expectStatusOn(ctx context.Context, c client.Client, target *dorav1alpha1.DoraTarget, pass func(g Gomega, status *dorav1alpha1.DoraTargetStatus)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(c.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
		pass(g, &target.Status)
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
}

// condition tells one in words: "Ready=True (Followed)".
func condition(status *dorav1alpha1.DoraTargetStatus, kind string) string {
	c := meta.FindStatusCondition(status.Conditions, kind)
	if c == nil {
		return kind + " is absent"
	}
	return kind + "=" + string(c.Status) + " (" + c.Reason + ")"
}

func ready(status *dorav1alpha1.DoraTargetStatus) string {
	return condition(status, dorav1alpha1.ConditionReady)
}

// change edits a target.
func edit(ctx context.Context, target *dorav1alpha1.DoraTarget, change func(spec *dorav1alpha1.DoraTargetSpec)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
		change(&target.Spec)
		g.Expect(api.Update(ctx, target)).To(Succeed())
	}).WithTimeout(patience).Should(Succeed())
}
