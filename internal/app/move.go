package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// fileScheme may stand before the path of a source.
const fileScheme = "sqlite://"

// movedRows is how many rows are copied at once.
const movedRows = 500

// errChanged: the copy is not what the source is.
var errChanged = errors.New("the copy is not what the source is, which somebody must have written meanwhile; the copy was discarded: " +
	"see to it that no controller writes the source, and run the command again")

// CheckMove says what is wrong with the URL that a ledger is to be copied to, without repeating it.
func CheckMove(url string) error { return postgres.CheckURL(url) }

// CheckSource says what is wrong with the file that is to be copied, without repeating it.
func CheckSource(path string) error {
	if postgres.IsURL(path) {
		return errors.New("a ledger in a database is copied nowhere: there is no way back into a file")
	}
	return checkFile(strings.TrimPrefix(path, fileScheme))
}

// Move copies a ledger from a file into a database, and lets controllers of that cluster open it there once every table was found to be the
// same. The source is not changed, and nobody can write it meanwhile. What was broken off goes on where it ended. tell is called after each
// step with what was done.
func Move(ctx context.Context, path, url, cluster string, tell func(string)) (err error) {
	source, err := sqlite.OpenFrozen(ctx, strings.TrimPrefix(path, fileScheme))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	numbers, err := source.Numbers(ctx)
	if err != nil {
		return err
	}
	if err := sameCluster(ctx, source, cluster); err != nil {
		return err
	}
	move, err := postgres.BeginMove(ctx, url, cluster, identity(path, numbers))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, move.Close()) }()
	for _, table := range ledger.Tables {
		if err := copyTable(ctx, source, move, table, tell); err != nil {
			return err
		}
	}
	if err := move.Publish(ctx); err != nil {
		return err
	}
	if err := verify(ctx, source, move, tell); err != nil {
		if errors.Is(err, errChanged) {
			err = errors.Join(err, move.Discard(ctx))
		}
		return err
	}
	return move.Finish(ctx, numbers)
}

// identity tells a source from others whose file has the same name: it is of what was written first, and of how often since.
func identity(path string, n ledger.Numbers) string {
	began := "nothing"
	if n.Since != nil {
		began = time.UnixMicro(*n.Since).UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%s, begun with %s, at revision %d", filepath.Base(path), began, n.Revision)
}

// sameCluster: ids are made with the name of the cluster, so under another one a controller would record everything a second time. The ledger of a
// shard, such as eu-1/payments, has the ids of its cluster.
func sameCluster(ctx context.Context, source *sqlite.Frozen, cluster string) error {
	subjects, err := source.Subjects(ctx, ledger.SubjectQuery{})
	if err != nil {
		return err
	}
	own, _, _ := strings.Cut(cluster, "/")
	for i := range subjects {
		if other := subjects[i].Cluster; other != own {
			return fmt.Errorf("the ledger is that of cluster %s, not of %s: say --cluster=%s, as its controller does, or "+
				"--cluster=%s/NAME if that has --shard=NAME", other, own, other, other)
		}
	}
	return nil
}

func copyTable(ctx context.Context, source *sqlite.Frozen, move *postgres.Move, table ledger.Table, tell func(string)) error {
	done, err := move.Count(ctx, table)
	if err != nil {
		return err
	}
	for batch, err := range batches(source.Rows(ctx, table, done)) {
		if err != nil {
			return err
		}
		if err := move.Put(ctx, table, batch); err != nil {
			return err
		}
		done += int64(len(batch))
		tell(fmt.Sprintf("%s: %d rows copied", table.Name, done))
	}
	return nil
}

func batches(rows ledger.Rows) iter.Seq2[[][]any, error] {
	return func(yield func([][]any, error) bool) {
		var batch [][]any
		for row, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			if batch = append(batch, row); len(batch) < movedRows {
				continue
			}
			if !yield(batch, nil) {
				return
			}
			batch = nil
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// verify compares all that was copied, row by row.
func verify(ctx context.Context, source *sqlite.Frozen, move *postgres.Move, tell func(string)) error {
	for _, table := range ledger.Tables {
		want, err := ledger.SumOf(postgres.Storable(source.Rows(ctx, table, 0)))
		if err != nil {
			return err
		}
		got, err := ledger.SumOf(move.Rows(ctx, table))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%w (%s: %d rows, and %d in the copy)", errChanged, table.Name, want.Rows, got.Rows)
		}
		tell(fmt.Sprintf("%s: %d rows verified, sha256 %x", table.Name, got.Rows, got.Hash))
	}
	missing, err := move.Unpublished(ctx)
	if err == nil && missing > 0 {
		return fmt.Errorf("delivery_events lacks %d events, which somebody must have deleted: run the command again", missing)
	}
	return err
}
