package intake_test

import (
	"errors"
	"testing"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// given is a report of checkout in production under a key that its sender made up.
func given(details ...func(*ingest.Report)) ingest.Report {
	r := ingest.Report{
		Source: "api", Key: "deploy:4711", Given: true, Service: "checkout", Environment: "production",
		Deployment: &ingest.Deployment{Commit: "4f5e6d7", Version: "1.2.0", OccurredAt: at(1), Success: true},
	}
	for _, detail := range details {
		detail(&r)
	}
	return r
}

func ofService(name string) func(*ingest.Report) { return func(r *ingest.Report) { r.Service = name } }

func ofEnvironment(name string) func(*ingest.Report) {
	return func(r *ingest.Report) { r.Environment = name }
}

func saying(detail func(*ingest.Deployment)) func(*ingest.Report) {
	return func(r *ingest.Report) { detail(r.Deployment) }
}

func changing(commit string) func(*ingest.Report) {
	return func(r *ingest.Report) {
		r.Deployment, r.Change = nil, &ingest.Change{Commit: commit, OccurredAt: at(1)}
	}
}

// One pipeline deploys two services, and one of them to two environments.
func TestAGivenKeyIsOfItsServiceAndEnvironment(t *testing.T) {
	w := newWorld(t)
	reports := []ingest.Report{given(), given(ofService("billing")), given(ofEnvironment("staging")), given(changing("4f5e6d7"))}
	ids := w.take(reports...)
	diff(t, 4, len(w.events()))
	w.Intake = w.open()
	diff(t, ids, w.take(reports...))
	diff(t, 4, len(w.events()))
}

// What contradicts the first report under a key is told so, and not taken for it; what says less, or the same in other words, is the same.
func TestWhatContradictsItsKeyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		again       func(*ingest.Report)
		contradicts bool
	}{
		"another time":        {saying(func(d *ingest.Deployment) { d.OccurredAt = at(2) }), false},
		"the whole commit":    {saying(func(d *ingest.Deployment) { d.Commit = "4f5e6d7a9b7e6f5d4c3b2a1908f7e6d5c4b3a291" }), false},
		"no commit":           {saying(func(d *ingest.Deployment) { d.Commit = "" }), false},
		"no version":          {saying(func(d *ingest.Deployment) { d.Version = "" }), false},
		"images beside it":    {saying(func(d *ingest.Deployment) { d.Images = []string{"a:1"} }), false},
		"another commit":      {saying(func(d *ingest.Deployment) { d.Commit = "4f5e6d8" }), true},
		"another version":     {saying(func(d *ingest.Deployment) { d.Version = "1.2.1" }), true},
		"a failure":           {saying(failed), true},
		"a rollback":          {saying(rollback), true},
		"a key made of facts": {func(r *ingest.Report) { r.Given = false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.take(given())[0]
			ids, err := w.Take(t.Context(), sender, []ingest.Report{given(c.again)})
			conflict, refused := errors.AsType[*ingest.ConflictError](err)
			if refused != c.contradicts || refused && conflict.Field != "idempotency_key" {
				t.Errorf("it says %v", err)
			}
			if !refused && name != "a key made of facts" {
				diff(t, []string{id}, ids)
			}
		})
	}
	w := newWorld(t)
	w.take(given(changing("4f5e6d7")))
	if _, err := w.Take(t.Context(), sender, []ingest.Report{given(changing("4f5e6d8"))}); err == nil {
		t.Error("another change was taken for the first")
	}
}

func TestImagesThatDifferContradict(t *testing.T) {
	w := newWorld(t)
	images := func(refs ...string) func(*ingest.Report) {
		return saying(func(d *ingest.Deployment) { d.Images = refs })
	}
	w.take(given(images("b:1", "a:1")))
	w.take(given(images("a:1", "b:1")))
	if _, err := w.Take(t.Context(), sender, []ingest.Report{given(images("a:1", "b:2"))}); err == nil {
		t.Error("other images were taken for the first")
	}
}

// In a ledger there may be reports from when a key was its receiver's alone: they count once as well, and nothing else is taken for them.
func TestAKeyFromBeforeItWasOfItsService(t *testing.T) {
	w := newWorld(t)
	before := w.take(given(func(r *ingest.Report) { r.Given = false }))[0]
	diff(t, dora.ID("eu", "shop/ci", "deploy:4711", "deploy"), before)
	diff(t, []string{before}, w.take(given()))
	if _, err := w.Take(t.Context(), sender, []ingest.Report{given(saying(failed))}); err == nil {
		t.Error("a failure was taken for the success before it")
	}
	if billing := w.take(given(ofService("billing")))[0]; billing == before {
		t.Error("another service's deployment was taken for it")
	}
	diff(t, 2, len(w.events()))
	rows, err := w.store.Subjects(t.Context(), ledger.SubjectQuery{})
	if err != nil || len(rows) != 2 {
		t.Errorf("the ledger remembers %+v, %v", rows, err)
	}
}

// Facts that make a key are no claim of the sender's that they are one thing: the first report stands.
func TestNothingContradictsAKeyMadeOfFacts(t *testing.T) {
	w := newWorld(t)
	facts := func(r *ingest.Report) { r.Given = false }
	id := w.take(given(facts))
	diff(t, id, w.take(given(facts, saying(failed))))
	diff(t, 1, len(w.events()))
}
