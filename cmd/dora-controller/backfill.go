package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
)

// backfillOptions are the flags of `backfill`.
type backfillOptions struct {
	namespace, kubeconfig string
	all                   bool
	within                time.Duration
}

func newBackfillCommand() *cobra.Command {
	o := &backfillOptions{}
	var within duration
	cmd := &cobra.Command{
		Use:   "backfill [TARGET...]",
		Short: "Look again for the commits of deployments that have none",
		Long: `Asks the controller that runs in the cluster to look again for the commits of all earlier deployments of some
DoraTargets that ended without lead time, to try those that wait for a server or a Secret at once, and waits until it has.
Without names it means all targets of the namespace. That is of use after spec.source was added or mended,
after a git server was moved, and after an upgrade from a release that knew no commits.

It writes the annotation dora-controller.io/backfill of the targets, as the user of the kubeconfig, and nothing else.`,
		Example: `  dora-controller backfill checkout -n payments
  dora-controller backfill --all-namespaces --wait 0`,
		RunE: func(cmd *cobra.Command, names []string) error {
			o.within = time.Duration(within)
			if o.all && (o.namespace != "" || len(names) > 0) {
				return cli.Usage(cmd, errors.New("--all-namespaces means every target: leave out the names and --namespace"))
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), names)
		},
		Args: cobra.ArbitraryArgs,
	}
	within = duration(5 * time.Minute)
	f := cmd.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the targets (default: \"default\")")
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "all targets of all namespaces")
	f.Var(&within, "wait", "how long to wait until nothing is looked for any more; 0 does not wait")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that says how to reach the cluster (default: KUBECONFIG, or ~/.kube/config)")
	return cmd
}

func (o *backfillOptions) run(ctx context.Context, out io.Writer, names []string) error {
	config, err := clusterConfig(o.kubeconfig)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := dorav1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("cannot reach the cluster: %w", err)
	}
	targets, err := o.targets(ctx, api, names)
	if err != nil {
		return err
	}
	b := &backfill{api: api, request: time.Now().UTC().Format(time.RFC3339Nano), targets: targets}
	if err := b.ask(ctx); err != nil {
		return err
	}
	err = b.wait(ctx, o.within)
	b.print(out)
	return err
}

// targets are those that the command line names; without names all of a namespace, or of all.
func (o *backfillOptions) targets(ctx context.Context, api client.Client, names []string) ([]dorav1alpha1.DoraTarget, error) {
	namespace := o.namespace
	if namespace == "" && !o.all {
		namespace = "default"
	}
	var list dorav1alpha1.DoraTargetList
	if len(names) == 0 {
		if err := api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("cannot list DoraTargets: %w", err)
		}
		if len(list.Items) == 0 {
			return nil, fmt.Errorf("there is no DoraTarget in namespace %q: name another with -n, or use -A", namespace)
		}
		return list.Items, nil
	}
	for _, name := range names {
		var target dorav1alpha1.DoraTarget
		if err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &target); err != nil {
			return nil, fmt.Errorf("cannot read DoraTarget %s/%s: %w", namespace, name, err)
		}
		if target.Spec.Source == nil {
			return nil, fmt.Errorf("DoraTarget %s/%s has no spec.source: say there where its commits are, then try again", namespace, name)
		}
		list.Items = append(list.Items, target)
	}
	return list.Items, nil
}

// backfill is one request to some targets.
type backfill struct {
	api     client.Client
	request string
	targets []dorav1alpha1.DoraTarget
}

func (b *backfill) ask(ctx context.Context) error {
	for i := range b.targets {
		target := &b.targets[i]
		if target.Spec.Source == nil {
			continue
		}
		before := target.DeepCopy()
		if target.Annotations == nil {
			target.Annotations = map[string]string{}
		}
		target.Annotations[dorav1alpha1.AnnotationBackfill] = b.request
		if err := b.api.Patch(ctx, target, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("cannot ask for a backfill of DoraTarget %s/%s: %w", target.Namespace, target.Name, err)
		}
	}
	return nil
}

const backfillLook = time.Second

// wait looks at the targets until nothing is looked for any more.
func (b *backfill) wait(ctx context.Context, within time.Duration) error {
	if within == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticks := time.NewTicker(backfillLook)
	defer ticks.Stop()
	for {
		done, err := b.look(bounded)
		if done || err != nil && bounded.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped waiting; the controller goes on: %w", ctx.Err())
		case <-bounded.Done():
			return fmt.Errorf("not done within %s: the controller goes on, kubectl describe the targets to see what stands in the way", within)
		case <-ticks.C:
		}
	}
}

func (b *backfill) look(ctx context.Context) (done bool, err error) {
	done = true
	for i := range b.targets {
		target := &b.targets[i]
		if target.Spec.Source == nil {
			continue
		}
		if err := b.api.Get(ctx, client.ObjectKeyFromObject(target), target); err != nil {
			return false, fmt.Errorf("cannot read DoraTarget %s/%s: %w", target.Namespace, target.Name, err)
		}
		done = done && b.over(target)
	}
	return done, nil
}

// over says that nothing more will come of a target: it is done, or somebody has to mend it first.
func (b *backfill) over(target *dorav1alpha1.DoraTarget) bool {
	s := &target.Status
	return stalled(target) != "" || s.Backfill != nil && s.Backfill.Request == b.request && s.Commits != nil && s.Commits.Pending == 0
}

// stalled is why a target is not followed until somebody mends it or resumes it; empty if it is.
func stalled(target *dorav1alpha1.DoraTarget) string {
	conditions := target.Status.Conditions
	ready := meta.FindStatusCondition(conditions, dorav1alpha1.ConditionReady)
	if ready == nil || meta.FindStatusCondition(conditions, dorav1alpha1.ConditionStalled) == nil && ready.Reason != dorav1alpha1.ReasonSuspended {
		return ""
	}
	return ready.Reason
}

func (b *backfill) print(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "TARGET\tQUEUED\tRESOLVED\tPENDING\tUNKNOWN\tREASONS")
	for i := range b.targets {
		target := &b.targets[i]
		name := target.Namespace + "/" + target.Name
		switch s := &target.Status; {
		case target.Spec.Source == nil:
			fmt.Fprintf(table, "%s\t–\t–\t–\t–\tno spec.source\n", name)
		case stalled(target) != "":
			fmt.Fprintf(table, "%s\t–\t–\t–\t–\t%s\n", name, stalled(target))
		case s.Backfill == nil || s.Backfill.Request != b.request || s.Commits == nil:
			fmt.Fprintf(table, "%s\t–\t–\t–\t–\tasked for\n", name)
		default:
			c := s.Commits
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\n", name, s.Backfill.Deployments, c.Resolved, c.Pending, c.Unknown, unknownReasons(c))
		}
	}
	_ = table.Flush()
}

func unknownReasons(counts *dorav1alpha1.CommitCounts) string {
	var all []string
	for _, r := range counts.Reasons {
		all = append(all, fmt.Sprintf("%s %d", r.Reason, r.Deployments))
	}
	return strings.Join(all, ", ")
}
