package app

import (
	"context"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

type sinkDriver struct{ name string }

func (l *leader) sinks() []sinkDriver { return nil }

func names(sinks []sinkDriver) []string {
	list := make([]string, len(sinks))
	for i, s := range sinks {
		list[i] = s.name
	}
	return list
}

func (l *leader) deliver(ctx context.Context, _ ledger.Store, _ []sinkDriver) error {
	<-ctx.Done()
	return nil
}
