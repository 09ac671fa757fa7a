package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/show"
)

// rulesOfDecisions are the rules of docs/concepts.md that decisions follow, as docs/events.md lists them.
var rulesOfDecisions = map[deploy.Reason]string{
	deploy.ReasonBaseline: "1", deploy.ReasonBeforeFollow: "1", deploy.ReasonMissedAttempt: "1, 10", deploy.ReasonNotImported: "10", deploy.ReasonGap: "10",
	deploy.ReasonSameImages: "4", deploy.ReasonConfigOnly: "5", deploy.ReasonSilentImage: "4", deploy.ReasonNothing: "4", deploy.ReasonDryRun: "4",
	deploy.ReasonSelfHeal: "4", deploy.ReasonDrift: "6", deploy.ReasonSuperseded: "6", deploy.ReasonReturned: "6", deploy.ReasonSettledLate: "3, 8",
	deploy.ReasonBlip: "7", deploy.ReasonRecreated: "11", deploy.ReasonRebased: "11",
}

// ruleOf is the rule that an event follows.
func ruleOf(e *dora.Event) string {
	switch {
	case e.Basis == dora.BasisAPI:
		return "" // docs/incidents.md says what is made of it
	case e.Type != dora.TypeDeploy:
		return "7, 8"
	case e.Basis == dora.BasisHistory:
		return "10"
	}
	switch e.Outcome {
	case dora.Succeeded:
		return "3, 4"
	case dora.Failed:
		return "7"
	case dora.RolledBack:
		return "6"
	case dora.Unknown:
	}
	return "10"
}

// countsAs says in which metrics an event is, as docs/metrics.md has it, and which targets count it.
func countsAs(e *dora.Event, c *court) string {
	switch {
	case !e.Counts():
		return "nothing, since people say so"
	case e.Type == dora.TypeDeploy && e.Verdict() == dora.NotAFailure:
		return "a deployment that did not fail, since people say so"
	case e.Type == dora.TypeDeploy && e.Verdict() == dora.Failure:
		return "a failed attempt, since people say so"
	case e.Type != dora.TypeDeploy:
		return c.counts(e)
	case e.Change == dora.ChangeConfig:
		return "a deployment where config counts"
	}
	switch e.Outcome {
	case dora.Succeeded:
		return "a deployment" + map[bool]string{true: ", rework"}[is(e.Unplanned)]
	case dora.Failed:
		return "a failed attempt"
	case dora.RolledBack:
		return rollbackCounts(e)
	case dora.Unknown:
	}
	return "nothing, shown apart"
}

func rollbackCounts(e *dora.Event) string {
	switch {
	case is(e.Success):
		return "no attempt: it brought an earlier version back"
	case e.Exposed != nil && !*e.Exposed:
		if e.Subject.Kind == dora.KindReported {
			return "no attempt: it was to bring an earlier version back, and failed"
		}
		return "nothing: stopped before anybody met it"
	}
	return "a failed attempt"
}

func is(flag *bool) bool { return flag != nil && *flag }

// why is what an event says of itself in a line.
func why(e *dora.Event) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if e.Type == dora.TypeDeploy && e.Previous.Version != nil {
		add("after " + nameOf(e.Previous.Version))
	}
	if e.LeadTimeSeconds != nil {
		add("lead time " + lasting(*e.LeadTimeSeconds))
	}
	if e.LeadTimeUnknown != "" {
		add("no lead time: " + e.LeadTimeUnknown)
	}
	if e.RecoverySeconds != nil {
		add("after " + lasting(*e.RecoverySeconds))
	}
	switch {
	case e.Basis == dora.BasisAPI:
		add("reported by " + senderOf(e))
		add(strings.TrimSpace(e.Severity + " " + e.Title))
	case e.Type == dora.TypeDegraded && e.CausedBy == "":
		add("no deployment within failureWindow before it")
	}
	if e.Basis != dora.BasisLive && e.Basis != dora.BasisAPI {
		add(string(e.Basis))
	}
	add(e.Message)
	if e.Mark != nil {
		add(show.Said(e.Mark))
	}
	return cmp.Or(strings.Join(parts, "; "), show.Nothing)
}

// answers are questions about one event, with their answers.
func answers(e *dora.Event, all []dora.Event, c *court) [][2]string {
	told := append([][2]string{{"what it counts as", countsAs(e, c)}}, c.rows(e)...)
	if e.Basis == dora.BasisAPI {
		told = append(told, reportedAnswers(e)...)
	} else {
		told = append(told, seenAnswers(e)...)
	}
	return append(append(told, commonAnswers(e)...), related(e, all, c)...)
}

// reportedAnswers are those about an event that a receiver heard of.
func reportedAnswers(e *dora.Event) [][2]string {
	return [][2]string{
		{"by which rule", "docs/incidents.md"},
		{"reported by", senderOf(e)},
		{"service", e.Service + " in " + cmp.Or(e.Environment, show.Nothing)},
		{"title", e.Title},
		{"severity", e.Severity},
		{"link", e.Link},
		{"when it started", stamp(e.StartedAt)},
		{"when it happened, by its sender's clock", stamp(e.OccurredAt)},
		{"when it was told", stamp(e.ObservedAt)},
		{"why that deployment", tieWords(e)},
	}
}

// senderOf is the product that told an event, and the DoraReceiver that heard it.
func senderOf(e *dora.Event) string {
	return fmt.Sprintf("%s to DoraReceiver %s/%s", cmp.Or(e.Source, "somebody"), e.Subject.Namespace, e.Receiver)
}

