package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dora-controller/dora-controller/internal/bundle"
	"github.com/dora-controller/dora-controller/internal/doctor"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/show"
)

const (
	// maxLog is how much of a log is asked for, and logLines how many lines.
	maxLog   = 2 << 20
	logLines = 5000
	// summaryOf is how far back the ledger is summed up.
	summaryOf = 30 * 24 * time.Hour
	// bundleTimeout bounds each part of an archive.
	bundleTimeout = 20 * time.Second
)

// bundleOptions are the flags of `bundle`.
type bundleOptions struct {
	*connection

	file   string
	redact bool
}

func newBundleCommand(c *connection) *cobra.Command {
	o := &bundleOptions{connection: c}
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Make a redacted archive to send to whoever helps",
		Long: `Writes a tar.gz of what somebody needs who helps: versions, CustomResourceDefinitions, DoraTargets, DoraSinks and DoraReceivers, the controller's
manifest without the values of its environment, its logs, the Kubernetes events of its namespace, what doctor finds, and a summary of the ledger. It prints a
list of what is in it; the archive has that list, too, with what could not be read and why.

No Secret is read. What looks like a credential is replaced, in logs as well. With --redact the names of Secrets are hashed. Look through it before you
send it: names of services, images, repositories and hosts are in it.`,
		Example: `  kubectl dora bundle
  kubectl dora bundle --redact -o support.tar.gz`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "output", "o", "", "file to write, - for standard output (default: dora-bundle-TIME.tar.gz)")
	f.BoolVar(&o.redact, "redact", false, "hash the names of Secrets")
	cobra.CheckErr(cmd.MarkFlagFilename("output", "tar.gz"))
	return cmd
}

func (o *bundleOptions) run(cmd *cobra.Command, _ []string) error {
	cl, err := o.connect()
	if err != nil {
		return err
	}
	now := time.Now()
	b := bundle.New(bundle.Options{HashNames: o.redact, Made: now})
	if err := o.fill(cmd.Context(), cl, b, now); err != nil {
		return err
	}
	if o.file == "-" {
		return b.Write(cmd.OutOrStdout())
	}
	name := o.file
	if name == "" {
		name = "dora-bundle-" + now.UTC().Format("20060102-150405") + ".tar.gz"
	}
	if err := writeBundle(name, b); err != nil {
		return err
	}
	return printBundle(cmd.OutOrStdout(), name, b)
}

func writeBundle(name string, b *bundle.Bundle) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // it is the file that the user names
	if err != nil {
		return fmt.Errorf("cannot write the archive: %w; name another file with -o", err)
	}
	return errors.Join(b.Write(file), file.Close())
}

func printBundle(out io.Writer, name string, b *bundle.Bundle) error {
	fmt.Fprintf(out, "%s:\n", name)
	table := show.NewGrid("FILE", "BYTES")
	for _, e := range b.Entries() {
		table.Add(e.Name, strconv.Itoa(e.Bytes))
	}
	err := table.Print(out)
	for _, note := range b.Notes() {
		fmt.Fprintf(out, "not in it: %s\n", show.Printable(note))
	}
	fmt.Fprintln(out, "No Secret was read. Look through it before you send it.")
	return err
}

// fill reads the parts; what cannot be read is noted. Only a cluster that does not answer at all is an error.
func (o *bundleOptions) fill(ctx context.Context, cl *cluster, b *bundle.Bundle, now time.Time) error {
	snapshot, err := o.snapshot(ctx, cl)
	if err != nil {
		return err
	}
	namespace, err := o.doctorNamespace()
	if err != nil {
		return err
	}
	own := firstOf(snapshot.ControllerNamespace, o.controllerNamespace)
	for _, part := range []struct {
		name string
		add  func(context.Context) error
	}{
		{"versions.txt", func(ctx context.Context) error { return addVersions(ctx, cl, b, snapshot) }},
		{"crds.yaml", func(ctx context.Context) error { return addCRDs(ctx, cl, b) }},
		{"doratargets.yaml", func(ctx context.Context) error {
			return addAll(ctx, cl, b, "doratargets.yaml", targetKind, namespace, "")
		}},
		{"dorasinks.yaml", func(ctx context.Context) error { return addAll(ctx, cl, b, "dorasinks.yaml", sinkKind, namespace, "") }},
		{"dorareceivers.yaml", func(ctx context.Context) error {
			return addAll(ctx, cl, b, "dorareceivers.yaml", receiverKind, namespace, "")
		}},
		{"controller/deployment.yaml", func(ctx context.Context) error {
			return errors.Join(addAll(ctx, cl, b, "controller/deployment.yaml", deploymentKind, own, controllerLabels),
				addAll(ctx, cl, b, "controller/statefulset.yaml", statefulSetKind, own, controllerLabels))
		}},
		{"controller/pods.yaml", func(ctx context.Context) error {
			return addAll(ctx, cl, b, "controller/pods.yaml", podKind, own, controllerLabels)
		}},
		{"controller/events.yaml", func(ctx context.Context) error {
			return addAll(ctx, cl, b, "controller/events.yaml", eventKind, own, "")
		}},
		{"logs", func(ctx context.Context) error { return o.addLogs(ctx, cl, b) }},
		{"doctor.json", func(context.Context) error { return addDoctor(b, snapshot) }},
		{"ledger.txt", func(ctx context.Context) error { return o.addLedger(ctx, b, now) }},
	} {
		within, stop := context.WithTimeout(ctx, bundleTimeout)
		if err := part.add(within); err != nil {
			b.Missing(part.name, err)
		}
		stop()
	}
	return nil
}

