package app

import (
	"context"
	"fmt"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/git"
	"github.com/dora-controller/dora-controller/internal/commit/gitea"
	"github.com/dora-controller/dora-controller/internal/commit/github"
	"github.com/dora-controller/dora-controller/internal/commit/gitlab"
	"github.com/dora-controller/dora-controller/internal/commit/oci"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/enrich"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/record"
)

// newResolver chooses the drivers that find commits.
func newResolver(o *Options, cache commit.Cache, limits *enrich.RateLimits) (*commit.Resolver, error) {
	guard := egress.Guard{Allowed: o.AllowNetworks}
	repositories, err := git.New(git.Options{
		Folder: o.GitCache, MaxBytes: o.GitCacheBytes, LocalRoot: o.LocalRepositories, Guard: guard,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot use the folder of git repositories: %w", err)
	}
	images, err := oci.New(oci.Options{Guard: guard})
	if err != nil {
		return nil, fmt.Errorf("cannot ask registries: %w", err)
	}
	return traced(o, &commit.Resolver{
		Providers: map[commit.Kind]commit.Provider{
			commit.Git:    repositories,
			commit.GitHub: github.New(github.Options{Guard: guard, OnLimit: limits.Told}),
			commit.GitLab: gitlab.New(gitlab.Options{Guard: guard, OnLimit: limits.Told}),
			commit.Gitea:  gitea.New(gitea.Options{Guard: guard, OnLimit: limits.Told}),
		},
		Images: images, Cache: cache,
	}), nil
}

// traced tells what servers are asked, if somebody wants to know.
func traced(o *Options, r *commit.Resolver) *commit.Resolver {
	if o.Tracer == nil {
		return r
	}
	for kind, provider := range r.Providers {
		r.Providers[kind] = commit.Traced(kind, provider)
	}
	r.Images = commit.TracedImages(r.Images)
	return r
}

// newCompleter makes the worker that finds the commits of deployments.
func (l *leader) newCompleter(w *work, store ledger.Store, recorder *record.Recorder, counting *record.Prometheus) (*enrich.Worker, error) {
	resolver, err := newResolver(l.options, store, enrich.NewRateLimits(w.metrics))
	if err != nil {
		return nil, err
	}
	sources := &kube.Sources{Targets: w.controllers.Targets, Live: l.mgr.GetAPIReader(), Lookup: recorder.Lookup}
	return enrich.New(store, sources, resolver, enrich.Options{
		Sinks: owedFacts(sources, w.controllers.Sinks), Owed: w.dispatcher.Notify, Metrics: counting, Clock: l.options.Clock,
		Log: l.mgr.GetLogger().WithName("commits"), Tracer: l.options.Tracer, Board: l.options.board,
		Told: func(ctx context.Context, e *dora.Event) {
			if selection, err := sources.Selecting(ctx, e); err == nil {
				w.controllers.Figures.Ask(time.Second, selection.Names()...)
			}
		},
	}), nil
}

// owedFacts tells which sinks are owed an event again, now that its commits are known.
func owedFacts(sources *kube.Sources, sinks *kube.Sinks) func(ctx context.Context, e *dora.Event) ([]string, error) {
	return func(ctx context.Context, e *dora.Event) ([]string, error) {
		selection, err := sources.Selecting(ctx, e)
		if err != nil {
			return nil, err
		}
		return sinks.Owed(ctx, selection)
	}
}
