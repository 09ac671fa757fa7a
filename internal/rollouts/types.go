package rollouts

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
)

// Rollout is an Argo Rollout, reduced to what decisions need. Reading it back and writing it would lose the rest, and nothing here
// ever writes one.
//
// +kubebuilder:object:root=true
type Rollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   Spec   `json:"spec"`
	Status Status `json:"status,omitzero"`
}

// RolloutList is a list of them.
//
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Rollout `json:"items"`
}

// Spec is what is wanted.
type Spec struct {
	// Replicas are one if not set.
	Replicas *int32   `json:"replicas,omitempty"`
	Template Template `json:"template,omitzero"`
	// WorkloadRef says that the template is another object's.
	WorkloadRef *Present `json:"workloadRef,omitempty"`
	Strategy    Strategy `json:"strategy,omitzero"`
}

// Present stands for an object of which only matters that it is there.
type Present struct{}

// Template is a pod template.
type Template struct {
	Spec PodSpec `json:"spec,omitzero"`
}

// PodSpec holds the containers of a pod.
type PodSpec struct {
	Containers []Container `json:"containers,omitempty"`
}

// Container is known by its image.
type Container struct {
	Image string `json:"image,omitempty"`
}

// Strategy is one of two.
type Strategy struct {
	BlueGreen *Present `json:"blueGreen,omitempty"`
	Canary    *Canary  `json:"canary,omitempty"`
}

// Canary is the canary strategy.
type Canary struct {
	TrafficRouting *Present `json:"trafficRouting,omitempty"`
}

// Status is what the controller reports.
type Status struct {
	Phase   string `json:"phase,omitempty"`
	Message string `json:"message,omitempty"`
	// ObservedGeneration is text.
	ObservedGeneration         string          `json:"observedGeneration,omitempty"`
	WorkloadObservedGeneration string          `json:"workloadObservedGeneration,omitempty"`
	CurrentPodHash             string          `json:"currentPodHash,omitempty"`
	StableRS                   string          `json:"stableRS,omitempty"`
	Abort                      bool            `json:"abort,omitempty"`
	AbortedAt                  lenient.Time    `json:"abortedAt,omitzero"`
	ControllerPause            bool            `json:"controllerPause,omitempty"`
	PauseConditions            []Present       `json:"pauseConditions,omitempty"`
	Conditions                 []Condition     `json:"conditions,omitempty"`
	BlueGreen                  BlueGreenStatus `json:"blueGreen,omitzero"`
	Canary                     CanaryStatus    `json:"canary,omitzero"`
}

// Condition is one of the status's conditions.
type Condition struct {
	Type               string       `json:"type"`
	Status             string       `json:"status"`
	LastTransitionTime lenient.Time `json:"lastTransitionTime,omitzero"`
	Reason             string       `json:"reason,omitempty"`
	Message            string       `json:"message,omitempty"`
}

// BlueGreenStatus tells which hash takes traffic.
type BlueGreenStatus struct {
	ActiveSelector string `json:"activeSelector,omitempty"`
}

// CanaryStatus tells what a traffic router was told.
type CanaryStatus struct {
	Weights *Weights `json:"weights,omitempty"`
}

// Weights are there only with traffic routing.
type Weights struct {
	Canary Weight `json:"canary,omitzero"`
}

// Weight is a percentage of the traffic.
type Weight struct {
	Weight int32 `json:"weight,omitempty"`
}
