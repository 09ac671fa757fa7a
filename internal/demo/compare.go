package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/show"
)

// tolerance is how far two looks at the same event may differ in its time, where that is a time of writing.
const tolerance = 3 * time.Second

// compare waits until the ledger holds what the recordings lead to without a cluster, and returns its rows.
func (s *stage) compare(ctx context.Context) ([]ledger.Row, error) {
	want, err := expected(s.lines, s.source)
	if err != nil {
		return nil, err
	}
	var rows []ledger.Row
	var differs string
	err = until(ctx, settle, "the ledger differs from the recordings", func(ctx context.Context) (bool, error) {
		var err error
		if rows, err = s.events(ctx, 0); err != nil {
			return false, err
		}
		differs = difference(rows, want)
		return differs == "", nil
	})
	if err != nil && differs != "" {
		return nil, fmt.Errorf("%w:\n%s", err, differs)
	}
	return rows, err
}

// expected replays the lines with the policy of the demo's target.
func expected(lines []line, from *source) ([]dora.Event, error) {
	t, err := newTarget(from)
	if err != nil {
		return nil, err
	}
	policy, err := policyOf(&t.Spec)
	if err != nil {
		return nil, err
	}
	var recording bytes.Buffer
	for i := range lines {
		recording.Write(lines[i].raw)
		recording.WriteByte('\n')
	}
	world := replay.NewWorld("", policy)
	var events []dora.Event
	err = replay.Read("the recordings", &recording, func(e replay.Event) {
		for _, step := range world.Apply(e) {
			events = append(events, step.Events...)
		}
	})
	return events, err
}

func policyOf(spec *dorav1alpha1.DoraTargetSpec) (replay.PolicyFor, error) {
	timings, err := spec.Timings()
	if err != nil {
		return nil, fmt.Errorf("cannot read the demo's target: %w", err)
	}
	return func(labels map[string]string, name string) deploy.Policy {
		return deploy.Policy{
			Service: spec.ServiceOf(name, labels), Team: spec.TeamOf(labels), Environment: spec.EnvironmentOf(labels),
			DegradedFor: timings.DegradedFor, FailureWindow: timings.FailureWindow, VerdictTimeout: timings.VerdictTimeout,
		}
	}, nil
}

// difference tells, for each service, the first event that is not as expected; nothing if all are.
func difference(rows []ledger.Row, want []dora.Event) string {
	var found []string
	for i := range stories {
		if d := differenceOf(stories[i].service, rows, want); d != nil {
			found = append(found, fmt.Sprintf("    %s: %v", stories[i].service, d))
		}
	}
	return strings.Join(found, "\n")
}

func differenceOf(service string, rows []ledger.Row, want []dora.Event) error {
	var got []*dora.Event
	for i := range rows {
		if rows[i].Event.Service == service {
			got = append(got, &rows[i].Event)
		}
	}
	n := 0
	for i := range want {
		switch w := &want[i]; {
		case w.Service != service:
		case n >= len(got):
			return fmt.Errorf("%s is missing", show.Line(w))
		case !same(got[n], w):
			return fmt.Errorf("%s at %s instead of %s at %s", show.Line(got[n]), got[n].OccurredAt, show.Line(w), w.OccurredAt)
		default:
			n++
		}
	}
	if n < len(got) {
		return errors.New(show.Line(got[n]) + " is one too many")
	}
	return nil
}

// same compares what does not depend on the uids that the API server gives.
func same(a, b *dora.Event) bool {
	return show.Line(a) == show.Line(b) && a.OccurredAt.Sub(b.OccurredAt).Abs() <= tolerance
}
