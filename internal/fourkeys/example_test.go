package fourkeys_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// The worked example of docs/metrics.md: a service in November, followed all the time. The page works these numbers out by hand.
func ExampleCompute() {
	s := fourkeys.Compute(read("testdata/worked-example.jsonl"), november)
	bands := fourkeys.Port().Bands(s)

	fmt.Printf("frequency   %.1f a week, %.1f a day, from %d deployments: %s\n",
		*s.Frequency.PerWeek, *s.Frequency.PerDay, s.Frequency.Deployments, bands.Frequency)
	fmt.Printf("lead time   p50 %s, p90 %s, from %d: %s\n",
		duration(s.LeadTime.P50), duration(s.LeadTime.P90), s.LeadTime.Samples, bands.LeadTime)
	fmt.Printf("failures    %d of %d attempts, %.1f %%: %s\n",
		s.ChangeFailureRate.Part, s.ChangeFailureRate.Whole, *s.ChangeFailureRate.Value*100, bands.ChangeFailureRate)
	fmt.Printf("recovery    p50 %s, p90 %s, from %d, of which %d automatic aborts, and %d open: %s\n",
		duration(s.Recovery.P50), duration(s.Recovery.P90), s.Recovery.Samples, s.Recovery.AutomaticAborts, s.Recovery.Open, bands.Recovery)
	fmt.Printf("rework      %d of %d, %.0f %%\n", s.Rework.Part, s.Rework.Whole, *s.Rework.Value*100)
	fmt.Printf("overall     %s\n", bands.Overall)
	fmt.Printf("shown apart %d stopped before exposure, %d brought back, %d unknown, %d incident\n",
		s.Counts.Unexposed, s.Counts.Returned, s.Counts.Unknown, s.Counts.Incidents)
	// Output:
	// frequency   1.4 a week, 0.2 a day, from 6 deployments: High
	// lead time   p50 18h0m0s, p90 76h56m0s, from 5: Elite
	// failures    3 of 7 attempts, 42.9 %: Low
	// recovery    p50 20m0s, p90 28m0s, from 3, of which 1 automatic aborts, and 0 open: Elite
	// rework      3 of 5, 60 %
	// overall     Low
	// shown apart 1 stopped before exposure, 1 brought back, 1 unknown, 1 incident
}

func duration(seconds *float64) time.Duration {
	return time.Duration(*seconds * float64(time.Second)).Round(time.Second)
}

func read(path string) []dora.Event {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	events, err := parse(string(data))
	if err != nil {
		panic(err)
	}
	return events
}

// parse reads events, one JSON object a line.
func parse(lines string) ([]dora.Event, error) {
	var events []dora.Event
	for scanner := bufio.NewScanner(strings.NewReader(lines)); scanner.Scan(); {
		var e dora.Event
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			return events, fmt.Errorf("cannot read an event: %w", err)
		}
		events = append(events, e)
	}
	return events, nil
}
