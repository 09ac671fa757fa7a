package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
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
	services    map[string]string // by the name of the subject, for decisions
	err         error
}

func (o *replayOptions) recorder(cmd *cobra.Command) *recorder {
	r := &recorder{options: o, out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), services: map[string]string{}}
	if o.output.table(r.out) {
		r.table = show.NewTable()
	} else {
		r.json = show.NewJSON(r.out)
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
	service := target.ServiceOf(name, labels)
	r.services[name] = service
	return deploy.Policy{
		Service: service, Team: target.TeamOf(labels), Environment: target.EnvironmentOf(labels),
		Include: o.include, Exclude: o.exclude, CountConfig: target.Counts(dorav1alpha1.ChangeConfig),
		DegradedFor: time.Duration(o.degradedFor), FailureWindow: time.Duration(o.failureWindow),
		VerdictTimeout: time.Duration(o.verdictTimeout), FollowedSince: r.followed,
	}
}

// run takes in the events, then what is due after the last one, as far as that is wanted, and prints what is left to print.
func (r *recorder) run(events []replay.Event) error {
	if r.options.baseline {
		r.begin(events)
	}
	for i := range events {
		r.show(r.world.Apply(events[i]))
	}
	if n := len(events); n > 0 && r.options.until.set {
		r.show(r.world.Finish(r.options.until.after(events[n-1].Seen).Add(time.Nanosecond)))
	}
	if r.table == nil {
		return r.err
	}
	if r.table.Len() == 0 && r.err == nil {
		fmt.Fprintln(r.errOut, "No events.")
	}
	return errors.Join(r.err, r.table.Print(r.out))
}

// begin takes what the recording begins with for a controller's first list: its caches are filled before it looks, so that
// no Application is seen without its Rollouts.
func (r *recorder) begin(events []replay.Event) {
	n := slices.IndexFunc(events, func(e replay.Event) bool { return e.Type != replay.Added })
	if n < 0 {
		n = len(events)
	}
	slices.SortStableFunc(events[:n], func(a, b replay.Event) int { return layer(&a) - layer(&b) })
	for i := range events[:n] {
		r.followed = later(r.followed, events[i].Seen)
	}
	for i := range events[:n] {
		events[i].Seen = r.followed
	}
}

// layer puts what others depend on first.
func layer(e *replay.Event) int {
	switch {
	case e.ReplicaSet != nil:
		return 0
	case e.Rollout != nil:
		return 1
	}
	return 2
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
		r.table.Decision(step.At, r.services[step.Subject.Name], d)
		return
	}
	fmt.Fprintln(r.errOut, show.Decision(step.At, step.Subject, d))
}
