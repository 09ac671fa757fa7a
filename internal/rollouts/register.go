package rollouts

import (
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
)

// GroupVersion is shared with Argo CD's Applications.
var GroupVersion = schema.GroupVersion{Group: rollouts.Group, Version: "v1alpha1"}

// HashLabel is the label of the ReplicaSets that Rollouts own, and tells their pod-template hash.
const HashLabel = "rollouts-pod-template-hash"

var (
	// SchemeBuilder collects what AddToScheme adds.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme teaches a scheme to read Rollouts. A scheme holds either these or Argo's own types.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypeWithName(GroupVersion.WithKind(rollouts.RolloutKind), &Rollout{})
	scheme.AddKnownTypeWithName(GroupVersion.WithKind(rollouts.RolloutKind+"List"), &RolloutList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}

// UnmarshalJSON reads what fits and leaves the rest out. It fails for what is no JSON object only.
func (r *Rollout) UnmarshalJSON(data []byte) error {
	var wire struct {
		metav1.TypeMeta
		Metadata lenient.Meta `json:"metadata"`
		Spec     Spec         `json:"spec"`
		Status   Status       `json:"status"`
	}
	if err := lenient.Decode(data, &wire); err != nil {
		return err
	}
	*r = Rollout{TypeMeta: wire.TypeMeta, ObjectMeta: wire.Metadata.ObjectMeta(), Spec: wire.Spec, Status: wire.Status}
	return nil
}
