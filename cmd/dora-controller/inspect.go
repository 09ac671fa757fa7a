package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/receive"
)

type inspectOptions struct{ ledger, certificates string }

// inspection is what is seen from beside the controller alone. What does not apply, or is not known, is absent.
type inspection struct {
	Volume      *volume              `json:"ledger_volume,omitempty"`
	Certificate *receive.Certificate `json:"certificate,omitempty"`
}

type volume struct {
	Free uint64 `json:"free_bytes"`
	Size uint64 `json:"size_bytes"`
}

func newInspectCommand() *cobra.Command {
	o := &inspectOptions{}
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Tell the room of the ledger's volume, and the certificate of receivers",
		Long: `Prints, as JSON, what can only be seen from where the controller runs: how many bytes are free on the volume of a ledger in a file, and
until when and for which hosts the certificate is that receivers show. kubectl dora doctor runs it in the controller's pod.`,
		Example: `  dora-controller inspect --ledger ledger.db
  kubectl exec -n dora-system deployment/dora-controller -- dora-controller inspect --receivers-cert-dir /etc/dora-controller/receivers`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVar(&o.ledger, "ledger", defaultLedger, "the ledger's file; nothing is told of one in PostgreSQL")
	f.StringVar(&o.certificates, "receivers-cert-dir", "", "the folder of the certificate of receivers, if there is one")
	return cmd
}

func (o *inspectOptions) run(cmd *cobra.Command, _ []string) error {
	var found inspection
	if !postgres.IsURL(o.ledger) {
		room, known, err := sqlite.RoomOf(o.ledger)
		if err != nil {
			return err
		}
		if known {
			found.Volume = &volume{room.Free, room.Size}
		}
	}
	if o.certificates != "" {
		certificate, err := receive.ReadCertificate(o.certificates)
		if err != nil {
			return err
		}
		found.Certificate = &certificate
	}
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
	return err
}
