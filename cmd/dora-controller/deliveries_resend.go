package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
)

// longRequest is how much of an annotation the controller reads.
const longRequest = 1024

// resendOptions are the flags of `deliveries resend`.
type resendOptions struct {
	requestOptions

	events  []string
	since   moment
	service string
}

func newResendCommand() *cobra.Command {
	o := &resendOptions{}
	cmd := &cobra.Command{
		Use:   "resend SINK",
		Short: "Send events to a sink again",
		Long: `Asks the controller that runs in the cluster to send events again that it recorded, those among them that the sink is meant to
get, and waits until they are queued. With several flags it means the events for which all of them hold. An event that comes
again has the same id; receivers end up with it once, in its newest form.

It writes the annotation dora-controller.io/resend of the DoraSink, as the user of the kubeconfig, and nothing else.`,
		Example: `  dora-controller deliveries resend port -n payments --event 5b0c1d1e-8d5a-5b7e-9c39-0a1b2c3d4e5f
  dora-controller deliveries resend payments/port --since 7d --service checkout`,
		Args: cobra.ExactArgs(1),
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.events, "event", nil, "the events with these ids")
	f.Var(&o.since, "since", "the events that occurred at or after this time, or this long ago: 2026-11-20T20:57:31Z, 12h, 7d")
	f.StringVar(&o.service, "service", "", "the events of this service")
	o.add(f)
	return cmd
}

func (o *resendOptions) run(cmd *cobra.Command, args []string) error {
	now := time.Now().UTC()
	value, err := o.annotation(now)
	if err != nil {
		return cli.Usage(cmd, err)
	}
	key, err := o.key(args[0])
	if err != nil {
		return cli.Usage(cmd, err)
	}
	api, err := sinkAPI(o.kubeconfig)
	if err != nil {
		return err
	}
	sinks, err := readSinks(cmd.Context(), api, []types.NamespacedName{key})
	if err != nil {
		return err
	}
	request := &sinkRequest{
		api: api, annotation: dorav1alpha1.AnnotationResend, value: value, sinks: sinks,
		answer: func(r *dorav1alpha1.SinkRequests) requestAnswer { return requestAnswer{r.Resend, r.Resent, r.Error} },
		done:   "queued again", none: "none of these events is meant for it and not owed to it already",
	}
	return request.make(cmd.Context(), cmd.OutOrStdout(), o.within())
}

// annotation is the request in the words that the controller reads. Its end makes each request a new one.
func (o *resendOptions) annotation(now time.Time) (string, error) {
	var words []string
	if len(o.events) > 0 {
		words = append(words, "event="+strings.Join(o.events, ","))
	}
	if since := o.since.before(now); !since.IsZero() {
		words = append(words, "since="+since.UTC().Format(time.RFC3339Nano))
	}
	if o.service != "" {
		words = append(words, "service="+o.service)
	}
	if len(words) == 0 {
		return "", errors.New("say which events: --event, --since or --service")
	}
	if slices.Contains(o.events, "") || strings.ContainsAny(strings.Join(words, ""), " \t\r\n#") {
		return "", errors.New("ids and services are not empty, and have neither spaces nor #")
	}
	value := strings.Join(words, " ") + " #" + now.Format(time.RFC3339Nano)
	if len(value) > longRequest {
		return "", fmt.Errorf("one request has room for some 25 ids, not for %d: ask several times, or use --since", len(o.events))
	}
	return value, nil
}
