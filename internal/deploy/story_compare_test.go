package deploy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// differences holds one event against its expectation. What an outcome implies is checked even if the story does not say it.
func (want *expectation) differences(w *world, i int) []string {
	e := &w.got[i]
	if want.kind != string(e.Type) || want.outcome != string(e.Outcome) {
		return []string{fmt.Sprintf("it is a %s %s", e.Type, e.Outcome)}
	}
	c := &comparison{}
	c.at("at", want.fields["at"], e.OccurredAt)
	c.at("observed", want.fields["observed"], e.ObservedAt)
	c.text("of", want.fields["of"], e.Subject.Name)
	switch e.Type {
	case dora.TypeDeploy:
		want.compareDeploy(c, e)
	case dora.TypeDegraded:
		c.text("caused_by", tag(want.fields["caused_by"]), cause(w, e))
		c.text("running", tag(want.fields["running"]), tagOf(e.Running))
	case dora.TypeRecovered:
		c.text("running", tag(want.fields["running"]), tagOf(e.Running))
		compareRecovered(c, w.got[:i], e)
	case dora.TypeChange:
		c.problems = append(c.problems, "nothing in the cluster tells of changes of code")
	}
	if e.Schema != dora.Schema || e.Service == "" || e.Environment == "" || e.Cluster != "test" || e.OccurredAt.After(e.ObservedAt) {
		c.problems = append(c.problems, "schema, service, environment or cluster are missing, or it was seen before it happened")
	}
	return c.problems
}

func (want *expectation) compareDeploy(c *comparison, e *dora.Event) {
	f := want.fields
	c.text("version", tag(f["version"]), tagOf(e.Version))
	c.text("previous", tag(f["previous"]), previousOf(e))
	c.text("running", tag(want.implied("running")), tagOf(e.Running))
	c.text("success", want.implied("success"), truth(e.Success))
	c.text("is_rollback", want.implied("is_rollback"), truth(e.IsRollback))
	c.text("unplanned", want.implied("unplanned"), truth(e.Unplanned))
	c.text("exposed", want.implied("exposed"), truth(e.Exposed))
	c.text("basis", want.implied("basis"), string(e.Basis))
	c.text("change", want.implied("change"), string(e.Change))
	c.at("started", f["started"], e.StartedAt)
	c.text("commit", strings.TrimPrefix(tag(f["commit"]), "main-"), orNone(e.Version.Commit))
	c.text("revisions", f["revisions"], orNone(strings.Join(e.Version.ConfigRevisions, ",")))
	if list := f["images"]; list != "" {
		all := images(strings.Split(list, ","))
		slices.Sort(all)
		c.text("images", strings.Join(all, " "), strings.Join(e.Version.Images, " "))
	}
	if e.Attempt == "" || e.StartedAt.IsZero() || e.StartedAt.After(e.OccurredAt) {
		c.problems = append(c.problems, fmt.Sprintf("attempt %q started at %s", e.Attempt, short(e.StartedAt)))
	}
}

// implied is what an expectation says about a field, or what follows from its outcome. Empty: anything.
func (want *expectation) implied(field string) string {
	if value := want.fields[field]; value != "" {
		return value
	}
	aborted := want.outcome == "rolled_back" && want.fields["success"] == "false"
	switch field {
	case "success":
		return map[string]string{"succeeded": "true", "failed": "false", "unknown": "null"}[want.outcome]
	case "is_rollback":
		return strconv.FormatBool(want.outcome == "rolled_back")
	case "running":
		if aborted {
			return want.fields["previous"]
		}
		return map[string]string{"succeeded": want.fields["version"], "failed": want.fields["version"], "rolled_back": want.fields["version"]}[want.outcome]
	case "unplanned":
		if aborted || want.outcome == "succeeded" || want.outcome == "failed" {
			return "false"
		}
	case "exposed":
		if aborted {
			return "true"
		}
		return "null"
	case "basis":
		return string(dora.BasisLive)
	case "change":
		return string(dora.ChangeImage)
	}
	return ""
}

// cause is the tag of the deployment that a failure names, with `/config` if that changed configuration only.
func cause(w *world, e *dora.Event) string {
	if e.CausedBy == "" {
		return "none"
	}
	for i := range w.got {
		if d := &w.got[i]; d.ID == e.CausedBy && d.Type == dora.TypeDeploy {
			if d.Change == dora.ChangeConfig {
				return d.Version.Tag + "/config"
			}
			return d.Version.Tag
		}
	}
	return "an event that does not exist"
}

// compareRecovered: it ends the subject's last failure, and repeats its facts.
func compareRecovered(c *comparison, before []dora.Event, e *dora.Event) {
	for i := len(before) - 1; i >= 0; i-- {
		d := &before[i]
		if d.Type != dora.TypeDegraded || d.FailureID != e.FailureID {
			continue
		}
		same := d.FailureID != "" && d.CausedBy == e.CausedBy
		lasted := e.OccurredAt.Sub(d.OccurredAt).Seconds()
		if !same || e.RecoverySeconds == nil || *e.RecoverySeconds != lasted {
			c.problems = append(c.problems, "caused_by or recovery_seconds do not fit the degraded event")
		}
		return
	}
	c.problems = append(c.problems, "nothing was degraded")
}

// comparison collects differences. An empty want is not checked, nor is `any`.
type comparison struct{ problems []string }

func (c *comparison) text(field, want, got string) {
	if want != "" && want != "any" && want != got {
		c.problems = append(c.problems, fmt.Sprintf("%s is %s", field, got))
	}
}

func (c *comparison) at(field, want string, got time.Time) {
	if want != "" && want != "any" && !clock(want).Equal(got) {
		c.problems = append(c.problems, fmt.Sprintf("%s is %s", field, short(got)))
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// orUntagged: a version without a tag is one of several images of which none, or none that is known, changed.
func orUntagged(text string) string {
	if text == "" {
		return "untagged"
	}
	return text
}
