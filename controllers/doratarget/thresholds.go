package doratarget

import (
	"fmt"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

type thresholds = fourkeys.Thresholds

// thresholdsOf are the preset's with what the spec overrides. An error names the field.
func thresholdsOf(bands *dorav1alpha1.Bands) (thresholds, error) {
	t := fourkeys.Port()
	if bands.PresetOrDefault() == dorav1alpha1.PresetGuide {
		t = fourkeys.Guide()
	}
	o := &bands.Overrides
	for _, override := range []struct {
		field string
		to    *fourkeys.Bound
		read  func() (float64, bool, error)
	}{
		{"deploymentsPerWeek.elite", &t.Frequency.Elite, number(o.DeploymentsPerWeek.Elite)},
		{"deploymentsPerWeek.high", &t.Frequency.High, number(o.DeploymentsPerWeek.High)},
		{"deploymentsPerWeek.medium", &t.Frequency.Medium, number(o.DeploymentsPerWeek.Medium)},
		{"leadTime.elite", &t.LeadTime.Elite, seconds(o.LeadTime.Elite)},
		{"leadTime.high", &t.LeadTime.High, seconds(o.LeadTime.High)},
		{"leadTime.medium", &t.LeadTime.Medium, seconds(o.LeadTime.Medium)},
		{"changeFailureRate.elite", &t.ChangeFailureRate.Elite, percentage(o.ChangeFailureRate.Elite)},
		{"changeFailureRate.high", &t.ChangeFailureRate.High, percentage(o.ChangeFailureRate.High)},
		{"changeFailureRate.medium", &t.ChangeFailureRate.Medium, percentage(o.ChangeFailureRate.Medium)},
		{"recovery.elite", &t.Recovery.Elite, seconds(o.Recovery.Elite)},
		{"recovery.high", &t.Recovery.High, seconds(o.Recovery.High)},
		{"recovery.medium", &t.Recovery.Medium, seconds(o.Recovery.Medium)},
	} {
		value, set, err := override.read()
		if err != nil {
			return thresholds{}, fmt.Errorf("spec.bands.overrides.%s: %w", override.field, err)
		}
		if set {
			override.to.Value = value
		}
	}
	return t, nil
}

func number(d dorav1alpha1.Decimal) func() (float64, bool, error) {
	return func() (float64, bool, error) {
		if d == "" {
			return 0, false, nil
		}
		value, err := d.Parse()
		return value, true, err
	}
}

func seconds(d dorav1alpha1.Duration) func() (float64, bool, error) {
	return func() (float64, bool, error) {
		if d == "" {
			return 0, false, nil
		}
		value, err := d.Parse()
		return value.Seconds(), true, err
	}
}

func percentage(p dorav1alpha1.Percent) func() (float64, bool, error) {
	return func() (float64, bool, error) {
		if p == "" {
			return 0, false, nil
		}
		value, err := p.Parse()
		return value, true, err
	}
}
