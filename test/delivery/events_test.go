package delivery

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger/ledgertest"
)

const services = 50

// unwanted is how the ids begin of events that destinations refuse on purpose.
const unwanted = "bad"

func serviceOf(i int) string { return fmt.Sprintf("service-%02d", i%services) }

// storyteller makes up events: deployments of all outcomes, failures and their ends, and what is found out about commits later.
type storyteller struct {
	lots     *rand.Rand
	run      int               // tells the ids of one storyteller from another's
	told     int               // events so far
	failing  map[string]string // the failure that a service is in
	deployed []string          // the ids of deployments
}

func newStoryteller(lots *rand.Rand, run int) *storyteller {
	return &storyteller{lots: lots, run: run, failing: map[string]string{}}
}

func (s *storyteller) id(prefix string) string {
	s.told++
	return fmt.Sprintf("%s%04x-%08x", prefix, s.run, s.told)
}

func (s *storyteller) event(at time.Time) dora.Event {
	service := serviceOf(s.lots.IntN(services))
	if s.lots.IntN(20) == 0 {
		return s.trouble(service, at)
	}
	event := ledgertest.Deployment(s.id(""), service, at)
	s.deployed = append(s.deployed, event.ID)
	event.Message = strings.Repeat("reached Healthy; ", s.lots.IntN(20))
	switch s.lots.IntN(6) {
	case 0:
		no := false
		event.Outcome, event.Success = dora.Failed, &no
	case 1:
		yes := true
		event.Outcome, event.IsRollback = dora.RolledBack, &yes
	case 2:
		event.Outcome, event.Success = dora.Unknown, nil
	}
	return event
}

// trouble begins a failure of a service, or ends the one that it is in.
func (s *storyteller) trouble(service string, at time.Time) dora.Event {
	if failure := s.failing[service]; failure != "" {
		delete(s.failing, service)
		event := ledgertest.Recovered(s.id(""), service, at)
		event.FailureID = failure
		return event
	}
	event := ledgertest.Degraded(s.id(""), service, at)
	event.FailureID = "failure-" + event.ID
	s.failing[service] = event.FailureID
	return event
}

// refused is a deployment that no destination takes.
func (s *storyteller) refused(at time.Time) dora.Event {
	return ledgertest.Deployment(s.id(unwanted), serviceOf(s.lots.IntN(services)), at)
}

// facts are what is found out about one of the deployments, an old one or a new one, for the first time or once more.
func (s *storyteller) facts(at time.Time) dora.CommitFacts {
	id := s.deployed[s.lots.IntN(len(s.deployed))]
	if s.lots.IntN(2) == 0 {
		id = s.deployed[len(s.deployed)-1-s.lots.IntN(min(len(s.deployed), 20))]
	}
	if s.lots.IntN(5) == 0 {
		return dora.CommitFacts{EventID: id, Reason: "NoBase", Message: "nothing ran before", ResolvedAt: at}
	}
	return ledgertest.Facts(id, at.Add(-time.Duration(1+s.lots.IntN(1000))*time.Minute))
}

// some are n events and what was found out about a few of those before.
func (s *storyteller) some(n int, at time.Time) (events []dora.Event, facts []dora.CommitFacts) {
	for range n {
		events = append(events, s.event(at))
	}
	for range cmp.Or(s.lots.IntN(1+n/5), 1) {
		if len(s.deployed) > 0 {
			facts = append(facts, s.facts(at))
		}
	}
	return events, facts
}
