package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// shared tells whether the ledger is in a database, and no file: then replicas may stand by, ready, on other machines.
func (o Options) shared() bool { return postgres.IsURL(o.Ledger) }

func (o Options) validateLedger() error {
	switch {
	case o.Ledger == "":
		return errors.New("--ledger is empty: name the file that events are kept in, such as /var/lib/dora-controller/ledger.db, " +
			"or a database, such as postgres://dora@db.example.com/dora")
	case o.shared():
		if err := postgres.CheckURL(o.Ledger); err != nil {
			return fmt.Errorf("--ledger: %w", err)
		}
		return nil
	}
	return validateFile(o.Ledger)
}

// noFile is in what somebody meant for a database: a URL, or settings in libpq's form, which may hold a password.
var noFile = regexp.MustCompile(`(?i)://|\b(host|dbname|password)\s*=`)

// checkFile refuses what would be taken for a path, without repeating it.
func checkFile(path string) error {
	if noFile.MatchString(path) {
		return errors.New("that is neither a file nor the URL of a database: write a path, such as /var/lib/dora-controller/ledger.db, " +
			"or postgres://user@host:5432/database, with the password in PGPASSWORD or PGPASSFILE")
	}
	return nil
}

// ledgerName is what a ledger is called among those in a database. No cluster has a slash in its name.
func (o Options) ledgerName() string {
	if o.Shard == "" {
		return o.Cluster
	}
	return o.Cluster + "/" + o.Shard
}

// openStore opens the ledger for the process that leads, in a Kubernetes cluster that may be known.
func (o Options) openStore(ctx context.Context, kubernetes string) (ledger.Store, error) {
	if o.shared() {
		return postgres.Open(ctx, o.Ledger, postgres.Options{Cluster: o.ledgerName(), Kubernetes: kubernetes, Now: o.Clock.Now, Board: o.board})
	}
	return sqlite.Open(ctx, o.Ledger, sqlite.Options{Now: o.Clock.Now, Board: o.board})
}

// OpenedLedger is a ledger that is only read.
type OpenedLedger interface {
	ledger.Reader
	// Sinks is that of ledger.Outbox.
	Sinks(ctx context.Context) ([]ledger.SinkState, error)
	Close() error
}

// ReadLedger opens the ledger that --ledger names, a file or the URL of a database, for reading. In a database it is that of the cluster,
// or, without one, the only one there.
func ReadLedger(ctx context.Context, location, cluster string) (OpenedLedger, error) {
	if postgres.IsURL(location) {
		return postgres.OpenReadOnly(ctx, location, cluster)
	}
	if err := checkFile(location); err != nil {
		return nil, fmt.Errorf("cannot open the ledger: %w", err)
	}
	return sqlite.OpenReadOnly(ctx, location)
}

// WriteLedger opens a ledger for somebody who mends it while no controller has it open: a file alone, since who opens one in a database takes it
// from the controller that writes it.
func WriteLedger(ctx context.Context, location string) (ledger.Store, error) {
	if postgres.IsURL(location) {
		return nil, errors.New("a ledger in a database is written by its controller alone: do this with a copy in a file, or without --apply")
	}
	if err := checkFile(location); err != nil {
		return nil, fmt.Errorf("cannot open the ledger: %w", err)
	}
	return sqlite.Open(ctx, location, sqlite.Options{})
}

// tellAfter is when it is logged that the ledger is still being opened.
const tellAfter = 15 * time.Second

// open waits for a ledger that another process writes, or that cannot be reached. It gives up when the context ends.
func (l *leader) open(ctx context.Context) (ledger.Store, error) {
	slow := time.AfterFunc(tellAfter, func() {
		l.log.Info("Waiting for the ledger, which does not answer, or is being migrated", "path", l.options.Ledger)
	})
	defer slow.Stop()
	kubernetes := l.kubernetes(ctx)
	for waited := false; ; waited = true {
		store, err := l.options.openStore(ctx, kubernetes)
		if err == nil {
			l.log.Info("Ledger is open", "path", l.options.Ledger)
			return store, nil
		}
		if !errors.Is(err, ledger.ErrInUse) && !errors.Is(err, ledger.ErrUnreachable) {
			return nil, fmt.Errorf("cannot open the ledger: %w", err)
		}
		slow.Stop()
		switch {
		case waited:
		case errors.Is(err, ledger.ErrInUse):
			l.log.Info("Waiting for the ledger, which another process writes, or migrates", "path", l.options.Ledger, "message", err.Error())
		default:
			l.log.Error(err, "Waiting for the ledger, which cannot be reached", "path", l.options.Ledger)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(l.options.AwaitLedger):
		}
	}
}

// untilFenced ends with an error once another process has taken the ledger over, as a file's lock would not let it: what this one still has
// in mind is old, and must not act.
func untilFenced(ctx context.Context, store ledger.Store) error {
	fenced, ok := store.(interface{ Fenced() <-chan struct{} })
	if !ok {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-fenced.Fenced():
		return fmt.Errorf("this process no longer leads, and ends: %w", ledger.ErrFenced)
	}
}
