package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/show"
)

// sinksOptions are the flags of `sinks`.
type sinksOptions struct {
	*connection

	output *cli.Choice
}

func newSinksCommand(c *connection) *cobra.Command {
	o := &sinksOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "sinks",
		Short: "Show what sinks got and are owed, and what they answered last",
		Long: `Shows the DoraSinks of a namespace: whether they are ready, what they were sent and are owed, since when the oldest waits. Below that it
says of each that is not ready, has parked events or an error what was answered, and what to do.`,
		Example: `  kubectl dora sinks -A
  kubectl dora sinks -n payments -o json`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	o.output = addOutputFlag(cmd, asTable, asJSON, asYAML)
	return cmd
}

func (o *sinksOptions) run(cmd *cobra.Command, _ []string) error {
	namespace, err := o.namespace()
	if err != nil {
		return flagsAtFault(cmd, err)
	}
	cl, err := o.connect()
	if err != nil {
		return err
	}
	sinks, err := listOf[dorav1alpha1.DoraSink](cmd.Context(), cl, sinkKind, namespace, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if o.output.Value != asTable {
		return printObjects(cmd.OutOrStdout(), o.output.Value, struct {
			Sinks []dorav1alpha1.DoraSink `json:"sinks"`
		}{sinksWithKind(sinks)})
	}
	if len(sinks) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "There are no DoraSinks"+o.where()+".")
		return nil
	}
	return printSinks(painted(cmd.OutOrStdout()), sinks, time.Now())
}

// printSinks prints a table, and below it what to do.
func printSinks(out io.Writer, sinks []dorav1alpha1.DoraSink, now time.Time) error {
	table := show.NewGrid("SINK", "TYPE", "READY", "REASON", "DELIVERED", "PENDING", "PARKED", "OLDEST", "LAST")
	for i := range sinks {
		sink, s := &sinks[i], &sinks[i].Status
		ready := readiness(s.Conditions)
		table.Add(sink.Namespace+"/"+sink.Name, string(sink.Spec.Type), string(ready.Status), ready.Reason, strconv.FormatInt(s.Delivered, 10),
			strconv.FormatInt(s.Pending, 10), strconv.FormatInt(s.Parked, 10), age(s.OldestPending, now), age(s.LastDelivery, now))
	}
	if err := table.Print(out); err != nil {
		return err
	}
	for i := range sinks {
		for _, message := range sinkMessages(&sinks[i]) {
			fmt.Fprintf(out, "\n%s/%s: %s\n", sinks[i].Namespace, sinks[i].Name, show.Printable(message))
		}
	}
	return nil
}

// sinkMessages say what to do about a sink, and what it answered last if that says more.
func sinkMessages(sink *dorav1alpha1.DoraSink) []string {
	var all []string
	if ready := readiness(sink.Status.Conditions); ready.Status != metav1.ConditionTrue {
		all = append(all, ready.Message)
	}
	if parked := meta.FindStatusCondition(sink.Status.Conditions, dorav1alpha1.ConditionParked); parked != nil {
		all = append(all, parked.Message)
	} else if sink.Status.LastError != "" {
		all = append(all, "last error: "+sink.Status.LastError)
	}
	if sink.Status.MetricsError != "" {
		all = append(all, "metrics were not taken: "+sink.Status.MetricsError)
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
