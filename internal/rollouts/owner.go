package rollouts

import (
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts"
	"k8s.io/apimachinery/pkg/types"
)

// trackingID is where Argo CD says which Application an object belongs to, by default since 3.0.
const trackingID = "argocd.argoproj.io/tracking-id"

// Owner is the Application that says to manage this Rollout. Its namespace is empty if that is Argo CD's own. The older way to track, the
// label app.kubernetes.io/instance, is not read: Helm charts set it too. An Application lists its Rollouts whatever the tracking, so
// that list comes first and this is a hint for a Rollout whose Application has not listed it yet.
func Owner(ro *Rollout) (application types.NamespacedName, ok bool) {
	instance, resource, found := strings.Cut(ro.Annotations[trackingID], ":")
	if !found || instance == "" || resource != ro.trackedAs() {
		return types.NamespacedName{}, false // a copy of an object carries the original's id
	}
	if namespace, name, qualified := strings.Cut(instance, "_"); qualified {
		return types.NamespacedName{Namespace: namespace, Name: name}, name != ""
	}
	return types.NamespacedName{Name: instance}, true
}

func (r *Rollout) trackedAs() string {
	return rollouts.Group + "/" + rollouts.RolloutKind + ":" + r.Namespace + "/" + r.Name
}
