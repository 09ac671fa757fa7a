package v1alpha1

// TeamStatus holds the figures of one team in one environment, over the window and, to compare them with, over the one before it: the same
// services, as long, and just before. A figure that is not known is absent.
type TeamStatus struct {
	// team is the name of the team.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Team string `json:"team"`

	// environment is the name of the environment.
	// +kubebuilder:validation:MaxLength=63
	// +required
	Environment string `json:"environment"`

	// services is the number of the team's services.
	// +required
	Services int64 `json:"services"`

	// band is the lowest of the bands of the team's pooled figures, of those that are known. It is absent while none is.
	// +optional
	Band Band `json:"band,omitempty"`

	// deploymentFrequency is how often a service of the team was deployed.
	// +required
	DeploymentFrequency TeamFrequency `json:"deploymentFrequency"`

	// leadTime is the lead time for changes, over all deployments of the team.
	// +required
	LeadTime TeamTime `json:"leadTime"`

	// changeFailureRate is the share of all attempts of the team that failed.
	// +required
	ChangeFailureRate TeamRatio `json:"changeFailureRate"`

	// recovery is the failed deployment recovery time, over all failures of the team.
	// +required
	Recovery TeamTime `json:"recovery"`

	// bands counts the team's services by the lowest of their own bands.
	// +required
	Bands BandDistribution `json:"bands"`

	// drags are the services below Elite, worst first: by band, then by how many times over their worst metric misses the next band. At
	// most 3 are listed.
	// +kubebuilder:validation:MaxItems=3
	// +listType=map
	// +listMapKey=service
	// +optional
	Drags []Drag `json:"drags,omitempty"`
}

// TeamFrequency is a team's deployment frequency.
type TeamFrequency struct {
	// perWeek is the number of deployments per week and service. It is absent until the services were followed for a day on average.
	// +optional
	PerWeek Decimal `json:"perWeek,omitempty"`

	// samples is the number of deployments.
	// +required
	Samples int64 `json:"samples"`

	// band is how the frequency compares with the thresholds.
	// +optional
	Band Band `json:"band,omitempty"`

	// beforePerWeek is what perWeek was over the window before.
	// +optional
	BeforePerWeek Decimal `json:"beforePerWeek,omitempty"`

	// trend compares the two.
	// +required
	Trend Trend `json:"trend"`
}

// TeamTime is a median time of a team.
type TeamTime struct {
	// p50Seconds is the median, in seconds.
	// +optional
	P50Seconds *int64 `json:"p50Seconds,omitempty"`

	// samples is the number of times that the median is of.
	// +required
	Samples int64 `json:"samples"`

	// band is how the median compares with the thresholds.
	// +optional
	Band Band `json:"band,omitempty"`

	// beforeP50Seconds is what the median was over the window before.
	// +optional
	BeforeP50Seconds *int64 `json:"beforeP50Seconds,omitempty"`

	// trend compares the two.
	// +required
	Trend Trend `json:"trend"`
}

// TeamRatio is a share of a team's attempts.
type TeamRatio struct {
	// ratio is between 0 and 1.
	// +optional
	Ratio Decimal `json:"ratio,omitempty"`

	// samples is the number of attempts.
	// +required
	Samples int64 `json:"samples"`

	// band is how the ratio compares with the thresholds.
	// +optional
	Band Band `json:"band,omitempty"`

	// beforeRatio is what the ratio was over the window before.
	// +optional
	BeforeRatio Decimal `json:"beforeRatio,omitempty"`

	// trend compares the two.
	// +required
	Trend Trend `json:"trend"`
}

// Trend says how a figure stands against what it was over the window before: Better, Worse, Same (by less than a tenth of what it was), or
// Unknown, if one of the two is.
//
// +kubebuilder:validation:Enum=Better;Worse;Same;Unknown
type Trend string

// The trends.
const (
	TrendBetter  Trend = "Better"
	TrendWorse   Trend = "Worse"
	TrendSame    Trend = "Same"
	TrendUnknown Trend = "Unknown"
)

// Drag is a service that keeps its team down.
type Drag struct {
	// service is the name of the service.
	// +kubebuilder:validation:MaxLength=253
	// +required
	Service string `json:"service"`

	// band is the lowest of the service's bands.
	// +required
	Band Band `json:"band"`

	// metric is the one that has this band. Of several, it is the one that misses the next band by most times over.
	// +required
	Metric Metric `json:"metric"`
}

// Metric names a metric that has bands.
//
// +kubebuilder:validation:Enum=DeploymentFrequency;LeadTime;ChangeFailureRate;Recovery
type Metric string

// The metrics.
const (
	MetricDeploymentFrequency Metric = "DeploymentFrequency"
	MetricLeadTime            Metric = "LeadTime"
	MetricChangeFailureRate   Metric = "ChangeFailureRate"
	MetricRecovery            Metric = "Recovery"
)
