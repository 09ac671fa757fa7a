package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

var (
	// morning is when everything in these stories is recorded, and far when what failed is tried next: before and after any clock.
	morning = time.Date(2020, 1, 2, 12, 0, 0, 0, time.UTC)
	far     = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
)

const (
	portSink = "payments/port"
	lakeSink = "platform/lake"
)

// delivering is a ledger, open as a controller has it, in which sinks are delivered to.
type delivering struct {
	*sqlite.Store

	t    *testing.T
	path string
}

// newDelivering tells a story: port has c1, failed to take c2, for which c3 waits, and refused p1. Nobody has asked lake yet.
func newDelivering(t *testing.T) *delivering {
	t.Helper()
	d := &delivering{t: t, path: filepath.Join(t.TempDir(), "ledger.db")}
	store, err := sqlite.Open(t.Context(), d.path, sqlite.Options{Now: func() time.Time { return morning }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	d.Store = store
	d.commit(ledger.Change{Events: []dora.Event{
		ledgertest.Deployment("c1", "cart", morning), ledgertest.Deployment("c2", "cart", morning),
		ledgertest.Degraded("p1", "pay", morning), ledgertest.Deployment("c3", "cart", morning),
	}, Sinks: []string{portSink, lakeSink}})
	d.must(d.Delivered(d.t.Context(), portSink, answered(1, 210*time.Millisecond, "201 Created"), d.row(portSink, "c1")))
	d.must(d.Retry(d.t.Context(), portSink, d.row(portSink, "c2").Seq, far, answered(2, 30*time.Second, "503 Service Unavailable")))
	d.must(d.Park(d.t.Context(), portSink, d.row(portSink, "p1").Seq, answered(3, 90*time.Millisecond, "422 Unprocessable Entity")))
	return d
}

func (d *delivering) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *delivering) commit(change ledger.Change) {
	d.t.Helper()
	d.must(d.Commit(context.Background(), change))
}

func (d *delivering) row(sink, id string) ledger.Delivery {
	d.t.Helper()
	due, err := d.Due(d.t.Context(), sink, far, 9)
	d.must(err)
	i := slices.IndexFunc(due, func(row ledger.Delivery) bool { return row.Event.ID == id })
	if i < 0 {
		d.t.Fatalf("%s is not owed %s", sink, id)
	}
	return due[i]
}

func (d *delivering) print(args ...string) result {
	d.t.Helper()
	return runCommand(d.t, "", append([]string{"deliveries", "--ledger", d.path}, args...)...)
}

func (d *delivering) expectTable(want string, args ...string) {
	d.t.Helper()
	got := d.print(append(args, "-o", "table")...)
	if diff := cmp.Diff(result{stdout: want}, got, cmp.AllowUnexported(result{})); diff != "" {
		d.t.Errorf("deliveries %v (-want +got):\n%s", args, diff)
	}
}

// answered is an attempt that began so many seconds after the morning.
func answered(second int, took time.Duration, answer string) ledger.Attempt {
	return ledger.Attempt{At: morning.Add(time.Duration(second) * time.Second), Took: took, Answer: answer}
}

func TestDeliveriesListsAttemptsOldestFirst(t *testing.T) {
	newDelivering(t).expectTable(
		`TIME                   SINK            EVENT   TYPE               SERVICE   RESULT      TOOK    ANSWER
2020-01-02T12:00:01Z   payments/port   c1      deploy succeeded   cart      delivered   210ms   201 Created
2020-01-02T12:00:02Z   payments/port   c2      deploy succeeded   cart      retried     30s     503 Service Unavailable
2020-01-02T12:00:03Z   payments/port   p1      degraded           pay       parked      90ms    422 Unprocessable Entity
`)
}

// Did Port get this deployment?
func TestDeliveriesOfAnEventBeginWithHowItStands(t *testing.T) {
	d := newDelivering(t)
	d.expectTable(
		`SINK            EVENT   TYPE               SERVICE   RESULT      SINCE                  FAILED   NEXT   ANSWER
payments/port   c1      deploy succeeded   cart      delivered   2020-01-02T12:00:01Z   0        –      201 Created
platform/lake   c1      deploy succeeded   cart      pending     2020-01-02T12:00:00Z   0        now    –

TIME                   SINK            EVENT   TYPE               SERVICE   RESULT      TOOK    ANSWER
2020-01-02T12:00:01Z   payments/port   c1      deploy succeeded   cart      delivered   210ms   201 Created
`, "--event", "c1")
	d.expectTable(
		`SINK            EVENT   TYPE       SERVICE   RESULT   SINCE                  FAILED   NEXT   ANSWER
payments/port   p1      degraded   pay       parked   2020-01-02T12:00:00Z   1        –      422 Unprocessable Entity

TIME                   SINK            EVENT   TYPE       SERVICE   RESULT   TOOK   ANSWER
2020-01-02T12:00:03Z   payments/port   p1      degraded   pay       parked   90ms   422 Unprocessable Entity
`, "--event", "p1", "--sink", "port")
}

// An event that was completed is owed again; that it arrived before must not be hidden.
func TestDeliveriesOfACompletedEvent(t *testing.T) {
	d := newDelivering(t)
	d.commit(ledger.Change{Facts: []dora.CommitFacts{ledgertest.Facts("c1", morning.Add(-time.Hour))}, Sinks: []string{portSink}})
	d.expectTable(
		`SINK            EVENT   TYPE               SERVICE   RESULT    SINCE                  FAILED   NEXT   ANSWER
payments/port   c1      deploy succeeded   cart      pending   2020-01-02T12:00:00Z   0        now    delivered before, at 2020-01-02T12:00:01Z

TIME                   SINK            EVENT   TYPE               SERVICE   RESULT      TOOK    ANSWER
2020-01-02T12:00:01Z   payments/port   c1      deploy succeeded   cart      delivered   210ms   201 Created
`, "--event", "c1", "--sink", portSink)
}

func TestADeliveryTellsHowOftenItFailedBefore(t *testing.T) {
	d := newDelivering(t)
	d.must(d.Delivered(t.Context(), portSink, answered(9, time.Second, "200 OK"), d.row(portSink, "c2")))
	d.expectTable(
		`SINK            EVENT   TYPE               SERVICE   RESULT      SINCE                  FAILED   NEXT   ANSWER
payments/port   c2      deploy succeeded   cart      delivered   2020-01-02T12:00:09Z   1        –      200 OK

TIME                   SINK            EVENT   TYPE               SERVICE   RESULT      TOOK     ANSWER
2020-01-02T12:00:02Z   payments/port   c2      deploy succeeded   cart      retried     30s      503 Service Unavailable
2020-01-02T12:00:09Z   payments/port   c2      deploy succeeded   cart      delivered   1000ms   200 OK
`, "--event", "c2", "--sink", portSink)
}

func TestPendingSaysWhatItWaitsFor(t *testing.T) {
	d := newDelivering(t)
	d.must(d.Gone(t.Context(), lakeSink, morning.Add(time.Hour)))
	d.expectTable(
		`SINK            EVENT   TYPE               SERVICE   RESULT    SINCE                  FAILED   NEXT                   ANSWER
platform/lake   c1      deploy succeeded   cart      pending   2020-01-02T12:00:00Z   0        now                    no such DoraSink since 2020-01-02T13:00:00Z
payments/port   c2      deploy succeeded   cart      pending   2020-01-02T12:00:00Z   1        2999-01-01T00:00:00Z   503 Service Unavailable
platform/lake   c2      deploy succeeded   cart      pending   2020-01-02T12:00:00Z   0        now                    no such DoraSink since 2020-01-02T13:00:00Z
platform/lake   p1      degraded           pay       pending   2020-01-02T12:00:00Z   0        now                    no such DoraSink since 2020-01-02T13:00:00Z
payments/port   c3      deploy succeeded   cart      pending   2020-01-02T12:00:00Z   0        2999-01-01T00:00:00Z   waits for event c2
platform/lake   c3      deploy succeeded   cart      pending   2020-01-02T12:00:00Z   0        now                    no such DoraSink since 2020-01-02T13:00:00Z
`, "--pending")
}

func TestParkedIsWhatIsParkedNow(t *testing.T) {
	d := newDelivering(t)
	d.expectTable(
		`SINK            EVENT   TYPE       SERVICE   RESULT   SINCE                  FAILED   NEXT   ANSWER
payments/port   p1      degraded   pay       parked   2020-01-02T12:00:00Z   1        –      422 Unprocessable Entity
`, "--parked")
	if _, err := d.Requeue(t.Context(), portSink); err != nil {
		t.Fatal(err)
	}
	if got := d.print("--parked", "-o", "table"); got != (result{stderr: "Nothing is parked.\n"}) {
		t.Errorf("got %+v", got)
	}
}

func TestDeliveriesSelects(t *testing.T) {
	d := newDelivering(t)
	for name, test := range map[string]struct {
		args []string
		want []string // a part of each line
	}{
		"all":                         {nil, []string{"c1", "c2", "p1"}},
		"a sink":                      {[]string{"--sink", portSink}, []string{"c1", "c2", "p1"}},
		"a sink without attempts":     {[]string{"--sink", "lake"}, nil},
		"a service":                   {[]string{"--service", "pay"}, []string{"p1"}},
		"since a time, inclusive":     {[]string{"--since", "2020-01-02T12:00:02Z"}, []string{"c2", "p1"}},
		"since long ago":              {[]string{"--since", "36500d"}, []string{"c1", "c2", "p1"}},
		"the newest, in their order":  {[]string{"--limit", "2"}, []string{"c2", "p1"}},
		"without a limit":             {[]string{"--limit", "0"}, []string{"c1", "c2", "p1"}},
		"those that failed":           {[]string{"--failed"}, []string{"c2", "p1"}},
		"attempts of an event alone":  {[]string{"--event", "c2", "--failed"}, []string{`"fate":"retried"`}},
		"an event: standing, attempt": {[]string{"--event", "c2"}, []string{`"state":"pending"`, lakeSink, `"fate":"retried"`}},
		"pending":                     {[]string{"--pending", "--sink", "port"}, []string{"c2", `"waits_for":"c2"`}},
		"pending and parked":          {[]string{"--pending", "--parked", "--sink", "port"}, []string{"c2", `"state":"parked"`, "c3"}},
		"what waits longest":          {[]string{"--pending", "--limit", "1"}, []string{"c1"}},
		"pending of a service":        {[]string{"--pending", "--service", "pay"}, []string{lakeSink}},
		"an event that is not parked": {[]string{"--parked", "--event", "c1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := d.print(append(test.args, "-o", "json")...)
			lines := slices.Collect(strings.Lines(got.stdout))
			if got.code != exitOK || got.stderr != "" || len(lines) != len(test.want) {
				t.Fatalf("want %d lines, got %+v", len(test.want), got)
			}
			for i, part := range test.want {
				if !strings.Contains(lines[i], part) {
					t.Errorf("want %s in line %d: %s", part, i+1, lines[i])
				}
			}
		})
	}
}

func TestPayloadIsTheEventBesideEachLine(t *testing.T) {
	d := newDelivering(t)
	for _, args := range [][]string{{"--service", "pay"}, {"--parked"}} {
		got := d.print(append(args, "--payload")...)
		event := strings.Contains(got.stdout, `,"event":{"schema":`) && strings.Contains(got.stdout, `"failure_id":"failure-p1"`)
		if strings.Count(got.stdout, "\n") != 1 || !event {
			t.Errorf("%v: got %+v", args, got)
		}
	}
}

// The log outlives the events.
func TestPayloadOfAPrunedEvent(t *testing.T) {
	d := newDelivering(t)
	d.must(d.Delivered(t.Context(), lakeSink, answered(4, time.Second, "ok"), d.row(lakeSink, "c1")))
	if _, err := d.Prune(t.Context(), ledger.Retention{EventsBefore: far}); err != nil {
		t.Fatal(err)
	}
	got := d.print("--payload", "--event", "c1", "--sink", "lake")
	if strings.Count(got.stdout, `"event_id":"c1"`) != 2 || strings.Contains(got.stdout, `"event":`) {
		t.Errorf("want how it stands and the attempt, without the event, got %+v", got)
	}
}

func TestDeliveriesOfNothing(t *testing.T) {
	d := newDelivering(t)
	d.commit(ledger.Change{Events: []dora.Event{ledgertest.Deployment("n1", "new", morning)}})
	for want, args := range map[string][]string{
		"No deliveries.\n": {"--service", "none"},
		"No deliveries: the ledger has no event zz.\n":            {"--event", "zz"},
		"No deliveries: event n1 was never owed to any sink, was": {"--event", "n1"},
		"No deliveries: event n1 was never owed to platform/lake": {"--event", "n1", "--sink", "lake"},
		"Nothing is pending.\n":                                   {"--pending", "--service", "none"},
		"Nothing is pending or parked.\n":                         {"--pending", "--parked", "--service", "none"},
	} {
		got := d.print(append(args, "-o", "table")...)
		if got.code != exitOK || got.stdout != "" || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%v: want %q, got %+v", args, want, got)
		}
	}
}

