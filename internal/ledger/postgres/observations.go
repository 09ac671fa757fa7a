package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// keepObservation appends an observation to those of its subject, and drops those that are too many then.
func (t *transaction) keepObservation(o ledger.Observation, events string) {
	t.queue(`INSERT INTO ledger_observations (ledger, uid, n, at, events, data)
		SELECT $1, $2, coalesce(max(n), 0) + 1, $3, $4, $5 FROM ledger_observations WHERE ledger = $1 AND uid = $2`, nil,
		o.UID, o.At.UnixMicro(), events, rows.Blob(o.Data))
	t.queue(`DELETE FROM ledger_observations WHERE ledger = $1 AND uid = $2
		AND n <= (SELECT max(n) FROM ledger_observations WHERE ledger = $1 AND uid = $2) - $3::bigint`, nil, o.UID, ledger.KeptObservations)
}

// Observations implements ledger.Reader.
func (r reader) Observations(ctx context.Context, uid string) ([]ledger.Observation, error) {
	found, err := collect(ctx, r, scanObservation,
		`SELECT uid, n, at, events, data FROM ledger_observations WHERE ledger = $1 AND uid = $2 ORDER BY n`, uid)
	if err != nil {
		return nil, r.failed("cannot read observations", err)
	}
	return found, nil
}

func scanObservation(row pgx.CollectableRow) (o ledger.Observation, err error) {
	var at int64
	var events string
	if err := row.Scan(&o.UID, &o.N, &at, &events, &o.Data); err != nil {
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
		err := s.do(ctx, "cannot prune observations", func(tx *transaction) (err error) {
			dropped, err = tx.exec(`DELETE FROM ledger_observations WHERE ledger = $1 AND (uid, n) IN
				(SELECT uid, n FROM ledger_observations WHERE ledger = $1 AND at < $2 LIMIT $3)`, before.UnixMicro(), rows.PrunedObservations)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
