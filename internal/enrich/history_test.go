package enrich_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/enrich"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// listening tells what it is asked.
type listening struct {
	earlier chan []commit.Version
}

func (l listening) Resolve(_ context.Context, req *commit.Request) (commit.Answer, error) {
	l.earlier <- req.Earlier
	return found(time.Now().Add(-time.Hour)), nil
}

// Prod had b and went back to a. Then staging deploys more often than events are read, before prod's next one.
func TestABusyEnvironmentHidesNothingOfAnother(t *testing.T) {
	askedOfC(t, "staging", dora.Subject{Kind: dora.KindApplication, UID: "staging"})
}

// Meanwhile somebody reports deployments of a service that he calls the same.
func TestWhatReceiversHearSaysNothingOfWhatArgoRuns(t *testing.T) {
	askedOfC(t, "prod", dora.Subject{Kind: dora.KindReported, UID: "stranger"})
}

// askedOfC holds that only what ran in prod is known of the deployment of c, whatever another subject did in between.
func askedOfC(t *testing.T, in string, other dora.Subject) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, now := newWorld(t), time.Now().UTC()
		var events []dora.Event
		put := func(environment, tag, before string, outcome dora.Outcome) {
			now = now.Add(time.Second)
			events = append(events, dora.Event{
				ID: strconv.Itoa(len(events)), Type: dora.TypeDeploy, Outcome: outcome, Service: "shop", Environment: environment,
				Subject: dora.Subject{UID: environment, Name: environment}, StartedAt: now, OccurredAt: now, Change: dora.ChangeImage,
				Version:  &dora.Version{Images: []string{"acme/shop:" + tag}, Tag: tag},
				Previous: dora.Predecessor{Known: true, Version: &dora.Version{Images: []string{"acme/shop:" + before}, Tag: before}},
				Success:  new(true), IsRollback: new(outcome == dora.RolledBack),
			})
		}
		put("prod", "b", "a", dora.Succeeded)
		put("prod", "a", "b", dora.RolledBack)
		for i := range 1000 {
			put(in, fmt.Sprint("s", i+1), fmt.Sprint("s", i), dora.Succeeded)
			events[len(events)-1].Subject = other
		}
		put("prod", "c", "a", dora.Succeeded)
		last := len(events) - 1
		for _, change := range []ledger.Change{{Events: events[:last]}, {Events: events[last:], Resolve: true}} {
			if err := w.ledger.Commit(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}

		asked := listening{make(chan []commit.Version, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- enrich.New(w.ledger, w, asked, w.opts).Start(ctx) }()
		if got := <-asked.earlier; len(got) != 2 || got[0].Image != "acme/shop:b" {
			t.Errorf("before c ran %v in prod, want b and a", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
