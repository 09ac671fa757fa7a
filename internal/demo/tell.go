package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// Namespace is where the stories' Applications, and the demo's target, live.
const Namespace = "argocd"

// target selects the three services. What it leaves out has a default.
const target = `apiVersion: dora-controller.io/v1alpha1
kind: DoraTarget
metadata: {name: production, namespace: argocd}
spec:
  applications: {matchLabels: {env: prod}}
`
