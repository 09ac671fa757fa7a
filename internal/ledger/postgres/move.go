package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Move is a ledger that another one is being copied into. Nobody can open it before Finish: what was begun goes on where it ended, or begins
// anew if it is another source, or one that changed since.
type Move struct {
	store  *Store
	schema string
}

// published is how many events are written at once into the table that others read.
const published = 200

// BeginMove makes the ledger of a cluster, for what is to be copied from a source. A ledger that a controller has opened is refused: nothing
// of it is ever overwritten.
func BeginMove(ctx context.Context, url, cluster, source string) (*Move, error) {
	config, schema, err := parse(url)
	if err != nil {
		return nil, err
	}
	p, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := reserve(ctx, p, schema, cluster, source); err != nil {
		p.close()
		return nil, fmt.Errorf("cannot copy into the ledger of cluster %s: %w", cluster, explained(err))
	}
	opts := Options{Cluster: cluster}.withDefaults()
	s, err := prepare(ctx, p, schema, opts, func(ctx context.Context) (id int32, token int64, err error) {
		if err := permitted(ctx, p.writing, schema, true); err != nil {
			return 0, 0, err
		}
		err = p.writing.QueryRow(ctx, `UPDATE ledgers SET token = token + 1 WHERE cluster = $1 RETURNING id, token`, cluster).Scan(&id, &token)
		return id, token, err
	})
	if err != nil {
		p.close()
		return nil, fmt.Errorf("cannot copy into the ledger of cluster %s: %w", cluster, explained(err))
	}
	return &Move{store: s, schema: schema}, nil
}

// reserve makes the ledger, or empties one that was to be copied from something else, and takes its events out of the table that others read:
// no ledger would have them, and no retention drop them.
func reserve(ctx context.Context, p *pools, schema, cluster, source string) error {
	if err := migrate(ctx, p.writing, schema, Options{}); err != nil {
		return err
	}
	return inTransaction(ctx, p.writing, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO ledgers (cluster, moving) VALUES ($1, $2) ON CONFLICT (cluster) DO NOTHING`, cluster, source); err != nil {
			return err
		}
		var id int32
		var moving *string
		if err := tx.QueryRow(ctx, `SELECT id, moving FROM ledgers WHERE cluster = $1 FOR UPDATE`, cluster).Scan(&id, &moving); err != nil {
			return err
		}
		switch {
		case moving == nil:
			return errors.New("the database has a ledger of that cluster already, and nothing is copied over it: if it was copied before, " +
				"start the controller with it; else name another cluster, schema or database")
		case *moving == source:
			return nil
		}
		if _, err := tx.Exec(ctx, `DELETE FROM `+eventtable.Table(schema, eventtable.Name)+
			` WHERE id IN (SELECT id FROM ledger_events WHERE ledger = $1)`, id); err != nil {
			return err
		}
		for _, table := range slices.Backward(ledger.Tables) {
			if _, err := tx.Exec(ctx, `DELETE FROM ledger_`+table.Name+` WHERE ledger = $1`, id); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE ledgers SET moving = $2 WHERE id = $1`, id, source)
		return err
	})
}

// Close ends the copying, finished or not.
func (m *Move) Close() error { return m.store.Close() }

// Count is how many rows of a table have been copied: the first so many, since they come in order.
func (m *Move) Count(ctx context.Context, table ledger.Table) (int64, error) {
	n, err := one[int64](ctx, m.store.reader, `SELECT count(*) FROM ledger_`+table.Name+` WHERE ledger = $1`)
	if err != nil {
		return 0, m.store.failed("cannot count "+table.Name, err)
	}
	return n, nil
}

