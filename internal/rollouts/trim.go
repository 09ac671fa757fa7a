package rollouts

import (
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Trim is a cache transform for Rollouts and ReplicaSets: what no decision reads never stays in memory. Observe tells the
// same before and after.
func Trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *Rollout:
		trimMeta(&o.ObjectMeta)
		o.OwnerReferences = nil
	case *appsv1.ReplicaSet:
		trimMeta(&o.ObjectMeta)
		trimSet(o)
	}
	return obj, nil
}

// trimMeta keeps the labels, which targets select by.
func trimMeta(meta *metav1.ObjectMeta) {
	meta.ManagedFields, meta.Finalizers = nil, nil
	kept := make(map[string]string, 3)
	for _, key := range []string{revisionAnnotation, revisionHistoryAnnotation, workloadGeneration, trackingID} {
		if value, found := meta.Annotations[key]; found {
			kept[key] = value
		}
	}
	meta.Annotations = kept
	meta.Namespace = unique.Make(meta.Namespace).Value()
}

// trimSet keeps the hash, the images and the numbers.
func trimSet(set *appsv1.ReplicaSet) {
	set.Labels = map[string]string{HashLabel: set.Labels[HashLabel]}
	delete(set.Annotations, trackingID)
	pods := &set.Spec.Template.Spec
	set.Spec = appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Containers: imagesOnly(pods.Containers), InitContainers: imagesOnly(pods.InitContainers),
	}}}
	set.Status = appsv1.ReplicaSetStatus{
		Replicas: set.Status.Replicas, AvailableReplicas: set.Status.AvailableReplicas,
	}
}

func imagesOnly(containers []corev1.Container) []corev1.Container {
	kept := make([]corev1.Container, len(containers))
	for i, c := range containers {
		kept[i].Image = unique.Make(c.Image).Value()
	}
	return kept
}
