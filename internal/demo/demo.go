// Package demo shows the controller at work on a machine that has no cluster: it starts a control plane of its own, runs
// the controller against it, and lets three recorded stories of a real Argo CD happen again, written through the API
// server as Argo wrote them.
//
// The stories are told at the speed at which they were recorded, about a minute, with every time moved by one offset so
// that they begin now. Telling them faster would make the figures wrong: the API server itself stamps when a ReplicaSet
// was created, and that time must keep its place among those that Argo wrote.
//
// At the end the events in the ledger are compared with what the same recordings lead to without a cluster. If they
// differ, the demo fails.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Ledger is what the demo reads of a ledger.
type Ledger interface {
	ledger.Reader
	Close() error
}

// Options of a demo. All are required but Keep.
type Options struct {
	// Assets is the folder of kube-apiserver, etcd and kubectl.
	Assets string
	// CRDs are the folders of our own and of Argo's custom resource definitions.
	CRDs []string
	// Recordings is the folder of recorded stories.
	Recordings string
	// Repositories is the folder for the git repository of the services; the controller has to allow it.
	Repositories string
	// LedgerPath is where the ledger is to lie. It is begun anew.
	LedgerPath string
	// Keep stays up after the stories until the context ends.
	Keep bool
	// Out is what the demo tells.
	Out io.Writer
	// Controller runs the controller until its context ends.
	Controller func(context.Context, *rest.Config) error
	// OpenLedger opens the ledger for reading while the controller writes it.
	OpenLedger func(context.Context) (Ledger, error)
}

// ErrStopped is returned when the context ended before the stories did.
var ErrStopped = errors.New("stopped before the end")

// stage is a demo that goes on.
type stage struct {
	Options
	plane *plane
	api   client.Client
	// database takes the events. Nil if this machine has no PostgreSQL.
	database *database
	// source is where the services' commits are.
	source *source
	// lines are what was told.
	lines []line
	// stopped gets what the controller returned.
	stopped chan error
}

// Run tells the stories. Whatever it started has ended when it returns; only the ledger stays.
func Run(ctx context.Context, o Options) (err error) {
	s := &stage{Options: o, stopped: make(chan error, 1)}
	s.sayf("making a git repository with the services' commits")
	if s.source, err = makeSource(ctx, o.Repositories, time.Now()); err != nil {
		return err
	}
	if err := s.openDatabase(ctx); err != nil {
		return err
	}
	if s.database != nil {
		defer func() { err = errors.Join(err, s.database.stop()) }()
	}
	s.sayf("starting etcd and kube-apiserver")
	if s.plane, err = startPlane(o.Assets, o.CRDs); err != nil {
		return err
	}
	defer func() {
		s.sayf("stopping")
		err = errors.Join(err, s.plane.stop())
	}()
	// Not before: a demo that cannot begin leaves what the last one has shown.
	if err := forget(o.LedgerPath); err != nil {
		return err
	}
	return s.runWithPlane(ctx)
}

func (s *stage) runWithPlane(ctx context.Context) (err error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(dorav1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return err
	}
	if s.api, err = client.New(s.plane.config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("cannot reach the control plane: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s.startController(ctx, cancel)
	err = s.runWithController(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	cancel(nil)
	return errors.Join(err, <-s.stopped)
}

// openDatabase starts PostgreSQL where there is one.
func (s *stage) openDatabase(ctx context.Context) (err error) {
	programs := findPostgres()
	if programs == "" {
		s.sayf("no PostgreSQL on this machine: the events go to no database")
		return nil
	}
	s.sayf("starting PostgreSQL, from %s", programs)
	s.database, err = startDatabase(ctx, programs)
	return err
}

// startController runs the controller beside the demo. If it ends by itself, so does the demo.
func (s *stage) startController(ctx context.Context, cancel context.CancelCauseFunc) {
	s.sayf("starting the controller")
	go func() {
		err := s.Controller(ctx, s.plane.config)
		if ctx.Err() == nil {
			cancel(fmt.Errorf("the controller ended: %w", err))
			err = nil
		}
		s.stopped <- err
	}()
}

func (s *stage) runWithController(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.connect, s.makeTarget, s.tellStories, s.report} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return ErrStopped // what failed on the way out is nobody's concern
			}
			return err
		}
	}
	s.stay(ctx)
	return nil
}

// stay keeps everything up, if that was asked for.
func (s *stage) stay(ctx context.Context) {
	if !s.Keep {
		return
	}
	s.sayf("staying up until Ctrl-C. In another terminal:")
	fmt.Fprintf(s.Out, "    export KUBECONFIG=%s\n", s.plane.kubeconfig)
	fmt.Fprintf(s.Out, "    %s get doratargets,dorasinks --all-namespaces --output wide\n", s.plane.kubectl)
	if d := s.database; d != nil {
		fmt.Fprintf(s.Out, "    PGPASSWORD=%s %s -h 127.0.0.1 -p %d -U %s %s\n", d.password, filepath.Join(d.programs, "psql"), d.port, role, role)
	}
	<-ctx.Done()
}

func (s *stage) sayf(format string, args ...any) {
	fmt.Fprintf(s.Out, "==> "+format+"\n", args...)
}

// forget removes the ledger of an earlier demo.
func forget(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove the ledger of an earlier demo: %w", err)
		}
	}
	return nil
}

// until asks again and again, a few times a second, until the answer is yes.
func until(ctx context.Context, limit time.Duration, what string, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s: not after %s", what, limit))
	defer cancel()
	ticks := time.NewTicker(200 * time.Millisecond)
	defer ticks.Stop()
	for {
		yes, err := ask(ctx)
		if err != nil || yes {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticks.C:
		}
	}
}
