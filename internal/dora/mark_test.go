package dora_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/dora"
)

var said = time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600))

func TestTheNewestMarkStandsBesideTheEvent(t *testing.T) {
	e := dora.Event{ID: "e1", Type: dora.TypeDeploy, Outcome: dora.Failed, Success: new(false), IsRollback: new(false)}
	e.Say(dora.Mark{Verdict: dora.Ignore, Reason: "a drill", By: "ada", At: said})
	e.Say(dora.Mark{Verdict: dora.NotAFailure, Reason: "the quota was", By: "bob", At: said})
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"verdict": "not-a-failure", "reason": "the quota was", "by": "bob", "at": "2026-03-01T12:00:00Z"}
	if d := cmp.Diff(want, got["mark"]); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got["success"] != false || got["outcome"] != "failed" {
		t.Errorf("what Argo told was changed: %s", text)
	}
	e.Say(dora.Mark{Verdict: dora.Withdrawn, At: said})
	if e.Mark != nil {
		t.Errorf("a mark that was withdrawn is still there: %+v", e.Mark)
	}
	e.Say(dora.Mark{Verdict: dora.Ignore, At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
	if _, err := json.Marshal(e); err != nil {
		t.Errorf("an event with a time that cannot be written: %v", err)
	}
}

func TestTheFlagsThatAMarkGives(t *testing.T) {
	yes, no := new(true), new(false)
	rolledBack := dora.Event{Type: dora.TypeDeploy, Outcome: dora.RolledBack, Success: no, IsRollback: yes}
	degraded := dora.Event{Type: dora.TypeDegraded}
	for _, c := range []struct {
		event         dora.Event
		verdict       dora.Verdict
		success, back *bool
		counts        bool
	}{
		{rolledBack, dora.Withdrawn, no, yes, true},
		{rolledBack, dora.NotAFailure, yes, no, true},
		{rolledBack, dora.Failure, no, yes, true},
		{rolledBack, dora.Ignore, nil, nil, false},
		{degraded, dora.Failure, nil, nil, true},
		{degraded, dora.NotAFailure, nil, nil, false},
		{degraded, dora.Ignore, nil, nil, false},
	} {
		c.event.Say(dora.Mark{Verdict: c.verdict, At: said})
		got := c.event.Judged()
		if d := cmp.Diff([]*bool{c.success, c.back}, []*bool{got.Success, got.IsRollback}); d != "" || c.event.Counts() != c.counts {
			t.Errorf("%s marked %q: counts %v (-want +got)\n%s", c.event.Type, c.verdict, c.event.Counts(), d)
		}
	}
}

func TestThereAreFourVerdicts(t *testing.T) {
	for _, v := range []dora.Verdict{dora.Failure, dora.NotAFailure, dora.Ignore, dora.Withdrawn} {
		if !v.Known() {
			t.Errorf("%q is a verdict", v)
		}
	}
	if dora.Verdict("fine").Known() {
		t.Error("fine is none")
	}
}
