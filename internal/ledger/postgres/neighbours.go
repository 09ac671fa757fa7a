package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

var _ ledger.Neighbours = (*Store)(nil)

// Clusters implements ledger.Neighbours.
func (s *Store) Clusters(ctx context.Context) ([]string, error) {
	clusters, err := collect(ctx, s.reader, pgx.RowTo[string], `SELECT cluster FROM ledgers WHERE id <> $1 AND moving IS NULL ORDER BY cluster COLLATE "C"`)
	if err != nil {
		return nil, s.failed("cannot list the ledgers of other clusters", err)
	}
	return clusters, nil
}

// Neighbour implements ledger.Neighbours.
func (s *Store) Neighbour(ctx context.Context, cluster string) (ledger.Reader, error) {
	ids, err := collect(ctx, s.reader, pgx.RowTo[int32], `SELECT id FROM ledgers WHERE id <> $1 AND moving IS NULL AND cluster = $2`, cluster)
	switch {
	case err != nil:
		return nil, s.failed("cannot find the ledger of cluster "+cluster, err)
	case len(ids) == 0:
		return nil, fmt.Errorf("cannot find the ledger of cluster %s: %w", cluster, ledger.ErrNotFound)
	}
	return reader{pool: s.pool, ledger: ids[0], closed: s.closed}, nil
}