func firstOf(names ...string) string {
	for _, name := range names {
		if name != "" {
			return name
		}
	}
	return usualNamespace
}

func addVersions(ctx context.Context, cl *cluster, b *bundle.Bundle, s *doctor.Snapshot) error {
	var text strings.Builder
	fmt.Fprintf(&text, "kubectl-dora %s\n", buildVersion())
	for _, pod := range s.Pods {
		fmt.Fprintf(&text, "controller %s/%s %s\n", pod.Namespace, pod.Name, pod.Image)
	}
	answer, err := cl.get(ctx, "version")
	if err == nil {
		var server struct {
			GitVersion string `json:"gitVersion"`
		}
		err = json.Unmarshal(answer, &server)
		fmt.Fprintf(&text, "kubernetes %s\n", server.GitVersion)
	}
	b.Add("versions.txt", text.String())
	return err
}

func addCRDs(ctx context.Context, cl *cluster, b *bundle.Bundle) error {
	var found []map[string]any
	for _, name := range []string{doctor.TargetCRD, doctor.SinkCRD, doctor.ReceiverCRD} {
		o, err := cl.api.Resource(crdKind).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return inPlainWords("cannot read CustomResourceDefinition "+name, err)
		}
		found = append(found, o.Object)
	}
	return b.Objects("crds.yaml", found...)
}

func addAll(ctx context.Context, cl *cluster, b *bundle.Bundle, file string, kind schema.GroupVersionResource, namespace, labels string) error {
	var found []map[string]any
	err := cl.each(ctx, kind, namespace, metav1.ListOptions{LabelSelector: labels}, func(o *unstructured.Unstructured) error {
		found = append(found, o.Object)
		return nil
	})
	if err != nil || len(found) == 0 {
		return err
	}
	return b.Objects(file, found...)
}

// addLogs adds the logs of the controller's pods, also of the run before the last restart.
func (o *bundleOptions) addLogs(ctx context.Context, cl *cluster, b *bundle.Bundle) error {
	pods, err := o.controllerPods(ctx, cl)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return errors.New("there is no pod of the controller")
	}
	var missing []error
	for i := range pods {
		pod := &pods[i]
		container := controllerContainer(pod.Annotations, &pod.Spec).Name
		for _, previous := range []bool{false, true} {
			if previous && !restarted(pod) {
				continue
			}
			path := fmt.Sprintf("api/v1/namespaces/%s/pods/%s/log?container=%s&tailLines=%d&limitBytes=%d&previous=%t",
				pod.Namespace, pod.Name, container, logLines, maxLog, previous)
			text, err := cl.get(ctx, path)
			if err != nil {
				missing = append(missing, err)
				continue
			}
			b.Add("logs/"+pod.Name+map[bool]string{true: "-previous"}[previous]+".log", string(text))
		}
	}
	return errors.Join(missing...)
}

func restarted(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.RestartCount > 0 })
}

// addDoctor adds what doctor finds.
func addDoctor(b *bundle.Bundle, s *doctor.Snapshot) error {
	text, err := json.MarshalIndent(doctor.Examine(s), "", "  ")
	if err != nil {
		return err
	}
	for _, n := range s.NamedSecrets() {
		b.Secret(n.Name) // and so it is hidden wherever it stands
	}
	b.Add("doctor.json", string(text))
	return nil
}

// addLedger adds how many events of each kind the ledger has of the last days.
func (o *bundleOptions) addLedger(ctx context.Context, b *bundle.Bundle, now time.Time) error {
	h, err := o.history(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	counts, last := map[string]int{}, time.Time{}
	err = h.events(ctx, eventQuery{since: now.Add(-summaryOf)}, func(e *dora.Event) error {
		counts[strings.TrimSpace(string(e.Type)+" "+string(e.Outcome))]++
		if e.OccurredAt.After(last) {
			last = e.OccurredAt
		}
		return nil
	})
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Events of the last 30 days; the newest occurred %s\n", firstOf(stamp(last), "never"))
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&text, "%s: %d\n", kind, counts[kind])
	}
	b.Add("ledger.txt", text.String())
	return nil
}

// get reads a path of the API server that is no object, such as a log.
func (c *cluster) get(ctx context.Context, path string) ([]byte, error) {
	answer, err := c.ask(ctx, path, "*/*")
	path, _, _ = strings.Cut(path, "?")
	if err != nil {
		return nil, inPlainWords("cannot read "+path, err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot read %s: %s; docs/kubectl-dora.md lists the rights that each command needs", path, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxLog))
}
