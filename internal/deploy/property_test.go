package deploy_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// Whatever Argo writes, Decide keeps its promises.
func TestDecideKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		if broken := simulate(pick, 20+pick(60)); broken != "" {
			t.Fatal(broken)
		}
	})
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte("a deployment"))
	f.Add([]byte{1, 1, 1, 1, 1, 6, 6, 2, 1, 0, 0, 255, 7, 9, 8, 3})
	f.Fuzz(func(t *testing.T, code []byte) {
		if len(code) > 600 {
			return
		}
		at := 0
		pick := func(n int) int {
			value := 0
			for range 1 + n/256 {
				if at < len(code) {
					value = value<<8 | int(code[at])
					at++
				}
			}
			return value % n
		}
		if broken := simulate(pick, len(code)/3); broken != "" {
			t.Fatal(broken)
		}
	})
}

// ledger is what one controller stored, and told.
type ledger struct {
	states   map[string]deploy.State
	services map[string]deploy.Service
	events   []dora.Event
	reasons  []deploy.Decision
	recheck  time.Time
	seen     string // what it last looked at
}

// same says that the world is as this controller saw it last.
func (l *ledger) same(s *simulator) bool { return l.seen == text(s.obs)+text(s.policy) }

func newLedger() *ledger {
	return &ledger{states: map[string]deploy.State{}, services: map[string]deploy.Service{}}
}

// restart leaves only what was stored.
func (l *ledger) restart() {
	for uid, state := range l.states {
		l.states[uid] = copied(state)
	}
	for key, service := range l.services {
		l.services[key] = copied(service)
	}
}

// simulate lets two controllers watch one simulated world; one of them is restarted now and then. It returns what was broken.
func simulate(pick func(n int) int, steps int) string {
	s := newSimulator(pick)
	steady, restarted := newLedger(), newLedger()
	check := newChecker()
	for range steps {
		before := s.now
		s.move()
		if broken := passTime(s, steady, restarted, check, before); broken != "" {
			return broken
		}
		if pick(3) == 0 {
			restarted.restart()
		}
		if broken := look(s, steady, restarted, check, s.now); broken != "" {
			return broken
		}
	}
	end := s.now.Add(1000 * time.Hour)
	before := s.now
	s.now = end
	return passTime(s, steady, restarted, check, before)
}

// passTime takes the decisions that fall due, and between two of them lets the restarted controller look without reason.
func passTime(s *simulator, steady, restarted *ledger, check *checker, from time.Time) string {
	for n := 0; ; n++ {
		if !steady.recheck.Equal(restarted.recheck) {
			return fmt.Sprintf("a restart changed RecheckAt from %s to %s", steady.recheck, restarted.recheck)
		}
		due := steady.recheck
		if due.IsZero() || !due.Before(s.now) {
			return idle(s, steady, from, s.now)
		}
		if broken := idle(s, steady, from, due); broken != "" {
			return broken
		}
		from = due
		if n > 100 {
			return "time alone goes on asking for decisions for ever"
		}
		if broken := look(s, steady, restarted, check, due); broken != "" {
			return broken
		}
	}
}

// idle: between two moments at which a decision is due, a controller that restarts and looks finds nothing new.
func idle(s *simulator, l *ledger, from, until time.Time) string {
	at := from.Add(until.Sub(from) / time.Duration(2+s.pick(3)))
	uid := s.obs.Subject.UID
	if _, known := l.states[uid]; !known || !at.After(from) || !l.same(s) {
		return ""
	}
	obs, policy := copied(s.obs), s.policy
	result := deploy.Decide(copied(l.states[uid]), l.services[policy.Service+"/"+policy.Environment], &obs, &policy, at)
	if len(result.Events)+len(result.Decisions) > 0 {
		return fmt.Sprintf("without being asked, time alone changes the decision at %s (due at %s)\n%s", at, l.recheck, transcript(result.Events, result.Decisions))
	}
	return ""
}

// look lets both controllers decide at that moment.
func look(s *simulator, steady, restarted *ledger, check *checker, now time.Time) string {
	if broken := steady.decide(s, now); broken != "" {
		return broken
	}
	if broken := restarted.decide(s, now); broken != "" {
		return broken
	}
	if !reflect.DeepEqual(steady.events, restarted.events) || !reflect.DeepEqual(steady.reasons, restarted.reasons) {
		return "a restart changed what is told:\n" + transcript(restarted.events, restarted.reasons) + "without it:\n" + transcript(steady.events, steady.reasons)
	}
	return check.events(steady.events, now)
}

