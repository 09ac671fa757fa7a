package drift

import (
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	rov1 "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"sigs.k8s.io/randfill"
)

func TestX(t *testing.T) {
	_ = v1alpha1.Application{}
	_ = argocd.Application{}
	_ = rov1.Rollout{}
	_ = randfill.New()
}
