package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// requestOptions are the flags of commands that ask something of sinks.
type requestOptions struct {
	namespace, kubeconfig string
	wait                  duration
}

func (o *requestOptions) add(f *pflag.FlagSet) {
	o.wait = duration(time.Minute)
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the sinks (default: \"default\")")
	f.Var(&o.wait, "wait", "how long to wait until the controller has done it; 0 does not wait")
	addKubeconfigFlag(f, &o.kubeconfig)
}

func addKubeconfigFlag(f *pflag.FlagSet, kubeconfig *string) {
	f.StringVar(kubeconfig, "kubeconfig", "", "file that says how to reach the cluster (default: KUBECONFIG, or ~/.kube/config)")
}

func (o *requestOptions) within() time.Duration { return time.Duration(o.wait) }

// key is the sink that an argument names: in the namespace of the flag, or as namespace/name.
func (o *requestOptions) key(argument string) (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(argument, "/")
	if !ok {
		namespace, name = cmp.Or(o.namespace, "default"), argument
	}
	if ok && o.namespace != "" && o.namespace != namespace {
		return types.NamespacedName{}, fmt.Errorf("%s is not in the namespace %s: leave out --namespace", argument, o.namespace)
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return types.NamespacedName{}, fmt.Errorf("%q is no sink: write its name, or namespace/name", argument)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// Each question to the API server is given up after this time.
const apiTimeout = 30 * time.Second

func sinkAPI(kubeconfig string) (client.Client, error) {
	config, err := clusterConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.Timeout = apiTimeout
	config.QPS = -1 // the server has limits of its own
	scheme := runtime.NewScheme()
	if err := dorav1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	return api, inPlainWords("cannot reach the cluster", err)
}

// inPlainWords says what could not be done, and what to do about it.
func inPlainWords(doing string, err error) error {
	var unreachable *url.Error
	switch {
	case err == nil:
		return nil
	case meta.IsNoMatchError(err):
		return fmt.Errorf("%s: this cluster does not know the kind; install it with kubectl apply --server-side -k config/crd, "+
			"or name another cluster with --kubeconfig", doing)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: there is none of that name; see dora-controller sinks -A", doing)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: %w; ask for the ClusterRole dora-controller-dorasink-editor in that namespace", doing, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the cluster does not know who asks; log in again, or name another kubeconfig with --kubeconfig", doing)
	case errors.As(err, &unreachable):
		return fmt.Errorf("%s: the cluster does not answer: %w; see whether it is up, or name another one with --kubeconfig", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func readSinks(ctx context.Context, api client.Client, keys []types.NamespacedName) ([]dorav1alpha1.DoraSink, error) {
	sinks := make([]dorav1alpha1.DoraSink, len(keys))
	for i, key := range keys {
		if err := api.Get(ctx, key, &sinks[i]); err != nil {
			return nil, inPlainWords("cannot read DoraSink "+key.String(), err)
		}
	}
	return sinks, nil
}

// sinkRequest asks something of some sinks, by an annotation, and tells what their status says of it.
type sinkRequest struct {
	api               client.Client
	annotation, value string
	sinks             []dorav1alpha1.DoraSink
	answer            func(*dorav1alpha1.SinkRequests) requestAnswer
	// done is what was done with events; none is why it was with none.
	done, none string
}

// requestAnswer is what a sink's status says of requests of one kind.
type requestAnswer struct {
	request string // that was heeded last
	events  int64  // that it concerned
	refused string // what was wrong with it
}

func (r *sinkRequest) make(ctx context.Context, out io.Writer, within time.Duration) error {
	if err := r.ask(ctx); err != nil {
		return err
	}
	err := r.wait(ctx, within)
	return errors.Join(err, r.print(out))
}

func (r *sinkRequest) ask(ctx context.Context) error {
	for i := range r.sinks {
		sink := &r.sinks[i]
		before := sink.DeepCopy()
		if sink.Annotations == nil {
			sink.Annotations = map[string]string{}
		}
		sink.Annotations[r.annotation] = r.value
		if err := r.api.Patch(ctx, sink, client.MergeFrom(before)); err != nil {
			return inPlainWords("cannot annotate DoraSink "+nameOfSink(sink), err)
		}
	}
	return nil
}

const requestLook = 500 * time.Millisecond

// wait looks at the sinks until the request was heeded for all of them.
func (r *sinkRequest) wait(ctx context.Context, within time.Duration) error {
	if within == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticks := time.NewTicker(requestLook)
	defer ticks.Stop()
	for {
		done, err := r.look(bounded)
		if done || err != nil && bounded.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped waiting; what was asked for stays asked for: %w", ctx.Err())
		case <-bounded.Done():
			return fmt.Errorf("not done within %s: see whether the controller runs; what was asked for stays asked for", within)
		case <-ticks.C:
		}
	}
}

func (r *sinkRequest) look(ctx context.Context) (done bool, err error) {
	done = true
	for i := range r.sinks {
		sink := &r.sinks[i]
		if _, heeded := r.heeded(sink); heeded {
			continue
		}
		if err := r.api.Get(ctx, client.ObjectKeyFromObject(sink), sink); err != nil {
			return false, inPlainWords("cannot read DoraSink "+nameOfSink(sink), err)
		}
		_, heeded := r.heeded(sink)
		done = done && heeded
	}
	return done, nil
}

func (r *sinkRequest) heeded(sink *dorav1alpha1.DoraSink) (requestAnswer, bool) {
	if sink.Status.Requests == nil {
		return requestAnswer{}, false
	}
	answer := r.answer(sink.Status.Requests)
	return answer, answer.request == r.value
}

// print tells what became of the request, and returns what was wrong with it.
func (r *sinkRequest) print(out io.Writer) (err error) {
	for i := range r.sinks {
		name := nameOfSink(&r.sinks[i])
		switch answer, heeded := r.heeded(&r.sinks[i]); {
		case !heeded:
			fmt.Fprintf(out, "%s: asked for\n", name)
		case answer.refused != "":
			err = errors.Join(err, fmt.Errorf("%s: %s", name, answer.refused))
		case answer.events == 0:
			fmt.Fprintf(out, "%s: no event %s: %s\n", name, r.done, r.none)
		case answer.events == 1:
			fmt.Fprintf(out, "%s: 1 event %s\n", name, r.done)
		default:
			fmt.Fprintf(out, "%s: %d events %s\n", name, answer.events, r.done)
		}
	}
	return err
}

func nameOfSink(sink *dorav1alpha1.DoraSink) string { return client.ObjectKeyFromObject(sink).String() }
