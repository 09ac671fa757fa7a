package v1alpha1

// Bands says where Elite, High, Medium and Low begin. What meets none of a metric's three thresholds is Low.
//
// The numbers in the rules are those of the presets, for the thresholds that are not overridden: a schema cannot ask Go.
//
// +kubebuilder:validation:XValidation:rule="[[self.?overrides.?deploymentsPerWeek.?medium.orValue(self.preset == 'Guide' ? '0.038' : '0.25'), self.?overrides.?deploymentsPerWeek.?high.orValue(self.preset == 'Guide' ? '0.23' : '1'), self.?overrides.?deploymentsPerWeek.?elite.orValue('7')]].all(ns, !ns.all(n, n.matches('^[0-9]{1,5}([.][0-9]{1,4})?$')) || ns.map(n, double(n)).isSorted())",message="deploymentsPerWeek must not be higher for high than for elite, or for medium than for high; a threshold that is left out is the preset's"
// +kubebuilder:validation:XValidation:rule="[[self.?overrides.?leadTime.?elite.orValue('24h'), self.?overrides.?leadTime.?high.orValue('168h'), self.?overrides.?leadTime.?medium.orValue('720h')]].all(ds, !ds.all(d, d.size() > 1 && d.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$')) || ds.map(d, (d.contains('d') ? int(d.substring(0, d.indexOf('d'))) * 86400 : 0) + (d.endsWith('d') ? 0 : duration(d.substring(d.indexOf('d') + 1)).getSeconds())).isSorted())",message="leadTime must not be longer for elite than for high, or for high than for medium; a threshold that is left out is the preset's"
// +kubebuilder:validation:XValidation:rule="[[self.?overrides.?changeFailureRate.?elite.orValue('5%'), self.?overrides.?changeFailureRate.?high.orValue(self.preset == 'Guide' ? '10%' : '20%'), self.?overrides.?changeFailureRate.?medium.orValue(self.preset == 'Guide' ? '15%' : '30%')]].all(ps, !ps.all(p, p.matches('^(100|[0-9]{1,2}([.][0-9]{1,2})?)%$')) || ps.map(p, double(p.split('%')[0])).isSorted())",message="changeFailureRate must not be higher for elite than for high, or for high than for medium; a threshold that is left out is the preset's"
// +kubebuilder:validation:XValidation:rule="[[self.?overrides.?recovery.?elite.orValue('1h'), self.?overrides.?recovery.?high.orValue('24h'), self.?overrides.?recovery.?medium.orValue(self.preset == 'Guide' ? '168h' : '720h')]].all(ds, !ds.all(d, d.size() > 1 && d.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$')) || ds.map(d, (d.contains('d') ? int(d.substring(0, d.indexOf('d'))) * 86400 : 0) + (d.endsWith('d') ? 0 : duration(d.substring(d.indexOf('d') + 1)).getSeconds())).isSorted())",message="recovery must not be longer for elite than for high, or for high than for medium; a threshold that is left out is the preset's"
type Bands struct {
	// preset is the set of thresholds to begin with: Port, Port's published DORA guide, or Guide, the table that
	// implementation guides print as DORA's. They differ in the numbers and, at the very threshold, in whether it is met.
	// +kubebuilder:default=Port
	// +optional
	Preset BandPreset `json:"preset,omitempty"`

	// overrides replaces thresholds of the preset, each by itself.
	// +optional
	Overrides BandOverrides `json:"overrides,omitzero"`
}

// BandPreset names a set of thresholds.
//
// +kubebuilder:validation:Enum=Port;Guide
type BandPreset string

// The presets.
const (
	PresetPort  BandPreset = "Port"  // Port's published DORA guide
	PresetGuide BandPreset = "Guide" // the table that implementation guides print as DORA's
)

// BandOverrides replaces thresholds of the preset.
type BandOverrides struct {
	// deploymentsPerWeek is how often each service must at least be deployed in a week.
	// +optional
	DeploymentsPerWeek RateThresholds `json:"deploymentsPerWeek,omitzero"`

	// leadTime is how long the median lead time for changes may be.
	// +optional
	LeadTime DurationThresholds `json:"leadTime,omitzero"`

	// changeFailureRate is how high the change failure rate may be.
	// +optional
	ChangeFailureRate PercentThresholds `json:"changeFailureRate,omitzero"`

	// recovery is how long the median failed deployment recovery time may be.
	// +optional
	Recovery DurationThresholds `json:"recovery,omitzero"`
}

// RateThresholds are numbers that a rate must reach.
type RateThresholds struct {
	// elite is where Elite begins, a decimal number in quotes such as "7". Without it the preset's holds.
	// +optional
	Elite Decimal `json:"elite,omitempty"`

	// high is where High begins, a decimal number in quotes such as "1". Without it the preset's holds.
	// +optional
	High Decimal `json:"high,omitempty"`

	// medium is where Medium begins, a decimal number in quotes such as "0.25". Without it the preset's holds.
	// +optional
	Medium Decimal `json:"medium,omitempty"`
}

// DurationThresholds are durations that must not be exceeded.
type DurationThresholds struct {
	// elite is where Elite ends, a duration such as 24h. Without it the preset's holds.
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$')",message="elite must be a duration of days, hours, minutes and seconds in this order, such as 90m, 24h or 7d"
	// +optional
	Elite Duration `json:"elite,omitempty"`

	// high is where High ends, a duration such as 7d. Without it the preset's holds.
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$')",message="high must be a duration of days, hours, minutes and seconds in this order, such as 90m, 24h or 7d"
	// +optional
	High Duration `json:"high,omitempty"`

	// medium is where Medium ends, a duration such as 30d. Without it the preset's holds.
	// +kubebuilder:validation:XValidation:rule="self.size() > 1 && self.matches('^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$')",message="medium must be a duration of days, hours, minutes and seconds in this order, such as 90m, 24h or 7d"
	// +optional
	Medium Duration `json:"medium,omitempty"`
}

// PercentThresholds are percentages that must not be exceeded.
type PercentThresholds struct {
	// elite is where Elite ends, a percentage such as 5%. Without it the preset's holds.
	// +optional
	Elite Percent `json:"elite,omitempty"`

	// high is where High ends, a percentage such as 20%. Without it the preset's holds.
	// +optional
	High Percent `json:"high,omitempty"`

	// medium is where Medium ends, a percentage such as 30%. Without it the preset's holds.
	// +optional
	Medium Percent `json:"medium,omitempty"`
}

// Band is how a figure compares with the thresholds.
//
// +kubebuilder:validation:Enum=Elite;High;Medium;Low
type Band string

// The bands, best first.
const (
	BandElite  Band = "Elite"
	BandHigh   Band = "High"
	BandMedium Band = "Medium"
	BandLow    Band = "Low"
)
