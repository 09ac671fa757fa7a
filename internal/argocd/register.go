package argocd

import (
	"github.com/argoproj/argo-cd/v2/pkg/apis/application"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is served alike by Argo CD 2 and 3.
var GroupVersion = schema.GroupVersion{Group: application.Group, Version: "v1alpha1"}

var (
	// SchemeBuilder collects what AddToScheme adds.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme teaches a scheme to read Applications. A scheme holds either these or Argo CD's own types.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	kind := GroupVersion.WithKind(application.ApplicationKind)
	scheme.AddKnownTypeWithName(kind, &Application{})
	scheme.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), &ApplicationList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
