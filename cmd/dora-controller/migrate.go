package main

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
)

// migrateOptions are the flags of `migrate`.
type migrateOptions struct {
	print, partitioned bool
	schema             string
}

func newMigrateCommand() *cobra.Command {
	o := &migrateOptions{}
	cmd := &cobra.Command{
		Use:   "migrate --print",
		Short: "Print the SQL that makes the tables of the PostgreSQL sink",
		Long: `Prints the SQL that makes the tables and views of the PostgreSQL sink, for an administrator who runs it with psql. Run again, or
that of a newer release, it does what is missing. It is of use where the sink's own role may not change the schema: set
spec.postgres.migrations of the DoraSink to Check then. Otherwise the controller does it.`,
		Example: `  dora-controller migrate --print --schema dora --partitioned > dora.sql`,
		Args:    cobra.NoArgs,
		RunE:    o.run,
	}
	f := cmd.Flags()
	f.BoolVar(&o.print, "print", false, "print the SQL")
	f.StringVar(&o.schema, "schema", "public", "the schema that the tables are in, spec.postgres.schema of the DoraSink")
	f.BoolVar(&o.partitioned, "partitioned", false, "partition the table of events by month")
	return cmd
}

// schemaName is what spec.postgres.schema takes.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (o *migrateOptions) run(cmd *cobra.Command, _ []string) error {
	if !o.print {
		return cli.Usage(cmd, errors.New("migrate changes no database: it prints the SQL for an administrator, with --print; "+
			"a DoraSink whose migrations are Run is migrated by the controller"))
	}
	if !schemaName.MatchString(o.schema) {
		return cli.Usage(cmd, fmt.Errorf("invalid argument %q for \"--schema\" flag: want up to 63 lower-case letters, digits and _, such as dora", o.schema))
	}
	return postgres.PrintMigrations(cmd.OutOrStdout(), o.schema, o.partitioned)
}
