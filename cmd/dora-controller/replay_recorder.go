package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/show"
)

// recorder prints what comes of one recording.
type recorder struct {
	options     *replayOptions
	out, errOut io.Writer
	world       *replay.World
	table       *show.Table
	json        *show.JSON
	followed    time.Time
	last        time.Time
	begun       bool
	printed     int
	err         error
}

func (o *replayOptions) recorder(cmd *cobra.Command) *recorder {
	r := &recorder{options: o, out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr()}
	if o.output.table(r.out) {
		r.table = show.NewTable()
	} else {
		r.json = show.NewJSON(r.out)
	}
	if at, err := time.Parse(time.RFC3339, o.followed); err == nil {
		r.followed = at
	}
	r.world = replay.NewWorld(o.cluster, r.policy)
	return r
}

// policy judges a subject as a DoraTarget that leaves its names to the defaults.
func (r *recorder) policy(labels map[string]string, name string) deploy.Policy {
	var target dorav1alpha1.DoraTargetSpec
	o := r.options
	for _, change := range o.changes {
		target.Changes = append(target.Changes, dorav1alpha1.ChangeKind(change))
	}
	return deploy.Policy{
		Service: target.ServiceOf(name, labels), Team: target.TeamOf(labels), Environment: target.EnvironmentOf(labels),
		Include: o.include, Exclude: o.exclude, CountConfig: target.Counts(dorav1alpha1.ChangeConfig),
		DegradedFor: time.Duration(o.degradedFor), FailureWindow: time.Duration(o.failureWindow), VerdictTimeout: time.Duration(o.verdictTimeout),
		FollowedSince: r.followed,
	}
}

func (r *recorder) apply(e replay.Event) {
	if !r.begun && r.options.followed == "start" {
		r.followed = e.Seen
	}
	r.begun, r.last = true, e.Seen
	r.show(r.world.Apply(e))
}

// finish takes what is due after the last line, as far as that is wanted, and prints what is left to print.
func (r *recorder) finish(until *moment) error {
	if end := until.after(r.last); r.begun && !end.IsZero() {
		r.show(r.world.Finish(end.Add(time.Nanosecond)))
	}
	if r.table == nil {
		return r.err
	}
	if r.table.Len() == 0 && r.err == nil {
		fmt.Fprintln(r.errOut, "No events.")
	}
	return errors.Join(r.err, r.table.Print(r.out))
}

func (r *recorder) show(steps []replay.Step) {
	for _, step := range steps {
		if r.options.explain {
			for _, d := range step.Decisions {
				r.decision(step, d)
			}
		}
		for i := range step.Events {
			if r.table != nil {
				r.table.Event(&step.Events[i])
			} else if r.err == nil {
				r.err = r.json.Event(&step.Events[i])
			}
		}
	}
}

func (r *recorder) decision(step replay.Step, d deploy.Decision) {
	if r.table != nil {
		r.table.Decision(step.At, step.Subject.Name, d)
		return
	}
	fmt.Fprintln(r.errOut, show.Decision(step.At, step.Subject, d))
}
