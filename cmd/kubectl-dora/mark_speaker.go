package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/show"
)

// offered is how many events the tab key offers.
const offered = 20

// speaker is the target that the flags name, or the one whose word counts for an event: the oldest that selects its object, or of what
// was reported the oldest that counts it.
func (o *markOptions) speaker(ctx context.Context, cl *cluster, id string) (*dorav1alpha1.DoraTarget, error) {
	if o.target != "" {
		named, err := o.targets(ctx, cl, o.target)
		if err != nil {
			return nil, err
		}
		if len(named) > 1 {
			return nil, fmt.Errorf("there are several DoraTargets %s: name the namespace of one with -n", o.target)
		}
		return &named[0], nil
	}
	event, err := o.eventOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("%w; or name the DoraTarget with --target", err)
	}
	if event.Subject.Kind == dora.KindReported {
		targets, err := o.targetsFor(ctx, cl, event.Subject.Namespace)
		if err != nil {
			return nil, err
		}
		return whoCounts(targets, event)
	}
	return o.whoSelects(ctx, cl, &event.Subject)
}

// whoSelects is the oldest target that selects an object of Argo's.
func (o *markOptions) whoSelects(ctx context.Context, cl *cluster, subject *dora.Subject) (*dorav1alpha1.DoraTarget, error) {
	object, err := o.objectOf(ctx, cl, subject)
	if err != nil {
		return nil, fmt.Errorf("%w; or name the DoraTarget with --target", err)
	}
	targets, err := o.targetsFor(ctx, cl, object.GetNamespace())
	if err != nil {
		return nil, err
	}
	trusted := o.trusted(ctx, cl)
	oldestFirst(targets)
	for i := range targets {
		if selects(&targets[i], object, slices.Contains(trusted, targets[i].Namespace)) {
			return &targets[i], nil
		}
	}
	return nil, fmt.Errorf("no DoraTarget that you may see selects %s %s/%s; name it with --target", object.GetKind(), object.GetNamespace(), object.GetName())
}

func oldestFirst(targets []dorav1alpha1.DoraTarget) {
	slices.SortFunc(targets, func(a, b dorav1alpha1.DoraTarget) int {
		if a.Before(&b) {
			return -1
		}
		return 1
	})
}

// whoCounts is the oldest of the targets of an event's namespace that count what was reported, as far as their specs and status tell. Where
// none does for certain it names those that may.
func whoCounts(targets []dorav1alpha1.DoraTarget, e *dora.Event) (*dorav1alpha1.DoraTarget, error) {
	targets = slices.DeleteFunc(targets, func(t dorav1alpha1.DoraTarget) bool {
		return t.Namespace != e.Subject.Namespace || t.Spec.Reported == nil && t.Spec.Incidents == nil
	})
	oldestFirst(targets)
	names := make([]string, len(targets))
	for i := range targets {
		t := &targets[i]
		names[i] = t.Name
		if reports(t, e.Service) || t.Spec.Incidents != nil && t.Status.Has(e.Service, e.Environment) {
			return t, nil
		}
	}
	where := fmt.Sprintf("no DoraTarget of namespace %s that you may see counts what is reported of service %s in environment %s",
		e.Subject.Namespace, e.Service, cmp.Or(e.Environment, show.Nothing))
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: set spec.reported or spec.incidents of one", where)
	}
	return nil, fmt.Errorf("%s; these count reports of others, and --target names one: %s", where, strings.Join(names, ", "))
}

// reports tells whether a target counts deployments that are reported of a service.
func reports(t *dorav1alpha1.DoraTarget, service string) bool {
	return t.Spec.Reported != nil && slices.ContainsFunc(t.Spec.Reported.Services, func(glob dorav1alpha1.ServiceGlob) bool {
		return dora.Glob(string(glob), service)
	})
}

// eventOf is the event of that id.
func (o *markOptions) eventOf(ctx context.Context, id string) (*dora.Event, error) {
	h, err := o.history(ctx)
	if err != nil {
		return nil, err
	}
	defer h.close()
	events, err := collect(ctx, h, eventQuery{ids: []string{id}})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(events, func(e dora.Event) bool { return e.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("the ledger has no event %s; kubectl dora events -o json lists ids", id)
	}
	return &events[i], nil
}

// objectOf is the Application or Rollout that an event is of.
func (o *markOptions) objectOf(ctx context.Context, cl *cluster, s *dora.Subject) (*unstructured.Unstructured, error) {
	kind, known := map[dora.Kind]schema.GroupVersionResource{dora.KindApplication: applicationKind, dora.KindRollout: rolloutKind}[s.Kind]
	if !known {
		return nil, fmt.Errorf("the event is of a %s, and of no object in the cluster", s.Kind)
	}
	object, err := cl.api.Resource(kind).Namespace(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	return object, inPlainWords(fmt.Sprintf("cannot read %s %s/%s", s.Kind, s.Namespace, s.Name), err)
}

// targetsFor are the targets of all namespaces, or of one if that is all that the user may see.
func (o *markOptions) targetsFor(ctx context.Context, cl *cluster, namespace string) ([]dorav1alpha1.DoraTarget, error) {
	all, err := listOf[dorav1alpha1.DoraTarget](ctx, cl, targetKind, "", metav1.ListOptions{})
	if err != nil {
		return listOf[dorav1alpha1.DoraTarget](ctx, cl, targetKind, namespace, metav1.ListOptions{})
	}
	return all, nil
}

// trusted are the namespaces whose targets see all others, as far as the controller's pod tells.
func (o *markOptions) trusted(ctx context.Context, cl *cluster) []string {
	pod, err := o.controllerPod(ctx, cl)
	if err != nil {
		return nil
	}
	text, _ := argument(controllerContainer(pod.Annotations, &pod.Spec), "trusted-namespaces")
	return strings.Split(text, ",")
}

// selects tells whether a target selects an object. The controller has the last word.
func selects(target *dorav1alpha1.DoraTarget, object *unstructured.Unstructured, trusted bool) bool {
	of := target.Spec.Applications
	if object.GetKind() == string(dora.KindRollout) {
		of = target.Spec.Rollouts
	}
	named := of.NamespaceNames()
	sees := object.GetNamespace() == target.Namespace || trusted && len(named) == 0
	if len(named) > 0 {
		sees = slices.Contains(named, object.GetNamespace()) && (trusted || object.GetNamespace() == target.Namespace)
	}
	selector, err := of.LabelSelector()
	return err == nil && sees && selector.Matches(labels.Set(object.GetLabels()))
}

// completeEvents offers the newest events, with what they tell.
func (c *connection) completeEvents(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, stop := context.WithTimeout(cmd.Context(), completionTimeout)
	defer stop()
	h, err := c.history(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer h.close()
	var ids []string
	_ = h.events(ctx, eventQuery{limit: offered, types: []dora.Type{dora.TypeDeploy, dora.TypeDegraded}}, func(e *dora.Event) error {
		ids = append(ids, e.ID+"\t"+show.Line(e))
		if len(ids) > offered {
			return errEnough
		}
		return nil
	}) // a completion has nobody to tell
	return ids, cobra.ShellCompDirectiveNoFileComp
}