// seenAnswers are those about an event that was seen in an object of Argo's.
func seenAnswers(e *dora.Event) [][2]string {
	return [][2]string{
		{"by which rule", ruleOf(e) + " of docs/concepts.md"},
		{"of which object", string(e.Subject.Kind) + " " + e.Subject.Namespace + "/" + e.Subject.Name + " (" + e.Subject.UID + ")"},
		{"service", e.Service + " in " + cmp.Or(e.Environment, show.Nothing)},
		{"which attempt", e.Attempt},
		{"when it started", stamp(e.StartedAt)},
		{"when it happened, by Argo's clock", stamp(e.OccurredAt)},
		{"when it was seen", stamp(e.ObservedAt)},
		{"how that is known", basisWords(e.Basis)},
		{"reason", strings.TrimSpace(e.Reason + " " + e.Message)},
	}
}

// commonAnswers are about what an event brought, wherever it is known from.
func commonAnswers(e *dora.Event) [][2]string {
	return [][2]string{
		{"version", versionWords(e.Version)},
		{"before it", previousWords(e)},
		{"what runs after it", versionWords(e.Running)},
		{"was it exposed to users", yesNo(e.Exposed)},
		{"was it unplanned", yesNo(e.Unplanned)},
		{"lead time", leadTimeWords(e)},
		{"commits", commitWords(e)},
	}
}

// related are other events that belong to one.
func related(e *dora.Event, all []dora.Event, c *court) (told [][2]string) {
	for i := range all {
		other := &all[i]
		switch {
		case e.CausedBy != "" && other.ID == e.CausedBy:
			told = append(told, [2]string{"caused by", show.Line(other) + " (" + other.ID + ")"})
		case other.Type == dora.TypeDegraded && other.CausedBy == e.ID:
			told = append(told, [2]string{"it caused", "a failure since " + stamp(other.OccurredAt) + " (" + other.ID + ")" + c.blames(e, other)})
		case e.FailureID != "" && other.FailureID == e.FailureID && other.ID != e.ID:
			told = append(told, [2]string{"the same failure", string(other.Type) + " at " + stamp(other.OccurredAt) + " (" + other.ID + ")"})
		}
	}
	return told
}

// saidOf is what people said of an event, the first of it first.
func saidOf(marks []dora.Mark) [][2]string {
	var answers [][2]string
	for i := range marks {
		m := &marks[i]
		text := show.Said(m)
		if !strings.HasSuffix(m.By, m.Source) {
			text += " (" + m.Source + ")"
		}
		answers = append(answers, [2]string{"said at " + stamp(m.At), text})
	}
	return answers
}

func basisWords(b dora.Basis) string {
	switch b {
	case dora.BasisLive:
		return "it was seen as it happened"
	case dora.BasisHistory:
		return "read from what Argo still told after a time when nobody watched"
	case dora.BasisPartialSync:
		return "a partial or self-heal sync brought the image; Argo's history does not list it"
	case dora.BasisAPI: // told otherwise
	}
	return string(b)
}

func versionWords(v *dora.Version) string {
	if v == nil {
		return ""
	}
	text := strings.Join(v.Images, ", ")
	if v.Commit != "" {
		text += ", commit " + v.Commit
	}
	if v.SettledAt != nil {
		text += ", first Healthy " + stamp(*v.SettledAt)
	}
	return text
}

func previousWords(e *dora.Event) string {
	switch {
	case e.Type != dora.TypeDeploy:
		return ""
	case !e.Previous.Known:
		return "not known"
	case e.Previous.Version == nil:
		return "none, it is the first deployment"
	}
	return versionWords(e.Previous.Version)
}

func leadTimeWords(e *dora.Event) string {
	switch {
	case e.LeadTimeSeconds != nil:
		return lasting(*e.LeadTimeSeconds)
	case e.LeadTimeUnknown != "":
		return strings.TrimSuffix("none: "+e.LeadTimeUnknown+", "+e.LeadTimeMessage, ", ")
	}
	return ""
}

func commitWords(e *dora.Event) string {
	if e.FirstCommitAt == nil {
		return ""
	}
	text := fmt.Sprintf("the first of them %s, of %s", e.FirstCommit, stamp(*e.FirstCommitAt))
	if e.BaseCommit != "" && e.Version != nil {
		text += fmt.Sprintf("; git log --no-merges %s..%s in %s lists them", e.BaseCommit, e.Version.Commit, e.Repository)
	}
	return text
}

func yesNo(flag *bool) string {
	switch {
	case flag == nil:
		return ""
	case *flag:
		return "yes"
	}
	return "no"
}

func versionName(e *dora.Event) string {
	v := e.Version
	if e.Type != dora.TypeDeploy {
		v = e.Running
	}
	if v == nil {
		return show.Nothing
	}
	return nameOf(v)
}

func nameOf(v *dora.Version) string {
	switch {
	case v.Tag != "":
		return v.Tag
	case len(v.Images) == 1:
		return dora.ImageTag(v.Images[0])
	}
	return fmt.Sprintf("%d images", len(v.Images))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func lasting(seconds float64) string {
	return show.Duration(time.Duration(seconds * float64(time.Second)))
}

// ruleOfReason is the rule that a decision follows; empty of one that this version does not know.
func ruleOfReason(reason string) string { return rulesOfDecisions[deploy.Reason(reason)] }
