package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/mark"
)

// markLook is how often a target is looked at until the controller has taken what it says.
const markLook = 500 * time.Millisecond

// reviewKind is how a user asks the API server who they are.
var reviewKind = schema.GroupVersionResource{Group: "authentication.k8s.io", Version: "v1", Resource: "selfsubjectreviews"}

// markOptions are the flags of `mark`.
type markOptions struct {
	*connection

	verdicts       map[dora.Verdict]*bool
	reason, target string
	undo, wait     bool
	within         time.Duration
}

func newMarkCommand(c *connection) *cobra.Command {
	o := &markOptions{connection: c, verdicts: map[dora.Verdict]*bool{}}
	cmd := &cobra.Command{
		Use:   "mark EVENT-ID",
		Short: "Say of an event what Argo cannot know: that it was, or was not, a failure, or is to be ignored",
		Long: `Marks a deployment, or the beginning of a failure. The mark comes before what Argo told, in every figure and sink; docs/marks.md says what
each does. The event itself never changes, all that was ever said of it is kept, and --undo takes the mark back, which is kept as well.

It writes the annotation mark.dora-controller.io/EVENT-ID of the DoraTarget that decides about the event's object, with your name, and nothing else. Then it
waits until the controller has read it.`,
		Example: `  kubectl dora mark a3875f9c-952a-51f3-8d10-05913465c7f2 --not-a-failure --reason "the quota was too small"
  kubectl dora mark a3875f9c-952a-51f3-8d10-05913465c7f2 --ignore --reason drill --target payments-prod -n argocd
  kubectl dora mark a3875f9c-952a-51f3-8d10-05913465c7f2 --undo --reason "it was no drill"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeEvents,
		RunE:              o.run,
	}
	f := cmd.Flags()
	for verdict, does := range map[dora.Verdict]string{
		dora.NotAFailure: "it was no failure", dora.Failure: "it was a failure", dora.Ignore: "it belongs into no figure, as of a drill",
	} {
		o.verdicts[verdict] = f.Bool(string(verdict), false, does)
	}
	f.StringVar(&o.reason, "reason", "", "why, in a line")
	f.StringVar(&o.target, "target", "", "the DoraTarget that says so (default: the one that decides about the event's object)")
	f.BoolVar(&o.undo, "undo", false, "take back what the target says of the event")
	f.BoolVar(&o.wait, "wait", true, "wait until the controller has taken it")
	f.DurationVar(&o.within, "timeout", time.Minute, "how long to wait")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("target", c.completeTargets))
	return cmd
}

func (o *markOptions) run(cmd *cobra.Command, args []string) error {
	said, err := o.said(args[0])
	if err != nil {
		return cli.Usage(cmd, err)
	}
	ctx := cmd.Context()
	cl, err := o.connect()
	if err != nil {
		return err
	}
	target, err := o.speaker(ctx, cl, args[0])
	if err != nil {
		return err
	}
	written, err := o.write(ctx, cl, target, said)
	if err != nil || !o.wait {
		return err
	}
	if target.Spec.Suspend {
		return fmt.Errorf("DoraTarget %s/%s is suspended: it is written, and will be taken once spec.suspend is false", target.Namespace, target.Name)
	}
	if err := o.taken(ctx, cl, written, said.EventID); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), confirmation(said, written))
	return nil
}

func confirmation(said *dora.Mark, target *dorav1alpha1.DoraTarget) string {
	if said.Verdict == dora.Withdrawn {
		return fmt.Sprintf("DoraTarget %s/%s says nothing of event %s any more.", target.Namespace, target.Name, said.EventID)
	}
	return fmt.Sprintf("Event %s is marked %s by DoraTarget %s/%s.", said.EventID, said.Verdict, target.Namespace, target.Name)
}

// said is what the flags say; without a verdict it takes back.
func (o *markOptions) said(id string) (*dora.Mark, error) {
	m := &dora.Mark{EventID: id, Reason: strings.TrimSpace(o.reason)}
	for verdict, chosen := range o.verdicts {
		if *chosen && m.Verdict != dora.Withdrawn {
			return nil, errors.New("say one thing: --not-a-failure, --failure or --ignore")
		}
		if *chosen {
			m.Verdict = verdict
		}
	}
	switch {
	case len(validation.IsQualifiedName(mark.Prefix+id)) > 0:
		return nil, fmt.Errorf("%q is no id of an event; kubectl dora events -o json lists ids", id)
	case o.undo && m.Verdict != dora.Withdrawn:
		return nil, errors.New("--undo takes back: leave out --not-a-failure, --failure and --ignore")
	case !o.undo && m.Verdict == dora.Withdrawn:
		return nil, errors.New("say what it was: --not-a-failure, --failure or --ignore; --undo takes back")
	}
	if m.Reason == "" {
		return nil, errors.New("say why with --reason")
	}
	_, err := mark.Format(*m)
	return m, err
}

// write patches the annotation, and returns the target as it is then. Where nothing is said there is nothing to take back.
func (o *markOptions) write(ctx context.Context, cl *cluster, target *dorav1alpha1.DoraTarget, said *dora.Mark) (*dorav1alpha1.DoraTarget, error) {
	if said.Verdict == dora.Withdrawn && !speaks(target, said.EventID) {
		return target, nil
	}
	said.By, said.At = cl.whoAmI(ctx), time.Now()
	text, err := mark.Format(*said)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{mark.Prefix + said.EventID: text}}})
	if err != nil {
		return nil, err
	}
	doing := "cannot write an annotation of DoraTarget " + target.Namespace + "/" + target.Name
	patched, err := cl.api.Resource(targetKind).Namespace(target.Namespace).Patch(ctx, target.Name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "kubectl-dora"})
	if err != nil {
		return nil, inPlainWords(doing, err)
	}
	written, err := readAs[dorav1alpha1.DoraTarget](patched)
	return &written, err
}

// speaks tells whether a target says something of an event that was not taken back.
func speaks(target *dorav1alpha1.DoraTarget, id string) bool {
	text, said := target.Annotations[mark.Prefix+id]
	now, err := mark.Parse(text)
	return said && (err != nil || now.Verdict != dora.Withdrawn)
}

// whoAmI is the name that the API server knows the user by; empty if it does not tell.
func (c *cluster) whoAmI(ctx context.Context) string {
	review := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}}
	answer, err := c.api.Resource(reviewKind).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return ""
	}
	name, _, _ := unstructured.NestedString(answer.Object, "status", "userInfo", "username")
	return name[:min(len(name), mark.MaxBy)]
}

// taken waits until the controller has read what the target says now.
func (o *markOptions) taken(ctx context.Context, cl *cluster, target *dorav1alpha1.DoraTarget, id string) error {
	wanted := mark.Hash(target.Annotations)
	bounded, stop := context.WithTimeout(ctx, o.within)
	defer stop()
	ticks := time.NewTicker(markLook)
	defer ticks.Stop()
	for {
		now, err := getAs[dorav1alpha1.DoraTarget](bounded, cl, targetKind, target.Namespace, target.Name)
		if err == nil {
			target, wanted = &now, mark.Hash(now.Annotations) // somebody else may say more meanwhile
		} else if bounded.Err() == nil {
			return err
		}
		if err == nil && observed(target) == wanted {
			return refused(target, id)
		}
		select {
		case <-bounded.Done():
			return fmt.Errorf("the controller has not taken it within %s: it is written, and will be taken; "+
				"kubectl dora doctor says what may stand in the way", o.within)
		case <-ticks.C:
		}
	}
}

// observed is the hash of the annotations that the controller has read.
func observed(target *dorav1alpha1.DoraTarget) string {
	if target.Status.Marks == nil {
		return ""
	}
	return target.Status.Marks.Observed
}

// refused says why an annotation marks nothing, if it does not.
func refused(target *dorav1alpha1.DoraTarget, id string) error {
	condition := meta.FindStatusCondition(target.Status.Conditions, dorav1alpha1.ConditionMarksRefused)
	if condition == nil || target.Status.Marks == nil {
		return nil
	}
	if !slices.Contains(target.Status.Marks.RefusedEvents, id) {
		return nil
	}
	return fmt.Errorf("DoraTarget %s/%s may not say that, or not so: %s; take it back with --undo and --reason",
		target.Namespace, target.Name, condition.Message)
}
