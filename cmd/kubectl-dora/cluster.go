package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/cli"
)

const (
	// apiTimeout is after which a question to the API server is given up.
	apiTimeout = 30 * time.Second
	// pageSize is how many objects are asked for at once.
	pageSize = 250
)

// What is read of a cluster.
var (
	targetKind             = dorav1alpha1.GroupVersion.WithResource("doratargets")
	sinkKind               = dorav1alpha1.GroupVersion.WithResource("dorasinks")
	receiverKind           = dorav1alpha1.GroupVersion.WithResource("dorareceivers")
	serviceKind            = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	podKind                = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	eventKind              = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	deploymentKind         = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	statefulSetKind        = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	leaseKind              = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	clusterRoleKind        = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	clusterRoleBindingKind = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"}
	crdKind                = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	applicationKind        = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	rolloutKind            = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
)

// connection is what the flags that all commands share say.
type connection struct {
	kubeconfig          string
	overrides           clientcmd.ConfigOverrides
	all                 bool
	controllerNamespace string
	ledger              string
	tell                io.Writer // for notes beside an answer
}

func (c *connection) addFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "file that says how to reach the cluster (default: KUBECONFIG, or ~/.kube/config)")
	f.StringVar(&c.overrides.CurrentContext, "context", "", "context of the kubeconfig to use")
	f.StringVar(&c.overrides.Context.Cluster, "cluster", "", "cluster of the kubeconfig to use")
	f.StringVar(&c.overrides.Context.AuthInfo, "user", "", "user of the kubeconfig to use")
	f.StringVar(&c.overrides.AuthInfo.Impersonate, "as", "", "user to act as")
	f.StringSliceVar(&c.overrides.AuthInfo.ImpersonateGroups, "as-group", nil, "group to act as")
	f.StringVarP(&c.overrides.Context.Namespace, "namespace", "n", "", "namespace of the DoraTargets and DoraSinks (default: that of the context)")
	f.BoolVarP(&c.all, "all-namespaces", "A", false, "look in all namespaces")
	f.StringVar(&c.controllerNamespace, "controller-namespace", "", "namespace that the controller runs in (default: looked for)")
	f.StringVar(&c.ledger, "ledger", "", "read events from this file, a ledger or a copy of one, instead of asking the controller's pod")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("namespace", c.completeNamespaces))
	cobra.CheckErr(cmd.MarkPersistentFlagFilename("ledger"))
	cobra.CheckErr(cmd.MarkPersistentFlagFilename("kubeconfig"))
}

func (c *connection) client() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &c.overrides)
}

// namespace is the one that is asked about; empty means all.
func (c *connection) namespace() (string, error) {
	if c.all {
		if c.overrides.Context.Namespace != "" {
			return "", errAllAndOne
		}
		return "", nil
	}
	name, _, err := c.client().Namespace()
	if err != nil {
		return "", fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	return name, nil
}

var errAllAndOne = errors.New("--all-namespaces means every namespace: leave out --namespace")

// flagsAtFault makes an error of namespace one of the command line, if the flags are why: the kubeconfig may be, too.
func flagsAtFault(cmd *cobra.Command, err error) error {
	if errors.Is(err, errAllAndOne) {
		return cli.Usage(cmd, err)
	}
	return err
}

// cluster is the way to an API server.
type cluster struct {
	config *rest.Config
	api    dynamic.Interface
}

func (c *connection) connect() (*cluster, error) {
	config, err := c.client().ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig: %w; name one with --kubeconfig", err)
	}
	config.Timeout = apiTimeout
	config.QPS = -1 // the server has limits of its own
	config.UserAgent = "kubectl-dora/" + buildVersion()
	config.WarningHandler = rest.NoWarnings{}
	api, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig: %w", err)
	}
	return &cluster{config: config, api: api}, nil
}

// each hands all objects of a kind to visit, page by page, until that returns an error. No namespace means all.
func (c *cluster) each(
	ctx context.Context, kind schema.GroupVersionResource, namespace string, opts metav1.ListOptions, visit func(*unstructured.Unstructured) error,
) error {
	opts.Limit = pageSize
	for {
		page, err := c.api.Resource(kind).Namespace(namespace).List(ctx, opts)
		if err != nil {
			return inPlainWords("cannot list "+kind.GroupResource().String()+in(namespace), err)
		}
		for i := range page.Items {
			if err := visit(&page.Items[i]); err != nil {
				return err
			}
		}
		opts.Continue = page.GetContinue()
		if opts.Continue == "" {
			return nil
		}
	}
}

// listOf lists all objects of a kind, read into a Go type.
func listOf[T any](ctx context.Context, c *cluster, kind schema.GroupVersionResource, namespace string, opts metav1.ListOptions) ([]T, error) {
	var all []T
	err := c.each(ctx, kind, namespace, opts, func(o *unstructured.Unstructured) error {
		object, err := readAs[T](o)
		all = append(all, object)
		return err
	})
	return all, err
}

func getAs[T any](ctx context.Context, c *cluster, kind schema.GroupVersionResource, namespace, name string) (T, error) {
	o, err := c.api.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		var none T
		return none, inPlainWords("cannot read "+kind.GroupResource().String()+" "+name+in(namespace), err)
	}
	return readAs[T](o)
}

func readAs[T any](o *unstructured.Unstructured) (T, error) {
	var object T
	o.SetManagedFields(nil)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &object); err != nil {
		return object, fmt.Errorf("cannot understand %s %s/%s: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err)
	}
	return object, nil
}

// targets are those of the namespace that the flags mean, or the one of that name.
func (c *connection) targets(ctx context.Context, cl *cluster, name string) ([]dorav1alpha1.DoraTarget, error) {
	namespace, err := c.namespace()
	if err != nil {
		return nil, err
	}
	if name == "" {
		return listOf[dorav1alpha1.DoraTarget](ctx, cl, targetKind, namespace, metav1.ListOptions{})
	}
	if namespace != "" {
		target, err := getAs[dorav1alpha1.DoraTarget](ctx, cl, targetKind, namespace, name)
		return []dorav1alpha1.DoraTarget{target}, err
	}
	found, err := listOf[dorav1alpha1.DoraTarget](ctx, cl, targetKind, "", metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("there is no DoraTarget %q in any namespace; see kubectl get doratargets -A", name)
	}
	return found, err
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + namespace
}

// inPlainWords says what could not be done, and what to do about it.
func inPlainWords(doing string, err error) error {
	var unreachable *url.Error
	switch {
	case err == nil:
		return nil
	case meta.IsNoMatchError(err):
		return fmt.Errorf("%s: this cluster does not know the kind: %w", doing, err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: there is none: %w", doing, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: you may not: %w; docs/kubectl-dora.md lists the rights that each command needs", doing, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the cluster does not know who asks: log in again, or name another kubeconfig with --kubeconfig: %w", doing, err)
	case errors.As(err, &unreachable):
		return fmt.Errorf("%s: the cluster does not answer: %w; see whether it is up, or name another one with --kubeconfig", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
