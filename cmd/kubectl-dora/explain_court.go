package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/incident"
	"github.com/dora-controller/dora-controller/internal/show"
)

// court is who says which failures count: the spec.incidents of DoraTargets. The zero court knows of none, as of a copy of a ledger.
type court struct {
	asked      bool
	targets    []dorav1alpha1.DoraTarget
	severities map[string][]string // of each failure: when it opened, and when it ended
}

// court asks the cluster for its DoraTargets. What may not be read is told, and left open in the explanation.
func (o *explainOptions) court(ctx context.Context, note io.Writer, events []dora.Event) court {
	var c court
	c.hear(events)
	if o.ledger != "" {
		return c
	}
	targets, err := o.allTargets(ctx)
	if err != nil {
		fmt.Fprintf(note, "Which failures spec.incidents counts is not told: %v\n", err)
		return c
	}
	c.asked, c.targets = true, targets
	return c
}

// hear takes in how severe failures were.
func (c *court) hear(events []dora.Event) {
	c.severities = map[string][]string{}
	for i := range events {
		c.severities[events[i].FailureID] = append(c.severities[events[i].FailureID], events[i].Severity)
	}
}

// allTargets are those of all namespaces, or of that of the flags if that is all that the user may see.
func (o *explainOptions) allTargets(ctx context.Context) ([]dorav1alpha1.DoraTarget, error) {
	cl, err := o.connect()
	if err != nil {
		return nil, err
	}
	all, err := listOf[dorav1alpha1.DoraTarget](ctx, cl, targetKind, "", metav1.ListOptions{})
	if err != nil {
		return o.targets(ctx, cl, "")
	}
	return all, nil
}

// verdicts name the targets that count a failure, and those that do not, with the reason.
func (c *court) verdicts(e *dora.Event) (counting, not []string) {
	for i := range c.targets {
		t := &c.targets[i]
		if !concerned(t, e) {
			continue
		}
		name := "DoraTarget " + t.Namespace + "/" + t.Name
		if t.Spec.Incidents.Counts(e.Receiver, c.severities[e.FailureID]...) {
			counting = append(counting, name)
		} else {
			not = append(not, name+": "+c.objection(t.Spec.Incidents, e))
		}
	}
	return counting, not
}

// concerned tells whether a target counts deployments of the service of a failure, as far as its status tells, and may hear who reported it.
func concerned(t *dorav1alpha1.DoraTarget, e *dora.Event) bool {
	return (e.Receiver == "" || t.Namespace == e.Subject.Namespace) && t.Status.Has(e.Service, e.Environment)
}

// placeOf is what a failure is of, in the words that have to be those of a target.
func placeOf(e *dora.Event) string {
	return "service " + e.Service + " in environment " + cmp.Or(e.Environment, show.Nothing)
}

// elsewhere names the targets that would hear a failure, and count its service in another environment.
func (c *court) elsewhere(e *dora.Event) string {
	for i := range c.targets {
		t := &c.targets[i]
		if others := t.Status.EnvironmentsOf(e.Service); t.Namespace == e.Subject.Namespace && len(others) > 0 {
			return fmt.Sprintf("; DoraTarget %s/%s counts it in %s", t.Namespace, t.Name, strings.Join(others, ", "))
		}
	}
	return ""
}

// objection is why a failure does not count where it does not.
func (c *court) objection(i *dorav1alpha1.Incidents, e *dora.Event) string {
	switch {
	case e.Receiver == "":
		return "spec.incidents.argo is " + string(dorav1alpha1.ArgoIgnore)
	case i == nil:
		return "it has no spec.incidents"
	case !i.Hears(e.Receiver):
		return "spec.incidents.receivers does not name " + e.Receiver
	}
	return fmt.Sprintf("spec.incidents.severities has none of those of the incident (%s)", strings.Join(c.told(e), ", "))
}

// told are the severities that a failure had.
func (c *court) told(e *dora.Event) []string {
	all := slices.DeleteFunc(slices.Clone(c.severities[e.FailureID]), func(severity string) bool { return severity == "" })
	if len(all) == 0 {
		return []string{"it has no severity"}
	}
	return slices.Compact(all)
}

// failureAs is what a failure, or its end, counts as where it does.
func failureAs(e *dora.Event) string {
	switch {
	case e.Type == dora.TypeRecovered:
		return "the end of a failure"
	case e.CausedBy == "":
		return "an incident, in no metric"
	}
	return "a failure of a deployment"
}

// counts says what an event that is no deployment counts as.
func (c *court) counts(e *dora.Event) string {
	if e.Type == dora.TypeChange {
		return "a change of code, in no figure"
	}
	counting, not := c.verdicts(e)
	switch as := failureAs(e); {
	case !c.asked && e.Receiver != "":
		return as + ", where spec.incidents counts it of a DoraTarget that counts " + placeOf(e)
	case !c.asked || len(not) == 0 && (e.Receiver == "" || len(counting) > 0):
		return as
	case len(counting) == 0 && len(not) == 0:
		return "nothing: no DoraTarget of namespace " + e.Subject.Namespace + " counts deployments of " + placeOf(e) + c.elsewhere(e)
	case len(counting) == 0:
		return "nothing: no DoraTarget's spec.incidents counts it"
	default:
		return as + " for " + strings.Join(counting, ", ")
	}
}

// rows are what the targets say of a failure.
func (c *court) rows(e *dora.Event) (rows [][2]string) {
	if e.Type != dora.TypeDegraded && e.Type != dora.TypeRecovered {
		return nil
	}
	counting, not := c.verdicts(e)
	for _, name := range counting {
		rows = append(rows, [2]string{"counted by", name})
	}
	for _, name := range not {
		rows = append(rows, [2]string{"not counted by", name})
	}
	return rows
}

// blames says what a failure makes of the deployment that caused it, after what people and targets say.
func (c *court) blames(deployment, failure *dora.Event) string {
	switch {
	case !deployment.Counts():
		return ", and is in no figure either, since people say so of the deployment"
	case deployment.Verdict() == dora.NotAFailure:
		return ", which is not held against it, since people say so"
	case !failure.Counts():
		return ", which counts as nothing, since people say so"
	}
	counting, not := c.verdicts(failure)
	switch {
	case !c.asked && failure.Receiver != "":
		return ", so it is a failed attempt where spec.incidents counts that incident"
	case c.asked && len(counting) == 0 && (len(not) > 0 || failure.Receiver != ""):
		return ", which no DoraTarget counts"
	case len(not) > 0:
		return ", so it is a failed attempt for " + strings.Join(counting, ", ")
	}
	return ", so it is a failed attempt"
}

// tieWords says why a reported incident belongs to the deployment that it is held against, or to none.
func tieWords(e *dora.Event) string {
	if e.Type != dora.TypeDegraded || e.Receiver == "" {
		return ""
	}
	switch incident.Tie(e.Reason) {
	case incident.NamedByEvent:
		return "the incident named it by the id of its event"
	case incident.NamedByVersion:
		return "the incident named it by its version"
	case incident.NamedByCommit:
		return "the incident named it by its commit"
	case incident.WithinWindow:
		return "the incident named no deployment, and this was the service's latest within failureWindow"
	case incident.NoDeployment:
		return "none: the incident named no deployment, and none was within failureWindow before it"
	case incident.NotCounted:
		return "none: when it opened, no DoraTarget of namespace " + e.Subject.Namespace + " that counted incidents of DoraReceiver " + e.Receiver +
			" counted deployments of " + placeOf(e) + "; spec.services and spec.environment of the receiver set these names"
	}
	return "not kept: a release before this one took it"
}
