package v1alpha1

// Figures are the five metrics over the target's window. A figure that is not known is absent and never 0; samples
// says how many deployments or failures a figure rests on.
type Figures struct {
	// band is the lowest of the four metrics' bands, of those that are known. It is absent while none is.
	// +optional
	Band Band `json:"band,omitempty"`

	// deploymentFrequency is how often a deployment succeeded.
	// +required
	DeploymentFrequency FrequencyFigure `json:"deploymentFrequency"`

	// leadTime is the lead time for changes: from the first commit of a deployment until it is healthy in production.
	// +required
	LeadTime LeadTimeFigure `json:"leadTime"`

	// changeFailureRate is the share of deployment attempts that failed.
	// +required
	ChangeFailureRate FailureRateFigure `json:"changeFailureRate"`

	// recovery is the failed deployment recovery time: how long a failure that a deployment caused lasted.
	// +required
	Recovery RecoveryFigure `json:"recovery"`

	// rework is the rework rate: the share of deployments that were unplanned.
	// +required
	Rework ReworkFigure `json:"rework"`

	// counts says how many of everything there were in the window.
	// +required
	Counts Counts `json:"counts"`
}

// FrequencyFigure is the deployment frequency.
type FrequencyFigure struct {
	// perWeek is the number of deployments per week and service, over the shorter of the window and the time followed. It is
	// absent when nothing was deployed and nobody watched all the time.
	// +optional
	PerWeek Decimal `json:"perWeek,omitempty"`

	// perDay is the number of deployments per day and service.
	// +optional
	PerDay Decimal `json:"perDay,omitempty"`

	// samples is the number of deployments: those that succeeded, and those that failed and later reached Healthy by
	// themselves.
	// +required
	Samples int64 `json:"samples"`

	// band is how the frequency compares with the thresholds.
	// +optional
	Band Band `json:"band,omitempty"`
}

// LeadTimeFigure is the lead time for changes.
type LeadTimeFigure struct {
	// p50Seconds is the median, in seconds.
	// +optional
	P50Seconds *int64 `json:"p50Seconds,omitempty"`

	// p90Seconds is the time that nine of ten deployments keep, in seconds.
	// +optional
	P90Seconds *int64 `json:"p90Seconds,omitempty"`

	// samples is the number of deployments whose first commit is known.
	// +required
	Samples int64 `json:"samples"`

	// rejected is the number of lead times that came out negative, and so are in no figure.
	// +required
	Rejected int64 `json:"rejected"`

	// band is how the median compares with the thresholds.
	// +optional
	Band Band `json:"band,omitempty"`
}

// FailureRateFigure is the change failure rate.
type FailureRateFigure struct {
	// ratio is failures divided by samples, from 0 to 1.
	// +optional
	Ratio Decimal `json:"ratio,omitempty"`

	// failures is the number of attempts that failed, each counted once: by their own verdict, by a failure that they
	// caused, or by a rollback that left their version.
	// +required
	Failures int64 `json:"failures"`

	// samples is the number of attempts: those that succeeded, that failed, and that were stopped while users could meet
	// their version.
	// +required
	Samples int64 `json:"samples"`

	// band is how the ratio compares with the thresholds.
	// +optional
	Band Band `json:"band,omitempty"`
}

// RecoveryFigure is the failed deployment recovery time.
type RecoveryFigure struct {
	// p50Seconds is the median, in seconds.
	// +optional
	P50Seconds *int64 `json:"p50Seconds,omitempty"`

	// p90Seconds is the time that nine of ten failures keep, in seconds.
	// +optional
	P90Seconds *int64 `json:"p90Seconds,omitempty"`

	// samples is the number of failures that a deployment caused and that have ended.
	// +required
	Samples int64 `json:"samples"`

	// rejected is the number of recovery times that came out negative, and so are in no figure.
	// +required
	Rejected int64 `json:"rejected"`

	// automaticAborts is the number of failures whose deployment was aborted. They end when the stable version serves alone
	// again.
	// +required
	AutomaticAborts int64 `json:"automaticAborts"`

	// open is the number of failures that a deployment caused and that have not ended. They are not among the samples.
	// +required
	Open int64 `json:"open"`

	// band is how the median compares with the thresholds.
	// +optional
	Band Band `json:"band,omitempty"`
}

// ReworkFigure is the rework rate. It has no band.
type ReworkFigure struct {
	// ratio is unplanned divided by samples, from 0 to 1.
	// +optional
	Ratio Decimal `json:"ratio,omitempty"`

	// unplanned is the number of successful deployments that were made because production was, or had been, broken.
	// +required
	Unplanned int64 `json:"unplanned"`

	// samples is the number of successful deployments.
	// +required
	Samples int64 `json:"samples"`
}

// Counts says how many of everything there were in the window.
type Counts struct {
	// succeeded is the number of deployments that reached Healthy.
	// +required
	Succeeded int64 `json:"succeeded"`

	// failed is the number of deployments that failed by their own verdict.
	// +required
	Failed int64 `json:"failed"`

	// rolledBack is the number of deployments with which production went back to an earlier version, aborts among them.
	// +required
	RolledBack int64 `json:"rolledBack"`

	// unknown is the number of deployments whose outcome Argo no longer tells. They are in no figure.
	// +required
	Unknown int64 `json:"unknown"`

	// rejected is the number of lead and recovery times that came out negative, and so are in no figure.
	// +required
	Rejected int64 `json:"rejected"`

	// abortedBeforeExposure is the number of deployments that were stopped before any user could meet their version. They
	// are in no figure.
	// +required
	AbortedBeforeExposure int64 `json:"abortedBeforeExposure"`

	// incidents is the number of failures that no deployment caused.
	// +required
	Incidents int64 `json:"incidents"`

	// openFailures is the number of failures that have not ended, of deployments and incidents together.
	// +required
	OpenFailures int64 `json:"openFailures"`

	// gaps is the number of entries in Argo's history that could not be told after a time when nobody watched. They are in
	// no figure.
	// +required
	Gaps int64 `json:"gaps"`
}

// BandDistributions says how many services are in which band, for all metrics together and for each.
type BandDistributions struct {
	// overall counts services by the lowest of their bands.
	// +required
	Overall BandDistribution `json:"overall"`

	// deploymentFrequency counts services by the band of their deployment frequency.
	// +required
	DeploymentFrequency BandDistribution `json:"deploymentFrequency"`

	// leadTime counts services by the band of their lead time.
	// +required
	LeadTime BandDistribution `json:"leadTime"`

	// changeFailureRate counts services by the band of their change failure rate.
	// +required
	ChangeFailureRate BandDistribution `json:"changeFailureRate"`

	// recovery counts services by the band of their recovery time.
	// +required
	Recovery BandDistribution `json:"recovery"`
}

// BandDistribution counts services by band.
type BandDistribution struct {
	// elite is the number of services in Elite.
	// +required
	Elite int64 `json:"elite"`

	// high is the number of services in High.
	// +required
	High int64 `json:"high"`

	// medium is the number of services in Medium.
	// +required
	Medium int64 `json:"medium"`

	// low is the number of services in Low.
	// +required
	Low int64 `json:"low"`

	// noData is the number of services whose band is not known.
	// +required
	NoData int64 `json:"noData"`
}
