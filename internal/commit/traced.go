package commit

import (
	"context"
	"errors"

	"github.com/dora-controller/dora-controller/internal/tracing"
)

// Traced tells what a provider is asked.
func Traced(kind Kind, provider Provider) Provider { return &tracedProvider{provider, kind} }

type tracedProvider struct {
	provider Provider
	kind     Kind
}

// Open implements Provider.
func (p *tracedProvider) Open(ctx context.Context, at Location) (Repository, error) {
	said := []tracing.Attribute{tracing.Text(tracing.Provider, string(p.kind)), tracing.Text(tracing.Host, HostOf(at.URL))}
	ctx, end := tracing.Part(ctx, "open repository", said...)
	repository, err := p.provider.Open(ctx, at)
	end(failed(err))
	if err != nil {
		return nil, err
	}
	return &tracedRepository{repository, said}, nil
}

type tracedRepository struct {
	repository Repository
	said       []tracing.Attribute
}

// Commit implements Repository.
func (r *tracedRepository) Commit(ctx context.Context, sha string) (string, error) {
	ctx, end := tracing.Part(ctx, "read commit", r.said...)
	full, err := r.repository.Commit(ctx, sha)
	end(failed(err))
	return full, err
}

// Tag implements Repository.
func (r *tracedRepository) Tag(ctx context.Context, name string) (string, error) {
	ctx, end := tracing.Part(ctx, "read tag", r.said...)
	full, err := r.repository.Tag(ctx, name)
	end(failed(err))
	return full, err
}

// Range implements Repository.
func (r *tracedRepository) Range(ctx context.Context, base, head string, o RangeOptions) (Range, error) {
	ctx, end := tracing.Part(ctx, "read range", r.said...)
	found, err := r.repository.Range(ctx, base, head, o)
	end(failed(err))
	return found, err
}

// Close implements Repository.
func (r *tracedRepository) Close() error { return r.repository.Close() }

// TracedImages tells what registries are asked.
func TracedImages(images Inspector) Inspector { return tracedImages{images} }

type tracedImages struct{ images Inspector }

// Labels implements Inspector.
func (i tracedImages) Labels(ctx context.Context, image string, pull PullSecrets) (Labels, error) {
	ctx, end := tracing.Part(ctx, "read labels", tracing.Text(tracing.Provider, "registry"))
	labels, err := i.images.Labels(ctx, image, pull)
	end(failed(err))
	return labels, err
}

// failed is the reason of an error; none for one that is an answer.
func failed(err error) string {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotAncestor) {
		return ""
	}
	return string(ReasonOf(err))
}
