package rollouts

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// observeSets are the ReplicaSets that the Rollout controls, by revision.
func observeSets(ro *Rollout, sets []appsv1.ReplicaSet) []deploy.ReplicaSet {
	var observed []deploy.ReplicaSet
	for i := range sets {
		if set := &sets[i]; set.Labels[HashLabel] != "" && metav1.IsControlledBy(set, ro) {
			observed = append(observed, observeSet(set))
		}
	}
	slices.SortFunc(observed, func(a, b deploy.ReplicaSet) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Hash, b.Hash))
	})
	return observed
}

// observeSet keeps the images of init containers apart, as syncResult.resources[].images leaves them out: they come and go before the
// version runs.
func observeSet(set *appsv1.ReplicaSet) deploy.ReplicaSet {
	observed := deploy.ReplicaSet{
		Hash:      set.Labels[HashLabel],
		Revision:  number(set.Annotations[revisionAnnotation]),
		Reused:    set.Annotations[revisionHistoryAnnotation] != "",
		CreatedAt: set.CreationTimestamp.UTC(),
		Replicas:  int(set.Status.Replicas),
		Available: int(set.Status.AvailableReplicas),
	}
	for _, c := range set.Spec.Template.Spec.Containers {
		observed.Images = appendNew(observed.Images, c.Image)
	}
	for _, c := range set.Spec.Template.Spec.InitContainers {
		observed.InitImages = appendNew(observed.InitImages, c.Image)
	}
	return observed
}

func appendNew(images []string, image string) []string {
	if image == "" || slices.Contains(images, image) {
		return images
	}
	return append(images, image)
}
