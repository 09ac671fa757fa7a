package intake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// identify is the id of the event that a report leads to, first, and then another one that it may have in a ledger: keys that were given were once
// unique for their receiver, whatever they were about.
func (i *Intake) identify(from Sender, r *ingest.Report, about Service, kind dora.Type) []string {
	plain := dora.ID(i.Cluster, from.String(), r.Key, string(kind))
	if !r.Given {
		return []string{plain}
	}
	return []string{dora.ID(i.Cluster, from.String(), r.Key, about.Name, about.Environment, string(kind)), plain}
}

// known is the event that the ledger has of a report, or nil.
func (i *Intake) known(ctx context.Context, ids []string, about Service) (*dora.Event, error) {
	for row, err := range i.Store.Events(ctx, ledger.EventQuery{IDs: ids}) {
		if err != nil {
			return nil, fmt.Errorf("cannot read whether a report was taken before: %w", err)
		}
		if len(ids) == 1 || row.Event.Service == about.Name && row.Event.Environment == about.Environment {
			return &row.Event, nil
		}
	}
	return nil, nil
}

// contradicts refuses a report whose sender gave it the key of one that told something else. What only one of them tells contradicts nothing.
func contradicts(r *ingest.Report, known *dora.Event) error {
	if !r.Given || agrees(r, known) {
		return nil
	}
	return &ingest.ConflictError{
		Field: "idempotency_key",
		Mend: "is of an earlier report about this service and environment, which told another commit, version or outcome: " +
			"give each deployment and each change a key of its own, such as the id of its CI job",
	}
}

func agrees(r *ingest.Report, known *dora.Event) bool {
	if r.Change != nil {
		return sameCommit(r.Change.Commit, known.Version.Commit)
	}
	d, v := r.Deployment, versionOf(r.Deployment)
	return d.Success == *known.Success && d.IsRollback == *known.IsRollback && sameCommit(v.Commit, known.Version.Commit) &&
		(v.Tag == "" || known.Version.Tag == "" || v.Tag == known.Version.Tag) &&
		(len(v.Images) == 0 || len(known.Version.Images) == 0 || slices.Equal(v.Images, known.Version.Images))
}

// sameCommit: an id may be cut short, and is found out later where it was not told.
func sameCommit(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
