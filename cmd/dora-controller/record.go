package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
	rec "github.com/dora-controller/dora-controller/internal/recording"
)

// recordOptions are the flags of `record`.
type recordOptions struct {
	kubeconfig   string
	namespaces   []string
	applications []string
	length       duration
	from         []string
	output       string
	redact       bool
	redactKey    string
	messages     bool
	raw          bool
}

func newRecordCommand() *cobra.Command {
	o := &recordOptions{}
	cmd := &cobra.Command{
		Use:   "record [flags]",
		Short: "Record a cluster's watch events, for replay and for bug reports",
		Long: `Writes what happens to Applications, Rollouts and the ReplicaSets of Rollouts, one watch event a line, until it is told to stop:
with Ctrl-C, or by --for. It needs the rights to list and to watch them and changes nothing.

A recording holds what decisions read and nothing else. With --redact every name in it is a pseudonym, and replay tells the same of
it but for the names. docs/record.md says what is in it, and how to look before you send it.`,
		Example: `  dora-controller record --redact --for 30m
  dora-controller record --namespace argocd --application web --output web.jsonl
  dora-controller record --redact --output clean.jsonl --from applications.json rollouts.json replicasets.json`,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) > 0 && len(o.from) == 0 {
				return fmt.Errorf("%q: only --from takes files; name applications with --application", files[0])
			}
			return nil
		},
		RunE: o.run,
	}
	o.bind(cmd)
	return cmd
}

func (o *recordOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	addKubeconfigFlag(f, &o.kubeconfig)
	f.StringSliceVarP(&o.namespaces, "namespace", "n", []string{allNamespaces}, "namespaces to record, or all; with --application those where Applications are")
	f.StringSliceVar(&o.applications, "application", nil,
		"names of Applications; they are recorded with the Rollouts that they manage (default: everything)")
	f.Var(&o.length, "for", "stop after this time, such as 30m; 0 goes on until Ctrl-C")
	f.StringVar(&o.output, "output", "", "file to write, which must not exist yet, or - for standard output (default: recording-TIME.jsonl)")
	f.BoolVar(&o.redact, "redact", false, "replace every name by a pseudonym, of a key that is made for this recording and forgotten")
	f.StringVar(&o.redactKey, "redact-key", "", "file with a key for --redact, so that the pseudonyms of several recordings agree")
	f.BoolVar(&o.messages, "messages", false, "keep what Argo says in words, and the row of every resource; look through it before you send it")
	f.BoolVar(&o.raw, "raw", false, "keep the objects as they are, with all that is in them; not for sending")
	f.StringArrayVar(&o.from, "from", nil, "record from files instead of a cluster: recordings, or what kubectl prints, taken together; - is standard input")
}

// allNamespaces is how all of them are named.
const allNamespaces = "all"

func (o *recordOptions) run(cmd *cobra.Command, files []string) error {
	if err := o.validate(cmd); err != nil {
		return cli.Usage(cmd, err)
	}
	options, err := o.options()
	if err != nil {
		return err
	}
	if err := options.Validate(); err != nil {
		return cli.Usage(cmd, err)
	}
	if o.raw {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: --raw keeps specs, environment variables and annotations, which may hold secrets; "+
			"do not send this recording to anybody")
	}
	if len(o.from) > 0 {
		return o.copy(cmd, append(slices.Clone(o.from), files...), options)
	}
	return o.watch(cmd, options)
}

// validate refuses flags that mean nothing together, and those that are there and empty: a variable that was not set must not record everything,
// or with all names.
func (o *recordOptions) validate(cmd *cobra.Command) error {
	for name, values := range map[string][]string{"redact-key": {o.redactKey}, "namespace": o.namespaces, "application": o.applications} {
		if cmd.Flags().Changed(name) && (len(values) == 0 || slices.Contains(values, "")) {
			return fmt.Errorf("--%s is empty: give it a value, or leave it out", name)
		}
	}
	if len(o.from) == 0 {
		return nil
	}
	for _, live := range []string{"kubeconfig", "namespace", "application", "for", "raw"} {
		if cmd.Flags().Changed(live) {
			return fmt.Errorf("--from reads files, and --%s is about a cluster: leave one of them out", live)
		}
	}
	return nil
}

func (o *recordOptions) options() (rec.Options, error) {
	options := rec.Options{Messages: o.messages, Raw: o.raw}
	var err error
	switch {
	case o.redactKey != "":
		options.Key, err = rec.ReadKey(o.redactKey)
	case o.redact:
		options.Key = rec.NewKey()
	}
	return options, err
}

// errNothingRecorded: somebody who waited for a recording must not send an empty one.
var errNothingRecorded = errors.New("nothing was recorded: nothing was there, or --namespace and --application left all of it out")

// write has a recording written, and tells on stderr what is in it. What was recorded before an error is there.
func (o *recordOptions) write(cmd *cobra.Command, options rec.Options, record func(*rec.Writer) error) error {
	out, name, err := o.open(cmd)
	if err != nil {
		return err
	}
	w := rec.NewWriter(out, options)
	err = record(w)
	if closed := out.Close(); err == nil && closed != nil {
		err = fmt.Errorf("cannot write the recording: %w", closed)
	}
	if err == nil && w.Summary().Events == 0 {
		err = errNothingRecorded
	}
	if err != nil && o.output != "-" && empty(name) {
		return errors.Join(err, os.Remove(name)) // or it would stand in the way of the next try
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "recorded %s in %s\n", w.Summary(), name)
	return err
}

// open makes the file, which others cannot read.
func (o *recordOptions) open(cmd *cobra.Command) (out io.WriteCloser, name string, err error) {
	switch o.output {
	case "-":
		return unclosed{cmd.OutOrStdout()}, "standard output", nil
	case "":
		o.output = time.Now().UTC().Format("recording-20060102T150405Z.jsonl")
	}
	file, err := os.OpenFile(o.output, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, "", fmt.Errorf("%s exists already: remove it, or name another file with --output", o.output)
	}
	if err != nil {
		return nil, "", fmt.Errorf("cannot make the recording: %w; name another file with --output", err)
	}
	return file, o.output, nil
}

func empty(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() == 0
}

// unclosed is a writer that others go on to use.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// copy records from files, all of them as one.
func (o *recordOptions) copy(cmd *cobra.Command, names []string, options rec.Options) error {
	return o.write(cmd, options, func(w *rec.Writer) error {
		failed := false
		name, data, err := readInputs(cmd, names)
		if err == nil {
			err = rec.Copy(name, data, w)
		}
		for _, e := range flat(err) {
			failed = true
			fmt.Fprintf(cmd.ErrOrStderr(), "error: %v\n", e)
		}
		if failed {
			return errReported
		}
		return nil
	})
}

// watch records from a cluster until the time is over or somebody ends it.
func (o *recordOptions) watch(cmd *cobra.Command, options rec.Options) error {
	source, err := o.source(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if o.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(o.length))
		defer cancel()
	}
	scope := rec.Scope{Namespaces: o.namespaces, Applications: o.applications}
	if slices.Contains(o.namespaces, allNamespaces) {
		scope.Namespaces = nil
	}
	return o.write(cmd, options, func(w *rec.Writer) error {
		fmt.Fprintln(cmd.ErrOrStderr(), o.beginning())
		return rec.Watch(ctx, source, scope, w)
	})
}

// beginning tells what goes on, and for how long.
func (o *recordOptions) beginning() string {
	if o.length > 0 {
		return "recording for " + o.length.String() + "; Ctrl-C ends it earlier"
	}
	return "recording until Ctrl-C"
}
