package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/deploy"
	rec "github.com/dora-controller/dora-controller/internal/recording"
	"github.com/dora-controller/dora-controller/internal/replay"
)

// replayOptions are the flags of `replay`.
type replayOptions struct {
	degradedFor, failureWindow, verdictTimeout duration

	changes          []string
	include, exclude []string
	cluster          string
	baseline         bool
	until            moment
	explain          bool
	output           *output
}

func newReplayCommand() *cobra.Command {
	o := &replayOptions{
		degradedFor:    duration(deploy.DefaultDegradedFor),
		failureWindow:  duration(deploy.DefaultFailureWindow),
		verdictTimeout: duration(deploy.DefaultVerdictTimeout),
	}
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE...",
		Short: "Print the events that recorded watch events lead to",
		Long: `Runs recorded watch events of Applications, Rollouts and ReplicaSets through the same code as the controller and
prints the events that it would have emitted, in order. FILE is what kubectl prints, or - for standard input:

  kubectl get applications -A --watch --output-watch-events -o json > applications.json

Each file is a world of its own. A line that cannot be read is named on stderr by file and line; the others count, and the
exit code is then 1.`,
		Example: `  dora-controller replay --explain recording.jsonl
  cat applications.json rollouts.json replicasets.json | dora-controller replay -o json -`,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				return errors.New("name at least one recording, or - for standard input")
			}
			return nil
		},
		RunE: o.run,
	}
	o.bind(cmd)
	return cmd
}

func (o *replayOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&o.degradedFor, "degraded-for", "how long production must stay Degraded before it is a failure")
	f.Var(&o.failureWindow, "failure-window", "how long after a deployment became Healthy a failure is held against it")
	f.Var(&o.verdictTimeout, "verdict-timeout", "how long a deployment may stay without a verdict before its outcome is unknown")
	f.StringSliceVar(&o.changes, "changes", []string{string(dorav1alpha1.ChangeImage)},
		"what counts as a deployment: Image, or Image,Config")
	f.StringArrayVar(&o.include, "include", nil, "glob of the images that make up a version, may be repeated (default: all)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "glob of the images that do not, may be repeated")
	f.StringVar(&o.cluster, "cluster", "default", "name of the cluster in the events; it is part of their ids")
	f.BoolVar(&o.baseline, "baseline", false,
		"take what the recording begins with for what ran before, as a controller that starts then (default: all of it is new)")
	f.Var(&o.until, "until",
		"go on after the last line until this time, or for this long, with nothing more happening (default: stop at the last line)")
	f.BoolVar(&o.explain, "explain", false, "also tell what was not counted, and why: in the table, or with -o json on stderr")
	o.output = addOutputFlag(cmd)
}

func (o *replayOptions) run(cmd *cobra.Command, files []string) error {
	if err := o.validate(); err != nil {
		return cli.Usage(cmd, err)
	}
	failed := false
	for i, name := range files {
		err := o.file(cmd, name, len(files) > 1, i > 0)
		for _, e := range flat(err) {
			failed = true
			fmt.Fprintf(cmd.ErrOrStderr(), "error: %v\n", e)
		}
	}
	if failed {
		return errReported
	}
	return nil
}

func (o *replayOptions) validate() error {
	for _, change := range o.changes {
		switch dorav1alpha1.ChangeKind(change) {
		case dorav1alpha1.ChangeImage, dorav1alpha1.ChangeConfig:
		default:
			return fmt.Errorf("invalid argument %q for \"--changes\" flag: want Image or Config", change)
		}
	}
	return nil
}

// file replays one recording in a world of its own.
func (o *replayOptions) file(cmd *cobra.Command, name string, headed, again bool) error {
	in, err := openInput(cmd, name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	r := o.recorder(cmd)
	if r.table != nil && headed {
		fmt.Fprintf(r.out, "%s==> %s <==\n", newLineIf(again), name)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, gap := range rec.Gaps(data) {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s: %s; the controller may have seen them\n", name, gap)
	}
	var events []replay.Event
	err = replay.Read(name, bytes.NewReader(data), func(e replay.Event) { events = append(events, e) })
	return errors.Join(err, r.run(events))
}

func newLineIf(cond bool) string {
	if cond {
		return "\n"
	}
	return ""
}

func openInput(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(name) //nolint:gosec // the path is the user's
	if err != nil {
		return nil, fmt.Errorf("cannot read a recording: %w", err)
	}
	return f, nil
}

// flat lists the errors that were joined. One that only wraps a join stays whole, since it says where that was.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) // not errors.As: the join itself is meant, not one further down
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flat(e)...)
	}
	return all
}
