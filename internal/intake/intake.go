// Package intake takes what receivers heard into the ledger: deployments, changes of code, and incidents.
//
// What it guarantees:
//
//   - Taken means durable: Take returns after the ledger has everything that follows from the reports, or it returns an error.
//   - A report is taken once. It is known by the key that its sender gave it, for each receiver: one that comes again, at the same time or
//     later, on its own or among others, writes nothing and has the same id.
//   - Reports may come in any order.
package intake

import (
	"context"
	"errors"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Sender is the DoraReceiver that heard a report. Two receivers never hear the same report.
type Sender struct{ Namespace, Name string }

// Intake takes reports into a ledger. It may be used by many goroutines at once.
type Intake struct{}

// Take keeps what reports tell, durably before it returns, and returns for each of them, in their order, the id of the event that it led
// to: of an incident's message that changes nothing, the one that it is about; of a resolution that waits for its opening, the one that it
// will lead to. What the same call tells is kept as a whole or not at all. After an error the same reports may be taken again.
func (i *Intake) Take(_ context.Context, _ Sender, _ []ingest.Report) (ids []string, err error) {
	return nil, errors.New("reports cannot be taken yet")
}
