package fourkeys_test

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

func service(name string) fourkeys.Service {
	return fourkeys.Service{Name: name, Environment: "production"}
}

// deploysOf are that many good deployments, each with that lead time in hours.
func deploysOf(name string, number int, leadTime float64) []dora.Event {
	var events []dora.Event
	for i := range number {
		hours := 1 + float64(i)/10
		events = append(events, success(time.Duration(i).String(), hours, firstCommit(hours-leadTime), of(name)))
	}
	return events
}

func TestAFleetPoolsItsServices(t *testing.T) {
	events := append(deploysOf("fast", 9, 1), deploysOf("slow", 1, 100)...)
	fleet := fourkeys.Aggregate(events, week, map[fourkeys.Service]time.Time{service("idle"): {}})
	t.Run("The frequency is deployments per week and service", func(t *testing.T) {
		diff(t, fourkeys.Frequency{
			Deployments: 10, FollowedSeconds: 3 * 7 * day, PerWeek: new(10.0 / 3), PerDay: new(10.0 / 21),
		}, fleet.Whole.Frequency)
	})
	t.Run("The median is over all deployments and no average of medians, which would be 50.5 hours", func(t *testing.T) {
		diff(t, new(1*hour), fleet.Whole.LeadTime.P50)
		diff(t, 10, fleet.Whole.LeadTime.Samples)
	})
	t.Run("A service that deployed nothing is seen, and its frequency is zero", func(t *testing.T) {
		diff(t, 3, fleet.Whole.Services)
		diff(t, new(0.0), fleet.Services[service("idle")].Frequency.PerWeek)
	})
	t.Run("Each service has the figures that its own events give", func(t *testing.T) {
		diff(t, fourkeys.Compute(deploysOf("fast", 9, 1), week), fleet.Services[service("fast")])
		diff(t, fourkeys.Compute(deploysOf("slow", 1, 100), week), fleet.Services[service("slow")])
	})
	t.Run("The distribution shows what one number would hide", func(t *testing.T) {
		diff(t, fourkeys.Distribution{
			Frequency:         fourkeys.Spread{Elite: 1, High: 1, Low: 1},
			LeadTime:          fourkeys.Spread{Elite: 1, High: 1, NoData: 1},
			ChangeFailureRate: fourkeys.Spread{Elite: 2, NoData: 1},
			Recovery:          fourkeys.Spread{NoData: 3},
			Overall:           fourkeys.Spread{Elite: 1, High: 1, Low: 1},
		}, fleet.Distribution(fourkeys.Port()))
		diff(t, 3, fleet.Distribution(fourkeys.Port()).Frequency.Total())
	})
}

func TestSixteenOfTwentyServicesAreElite(t *testing.T) {
	var events []dora.Event
	for i := range 20 {
		number := 7
		if i >= 16 {
			number = 3
		}
		events = append(events, deploysOf(time.Duration(i).String(), number, 1)...)
	}
	overall := fourkeys.Aggregate(events, week, nil).Distribution(fourkeys.Port()).Overall
	diff(t, fourkeys.Spread{Elite: 16, High: 4}, overall)
	diff(t, 20, overall.Total())
}

func TestServicesAreFollowedSinceDifferentTimes(t *testing.T) {
	events := append(deploysOf("old", 1, 1), success("v1", 165, of("young")))
	fleet := fourkeys.Aggregate(events, week, map[fourkeys.Service]time.Time{
		service("young"):    at(144), // a day
		service("newcomer"): at(126), // a quarter of the week, and nothing yet
	})
	diff(t, new(1.0), fleet.Services[service("old")].Frequency.PerWeek)
	diff(t, new(7.0), fleet.Services[service("young")].Frequency.PerWeek)
	diff(t, (*float64)(nil), fleet.Services[service("newcomer")].Frequency.PerWeek)
	diff(t, 2*168.0/(168+24+42), *fleet.Whole.Frequency.PerWeek)
}

func TestAnEnvironmentIsAServiceOfItsOwn(t *testing.T) {
	staging := success("v2", 2, id("staging"), func(e *dora.Event) { e.Environment = "staging" })
	fleet := fourkeys.Aggregate([]dora.Event{success("v1", 1), staging}, week, nil)
	diff(t, 2, len(fleet.Services))
	diff(t, 1, fleet.Services[fourkeys.Service{Name: "shop", Environment: "staging"}].Counts.Succeeded)
}

func TestAnEmptyFleetHasNoFigures(t *testing.T) {
	fleet := fourkeys.Aggregate(nil, week, nil)
	diff(t, fourkeys.Summary{}, fleet.Whole)
	diff(t, fourkeys.Distribution{}, fleet.Distribution(fourkeys.Port()))
}

func TestAFleetThatIsOnlyHalfFollowedAndDeployedNothingHasNoFrequency(t *testing.T) {
	fleet := fourkeys.Aggregate(nil, week, map[fourkeys.Service]time.Time{service("a"): at(100), service("b"): at(120)})
	diff(t, (*float64)(nil), fleet.Whole.Frequency.PerWeek)
	fleet = fourkeys.Aggregate(nil, week, map[fourkeys.Service]time.Time{service("a"): at(0), service("b"): at(120)})
	diff(t, new(0.0), fleet.Whole.Frequency.PerWeek)
}
