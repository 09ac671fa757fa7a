package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/show"
)

// settle is how long the controller may need for what was written last.
const settle = 30 * time.Second

// follow tells of each event as it is recorded, in half a line.
func (s *stage) follow(ctx context.Context) error {
	begun := time.Now()
	told := int64(0)
	ticks := time.NewTicker(500 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		rows, err := s.events(ctx, told)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for i := range rows {
			told = rows[i].Seq
			fmt.Fprintf(s.Out, "    %3.0f s  %s\n", time.Since(begun).Seconds(), show.Line(&rows[i].Event))
		}
	}
}

// events reads what the ledger holds behind that sequence.
func (s *stage) events(ctx context.Context, after int64) ([]ledger.Row, error) {
	book, err := s.OpenLedger(ctx)
	if err != nil {
		return nil, err
	}
	defer book.Close() //nolint:errcheck // it was only read
	var rows []ledger.Row
	for row, err := range book.Events(ctx, ledger.EventQuery{AfterSeq: after}) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// report compares the events with what they have to be, and shows what a user would look at.
func (s *stage) report(ctx context.Context) error {
	rows, err := s.compare(ctx)
	if err != nil {
		return err
	}
	s.sayf("the ledger holds exactly the %d events that `dora-controller replay` finds in the recordings", len(rows))
	if err := s.awaitStatus(ctx, rows); err != nil {
		return err
	}
	if rows, err = s.events(ctx, 0); err != nil {
		return err // they have their commits now
	}
	fmt.Fprintf(s.Out, "\n$ kubectl get doratargets --all-namespaces\n")
	if err := s.plane.run(ctx, s.Out, "get", "doratargets", "--all-namespaces"); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\n$ dora-controller events --ledger %s\n", s.LedgerPath)
	table := show.NewTable()
	slices.SortStableFunc(rows, func(a, b ledger.Row) int { return a.Event.OccurredAt.Compare(b.Event.OccurredAt) })
	for i := range rows {
		table.Event(&rows[i].Event)
	}
	if err := table.Print(s.Out); err != nil {
		return err
	}
	if err := s.showDatabase(ctx, len(rows)); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\nA lead time can be checked by hand. What checkout's second release brought, the oldest first:\n\n%s", s.source.proof())
	fmt.Fprintf(s.Out, "\nThe ledger stays at %s. A minute of deployments gives no rate per week yet: /WEEK shows –.\n", s.LedgerPath)
	return nil
}

// awaitStatus waits until the target shows what the ledger holds.
func (s *stage) awaitStatus(ctx context.Context, rows []ledger.Row) error {
	succeeded := int64(0)
	for i := range rows {
		if rows[i].Event.Outcome == dora.Succeeded {
			succeeded++
		}
	}
	t, err := newTarget(s.source)
	if err != nil {
		return err
	}
	return until(ctx, settle, "the DoraTarget does not show all deployments", func(ctx context.Context) (bool, error) {
		err := s.api.Get(ctx, client.ObjectKeyFromObject(t), t)
		shown := err == nil && t.Status.Summary != nil && t.Status.Summary.Counts.Succeeded >= succeeded
		return shown && t.Status.Commits != nil && t.Status.Commits.Pending == 0, err
	})
}
