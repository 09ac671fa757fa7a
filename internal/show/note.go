package show

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// evident are reasons for no lead time that the rest of a note tells.
var evident = [...]string{"FirstDeployment", "Rollback"}

// shortDigest is how much of a digest a line has room for, as in `docker ps`.
const shortDigest = len("sha256:") + 12

// shortCommit is how much of a commit names it in a line.
const shortCommit = 12

// Line tells an event in half a line, without its time: checkout: deploy succeeded 1.2.0.
func Line(e *dora.Event) string {
	what := string(e.Type)
	if e.Outcome != "" {
		what += " " + string(e.Outcome)
	}
	line := e.Service + ": " + what + " " + versionOf(e)
	if e.Type == dora.TypeDeploy && e.Previous.Version != nil {
		line += ", before it " + previousOf(e)
	}
	return Printable(line)
}

// versionOf is what an event is about: the attempt's version, the commit that came, or, of a failure, what ran.
func versionOf(e *dora.Event) string {
	if e.Type == dora.TypeDeploy || e.Type == dora.TypeChange {
		return tag(e.Version)
	}
	return tag(e.Running)
}

// previousOf tells a first deployment, which had nothing before it, from one whose predecessor is not known.
func previousOf(e *dora.Event) string {
	switch {
	case e.Type != dora.TypeDeploy:
		return Nothing
	case !e.Previous.Known:
		return "?"
	case e.Previous.Version == nil:
		return "none"
	}
	return tag(e.Previous.Version)
}

// tag names a version in a word. Where nobody knows which of several images changed there is no tag.
func tag(v *dora.Version) string {
	switch {
	case v == nil:
		return Nothing
	case v.Tag == "" && len(v.Images) == 1:
		return dora.ImageTag(v.Images[0])
	case v.Tag == "" && len(v.Images) == 0 && v.Commit != "":
		return v.Commit[:min(len(v.Commit), shortCommit)]
	case v.Tag == "":
		return fmt.Sprintf("%d images", len(v.Images))
	case strings.HasPrefix(v.Tag, "sha256:") && len(v.Tag) > shortDigest:
		return v.Tag[:shortDigest]
	}
	return v.Tag
}

// note says in words what the flags of an event mean.
func (t *Table) note(e *dora.Event) string {
	var notes []string
	switch e.Type {
	case dora.TypeDeploy:
		notes = deployNotes(e)
	case dora.TypeDegraded:
		notes = []string{t.cause(e)}
	case dora.TypeRecovered:
		notes = recoveryNotes(e)
	case dora.TypeChange:
	}
	notes = append(notes, reportNotes(e)...)
	if e.Message != "" {
		notes = append(notes, e.Message)
	}
	if e.Mark != nil {
		notes = append(notes, Said(e.Mark))
	}
	return strings.Join(notes, "; ")
}

// Said tells a mark in words.
func Said(m *dora.Mark) string {
	text := "marked " + string(m.Verdict)
	if m.Verdict == dora.Withdrawn {
		text = "what stood was taken back"
	}
	if m.By != "" {
		text += " by " + m.By
	}
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

func deployNotes(e *dora.Event) []string {
	var notes []string
	add := func(cond bool, note string) {
		if cond {
			notes = append(notes, note)
		}
	}
	undone := e.Outcome == dora.RolledBack && is(e.Success, false)
	add(e.Previous.Known && e.Previous.Version == nil, "first deployment")
	add(e.Outcome == dora.RolledBack && is(e.Success, true), "brought an earlier version back")
	add(undone && !is(e.Exposed, false), "aborted or reverted, "+tag(e.Running)+" serves")
	add(undone && is(e.Exposed, false), "stopped before it took traffic")
	add(is(e.Unplanned, true), "unplanned")
	add(e.Change == dora.ChangeConfig, "configuration only")
	add(e.LeadTimeUnknown != "" && !slices.Contains(evident[:], e.LeadTimeUnknown), "no lead time: "+e.LeadTimeUnknown)
	if e.LeadTimeSeconds != nil {
		notes = append(notes, "lead time "+seconds(*e.LeadTimeSeconds))
	}
	return append(notes, basisNotes(e.Basis)...)
}

func basisNotes(b dora.Basis) []string {
	switch b {
	case dora.BasisHistory:
		return []string{"read from history"}
	case dora.BasisPartialSync:
		return []string{"partial sync"}
	case dora.BasisAPI:
		return []string{"reported"}
	case dora.BasisLive:
	}
	return nil
}

// reportNotes are what the sender of a change or an incident said of it. Deployments say with their basis that they were reported.
func reportNotes(e *dora.Event) []string {
	if e.Source == "" || e.Type == dora.TypeDeploy {
		return nil
	}
	notes := []string{"reported by " + e.Source}
	for _, said := range []string{e.Severity, e.Title} {
		if said != "" {
			notes = append(notes, said)
		}
	}
	return notes
}

func (t *Table) cause(e *dora.Event) string {
	switch {
	case e.CausedBy == "":
		return "an incident: no deployment caused it"
	case t.Knows(e.CausedBy):
		return "caused by the deployment of " + t.tags[e.CausedBy]
	}
	return "caused by deployment " + e.CausedBy
}

func recoveryNotes(e *dora.Event) []string {
	if e.RecoverySeconds == nil {
		return nil
	}
	return []string{"after " + seconds(*e.RecoverySeconds)}
}

// seconds tells a length of time that may be longer than Go's longest.
func seconds(s float64) string {
	const longest = math.MaxInt64 / int64(time.Second)
	return Duration(time.Duration(min(max(s, -float64(longest)), float64(longest)) * float64(time.Second)))
}

func is(flag *bool, want bool) bool { return flag != nil && *flag == want }
