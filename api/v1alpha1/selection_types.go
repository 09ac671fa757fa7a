package v1alpha1

// SubjectSelector selects objects by label, and by namespace within what the target may see.
type SubjectSelector struct {
	// matchLabels are labels that a selected object has. All of them must match.
	// +kubebuilder:validation:MaxProperties=10
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && k.matches('^[\\\\w./-]+$'))",message="matchLabels keys must be label keys, such as team or example.com/team"
	// +optional
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// matchExpressions are further demands on labels. All of them must match.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	MatchExpressions []LabelRequirement `json:"matchExpressions,omitempty"`

	// namespaces narrows the selection to these namespaces. A target sees objects of its own namespace only, unless the
	// administrator named that namespace as trusted when starting the controller. So in any other namespace this can only
	// name the target's own; in a trusted one it can name any. Without it, all namespaces that the target may see are meant.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Namespaces []NamespaceName `json:"namespaces,omitempty"`
}

// LabelRequirement is a demand on one label.
//
// +kubebuilder:validation:XValidation:rule="self.operator in ['In', 'NotIn'] == (has(self.values) && self.values.size() > 0)",message="In and NotIn need at least one value; Exists and DoesNotExist take none"
type LabelRequirement struct {
	// key is the label that the demand is on.
	// +required
	Key LabelKey `json:"key"`

	// operator relates the label to the values: In, NotIn, Exists or DoesNotExist.
	// +required
	Operator LabelOperator `json:"operator"`

	// values are what In and NotIn compare with. Exists and DoesNotExist take none.
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	Values []LabelValue `json:"values,omitempty"`
}

// NameSource is a name that is the same for every selected object, or that each object's label tells.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.fromLabel)",message="set either value or fromLabel, and not both"
type NameSource struct {
	// value is the name, the same for every selected object.
	// +kubebuilder:validation:MinLength=1
	// +optional
	Value LabelValue `json:"value,omitempty"`

	// fromLabel is the label of the Application or Rollout that holds the name. On an object without that label the default
	// of the field holds.
	// +optional
	FromLabel LabelKey `json:"fromLabel,omitempty"`
}

// ImageFilter says which container images make up a version.
type ImageFilter struct {
	// include lists globs of the images that make up a version. Without it all images do. A glob must match the whole image
	// as the pod writes it, or all of it but the tag or digest: * stands for any number of characters, / among them, and ?
	// for exactly one.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	Include []ImageGlob `json:"include,omitempty"`

	// exclude lists globs of images that are left out, such as sidecars. An image that matches both lists is left out.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	Exclude []ImageGlob `json:"exclude,omitempty"`
}

// ImageGlob matches images, such as registry.example.com/acme/* or */envoy.
//
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._:/@*?-]+$')",message="an image glob is an image's name in which * stands for any characters and ? for one, such as registry.example.com/acme/* or */envoy"
type ImageGlob string

// LabelKey is the key of a label, such as team or example.com/team.
//
// +kubebuilder:validation:MaxLength=317
// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",message="a label key is letters, digits, '-', '_' and '.', after an optional prefix and '/', such as team or example.com/team"
type LabelKey string

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",message="use letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, as in a label value"
type LabelValue string

// NamespaceName is the name of a namespace.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="a namespace's name is lower-case letters, digits and '-'; to mean all namespaces leave namespaces out"
type NamespaceName string

// LabelOperator relates a label to values.
//
// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
type LabelOperator string

// The operators, as in every Kubernetes label selector.
const (
	LabelIn           LabelOperator = "In"
	LabelNotIn        LabelOperator = "NotIn"
	LabelExists       LabelOperator = "Exists"
	LabelDoesNotExist LabelOperator = "DoesNotExist"
)

// Spread says how a service is counted that several objects run.
//
// +kubebuilder:validation:Enum=Each;All
type Spread string

// The ways of counting a service that several objects run.
const (
	SpreadEach Spread = "Each" // what each of them deploys is a deployment
	SpreadAll  Spread = "All"  // a version that goes out to all of them is one deployment
)

// EveryCluster stands for all clusters whose controllers share a database.
const EveryCluster ClusterName = "*"

// ClusterName names a cluster as its controller does, or all of them.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type ClusterName string

// ChangeKind is something that counts as a deployment.
//
// +kubebuilder:validation:Enum=Image;Config
type ChangeKind string

// The kinds of change.
const (
	ChangeImage  ChangeKind = "Image"  // a container image that the running version does not have
	ChangeConfig ChangeKind = "Config" // the manifests changed and the images stayed
)