func TestDeliveriesOfSinksThatAreNotKnown(t *testing.T) {
	d := newDelivering(t)
	if got := d.print("--sink", "hook"); got.code != exitFailure || !strings.Contains(got.stderr, `no sink "hook"; it knows payments/port, platform/lake`) {
		t.Errorf("got %+v", got)
	}
	d.commit(ledger.Change{Events: []dora.Event{ledgertest.Deployment("n1", "new", morning)}, Sinks: []string{"platform/port"}})
	if got := d.print("--sink", "port"); got.code != exitUsage || !strings.Contains(got.stderr, "say which: payments/port, platform/port") {
		t.Errorf("got %+v", got)
	}
	path, _, _ := ledgerOf(t)
	if got := runCommand(t, "", "deliveries", "--ledger", path, "--sink", "port"); got.code != exitFailure || !strings.Contains(got.stderr, "none was ever owed") {
		t.Errorf("got %+v", got)
	}
}

func TestDeliveriesOfNoLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.db")
	if got := runCommand(t, "", "deliveries", "--ledger", path); got.code != exitFailure || !strings.Contains(got.stderr, path) {
		t.Errorf("got %+v", got)
	}
}

func TestWrongCommandLinesOfDeliveriesAndSinks(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a negative limit":                {[]string{"deliveries", "--limit", "-1"}, "must not be negative"},
		"an argument":                     {[]string{"deliveries", "port"}, "unknown command"},
		"what is, and what failed":        {[]string{"deliveries", "--parked", "--failed"}, "leave out the one or the other"},
		"what is, since":                  {[]string{"deliveries", "--pending", "--since", "1d"}, "leave out the one or the other"},
		"a payload in a table":            {[]string{"deliveries", "--payload", "-o", "table"}, "leave out -o table"},
		"resend to nobody":                {[]string{"deliveries", "resend", "--since", "1d"}, "accepts 1 arg(s)"},
		"resend what":                     {[]string{"deliveries", "resend", "port"}, "--event, --since or --service"},
		"resend a comment":                {[]string{"deliveries", "resend", "port", "--service", "a #b"}, "neither spaces nor #"},
		"resend no event":                 {[]string{"deliveries", "resend", "port", "--event", ","}, "neither spaces nor #"},
		"an unknown flag of resend":       {[]string{"deliveries", "resend", "port", "--nope"}, "unknown flag: --nope"},
		"a sink of two namespaces":        {[]string{"deliveries", "resend", "a/b", "-n", "c", "--since", "1d"}, "leave out --namespace"},
		"a sink without a name":           {[]string{"sinks", "retry", "a/"}, "is no sink"},
		"sinks with an argument":          {[]string{"sinks", "port"}, "unknown command"},
		"all namespaces and one":          {[]string{"sinks", "-A", "-n", "payments"}, "leave out --namespace"},
		"retry nothing":                   {[]string{"sinks", "retry"}, "name the sinks, or say --all"},
		"retry all and one":               {[]string{"sinks", "retry", "port", "--all"}, "name the sinks, or say --all"},
		"a negative wait":                 {[]string{"sinks", "retry", "port", "--wait", "-1s"}, "must not be negative"},
		"migrate without print":           {[]string{"migrate"}, "with --print"},
		"migrate to a schema that is SQL": {[]string{"migrate", "--print", "--schema", "a; DROP"}, "lower-case letters"},
	} {
		t.Run(name, func(t *testing.T) {
			got := runCommand(t, "", test.args...)
			if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, test.want) || !strings.Contains(got.stderr, "--help") {
				t.Errorf("want exit code 2 and %q with a hint on stderr, got %+v", test.want, got)
			}
		})
	}
}

// The words are those that the annotation's documentation in api/v1alpha1 gives.
func TestResendAsksInTheWordsOfTheAnnotation(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 5000, time.UTC)
	var since moment
	if err := since.Set("7d"); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]resendOptions{
		"event=a,b #2026-11-20T12:00:00.000005Z":                                              {events: []string{"a", "b"}},
		"since=2026-11-13T12:00:00.000005Z #2026-11-20T12:00:00.000005Z":                      {since: since},
		"event=a since=2026-11-13T12:00:00.000005Z service=cart #2026-11-20T12:00:00.000005Z": {events: []string{"a"}, since: since, service: "cart"},
	} {
		if got, err := o.annotation(now); err != nil || got != want {
			t.Errorf("want %q, got %q (%v)", want, got, err)
		}
	}
	id := dora.ID("a")
	if _, err := (&resendOptions{events: slices.Repeat([]string{id}, 25)}).annotation(now); err != nil {
		t.Errorf("25 ids have room: %v", err)
	}
	if _, err := (&resendOptions{events: slices.Repeat([]string{id}, 30)}).annotation(now); err == nil || !strings.Contains(err.Error(), "some 25 ids, not for 30") {
		t.Errorf("30 ids have none, got %v", err)
	}
}
