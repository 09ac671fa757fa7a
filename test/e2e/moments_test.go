//go:build e2e

package e2e_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// moments are the seconds that Argo wrote into the objects of a service, by what it said of them.
type moments map[string]map[string]bool

func (m moments) note(what, at string) {
	if at == "" {
		return
	}
	if m[what] == nil {
		m[what] = map[string]bool{}
	}
	m[what][at] = true
}

// The field that tells when something happened (semantics: occurred_at), by what happened.
var writtenAs = map[string][]string{
	"succeeded":   {"health Healthy", "Completed True", "Healthy True"},
	"failed":      {"health Degraded", "operation failed", "Progressing False", "Healthy False"},
	"rolled_back": {"aborted", "health Healthy", "deployed", "Completed True", "Healthy True"},
	"unknown":     {"deployed", "aborted", "Completed True", "Healthy True"},
	"degraded":    {"health Degraded", "aborted", "Progressing False", "Healthy False"},
	"recovered":   {"health Healthy", "aborted", "Completed True", "Healthy True", "Available True"},
}

// happenedWhenArgoSays holds each event's time against the recording: Argo must have written that second, not before the attempt began, and meant by it what
// the event says. deployedAt is for a success that health tells nothing of. The end of a failure by abort may be when Argo Rollouts' ReplicaSet was seen
// whole, which carries no time.
func (v *service) happenedWhenArgoSays(written moments, events []dora.Event) {
	v.Helper()
	for _, e := range events {
		what := string(e.Outcome)
		if e.Type != dora.TypeDeploy {
			what = string(e.Type)
		}
		at := e.OccurredAt.UTC().Format(time.RFC3339)
		as := writtenAs[what]
		if e.Outcome == dora.Succeeded && (e.Basis != dora.BasisLive || !written.any(as, e.StartedAt, e.ObservedAt)) {
			as = []string{"deployed", "health Healthy", "Completed True", "Healthy True"}
		}
		told := !e.OccurredAt.Before(e.StartedAt) && slices.ContainsFunc(as, func(as string) bool { return written[as][at] })
		if !told && (e.Type != dora.TypeRecovered || !endedAnAbort(e, events)) {
			v.Errorf("%s: %s is said to have occurred at %s, a time that Argo wrote as none of %q", v.name, what, at, as)
		}
	}
}

// any tells whether Argo wrote one of these between two times.
func (m moments) any(as []string, from, to time.Time) bool {
	for _, what := range as {
		for text := range m[what] {
			if at, err := time.Parse(time.RFC3339, text); err == nil && !at.Before(from) && !at.After(to) {
				return true
			}
		}
	}
	return false
}

// endedAnAbort tells whether the failure that ended was one that an aborted deployment had caused, and ended after that.
func endedAnAbort(recovered dora.Event, events []dora.Event) bool {
	return slices.ContainsFunc(events, func(e dora.Event) bool {
		return e.ID == recovered.CausedBy && e.Outcome == dora.RolledBack && !*e.Success && !recovered.OccurredAt.Before(e.OccurredAt) && !recovered.OccurredAt.After(recovered.ObservedAt)
	})
}

// argoObject is the part of an Application or a Rollout in which times are.
type argoObject struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Health struct {
			Status string `json:"status"`
			Since  string `json:"lastTransitionTime"`
		} `json:"health"`
		Operation struct {
			Phase    string `json:"phase"`
			Started  string `json:"startedAt"`
			Finished string `json:"finishedAt"`
		} `json:"operationState"`
		History []struct {
			Started  string `json:"deployStartedAt"`
			Deployed string `json:"deployedAt"`
		} `json:"history"`
		Aborted    string `json:"abortedAt"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
			Since  string `json:"lastTransitionTime"`
		} `json:"conditions"`
	} `json:"status"`
}

func (v *service) written() moments {
	v.Helper()
	all := moments{}
	for _, m := range v.writtenOn() {
		for what, times := range m {
			for at := range times {
				all.note(what, at)
			}
		}
	}
	return all
}

// writtenOn is the same by the names of the objects.
func (v *service) writtenOn() map[string]moments {
	v.Helper()
	on := map[string]moments{}
	for line := range strings.Lines(v.recorded()) {
		var l struct {
			Object argoObject `json:"object"`
		}
		if json.Unmarshal([]byte(line), &l) != nil {
			continue // the last line may be half written
		}
		name := l.Object.Metadata.Name
		if on[name] == nil {
			on[name] = moments{}
		}
		on[name].read(&l.Object)
	}
	return on
}

func (m moments) read(o *argoObject) {
	s := &o.Status
	switch o.Kind {
	case "Application":
		m.note("health "+s.Health.Status, s.Health.Since)
		if s.Operation.Phase == "Failed" || s.Operation.Phase == "Error" {
			m.note("operation failed", s.Operation.Finished)
		}
		m.note("operation began", s.Operation.Started)
		for _, h := range s.History {
			m.note("operation began", h.Started)
			m.note("deployed", h.Deployed)
		}
	case "Rollout":
		m.note("aborted", s.Aborted)
		for _, c := range s.Conditions {
			m.note(c.Type+" "+c.Status, c.Since)
		}
	}
}

// recorded are the lines of the recording that concern the service.
func (v *service) recorded() string {
	v.Helper()
	f, err := os.Open(v.Watch.Recording)
	v.check(err)
	defer f.Close()
	var b strings.Builder
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if v.concerns(line) {
			b.WriteString(line)
		}
		if err != nil {
			return b.String()
		}
	}
}

func (v *service) concerns(line string) bool {
	for _, mark := range []string{`"` + v.name + `"`, `"` + v.namespace + `"`, `"action":"` + v.name + ":", ` is killed for `, ` is back"`} {
		if strings.Contains(line, mark) {
			return true
		}
	}
	return false
}
