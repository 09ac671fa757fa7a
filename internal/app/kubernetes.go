package app

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// identifyWithin bounds the question which Kubernetes cluster this is.
const identifyWithin = 10 * time.Second

// kubernetes tells this Kubernetes cluster from all others, for a ledger that several can reach: by the uid of its namespace kube-system, which no
// cluster is without. It is empty where that cannot be read, as without rights on the cluster; then nobody is told apart.
func (l *leader) kubernetes(ctx context.Context) string {
	if !l.options.shared() || len(l.options.Namespaces) > 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, identifyWithin)
	defer cancel()
	system := &metav1.PartialObjectMetadata{}
	system.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := l.mgr.GetAPIReader().Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, system); err != nil {
		l.log.Info("Cannot tell this Kubernetes cluster from others: a controller of the same name elsewhere could take the ledger", "message", err.Error())
		return ""
	}
	return string(system.UID)
}
