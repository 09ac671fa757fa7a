package ledgertest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

func (m *Memory) keepObservation(o ledger.Observation, events []dora.Event) {
	kept := m.observations[o.UID]
	o.N = 1
	if len(kept) > 0 {
		o.N = kept[len(kept)-1].N + 1
	}
	o.At, o.Data, o.Events = micro(o.At), bytes.Clone(o.Data), nil
	for _, e := range events {
		o.Events = append(o.Events, e.ID)
	}
	kept = append(kept, o)
	m.observations[o.UID] = kept[max(0, len(kept)-ledger.KeptObservations):]
}

// Observations implements ledger.Reader.
func (m *Memory) Observations(ctx context.Context, uid string) ([]ledger.Observation, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	found := slices.Clone(m.observations[uid])
	for i := range found {
		found[i].Data, found[i].Events = bytes.Clone(found[i].Data), slices.Clone(found[i].Events)
	}
	return found, nil
}

func (m *Memory) pruneObservations(before time.Time) {
	if before.IsZero() {
		return
	}
	for uid, kept := range m.observations {
		m.observations[uid] = slices.DeleteFunc(kept, func(o ledger.Observation) bool { return o.At.Before(before) })
	}
}
