package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// keepObservation appends an observation to those of its subject, and drops those that are too many then.
func (c *connection) keepObservation(o ledger.Observation, events string) error {
	if _, err := c.exec(`INSERT INTO observations (uid, n, at, events, data)
		SELECT ?1, COALESCE(MAX(n), 0) + 1, ?2, ?3, ?4 FROM observations WHERE uid = ?1`, o.UID, o.At.UnixMicro(), events, rows.Blob(o.Data)); err != nil {
		return fmt.Errorf("cannot write an observation: %w", err)
	}
	if _, err := c.exec(dropObservationsQuery, o.UID, ledger.KeptObservations); err != nil {
		return fmt.Errorf("cannot drop old observations: %w", err)
	}
	return nil
}

const dropObservationsQuery = `DELETE FROM observations WHERE uid = ?1 AND n <= (SELECT MAX(n) FROM observations WHERE uid = ?1) - ?2`

// Observations implements ledger.Reader.
func (r reader) Observations(ctx context.Context, uid string) ([]ledger.Observation, error) {
	found, err := collect(ctx, r.db, scanObservation, `SELECT uid, n, at, events, data FROM observations WHERE uid = ? ORDER BY n`, uid)
	if err != nil {
		return nil, r.failed("cannot read observations", err)
	}
	return found, nil
}

func scanObservation(found *sql.Rows) (o ledger.Observation, err error) {
	var at int64
	var events string
	if err := found.Scan(&o.UID, &o.N, &at, &events, &o.Data); err != nil {
		return ledger.Observation{}, err
	}
	o.At = time.UnixMicro(at).UTC()
	return o, json.Unmarshal([]byte(events), &o.Events)
}

// pruneObservations drops those of before a time, of subjects that may be gone long since.
func (s *Store) pruneObservations(ctx context.Context, before time.Time) error {
	if before.IsZero() {
		return nil
	}
	for dropped := int64(rows.PrunedObservations); dropped == rows.PrunedObservations; {
		err := s.writer.Do(ctx, "cannot prune observations", func(tx *connection) (err error) {
			dropped, err = tx.affected(pruneObservationsQuery, before.UnixMicro(), rows.PrunedObservations)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const pruneObservationsQuery = `DELETE FROM observations WHERE (uid, n) IN (SELECT uid, n FROM observations WHERE at < ? LIMIT ?)`
