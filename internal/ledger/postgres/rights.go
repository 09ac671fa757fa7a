package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// rightsQuery names what the role lacks of the rights that a ledger's tables need, as GRANT has it. Rights on some columns suffice, since the columns
// that are written may have been granted one by one; none of them is deleted. The first table is deleted from by nobody, and the last only by the
// retention, which says so itself.
const rightsQuery = `
SELECT coalesce(string_agg(rights || ' on ' || name, '; ' ORDER BY place) FILTER (WHERE there OR $2), '') FROM (
	SELECT name, place, to_regclass(name) IS NOT NULL AS there, string_agg(needed, ', ' ORDER BY nth) AS rights
	FROM unnest($1::text[]) WITH ORDINALITY AS tables (name, place),
		unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS rights (needed, nth)
	WHERE CASE
		WHEN needed <> 'DELETE' THEN NOT coalesce(has_any_column_privilege(to_regclass(name), needed), false)
		WHEN place IN (1, cardinality($1)) THEN false
		ELSE NOT coalesce(has_table_privilege(to_regclass(name), needed), false)
	END
	GROUP BY name, place
) lacking`

// needed are the tables that rightsQuery is asked about.
func needed(schema string) []string {
	names := []string{eventtable.Table(schema, "ledgers")}
	for _, table := range ledger.Tables {
		names = append(names, eventtable.Table(schema, "ledger_"+table.Name))
	}
	return append(names, eventtable.Table(schema, eventtable.Name))
}

// ErrRights says that somebody has to grant something.
var ErrRights = errors.New("its role lacks rights: grant them, or restore the tables that are missing")

// querier is a connection, or a pool of them.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// permitted fails with ErrRights if the role lacks rights. Tables that are not there yet count only if all are to be there.
func permitted(ctx context.Context, db querier, schema string, all bool) error {
	var lacking string
	err := db.QueryRow(ctx, rightsQuery, needed(schema), all).Scan(&lacking)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42501" { // the schema may not be used
		return fmt.Errorf("%w (%w)", ErrRights, &serverError{refused})
	}
	if err == nil && lacking != "" {
		return fmt.Errorf("%w (%s)", ErrRights, lacking)
	}
	return err
}