func (l *ledger) decide(s *simulator, now time.Time) string {
	obs, policy := copied(s.obs), s.policy
	uid, key := obs.Subject.UID, policy.Service+"/"+policy.Environment
	state, service := text(l.states[uid]), text(l.services[key])
	result := deploy.Decide(l.states[uid], l.services[key], &obs, &policy, now)
	switch {
	case !reflect.DeepEqual(obs, copied(s.obs)), !reflect.DeepEqual(policy, s.policy), text(l.states[uid]) != state, text(l.services[key]) != service:
		return "an argument was modified"
	case !result.RecheckAt.IsZero() && !result.RecheckAt.After(now):
		return fmt.Sprintf("RecheckAt %s is not after %s", result.RecheckAt, now)
	case !result.Changed && (len(result.Events)+len(result.Decisions) > 0 || text(result.State) != state || text(result.Service) != service):
		return "something changed, and Changed is false"
	}
	for range 3 {
		same := deploy.Decide(copied(l.states[uid]), l.services[key], &obs, &policy, now)
		if text(same.State)+text(same.Service) != text(result.State)+text(result.Service) || !reflect.DeepEqual(same.Events, result.Events) {
			return "the same arguments give another result:\n" + transcript(same.Events, same.Decisions) + "and before:\n" + transcript(result.Events, result.Decisions) +
				cmp.Diff(tree(result.State), tree(same.State))
		}
	}
	for _, memory := range []deploy.State{result.State, copied(result.State)} {
		again := deploy.Decide(memory, result.Service, &obs, &policy, now)
		if again.Changed || len(again.Events)+len(again.Decisions) > 0 || !again.RecheckAt.Equal(result.RecheckAt) {
			return fmt.Sprintf("the second look changes something: RecheckAt %s, was %s\n%s%s%s",
				again.RecheckAt, result.RecheckAt, transcript(again.Events, again.Decisions),
				cmp.Diff(tree(result.State), tree(again.State)), cmp.Diff(tree(result.Service), tree(again.Service)))
		}
	}
	l.states[uid], l.services[key], l.seen = result.State, result.Service, text(s.obs)+text(s.policy)
	l.events, l.reasons, l.recheck = result.Events, result.Decisions, result.RecheckAt
	return ""
}

// tree is what would be stored, for comparison.
func tree(value any) (stored any) {
	if err := json.Unmarshal([]byte(text(value)), &stored); err != nil {
		panic(err)
	}
	return stored
}

func text(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// checker holds all events of one world against each other.
type checker struct {
	ids      map[string]bool
	attempts map[string]bool
	open     map[string]string // the subject of each failure that is open
}

func newChecker() *checker {
	return &checker{ids: map[string]bool{}, attempts: map[string]bool{}, open: map[string]string{}}
}

func (c *checker) events(events []dora.Event, now time.Time) string {
	for i := range events {
		if broken := c.event(&events[i], now); broken != "" {
			return broken + "\n" + text(events[i])
		}
	}
	return ""
}

func (c *checker) event(e *dora.Event, now time.Time) string {
	uid := e.Subject.UID
	switch {
	case e.ID == "" || c.ids[e.ID]:
		return "the id is not unique"
	case e.OccurredAt.After(now) || !e.ObservedAt.Equal(now):
		return "it was seen before it happened"
	case e.OccurredAt.IsZero():
		return "nobody knows when it happened"
	}
	c.ids[e.ID] = true
	switch e.Type {
	case dora.TypeChange:
		return "nothing in the cluster tells of changes of code"
	case dora.TypeDeploy:
		attempt := uid + " " + e.Attempt
		if c.attempts[attempt] {
			return "the attempt has a deploy event already"
		}
		c.attempts[attempt] = true
		return complete(e)
	case dora.TypeDegraded:
		for _, whose := range c.open {
			if whose == uid {
				return "another failure of the subject is open"
			}
		}
		if e.FailureID == "" {
			return "the failure has no id"
		}
		c.open[e.FailureID] = uid
	case dora.TypeRecovered:
		// A subject that was made again ends the failure of its predecessor.
		if c.open[e.FailureID] == "" || e.RecoverySeconds == nil || *e.RecoverySeconds < 0 {
			return "it does not end a failure that is open"
		}
		delete(c.open, e.FailureID)
	}
	return ""
}

// complete: what each outcome must say.
func complete(e *dora.Event) string {
	wantSuccess := map[dora.Outcome][]string{
		dora.Succeeded: {"true"}, dora.Failed: {"false"}, dora.RolledBack: {"true", "false"}, dora.Unknown: {"null"},
	}
	ok := false
	for _, want := range wantSuccess[e.Outcome] {
		ok = ok || truth(e.Success) == want
	}
	switch {
	case !ok:
		return "success does not fit the outcome"
	case truth(e.IsRollback) != strconv.FormatBool(e.Outcome == dora.RolledBack):
		return "is_rollback does not fit the outcome"
	case e.Version == nil || len(e.Version.Images) == 0:
		return "there is no version"
	}
	return ""
}
