package fourkeys

// Summary is the five metrics of one service, or of several pooled, over one window.
type Summary struct {
	// Services is the number of services that the figures are pooled over.
	Services int
	Counts   Counts
	// Frequency counts deployments: succeeded ones, and failed ones that reached Healthy by themselves.
	Frequency Frequency
	// LeadTime is occurred_at − first commit of those deployments, where the first commit is known.
	LeadTime Durations
	// ChangeFailureRate is attempts that failed ÷ attempts. Attempts succeeded, failed, or were stopped while exposed.
	ChangeFailureRate Ratio
	// Recovery is recovered − degraded of the failures that deployments in the window caused.
	Recovery Recovery
	// Rework is unplanned ÷ all succeeded deployments.
	Rework Ratio
}

// Counts says what was seen in the window. Each deploy event of a counted kind of change is in exactly one of the first six.
type Counts struct {
	Succeeded int
	Failed    int
	// Aborted attempts were stopped or reverted before a verdict, while users could meet their version.
	Aborted int
	// Unexposed attempts were stopped or reverted before any user could.
	Unexposed int
	// Returned operations brought an earlier version back.
	Returned int
	// Unknown attempts are in no figure: Argo no longer tells how they ended.
	Unknown int

	// Incidents are failures that began in the window and that no counted deployment caused.
	Incidents int
	// OpenFailures began before the end of the window and have not ended, whatever caused them.
	OpenFailures int
}

// RolledBack is the number of events whose outcome is rolled_back.
func (c Counts) RolledBack() int { return c.Aborted + c.Unexposed + c.Returned }

func (c Counts) plus(other Counts) Counts {
	return Counts{
		Succeeded:    c.Succeeded + other.Succeeded,
		Failed:       c.Failed + other.Failed,
		Aborted:      c.Aborted + other.Aborted,
		Unexposed:    c.Unexposed + other.Unexposed,
		Returned:     c.Returned + other.Returned,
		Unknown:      c.Unknown + other.Unknown,
		Incidents:    c.Incidents + other.Incidents,
		OpenFailures: c.OpenFailures + other.OpenFailures,
	}
}

// Frequency is how often a service was deployed.
type Frequency struct {
	// Deployments is the sample: how many deployments there were.
	Deployments int
	// FollowedSeconds is the time in which they happened: the shorter of the window and the time followed,
	// summed over the services.
	FollowedSeconds float64
	// PerWeek is deployments ÷ weeks followed, and so, over several services, deployments per week and service.
	// It is nil if nothing was deployed and nobody watched all the time.
	PerWeek *float64
	// PerDay is PerWeek ÷ 7.
	PerDay *float64
}

// Durations are percentiles of a time, in seconds, interpolated as PostgreSQL's percentile_cont does. Nil without a sample.
type Durations struct {
	P50, P90 *float64
	// Samples is how many values they are taken over.
	Samples int
	// Rejected values were negative. They are in no percentile.
	Rejected int
}

// Ratio is a share and what it was worked out from.
type Ratio struct {
	Part, Whole int
	// Value is Part ÷ Whole, from 0 to 1. Nil if Whole is 0.
	Value *float64
}

func ratio(part, whole int) Ratio {
	r := Ratio{Part: part, Whole: whole}
	if whole > 0 {
		r.Value = new(float64(part) / float64(whole))
	}
	return r
}

// Recovery is how long failures lasted that deployments caused.
type Recovery struct {
	Durations
	// Failures is how many there were: the samples, the rejected and those still open.
	Failures int
	// AutomaticAborts are those whose deployment was aborted: they end when the stable version serves alone again.
	AutomaticAborts int
	// Open failures have not ended and are in no percentile.
	Open int
}