// Put writes the next rows of a table, all of them or none. Of sinks, what they are owed is counted as that comes.
func (m *Move) Put(ctx context.Context, table ledger.Table, rows [][]any) error {
	return m.store.do(ctx, "cannot write "+table.Name, func(tx *transaction) error {
		all := make([][]any, 0, len(rows))
		for _, row := range rows {
			row = tx.args(row)
			if table.Name == "sinks" {
				row[slices.Index(table.Columns, "pending")+1], row[slices.Index(table.Columns, "parked")+1] = 0, 0
			}
			all = append(all, row)
		}
		if err := tx.send(); err != nil {
			return err
		}
		_, err := tx.conn.CopyFrom(tx.ctx, pgx.Identifier{"ledger_" + table.Name}, append([]string{"ledger"}, table.Columns...), pgx.CopyFromRows(all))
		return err
	})
}

// Publish writes all events into the table that others read.
func (m *Move) Publish(ctx context.Context) error {
	var batch []dora.Event
	send := func() error {
		if err := m.store.months.provide(ctx, batch); err != nil {
			return err
		}
		err := m.store.publishing(ctx, "cannot write delivery_events", func(tx *transaction) error {
			return errors.Join(tx.publish(batch...), tx.send())
		})
		batch = batch[:0]
		return err
	}
	for row, err := range m.store.Events(ctx, ledger.EventQuery{}) {
		if err != nil {
			return err
		}
		if batch = append(batch, row.Event); len(batch) < published {
			continue
		}
		if err := send(); err != nil {
			return err
		}
	}
	return send()
}

// Rows are those of a table that were copied, in the order of its key.
func (m *Move) Rows(ctx context.Context, table ledger.Table) ledger.Rows {
	return func(yield func([]any, error) bool) {
		order := make([]string, 0, len(table.Key))
		for _, column := range table.Key {
			if column != "seq" && column != "n" {
				column += ` COLLATE "C"`
			}
			order = append(order, column)
		}
		found, err := m.store.query(ctx, `SELECT `+strings.Join(table.Columns, ", ")+` FROM ledger_`+table.Name+
			` WHERE ledger = $1 ORDER BY `+strings.Join(order, ", "))
		if err != nil {
			yield(nil, m.store.failed("cannot read "+table.Name, err))
			return
		}
		defer found.Close()
		for found.Next() {
			row, err := found.Values()
			for i := range row {
				if n, small := row[i].(int16); small {
					row[i] = int64(n)
				}
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := found.Err(); err != nil {
			yield(nil, m.store.failed("cannot read "+table.Name, err))
		}
	}
}

// Storable are rows as the database can hold them: no text has the character NUL, and all are UTF-8.
func Storable(rows ledger.Rows) ledger.Rows {
	return func(yield func([]any, error) bool) {
		for row, err := range rows {
			for i := range row {
				row[i] = storable(row[i])
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// Unpublished is how many events the table that others read lacks.
func (m *Move) Unpublished(ctx context.Context) (int64, error) {
	n, err := one[int64](ctx, m.store.reader, `SELECT count(*) FROM ledger_events e WHERE ledger = $1
		AND NOT EXISTS (SELECT FROM `+eventtable.Table(m.schema, eventtable.Name)+` d WHERE d.id = e.id)`)
	if err != nil {
		return 0, m.store.failed("cannot count the events of delivery_events", err)
	}
	return n, nil
}

// Discard has the next attempt begin anew.
func (m *Move) Discard(ctx context.Context) error {
	return m.store.do(ctx, "cannot discard what was copied", func(tx *transaction) error {
		_, err := tx.exec(`UPDATE ledgers SET moving = 'what is to be discarded' WHERE id = $1`)
		return err
	})
}

// Finish sets the numbers, and lets a controller open the ledger.
func (m *Move) Finish(ctx context.Context, n ledger.Numbers) error {
	return m.store.do(ctx, "cannot finish", func(tx *transaction) error {
		tx.at.revision, tx.at.event, tx.at.decision, tx.at.delivery = n.Revision, n.Event, n.Decision, n.Delivery
		_, err := tx.exec(`UPDATE ledgers SET moving = NULL, revision = $2, since = $3 WHERE id = $1`, n.Revision, n.Since)
		return err
	})
}
