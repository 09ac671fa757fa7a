package integration_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
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
