package eventtable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// partitionLock keeps two from adding partitions at once: "part" in ASCII.
const partitionLock = 0x70617274

// LacksPartition tells whether there is no partition for a row. The code is that of a CHECK which failed, and those have a name.
func LacksPartition(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "23514" && refused.ConstraintName == ""
}

// Month is the part of a partitioned table that holds a month, by UTC.
type Month struct{ From time.Time }

// MonthOf is the month of a time.
func MonthOf(at time.Time) Month {
	at = at.UTC()
	return Month{time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)}
}

// Name is what the partition is called.
func (m Month) Name() string { return Name + "_" + m.From.Format("2006_01") }

// Bounds are its first moment and that of the next one.
func (m Month) Bounds() string {
	const form = "2006-01-02 15:04:05+00"
	return fmt.Sprintf("FROM ('%s') TO ('%s')", m.From.Format(form), m.From.AddDate(0, 1, 0).Format(form))
}

// Add makes a table and attaches it, unless it is there. Unlike making a partition at once, that lets others read and write the rest
// meanwhile.
func (m Month) Add(ctx context.Context, tx pgx.Tx, schema string) error {
	whole, part := Table(schema, Name), Table(schema, m.Name())
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(partitionLock)); err != nil {
		return err
	}
	var there bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND inhparent = to_regclass($2))",
		part, whole).Scan(&there)
	if err != nil || there {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS);"+
		"ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES %[3]s", part, whole, m.Bounds()))
	return err
}
