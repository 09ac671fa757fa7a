package kube

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// The indexes of the cache.
const (
	indexManaged    = "managedRollouts" // of Applications: namespace/name of each Rollout they list
	indexName       = "name"            // of Applications
	indexOwner      = "trackedBy"       // of Rollouts: the Application's name in their tracking id
	indexController = "controllerUID"   // of ReplicaSets
)

// NewScheme knows the kinds that are read and written.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(
		clientgoscheme.AddToScheme(scheme),
		dorav1alpha1.AddToScheme(scheme),
		argocd.AddToScheme(scheme),
		rollouts.AddToScheme(scheme),
	)
}

// CacheOptions keep what decisions need and nothing else, and have the server send no more: of ReplicaSets those of Rollouts, and of all other
// kinds the objects of a shard, which without a name are those that carry no label of one. Without namespaces, all of them are watched.
func CacheOptions(namespaces []string, shard string) (cache.Options, error) {
	ofRollouts, err := labels.NewRequirement(rollouts.HashLabel, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, fmt.Errorf("cannot select the ReplicaSets of Rollouts: %w", err)
	}
	ofShard, err := labels.NewRequirement(dorav1alpha1.LabelShard, selection.DoesNotExist, nil)
	if shard != "" {
		ofShard, err = labels.NewRequirement(dorav1alpha1.LabelShard, selection.Equals, []string{shard})
	}
	if err != nil {
		return cache.Options{}, fmt.Errorf("cannot select the objects of shard %q: %w", shard, err)
	}
	options := cache.Options{
		ReaderFailOnMissingInformer: true, // nothing is watched by accident
		DefaultTransform:            Trim,
		DefaultLabelSelector:        labels.NewSelector().Add(*ofShard),
		// Kinds that may be missing cannot be named here: the cache asks the server about each.
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.ReplicaSet{}: {Label: labels.NewSelector().Add(*ofRollouts)},
		},
	}
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return options, nil
}

// Trim drops what no decision reads.
func Trim(obj any) (any, error) {
	switch obj.(type) {
	case *argocd.Application:
		return argocd.Trim(obj)
	case *rollouts.Rollout, *appsv1.ReplicaSet:
		return rollouts.Trim(obj)
	}
	return cache.TransformStripManagedFields()(obj)
}

// Index starts to watch the objects of a kind, and what is needed with them, and indexes them. The kind must be installed.
func Index(ctx context.Context, indexer client.FieldIndexer, kind dora.Kind) error {
	for _, index := range indexes(kind) {
		if err := indexer.IndexField(ctx, index.of, index.name, index.values); err != nil {
			return fmt.Errorf("cannot index %T by %s: %w", index.of, index.name, err)
		}
	}
	return nil
}

type index struct {
	of     client.Object
	name   string
	values client.IndexerFunc
}

func indexes(kind dora.Kind) []index {
	if kind == dora.KindApplication {
		return []index{
			{&argocd.Application{}, indexManaged, managedRollouts},
			{&argocd.Application{}, indexName, func(o client.Object) []string { return []string{o.GetName()} }},
		}
	}
	return []index{
		{&rollouts.Rollout{}, indexOwner, trackedBy},
		{&appsv1.ReplicaSet{}, indexController, controllerUID},
	}
}

func managedRollouts(o client.Object) []string {
	app, ok := o.(*argocd.Application)
	if !ok {
		return nil
	}
	var names []string
	for _, name := range argocd.ManagedRollouts(app) {
		names = append(names, name.String())
	}
	return names
}

func trackedBy(o client.Object) []string {
	ro, ok := o.(*rollouts.Rollout)
	if !ok {
		return nil
	}
	if owner, tracked := rollouts.Owner(ro); tracked {
		return []string{owner.Name}
	}
	return nil
}

func controllerUID(o client.Object) []string {
	if owner := metav1.GetControllerOfNoCopy(o); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}
