package kube

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

const serviceAccountRefusal = "Secret argocd/git is the token of a service account, which is sent to nobody: create another Secret, and change "

// ofServiceAccount is the Secret that Kubernetes keeps a token in, under the key that a receiver's is under.
func ofServiceAccount() *corev1.Secret {
	s := secret("argocd/git", map[string]string{"token": "hunter2", "namespace": "argocd"})
	s.Type = corev1.SecretTypeServiceAccountToken
	return s
}

func TestTheTokenOfAServiceAccountIsNotRead(t *testing.T) {
	live := fake.NewClientBuilder().WithObjects(ofServiceAccount()).Build()
	data, err := ReadSecret(t.Context(), live, "argocd", "git", "spec.cloudEvents.secretRef")
	if _, mend := errors.AsType[*SecretError](err); !mend || err.Error() != serviceAccountRefusal+"spec.cloudEvents.secretRef" || data != nil {
		t.Errorf("got %v, %v", data, err)
	}
}

func TestTheTokenOfAServiceAccountIsNotForGit(t *testing.T) {
	for _, source := range []string{`{hosts: [github.com], secretRef: {name: git}}`, `{pullSecrets: [{name: git}]}`} {
		c := clusterOf(t, nil, sourced(t, source), ofServiceAccount())
		_, err := c.Source(t.Context(), deployed(dora.KindApplication))
		if err == nil || !strings.Contains(err.Error(), serviceAccountRefusal+"spec.source") || commit.ReasonOf(err) != commit.SecretNotUsable {
			t.Errorf("%s: got %v", source, err)
		}
	}
}

func TestOtherSecretsAreRead(t *testing.T) {
	for _, kind := range []corev1.SecretType{"", corev1.SecretTypeOpaque, corev1.SecretTypeBasicAuth, corev1.SecretTypeDockerConfigJson, "cnpg.io/cluster"} {
		s := secret("argocd/git", map[string]string{"token": "hunter2"})
		s.Type = kind
		data, err := ReadSecret(t.Context(), fake.NewClientBuilder().WithObjects(s).Build(), "argocd", "git", "spec.source")
		if err != nil || string(data["token"]) != "hunter2" {
			t.Errorf("%q: got %v", kind, err)
		}
	}
}
