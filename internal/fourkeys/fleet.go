package fourkeys

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Service is what figures are about: one service in one environment.
type Service struct {
	Name, Environment string
}

func (s Service) compare(other Service) int {
	return cmp.Or(cmp.Compare(s.Name, other.Name), cmp.Compare(s.Environment, other.Environment))
}

// Fleet is the figures of several services: each for itself, and the whole.
type Fleet struct {
	// Whole pools the services. Percentiles are over all deployments and all failures, never an average of medians, and
	// the frequency is all deployments ÷ all weeks followed, which is deployments per week and service.
	Whole Summary
	// Services holds each service that was followed or has events.
	Services map[Service]Summary

	tallies map[Service]tally
}

// Pool is the figures of some of the services together, as Whole is of all. Services that the fleet does not have are left out.
func (f Fleet) Pool(services ...Service) Summary {
	var pooled tally
	for _, service := range slices.SortedFunc(slices.Values(services), Service.compare) {
		if t, ok := f.tallies[service]; ok {
			pooled.plus(t)
		}
	}
	return pooled.summary()
}

// Aggregate works out the figures of all services in the events. Followed names the services that are followed and since
// when, so that one without a deployment is seen too; a service that it does not name goes by the window's FollowedSince.
// The other arguments are those of Compute.
func Aggregate(events []dora.Event, w Window, followed map[Service]time.Time, kinds ...dora.ChangeKind) Fleet {
	tallies := map[Service]Tally{}
	for service, own := range byService(events, followed) {
		tallies[service] = TallyOf(own, w, kinds...)
	}
	return FleetOf(tallies, w, followed)
}

// FleetOf puts the tallies of services together, each of which was made over a window that holds the same of its events as this one.
func FleetOf(tallies map[Service]Tally, w Window, followed map[Service]time.Time) Fleet {
	fleet := Fleet{Services: make(map[Service]Summary, len(tallies)), tallies: make(map[Service]tally, len(tallies))}
	var whole tally
	// In a fixed order, since a sum of floating-point numbers depends on it.
	for _, service := range slices.SortedFunc(maps.Keys(tallies), Service.compare) {
		own := w
		if since, ok := followed[service]; ok {
			own.FollowedSince = since
		}
		sums := tallies[service].sums
		t := sums.followed(own)
		whole.plus(t)
		fleet.Services[service], fleet.tallies[service] = t.summary(), t
	}
	fleet.Whole = whole.summary()
	return fleet
}

func byService(events []dora.Event, followed map[Service]time.Time) map[Service][]*dora.Event {
	services := make(map[Service][]*dora.Event, len(followed))
	for service := range followed {
		services[service] = nil
	}
	for i := range events {
		service := Service{Name: events[i].Service, Environment: events[i].Environment}
		services[service] = append(services[service], &events[i])
	}
	return services
}

// Distribution is how many services are in which band, for each metric and overall.
type Distribution struct {
	Frequency, LeadTime, ChangeFailureRate, Recovery, Overall Spread
}

// Distribution judges each service for itself: those that are named, or all if none is.
func (f Fleet) Distribution(t Thresholds, services ...Service) Distribution {
	if len(services) == 0 {
		services = slices.Collect(maps.Keys(f.Services))
	}
	var d Distribution
	for _, service := range services {
		b := t.Bands(f.Services[service])
		d.Frequency = d.Frequency.with(b.Frequency)
		d.LeadTime = d.LeadTime.with(b.LeadTime)
		d.ChangeFailureRate = d.ChangeFailureRate.with(b.ChangeFailureRate)
		d.Recovery = d.Recovery.with(b.Recovery)
		d.Overall = d.Overall.with(b.Overall)
	}
	return d
}
