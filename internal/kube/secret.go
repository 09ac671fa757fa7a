package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SecretError is of a Secret that cannot be read until somebody mends something, and says what.
type SecretError struct{ message string }

func (e *SecretError) Error() string { return e.message }

// UnusableSecret is of a Secret that can be read, and does not do. why says what is wrong with it.
func UnusableSecret(namespace, name, why string) *SecretError {
	return &SecretError{fmt.Sprintf("Secret %s/%s does not do: %s", namespace, name, why)}
}

// ReadSecret reads a Secret by its name, from the API server: Secrets are never watched. field is that which names it. What it holds is sent
// to an address that somebody chose, so those that Kubernetes makes for service accounts are refused: their key is token too.
func ReadSecret(ctx context.Context, live client.Reader, namespace, name, field string) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	err := live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, &SecretError{fmt.Sprintf("there is no Secret %s/%s: create it, or change %s", namespace, name, field)}
	case apierrors.IsForbidden(err):
		return nil, &SecretError{fmt.Sprintf("the controller may not read Secret %s/%s: add it to secretAccess of its Helm chart, "+
			"or let its service account get it, by a Role and a RoleBinding in namespace %s", namespace, name, namespace)}
	case err != nil:
		return nil, fmt.Errorf("cannot read Secret %s/%s: %w", namespace, name, err)
	case secret.Type == corev1.SecretTypeServiceAccountToken:
		return nil, &SecretError{fmt.Sprintf("Secret %s/%s is the token of a service account, which is sent to nobody: create another Secret, and change %s",
			namespace, name, field)}
	}
	return secret.Data, nil
}
