package main

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
)

// migrateOptions are the flags of `migrate`.
type migrateOptions struct {
	print, partitioned bool
	schema             string
	from, to, cluster  string
}

func newMigrateCommand() *cobra.Command {
	o := &migrateOptions{}
	cmd := &cobra.Command{
		Use:   "migrate (--print | --from FILE --to URL)",
		Short: "Move a ledger from a file into a database, or print the SQL that makes the tables of the PostgreSQL sink",
		Long: `With --from and --to it copies a ledger from a file into a PostgreSQL database: events, states, decisions, what sinks are owed, and all else.
Stop the controller first. It compares all rows in the end, and only then may a controller open the ledger there. The file is not changed.
Broken off, it goes on where it ended when it is run again. The password is read from PGPASSWORD, or from the file that PGPASSFILE names.

With --print it prints the SQL that makes the tables and views of the PostgreSQL sink, for an administrator who runs it with psql. Run again,
or that of a newer release, it does what is missing. It is of use where the sink's own role may not change the schema: set
spec.postgres.migrations of the DoraSink to Check then. Otherwise the controller does it.`,
		Example: `  dora-controller migrate --from ledger.db --to 'postgres://dora@db.example.com/dora?search_path=dora' --cluster eu-1
  dora-controller migrate --print --schema dora --partitioned > dora.sql`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.BoolVar(&o.print, "print", false, "print the SQL")
	f.StringVar(&o.schema, "schema", "public", "the schema that the tables are in, spec.postgres.schema of the DoraSink")
	f.BoolVar(&o.partitioned, "partitioned", false, "partition the table of events by month")
	f.StringVar(&o.from, "from", "", "the file of the ledger to copy")
	f.StringVar(&o.to, "to", "", "the URL of the database to copy it into, as --ledger of the controller will name it")
	f.StringVar(&o.cluster, "cluster", "default", "the name of the cluster, as the controller's --cluster; eu-1/payments for its --shard=payments")
	cmd.MarkFlagsRequiredTogether("from", "to")
	cmd.MarkFlagsMutuallyExclusive("print", "from")
	return cmd
}

// schemaName is what spec.postgres.schema takes.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (o *migrateOptions) run(cmd *cobra.Command, _ []string) error {
	if o.from != "" {
		return o.move(cmd)
	}
	if !o.print {
		return cli.Usage(cmd, errors.New("say what to do: move a ledger, with --from and --to, or print the SQL for an administrator, with --print; "+
			"a DoraSink whose migrations are Run is migrated by the controller"))
	}
	if !schemaName.MatchString(o.schema) {
		return cli.Usage(cmd, fmt.Errorf("invalid argument %q for \"--schema\" flag: want up to 63 lower-case letters, digits and _, such as dora", o.schema))
	}
	return postgres.PrintMigrations(cmd.OutOrStdout(), o.schema, o.partitioned)
}

func (o *migrateOptions) move(cmd *cobra.Command) error {
	if err := app.CheckSource(o.from); err != nil {
		return cli.Usage(cmd, fmt.Errorf("invalid argument for \"--from\" flag: %w", err))
	}
	if err := app.CheckMove(o.to); err != nil {
		return cli.Usage(cmd, fmt.Errorf("invalid argument for \"--to\" flag: %w", err))
	}
	err := app.Move(cmd.Context(), o.from, o.to, o.cluster, func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step) })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "All was copied and compared. Start the controller with --ledger as --to is here, "+
		"and keep the file until it has run for a while.")
	return err
}
