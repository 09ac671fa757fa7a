package intake_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
)

func TestAnIncidentIsAFailure(t *testing.T) {
	w := newWorld(t)
	cause := w.take(deployment("1.2.0", -30))[0]
	r := opened(0)
	r.Team, r.Rest = "payments", json.RawMessage(`{"n":1}`)
	r.Incident.Link = "https://incidents.example.com/1"
	ids := w.take(r, resolved(90))
	began, ended := w.event(ids[0]), w.event(ids[1])
	want := dora.Event{
		Schema: "dora/v1", ID: ids[0], Type: dora.TypeDegraded, Service: "checkout", Team: "payments", Environment: "production", Cluster: "eu",
		Subject:    dora.Subject{Kind: dora.KindReported, Namespace: "shop", Name: "checkout", UID: dora.ID("eu", "shop", "checkout", "production")},
		OccurredAt: at(0), ObservedAt: w.now, FailureID: dora.ID("eu", "shop/ci", "PT4KHLK", "1", "failure"), CausedBy: cause, Basis: dora.BasisAPI,
		Source: "pagerduty", Receiver: "ci", Severity: "P1", Title: "checkout is down", Link: "https://incidents.example.com/1",
		Reported: json.RawMessage(`{"n":1}`), Reason: "WithinWindow",
	}
	diff(t, want, began)
	want.Reason = ""
	want.ID, want.Type, want.OccurredAt, want.RecoverySeconds, want.Reported = ids[1], dora.TypeRecovered, at(90), new(5400.0), nil
	diff(t, want, ended)
	diff(t, []string{cause, ids[0], ids[1]}, w.owed("shop/postgres"))
}

func TestAResolutionThatComesFirstWaits(t *testing.T) {
	w := newWorld(t)
	first := w.take(resolved(90))[0]
	diff(t, 0, len(w.events()))
	second := w.take(opened(0))[0]
	if first != second {
		t.Error("the resolution was said to lead to another event")
	}
	if e := w.event(first); e.Type != dora.TypeRecovered || *e.RecoverySeconds != 5400 || len(w.events()) != 2 {
		t.Errorf("it ended with %+v", e)
	}
}

// A note that comes before the opening is no opening, at whatever time it comes; what it names is looked for once the incident has begun.
func TestANoteThatComesFirstWaits(t *testing.T) {
	w := newWorld(t)
	deployed := w.take(deployment("v1.4.2", -300), deployment("v1.5.0", -30))
	cause, latest := deployed[0], deployed[1]
	note := w.take(noted("n", "since v1.4.2, they say"))[0]
	diff(t, 2, len(w.events()))
	w.Intake = w.open() // after a restart
	id := w.take(opened(0))[0]
	if e := w.event(id); note != id || e.OccurredAt != at(0) || e.Service != "checkout" || e.CausedBy != cause {
		t.Errorf("it began with %+v", e)
	}
	w.take(resolved(9))
	if e := w.event(w.take(reopened(20))[0]); e.CausedBy != latest {
		t.Error("what was noted before the first opening is held against the second")
	}
}

func TestAnIncidentOpensAgain(t *testing.T) {
	w := newWorld(t)
	w.take(opened(0), resolved(10))
	cause := w.take(deployment("2", 15))[0]
	ids := w.take(reopened(20), resolved(25))
	began, ended := w.event(ids[0]), w.event(ids[1])
	if began.CausedBy != cause || ended.CausedBy != cause || *ended.RecoverySeconds != 300 || began.FailureID != ended.FailureID {
		t.Errorf("the second opening is %+v, to %+v", began, ended)
	}
	if first := w.events()[0]; first.FailureID == began.FailureID || first.CausedBy != "" {
		t.Errorf("the first was %+v", first)
	}
}

// What an incident is held against stays, though it turns out later that another deployment was before it.
func TestACauseStays(t *testing.T) {
	w := newWorld(t)
	id := w.take(opened(0))[0]
	w.take(deployment("v1.2.0", -1))
	ids := w.take(message("more", ingest.Incident{OpenedAt: at(0), Mentions: []string{"v1.2.0"}}), noted("note", "it was v1.2.0"), resolved(5))
	if w.event(id).CausedBy != "" || w.event(ids[2]).CausedBy != "" || ids[0] != id || ids[1] != id {
		t.Error("the cause has changed")
	}
}

