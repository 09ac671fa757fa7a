package show

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func attempt(change func(*ledger.DeliveryRecord)) *ledger.DeliveryRecord {
	r := &ledger.DeliveryRecord{
		Seq: 7, Sink: "payments/port", EventSeq: 3, EventID: "d1", Service: "checkout", Type: dora.TypeDeploy, Outcome: dora.Succeeded,
		Fate: ledger.FateDelivered, At: noon, Took: 210 * time.Millisecond, Answer: "201 Created",
	}
	if change != nil {
		change(r)
	}
	return r
}

func standing(change func(*Standing)) *Standing {
	s := &Standing{
		Sink: "payments/port", EventSeq: 3, EventID: "d1", Service: "checkout", Type: dora.TypeDeploy, Outcome: dora.Succeeded,
		State: StatePending, Since: noon,
	}
	change(s)
	return s
}

func TestAttemptsAreARowEach(t *testing.T) {
	table := NewAttempts()
	table.Attempt(attempt(nil))
	table.Attempt(attempt(func(r *ledger.DeliveryRecord) {
		r.Sink, r.Type, r.Outcome, r.Fate, r.Took, r.Answer = "lake", dora.TypeDegraded, "", ledger.FateRetried, 75*time.Second, ""
	}))
	var out bytes.Buffer
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	want := `TIME                   SINK            EVENT   TYPE               SERVICE    RESULT      TOOK    ANSWER
2026-11-20T12:00:00Z   payments/port   d1      deploy succeeded   checkout   delivered   210ms   201 Created
2026-11-20T12:00:00Z   lake            d1      degraded           checkout   retried     1m15s   –
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStandingsSayWhatIsToBeExpected(t *testing.T) {
	hour := noon.Add(time.Hour)
	for want, change := range map[string]func(*Standing){
		"pending   2026-11-20T12:00:00Z   0        now    –": func(s *Standing) { s.NextAt = noon },
		"pending   2026-11-20T12:00:00Z   2        2026-11-20T13:00:00Z   503 busy": func(s *Standing) {
			s.Failed, s.NextAt, s.Answer = 2, hour, "503 busy"
		},
		"pending   2026-11-20T12:00:00Z   0        2026-11-20T13:00:00Z   waits for event d0": func(s *Standing) {
			s.NextAt, s.WaitsFor = hour, "d0"
		},
		"pending   2026-11-20T12:00:00Z   0        now    delivered before, at 2026-11-20T13:00:00Z":         func(s *Standing) { s.DeliveredAt = hour },
		"pending   2026-11-20T12:00:00Z   1        now    no such DoraSink since 2026-11-20T13:00:00Z; busy": func(s *Standing) { s.SinkGoneAt, s.Failed, s.Answer = hour, 1, "busy" },
		"parked   2026-11-20T12:00:00Z   1        –      422 no":                                             func(s *Standing) { s.State, s.Failed, s.Answer = StateParked, 1, "422 no" },
		"delivered   2026-11-20T12:00:00Z   0        –      201 Created":                                     func(s *Standing) { s.State, s.Answer = StateDelivered, "201 Created" },
	} {
		table := NewStandings(noon)
		table.Standing(standing(change))
		var out bytes.Buffer
		if err := table.Print(&out); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), "checkout   "+want+"\n") {
			t.Errorf("want a row that ends with %q, got\n%s", want, out.String())
		}
	}
}

func TestLongAnswersAreCutInTablesAlone(t *testing.T) {
	answer := strings.Repeat("ü", 81)
	if got, want := short(answer), strings.Repeat("ü", 79)+"…"; got != want {
		t.Errorf("got %s", got)
	}
	if got := short(answer[2:]); got != answer[2:] {
		t.Errorf("80 letters have room, got %s", got)
	}
	var out bytes.Buffer
	if err := NewJSON(&out).Delivery(attempt(func(r *ledger.DeliveryRecord) { r.Answer = answer }), nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"`+answer+`"`) {
		t.Errorf("JSON holds the whole answer, got %s", out.String())
	}
}

func TestShortTimesAreToldInMilliseconds(t *testing.T) {
	for want, d := range map[string]time.Duration{"0ms": 900 * time.Microsecond, "9999ms": 9999 * time.Millisecond, "10s": 10 * time.Second} {
		if got := took(d); got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}

func TestDeliveriesAreOneObjectALineWithTheEventBeside(t *testing.T) {
	var out bytes.Buffer
	lines := NewJSON(&out)
	for _, write := range []func() error{
		func() error { return lines.Delivery(attempt(nil), nil) },
		func() error {
			return lines.Delivery(standing(func(s *Standing) { s.Failed, s.NextAt, s.Answer = 1, noon, "<busy>" }), nil)
		},
		func() error { return lines.Delivery(standing(func(*Standing) {}), &dora.Event{ID: "d1"}) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.SplitAfter(out.String(), "\n")
	want := []string{
		`{"seq":7,"sink":"payments/port","event_seq":3,"event_id":"d1","service":"checkout","type":"deploy","outcome":"succeeded",` +
			`"fate":"delivered","content":0,"at":"2026-11-20T12:00:00Z","answer":"201 Created","took_seconds":0.21}` + "\n",
		`{"sink":"payments/port","event_seq":3,"event_id":"d1","service":"checkout","type":"deploy","outcome":"succeeded","state":"pending",` +
			`"since":"2026-11-20T12:00:00Z","failed":1,"next_at":"2026-11-20T12:00:00Z","answer":"\u003cbusy\u003e"}` + "\n",
	}
	if diff := cmp.Diff(want, got[:2]); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(got[2], `"failed":0,"event":{`) || !strings.HasSuffix(got[2], "}}\n") {
		t.Errorf("want the event beside, got %s", got[2])
	}
}

func TestControlCharactersOfAnswersAreTakenOut(t *testing.T) {
	table := NewAttempts()
	table.Attempt(attempt(func(r *ledger.DeliveryRecord) { r.Answer = "no\x1b[2J\nSECOND" }))
	var out bytes.Buffer
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("got %q", out.String())
	}
}
