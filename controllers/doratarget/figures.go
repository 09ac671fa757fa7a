package doratarget

import (
	"math"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// The places of numbers in a status: enough to tell figures apart, and few enough that a rate which moves with the window does not
// rewrite the status at every look.
const (
	ratePlaces  = 3
	ratioPlaces = 4
)

// figuresOf writes a summary as the API has it.
func figuresOf(s *fourkeys.Summary, bands fourkeys.Bands, gaps int64) dorav1alpha1.Figures {
	return dorav1alpha1.Figures{
		Band: dorav1alpha1.Band(bands.Overall),
		DeploymentFrequency: dorav1alpha1.FrequencyFigure{
			PerWeek: decimal(s.Frequency.PerWeek, ratePlaces), PerDay: decimal(s.Frequency.PerDay, ratePlaces),
			Samples: int64(s.Frequency.Deployments), Band: dorav1alpha1.Band(bands.Frequency),
		},
		LeadTime: dorav1alpha1.LeadTimeFigure{
			P50Seconds: whole(s.LeadTime.P50), P90Seconds: whole(s.LeadTime.P90),
			Samples: int64(s.LeadTime.Samples), Rejected: int64(s.LeadTime.Rejected), Band: dorav1alpha1.Band(bands.LeadTime),
		},
		ChangeFailureRate: dorav1alpha1.FailureRateFigure{
			Ratio:    decimal(s.ChangeFailureRate.Value, ratioPlaces),
			Failures: int64(s.ChangeFailureRate.Part), Samples: int64(s.ChangeFailureRate.Whole),
			Band: dorav1alpha1.Band(bands.ChangeFailureRate),
		},
		Recovery: recoveryOf(&s.Recovery, bands.Recovery),
		Rework: dorav1alpha1.ReworkFigure{
			Ratio: decimal(s.Rework.Value, ratioPlaces), Unplanned: int64(s.Rework.Part), Samples: int64(s.Rework.Whole),
		},
		Counts: countsOf(s, gaps),
	}
}

func recoveryOf(r *fourkeys.Recovery, band fourkeys.Band) dorav1alpha1.RecoveryFigure {
	return dorav1alpha1.RecoveryFigure{
		P50Seconds: whole(r.P50), P90Seconds: whole(r.P90),
		Samples: int64(r.Samples), Rejected: int64(r.Rejected),
		AutomaticAborts: int64(r.AutomaticAborts), Open: int64(r.Open), Band: dorav1alpha1.Band(band),
	}
}

func countsOf(s *fourkeys.Summary, gaps int64) dorav1alpha1.Counts {
	return dorav1alpha1.Counts{
		Succeeded: int64(s.Counts.Succeeded), Failed: int64(s.Counts.Failed),
		RolledBack: int64(s.Counts.RolledBack()), Unknown: int64(s.Counts.Unknown),
		Rejected:              int64(s.LeadTime.Rejected + s.Recovery.Rejected),
		AbortedBeforeExposure: int64(s.Counts.Unexposed),
		Incidents:             int64(s.Counts.Incidents), OpenFailures: int64(s.Counts.OpenFailures),
		Gaps: gaps,
	}
}

func distributionsOf(d *fourkeys.Distribution) *dorav1alpha1.BandDistributions {
	return &dorav1alpha1.BandDistributions{
		Overall: spreadOf(d.Overall), DeploymentFrequency: spreadOf(d.Frequency), LeadTime: spreadOf(d.LeadTime),
		ChangeFailureRate: spreadOf(d.ChangeFailureRate), Recovery: spreadOf(d.Recovery),
	}
}

func spreadOf(s fourkeys.Spread) dorav1alpha1.BandDistribution {
	return dorav1alpha1.BandDistribution{
		Elite: int64(s.Elite), High: int64(s.High), Medium: int64(s.Medium), Low: int64(s.Low), NoData: int64(s.NoData),
	}
}

func decimal(value *float64, places int) dorav1alpha1.Decimal {
	if value == nil {
		return ""
	}
	return dorav1alpha1.DecimalOf(*value, places)
}

func whole(seconds *float64) *int64 {
	if seconds == nil {
		return nil
	}
	return new(int64(math.Round(*seconds)))
}
