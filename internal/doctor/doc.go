// Package doctor says what is wrong with an installation of dora-controller, and how to mend it.
//
// A check is a pure function over a Snapshot, a value that holds what was read of a cluster: it asks nothing and knows no clock, so each
// is tested by breaking exactly one thing of a healthy installation, with which no check finds anything wrong. What nobody was allowed to
// read is named in Snapshot.Unread; the checks that need it are told as not checked, never as passed and never as failed. So are those of a
// controller that is not there.
//
// A finding is a problem (figures are, or will be, wrong or missing, or something is not delivered) or a warning (worth knowing, and maybe
// meant). It names the object, says what is wrong and what to do. A Snapshot has no room for what is in a Secret, so no finding can tell it.
package doctor

import (
	"cmp"
	"slices"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Problem Severity = "problem" // somebody has to mend it
	Warning Severity = "warning" // it may be meant
)

// Finding is one thing that is wrong.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// Object is what it is about, as kind namespace/name.
	Object string `json:"object"`
	// Wrong says what is wrong, Mend what to do.
	Wrong string `json:"wrong"`
	Mend  string `json:"mend"`
}

// Unchecked is a check that could not be made.
type Unchecked struct {
	Check string `json:"check"`
	// Why names what could not be read, and the reason.
	Why string `json:"why"`
}

// Report is the outcome of all checks.
type Report struct {
	Findings  []Finding   `json:"findings"`
	Unchecked []Unchecked `json:"not_checked"`
	// Passed are the checks that found nothing.
	Passed []string `json:"passed"`
}

// Problems counts the findings that are problems.
func (r *Report) Problems() int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == Problem {
			n++
		}
	}
	return n
}

// Check is one question.
type Check struct {
	// Name is its name for programs, and in docs/kubectl-dora.md.
	Name string
	// Asks is what it asks, in words.
	Asks     string
	severity Severity
	needs    []Part
	find     func(*Snapshot) []Finding
}

// All are the checks, in the order in which they are made and told.
func All() []Check {
	return slices.Concat(installation(), selection(), running(), delivery(), reception())
}

// Examine makes all checks.
func Examine(s *Snapshot) *Report {
	r := &Report{Findings: []Finding{}, Unchecked: []Unchecked{}, Passed: []string{}}
	for _, c := range All() {
		if why := s.unread(c.needs); why != "" {
			r.Unchecked = append(r.Unchecked, Unchecked{c.Name, why})
			continue
		}
		found := c.find(s)
		if len(found) == 0 {
			r.Passed = append(r.Passed, c.Name)
		}
		for _, f := range found {
			f.Check, f.Severity = c.Name, cmp.Or(f.Severity, c.severity)
			r.Findings = append(r.Findings, f)
		}
	}
	return r
}

// unread says what of the parts could not be read, or is not there to be asked about; empty if all were.
func (s *Snapshot) unread(parts []Part) string {
	var why []string
	for _, part := range parts {
		whole := part
		if part == PartPod || part == PartReadyPod {
			whole = PartPods
		}
		if reason, missing := s.Unread[whole]; missing {
			why = append(why, string(whole)+": "+reason)
		} else if s.absent(part) {
			why = append(why, string(part)+": there is none")
		}
	}
	return strings.Join(why, "; ")
}

// absent tells of a part that was looked for and is not there.
func (s *Snapshot) absent(part Part) bool {
	return part == PartPod && len(s.Pods) == 0 || part == PartWorkload && s.Workload == nil ||
		part == PartReadyPod && !slices.ContainsFunc(s.Pods, func(p Pod) bool { return p.Ready })
}
