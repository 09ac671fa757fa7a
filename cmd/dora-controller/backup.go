package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/cli"
	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

type backupOptions struct{ ledger, output string }

func newBackupCommand() *cobra.Command {
	o := &backupOptions{}
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy the ledger, also while the controller writes it",
		Long: `Writes a whole copy of a ledger in a file, as it is at one moment. The copy is one file, which takes the ledger's place as it is. With
--output - it is written to standard output, so it gets out of a pod that has neither a shell nor tar. The room for it is needed beside the ledger.`,
		Example: `  dora-controller backup --ledger ledger.db --output ledger-copy.db
  kubectl exec -n dora-system deployment/dora-controller -- dora-controller backup --output - > ledger-copy.db`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVar(&o.ledger, "ledger", defaultLedger, "the ledger's file")
	f.StringVar(&o.output, "output", "", "the file to make, or - for standard output")
	return cmd
}

func (o *backupOptions) run(cmd *cobra.Command, _ []string) error {
	switch {
	case o.output == "":
		return cli.Usage(cmd, errors.New("say where to: --output takes the file to make, or - for standard output"))
	case postgres.IsURL(o.ledger):
		return cli.Usage(cmd, errors.New("a ledger in PostgreSQL is backed up with its database, such as by pg_dump"))
	case o.output == "-":
		return o.stream(cmd)
	}
	file, err := os.OpenFile(o.output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot make the copy: %w", err)
	}
	if err := errors.Join(file.Close(), sqlite.Copy(cmd.Context(), o.ledger, o.output)); err != nil {
		return errors.Join(err, os.Remove(o.output))
	}
	return nil
}

// stream writes the copy beside the ledger first: only a whole one is handed out.
func (o *backupOptions) stream(cmd *cobra.Command) (err error) {
	file, err := os.CreateTemp(filepath.Dir(o.ledger), "backup-*.db")
	if err != nil {
		return fmt.Errorf("cannot make the copy: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	if err := sqlite.Copy(cmd.Context(), o.ledger, file.Name()); err != nil {
		return err
	}
	if _, err := io.Copy(cmd.OutOrStdout(), file); err != nil {
		return fmt.Errorf("cannot hand the copy out: %w", err)
	}
	return nil
}
