package v1alpha1

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unknown is what kubectl prints for a figure that is not known.
const unknown = "–"

// SetServices lists the services in the order of their names, as many as fit, and counts them and the rest.
func (s *DoraTargetStatus) SetServices(services []ServiceStatus) {
	services = slices.SortedFunc(slices.Values(services), func(a, b ServiceStatus) int {
		return strings.Compare(a.Service+"\x00"+a.Environment, b.Service+"\x00"+b.Environment)
	})
	kept := min(len(services), MaxServices)
	s.ServiceCount, s.Services, s.ServicesOmitted = int64(len(services)), services[:kept:kept], int64(len(services)-kept)
}

// SetTeams lists the teams in the order of their names, as many as fit, and counts the rest.
func (s *DoraTargetStatus) SetTeams(teams []TeamStatus) {
	teams = slices.SortedFunc(slices.Values(teams), func(a, b TeamStatus) int {
		return strings.Compare(a.Team+"\x00"+a.Environment, b.Team+"\x00"+b.Environment)
	})
	kept := min(len(teams), MaxTeams)
	s.Teams, s.TeamsOmitted = teams[:kept:kept], int64(len(teams)-kept)
}

// SetOpenFailures lists the failures, oldest first, as many as fit.
func (s *DoraTargetStatus) SetOpenFailures(failures []OpenFailure) {
	failures = slices.SortedFunc(slices.Values(failures), func(a, b OpenFailure) int {
		if order := a.Since.Compare(b.Since.Time); order != 0 {
			return order
		}
		return strings.Compare(a.EventID, b.EventID)
	})
	kept := min(len(failures), MaxOpenFailures)
	s.OpenFailures = failures[:kept:kept]
}

// NewDisplay writes the figures of a status as kubectl prints them. Environments are those of all services, listed or
// not, in any order.
func NewDisplay(status *DoraTargetStatus, environments []string) *Display {
	d := &Display{
		Services: strconv.FormatInt(status.ServiceCount, 10), Environment: environmentText(environments), Deployments: unknown,
		PerWeek: unknown, LeadTimeP50: unknown, LeadTimeP90: unknown, ChangeFailureRate: unknown,
		RecoveryP50: unknown, RecoveryP90: unknown, Rework: unknown, Band: unknown,
	}
	f := status.Summary
	if f == nil {
		return d
	}
	if f.DeploymentFrequency.PerWeek != "" || f.DeploymentFrequency.Samples > 0 { // seconds after the start a rate is too high to be written
		d.Deployments = strconv.FormatInt(f.DeploymentFrequency.Samples, 10)
	}
	if f.DeploymentFrequency.Band != "" { // without a band it was not followed for long enough to tell
		d.PerWeek = rateText(f.DeploymentFrequency.PerWeek)
	}
	d.LeadTimeP50, d.LeadTimeP90 = secondsText(f.LeadTime.P50Seconds), secondsText(f.LeadTime.P90Seconds)
	d.ChangeFailureRate = shareText(f.ChangeFailureRate.Ratio)
	d.RecoveryP50, d.RecoveryP90 = secondsText(f.Recovery.P50Seconds), secondsText(f.Recovery.P90Seconds)
	d.Rework = shareText(f.Rework.Ratio)
	d.Band = bandText(status)
	return d
}

func environmentText(environments []string) string {
	switch distinct := slices.Compact(slices.Sorted(slices.Values(environments))); len(distinct) {
	case 0:
		return unknown
	case 1:
		return distinct[0]
	default:
		return "*"
	}
}

// bandText is the band of a single service. Services are never averaged: of several, it names the band that most of
// them are in, the lower one of equals, and how many these are.
func bandText(status *DoraTargetStatus) string {
	if status.ServiceCount <= 1 || status.Bands == nil {
		return string(or(status.Summary.Band, unknown))
	}
	d := status.Bands.Overall
	most, band := d.Low, BandLow
	for _, next := range []struct {
		n    int64
		band Band
	}{{d.Medium, BandMedium}, {d.High, BandHigh}, {d.Elite, BandElite}} {
		if next.n > most {
			most, band = next.n, next.band
		}
	}
	if most == 0 {
		return unknown
	}
	return fmt.Sprintf("%s %d/%d", band, most, status.ServiceCount)
}

// rateText keeps two digits of a small rate and the whole number of a large one.
func rateText(rate Decimal) string {
	number, err := rate.Parse()
	switch {
	case err != nil:
		return unknown
	case number >= 9.95:
		return strconv.FormatFloat(number, 'f', 0, 64)
	case number >= 1:
		return string(DecimalOf(number, 1))
	default:
		return string(DecimalOf(number, 2))
	}
}

// shareText is a whole percentage that never rounds something to nothing or nearly all to all.
func shareText(ratio Decimal) string {
	number, err := ratio.Parse()
	switch percent := number * 100; {
	case err != nil:
		return unknown
	case percent > 0 && percent < 1:
		return "<1%"
	case percent > 99 && percent < 100:
		return ">99%"
	default:
		return strconv.FormatFloat(percent, 'f', 0, 64) + "%"
	}
}

// Text says what got worse, and how.
func (a *AlertStatus) Text() string {
	if a.Reason == AlertServiceFell {
		return fmt.Sprintf("%s in %s fell from %s to %s by its %s, compared with the window before", a.Service, a.Environment, a.BeforeBand, a.Band, a.Metric)
	}
	return fmt.Sprintf("%s of team %s in %s has the median %s, and had %s over the window before",
		a.Metric, a.Team, a.Environment, secondsText(a.P50Seconds), secondsText(a.BeforeP50Seconds))
}

// secondsText writes a length of time in at most two units and five characters, until a hundred thousand days.
func secondsText(seconds *int64) string {
	if seconds == nil {
		return unknown
	}
	length := time.Duration(*seconds) * time.Second
	for _, unit := range []struct {
		large, small         time.Duration
		largeName, smallName string
	}{{24 * time.Hour, time.Hour, "d", "h"}, {time.Hour, time.Minute, "h", "m"}, {time.Minute, time.Second, "m", "s"}} {
		n, rest := length/unit.large, length%unit.large/unit.small
		switch {
		case n == 0:
			continue
		case n >= 10 || rest == 0:
			return fmt.Sprintf("%d%s", n, unit.largeName)
		default:
			return fmt.Sprintf("%d%s%d%s", n, unit.largeName, rest, unit.smallName)
		}
	}
	return fmt.Sprintf("%ds", length/time.Second)
}
