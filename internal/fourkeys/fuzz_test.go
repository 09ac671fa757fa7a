package fourkeys_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// FuzzCompute feeds whatever parses as events: there is no input for which figures leave their bounds.
func FuzzCompute(f *testing.F) {
	example, err := os.ReadFile("testdata/worked-example.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), int64(0), int64(0), int64(0))
	f.Add(string(example), int64(-1), int64(1), int64(0))
	f.Add(`{"id":"a","type":"deploy","outcome":"succeeded","change":"image","lead_time_seconds":1e308}`, int64(-1), int64(1), int64(0))
	f.Add(`{"type":"deploy","outcome":"rolled_back","change":"image","success":true,"previous":null}`, int64(-1), int64(1), int64(0))
	f.Add(`{"type":"degraded","failure_id":"a"}`+"\n"+`{"type":"recovered","id":"b","failure_id":"a"}`, int64(-1), int64(1), int64(0))

	f.Fuzz(func(t *testing.T, lines string, from, to, followed int64) {
		events, err := parse(lines)
		if err != nil {
			t.Skip("not events")
		}
		w := fourkeys.Window{From: time.Unix(from, 0), To: time.Unix(to, 0), FollowedSince: time.Unix(followed, 0)}
		both := []dora.ChangeKind{dora.ChangeImage, dora.ChangeConfig}
		checkBounds(t, fourkeys.Compute(events, w, both...))
		fleet := fourkeys.Aggregate(events, w, nil, both...)
		checkBounds(t, fleet.Whole)
		fleet.Distribution(fourkeys.Guide())
	})
}

// BenchmarkCompute is one service of 10,000 events. Every tenth deployment fails, and a rollback ends its failure.
func BenchmarkCompute(b *testing.B) {
	events := busyService(10_000)
	b.ReportAllocs()
	for b.Loop() {
		fourkeys.Compute(events, fourkeys.Window{From: at(0), To: at(20_000)})
	}
}

// BenchmarkAggregate is a fleet of 1,000 services with 10 events each.
func BenchmarkAggregate(b *testing.B) {
	events := busyService(10_000)
	for i := range events {
		events[i].Service = fmt.Sprintf("service %d", i%1000)
	}
	b.ReportAllocs()
	for b.Loop() {
		fourkeys.Aggregate(events, fourkeys.Window{From: at(0), To: at(20_000)}, nil)
	}
}

func busyService(number int) []dora.Event {
	var events []dora.Event
	for i := 0; len(events) < number; i++ {
		version, hours := fmt.Sprintf("v%d", i), float64(i)
		if i%10 != 9 {
			events = append(events, success(version, hours, firstCommit(hours-float64(i%100))))
			continue
		}
		before := fmt.Sprintf("v%d", i-1)
		events = append(events,
			failure(version, hours), degraded(version, hours, version),
			rollback(before, version, hours+0.5), recovered(version, hours+0.5, before))
	}
	return events
}
