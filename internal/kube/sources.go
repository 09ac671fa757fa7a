package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Sources find where the commits of a deployment are told: by the oldest target that selects its subject and has a source.
type Sources struct {
	// Targets are read from the cache.
	Targets *Targets
	// Live reads Secrets, and the annotations of Argo's objects, from the API server when they are needed: they are never watched.
	Live client.Reader
	// Lookup is what the ledger remembers of a subject.
	Lookup func(uid string) (ledger.Subject, bool)
}

// Owner names the target whose source holds for a deployment, namespace/name; empty if none does.
func (s *Sources) Owner(ctx context.Context, e *dora.Event) (string, error) {
	t, _, err := s.target(ctx, e)
	if t == nil {
		return "", err
	}
	return client.ObjectKeyFromObject(t.Object).String(), err
}

// Selecting are the targets that count a deployment.
func (s *Sources) Selecting(ctx context.Context, e *dora.Event) (Selection, error) {
	_, selection, err := s.target(ctx, e)
	return selection, err
}

func (s *Sources) target(ctx context.Context, e *dora.Event) (*Target, Selection, error) {
	view, err := s.Targets.View(ctx)
	if err != nil {
		return nil, nil, err
	}
	row, _ := s.Lookup(e.Subject.UID)
	selection := view.Remembering(e.Subject.Kind, e.Subject.Namespace, row.Labels)
	return selection.sourced(), selection, nil
}

// Source is what that target says of a deployment's commits, with the contents of its Secrets. Nil if there is none.
func (s *Sources) Source(ctx context.Context, e *dora.Event) (*commit.Source, error) {
	t, _, err := s.target(ctx, e)
	if t == nil || err != nil {
		return nil, err
	}
	spec := t.Source.spec
	source := &commit.Source{
		Kind: commit.Kind(spec.Provider), Hosts: t.Source.hosts, Image: string(spec.Image), Tags: t.Source.tags,
		RangeOptions: commit.RangeOptions{Clock: commit.Clock(spec.Time), Squash: spec.Squash},
	}
	row, _ := s.Lookup(e.Subject.UID)
	object := &described{e.Subject.Name, e.Subject.Namespace, e.Service, source.Carrier(e), row.Labels}
	if err := s.address(ctx, source, t.Source, e, object); err != nil {
		return nil, err
	}
	return source, s.secrets(ctx, source, t.Object.Namespace, spec)
}

// address fills in where the repository is, and which folder of it counts.
func (s *Sources) address(ctx context.Context, source *commit.Source, from *Source, e *dora.Event, object *described) error {
	var err error
	switch spec := &from.spec.Repository; {
	case spec.URL != "":
		source.Repository = from.repository
	case spec.Template != "":
		source.Repository, err = fillAddress(object, spec.Template)
	case spec.FromAnnotation != "":
		source.Foreign = true
		var text string
		if text, err = s.annotation(ctx, e, string(spec.FromAnnotation)); transient(err) {
			return err
		}
		if err == nil {
			if source.Repository, err = commit.NormalizeURL(text); err != nil {
				err = fmt.Errorf("annotation %s: %w", spec.FromAnnotation, err)
			}
		}
	}
	if err == nil {
		source.Path, err = object.fill(from.spec.Path)
	}
	if err != nil {
		source.Untold = err.Error()
	}
	return nil
}

func fillAddress(object *described, template string) (string, error) {
	text, err := object.fill(template)
	if err != nil {
		return "", err
	}
	address, err := commit.NormalizeURL(text)
	if err != nil {
		return "", fmt.Errorf("spec.source.repository.template: %w", err)
	}
	return address, nil
}

// untold is an error that says why something is not told. Asking again does not help.
type untold struct{ error }

func transient(err error) bool {
	_, final := errors.AsType[untold](err)
	return err != nil && !final
}

var argoGroup = schema.GroupVersion{Group: "argoproj.io", Version: "v1alpha1"}

// annotation reads an annotation of a subject from the API server: the cache keeps none, since they can be large.
func (s *Sources) annotation(ctx context.Context, e *dora.Event, key string) (string, error) {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(argoGroup.WithKind(string(e.Subject.Kind)))
	err := s.Live.Get(ctx, types.NamespacedName{Namespace: e.Subject.Namespace, Name: e.Subject.Name}, object)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return "", untold{fmt.Errorf("the %s that has the annotation %s is gone", e.Subject.Kind, key)}
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the annotation %s: %w", key, err)
	}
	if text := object.Annotations[key]; text != "" {
		return text, nil
	}
	return "", untold{fmt.Errorf("the %s has no annotation %s", e.Subject.Kind, key)}
}

// secrets fills in credentials, from Secrets of the target's own namespace.
func (s *Sources) secrets(ctx context.Context, source *commit.Source, namespace string, spec *dorav1alpha1.Source) error {
	if spec.SecretRef != nil {
		data, err := s.secret(ctx, namespace, spec.SecretRef.Name)
		if err != nil {
			return err
		}
		if source.Credentials, err = commit.ReadCredentials(data); err != nil {
			return fmt.Errorf("%w: Secret %s/%s: %w", commit.ErrSecret, namespace, spec.SecretRef.Name, err)
		}
	}
	for _, ref := range spec.PullSecrets {
		data, err := s.secret(ctx, namespace, ref.Name)
		if err != nil {
			return err
		}
		raw, ok := data[corev1.DockerConfigJsonKey]
		if !ok {
			return fmt.Errorf("%w: Secret %s/%s has no key %s: make it with kubectl create secret docker-registry",
				commit.ErrSecret, namespace, ref.Name, corev1.DockerConfigJsonKey)
		}
		source.Pull = append(source.Pull, raw)
	}
	return nil
}

func (s *Sources) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	data, err := ReadSecret(ctx, s.Live, namespace, name, "spec.source")
	if mend, ok := errors.AsType[*SecretError](err); ok {
		return nil, fmt.Errorf("%w: %w", commit.ErrSecret, mend)
	}
	return data, err
}