func TestAnIncidentIsHeldAgainstWhatItsAudienceSees(t *testing.T) {
	w := newWorld(t)
	seen := w.take(deployment("1", -30))[0]
	other, err := w.Take(t.Context(), sender, []ingest.Report{func() ingest.Report {
		r := deployment("2.1", -10)
		r.Environment = "staging"
		return r
	}()})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := w.Take(t.Context(), sender2, []ingest.Report{deployment("2.2", -5)})
	if err != nil {
		t.Fatal(err)
	}
	w.audience.sees = func(s dora.Subject) bool { return s.Namespace == sender.Namespace }
	if e := w.event(w.take(opened(0, "2.1", "2.2", foreign[0]))[0]); e.CausedBy != seen {
		t.Errorf("it is held against %q", e.CausedBy)
	}
	if e := w.event(w.take(openedAs("Z", 1, other[0]))[0]); e.CausedBy != other[0] || e.Environment != "staging" || e.Reason != "NamedByEvent" {
		t.Errorf("what it names by its id is passed over: %+v", e)
	}
	w = newWorld(t)
	w.take(deployment("1", -30))
	w.audience.sees = nil
	if e := w.event(w.take(opened(0, "1"))[0]); e.CausedBy != "" || e.Reason != "NotCounted" {
		t.Error("it is held against what nobody counts")
	}
}

func TestAServiceIsCalledAsItsAudienceSays(t *testing.T) {
	w := newWorld(t)
	w.audience.service = "checkout"
	cause := w.take(deployment("1", -30))[0]
	r := opened(0)
	r.Service = "Checkout API"
	if e := w.event(w.take(r)[0]); e.Service != "checkout" || e.Subject.Name != "checkout" || e.CausedBy != cause {
		t.Errorf("it is %+v", e)
	}
}

func TestAnIncidentOfNoServiceIsRefused(t *testing.T) {
	w := newWorld(t)
	r := opened(0)
	r.Service = ""
	_, err := w.Take(t.Context(), sender, []ingest.Report{r})
	if bad, ok := errors.AsType[*ingest.BadRequestError](err); !ok || bad.Field != "service" {
		t.Errorf("it says %v", err)
	}
	w.take(opened(0))
	end := resolved(9)
	end.Service = "" // it is known by now
	if e := w.event(w.take(end)[0]); e.Service != "checkout" {
		t.Errorf("it is %+v", e)
	}
}

// An incident that turns out to be severe is told to those who count severe ones, from its beginning on.
func TestAnIncidentThatBecomesSevereIsOwedFromTheBeginning(t *testing.T) {
	w := newWorld(t)
	w.audience.severity = "P1"
	first := opened(0)
	first.Incident.Severity = "P3"
	id := w.take(first)[0]
	diff(t, 0, len(w.owed("shop/postgres")))
	raise := message("raise", ingest.Incident{OpenedAt: at(0), Severity: "P1"})
	diff(t, []string{id, id}, w.take(raise, raise))
	diff(t, []string{id}, w.owed("shop/postgres"))
	end := w.take(resolved(9))[0]
	diff(t, []string{id, end}, w.owed("shop/postgres"))
	if w.event(id).Severity != "P3" || w.event(end).Severity != "P1" {
		t.Error("an event has another severity than when it happened")
	}
}

// openedAs is the opening of another incident, of a service that has no deployments.
func openedAs(id string, minutes float64, mentions ...string) ingest.Report {
	r := opened(minutes, mentions...)
	r.Service, r.Incident.ID, r.Key = "frontend", id, id
	return r
}

// An id is of one deployment: the incident is of its service, from the beginning to the end, whatever service the sender names.
func TestAnIncidentIsOfTheServiceOfTheDeploymentThatItNamesByItsID(t *testing.T) {
	w := newWorld(t)
	own := deployment("7", -5)
	own.Service = "frontend"
	cause := w.take(deployment("1", -30), own)[0]
	end := resolved(9)
	end.Service, end.Incident.ID = "frontend", "Y"
	ids := w.take(openedAs("Y", 0, "caused by deployment "+cause+" of checkout"), end)
	for _, id := range ids {
		if e := w.event(id); e.CausedBy != cause || e.Service != "checkout" || e.Subject.Name != "checkout" {
			t.Errorf("it is %+v", e)
		}
	}
	if e := w.event(ids[0]); e.Reason != "NamedByEvent" {
		t.Errorf("it is held against it for %s", e.Reason)
	}
}

// An id that may not be seen is as one that there is not.
func TestAnIDThatMayNotBeSeenIsNoneAtAll(t *testing.T) {
	var told []dora.Event
	for _, hidden := range []bool{true, false} {
		w := newWorld(t)
		deployed := deployment("1", -30)
		deployed.Environment = "staging"
		id := "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
		if hidden {
			id = w.take(deployed)[0]
		}
		w.audience.sees = func(s dora.Subject) bool { return s.UID != dora.ID("eu", "shop", "checkout", "staging") }
		told = append(told, w.event(w.take(openedAs("Y", 0, id))[0]))
	}
	diff(t, told[0], told[1])
}
