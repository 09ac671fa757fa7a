package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/show"
)

// sinksOptions are the flags of `sinks`.
type sinksOptions struct {
	namespace, kubeconfig string
	all                   bool
	output                *output
}

func newSinksCommand() *cobra.Command {
	o := &sinksOptions{}
	cmd := &cobra.Command{
		Use:   "sinks",
		Short: "Print the DoraSinks of a namespace, and what stands in their way",
		Long: `Prints the DoraSinks of a namespace of the cluster, what they were sent and are owed, and below that what to do about each that
is not ready or has parked events.

With -o json each line is one DoraSink, as the cluster has it.`,
		Example: `  dora-controller sinks -n payments
  dora-controller sinks --all-namespaces -o json`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the sinks (default: \"default\")")
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "the sinks of all namespaces")
	addKubeconfigFlag(f, &o.kubeconfig)
	o.output = addOutputFlag(cmd)
	f.Lookup("output").Usage = "how to print sinks: json, one sink a line, or table (default: table on a terminal, else json)"
	cmd.AddCommand(newRetryCommand())
	return cmd
}

func (o *sinksOptions) run(cmd *cobra.Command, _ []string) error {
	if o.all && o.namespace != "" {
		return cli.Usage(cmd, errors.New("--all-namespaces means every sink: leave out --namespace"))
	}
	api, err := sinkAPI(o.kubeconfig)
	if err != nil {
		return err
	}
	namespace := ""
	if !o.all {
		namespace = cmp.Or(o.namespace, "default")
	}
	sinks, err := listSinks(cmd.Context(), api, namespace)
	if err != nil {
		return err
	}
	if !o.output.table(cmd.OutOrStdout()) {
		return printSinksJSON(cmd.OutOrStdout(), sinks)
	}
	if len(sinks) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "There are %s.\n", noSinks(namespace))
		return nil
	}
	return printSinks(cmd.OutOrStdout(), sinks, time.Now())
}

func noSinks(namespace string) string {
	if namespace == "" {
		return "no DoraSinks"
	}
	return fmt.Sprintf("no DoraSinks in namespace %q", namespace)
}

// listSinks lists those of a namespace, or of all.
func listSinks(ctx context.Context, api client.Client, namespace string) ([]dorav1alpha1.DoraSink, error) {
	var list dorav1alpha1.DoraSinkList
	if err := api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, inPlainWords("cannot list DoraSinks", err)
	}
	return list.Items, nil
}

func printSinksJSON(out io.Writer, sinks []dorav1alpha1.DoraSink) error {
	lines := json.NewEncoder(out)
	for i := range sinks {
		sink := &sinks[i]
		sink.SetGroupVersionKind(dorav1alpha1.GroupVersion.WithKind("DoraSink"))
		sink.ManagedFields = nil
		if err := lines.Encode(sink); err != nil {
			return fmt.Errorf("cannot write a sink: %w", err)
		}
	}
	return nil
}

// printSinks prints a table, and below it what to do.
func printSinks(out io.Writer, sinks []dorav1alpha1.DoraSink, now time.Time) error {
	table := show.NewGrid("SINK", "TYPE", "READY", "REASON", "DELIVERED", "PENDING", "PARKED", "OLDEST", "LAST")
	for i := range sinks {
		sink, s := &sinks[i], &sinks[i].Status
		ready := readiness(sink)
		table.Add(nameOfSink(sink), string(sink.Spec.Type), string(ready.Status), ready.Reason, strconv.FormatInt(s.Delivered, 10),
			strconv.FormatInt(s.Pending, 10), strconv.FormatInt(s.Parked, 10), age(s.OldestPending, now), age(s.LastDelivery, now))
	}
	if err := table.Print(out); err != nil {
		return err
	}
	for i := range sinks {
		for _, message := range messages(&sinks[i]) {
			fmt.Fprintf(out, "\n%s: %s\n", nameOfSink(&sinks[i]), show.Printable(message))
		}
	}
	return nil
}

// readiness is the condition Ready, also of a sink that no controller has looked at.
func readiness(sink *dorav1alpha1.DoraSink) metav1.Condition {
	if ready := meta.FindStatusCondition(sink.Status.Conditions, dorav1alpha1.ConditionReady); ready != nil {
		return *ready
	}
	return metav1.Condition{
		Status: metav1.ConditionUnknown, Reason: dorav1alpha1.ReasonStarting,
		Message: "No controller has looked at it yet; if this stays, see whether one runs and watches this namespace",
	}
}

// messages say what to do about a sink.
func messages(sink *dorav1alpha1.DoraSink) []string {
	var all []string
	if ready := readiness(sink); ready.Status != metav1.ConditionTrue {
		all = append(all, ready.Message)
	}
	if parked := meta.FindStatusCondition(sink.Status.Conditions, dorav1alpha1.ConditionParked); parked != nil {
		all = append(all, parked.Message)
	}
	return all
}

// age is how long ago something was.
func age(at *metav1.Time, now time.Time) string {
	if at == nil {
		return show.Nothing
	}
	return show.Duration(max(0, now.Sub(at.Time)))
}

// retryOptions are the flags of `sinks retry`.
type retryOptions struct {
	requestOptions

	all bool
}

func newRetryCommand() *cobra.Command {
	o := &retryOptions{}
	cmd := &cobra.Command{
		Use:   "retry SINK...",
		Short: "Try at once what is parked, or waits for its next attempt",
		Long: `Asks the controller that runs in the cluster to try again what some sinks refused for good, and at once what waits for its next
attempt, and waits until that is queued. That is of use after what stood in the way was mended.

It writes the annotation dora-controller.io/retry of the DoraSinks, as the user of the kubeconfig, and nothing else.`,
		Example: `  dora-controller sinks retry port -n payments
  dora-controller sinks retry --all -n payments --wait 0`,
		Args: cobra.ArbitraryArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "all sinks of the namespace")
	o.add(f)
	return cmd
}

func (o *retryOptions) run(cmd *cobra.Command, names []string) error {
	if o.all == (len(names) > 0) {
		return cli.Usage(cmd, errors.New("name the sinks, or say --all"))
	}
	keys := make([]types.NamespacedName, len(names))
	for i, name := range names {
		key, err := o.key(name)
		if err != nil {
			return cli.Usage(cmd, err)
		}
		keys[i] = key
	}
	api, err := sinkAPI(o.kubeconfig)
	if err != nil {
		return err
	}
	sinks, err := o.sinks(cmd.Context(), api, keys)
	if err != nil {
		return err
	}
	request := &sinkRequest{
		api: api, annotation: dorav1alpha1.AnnotationRetry, value: time.Now().UTC().Format(time.RFC3339Nano), sinks: sinks,
		answer: func(r *dorav1alpha1.SinkRequests) requestAnswer {
			return requestAnswer{request: r.Retry, events: r.Retried}
		},
		done: "tried again", none: "none is parked, and none waits for another attempt",
	}
	return request.make(cmd.Context(), cmd.OutOrStdout(), o.within())
}

func (o *retryOptions) sinks(ctx context.Context, api client.Client, keys []types.NamespacedName) ([]dorav1alpha1.DoraSink, error) {
	if !o.all {
		return readSinks(ctx, api, keys)
	}
	namespace := cmp.Or(o.namespace, "default")
	sinks, err := listSinks(ctx, api, namespace)
	if err == nil && len(sinks) == 0 {
		return nil, fmt.Errorf("there are %s: name another with -n", noSinks(namespace))
	}
	return sinks, err
}
