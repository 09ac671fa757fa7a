package sinktest

import (
	"context"
	"slices"
	"sync"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Scripted is a sink that does as it is told and remembers what it was sent. It may be used from many goroutines.
type Scripted struct {
	name  string
	batch int

	mu     sync.Mutex
	answer func(ctx context.Context, events []dora.Event) error
	calls  [][]string
}

var _ sink.Sink = (*Scripted)(nil)

// NewScripted makes a sink that takes everything, until Answer says otherwise.
func NewScripted(name string) *Scripted {
	return &Scripted{name: name, batch: 20, answer: func(context.Context, []dora.Event) error { return nil }}
}

// Answer sets what Send does from now on.
func (s *Scripted) Answer(answer func(ctx context.Context, events []dora.Event) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// Fail makes Send return that error from now on; nil makes it take everything again.
func (s *Scripted) Fail(err error) {
	s.Answer(func(context.Context, []dora.Event) error { return err })
}

// Name implements sink.Sink.
func (s *Scripted) Name() string { return s.name }

// Takes makes it take so many events at once.
func (s *Scripted) Takes(batch int) *Scripted {
	s.batch = batch
	return s
}

// Batch implements sink.Sink.
func (s *Scripted) Batch() int { return s.batch }

// Send implements sink.Sink.
func (s *Scripted) Send(ctx context.Context, events []dora.Event) (string, error) {
	s.mu.Lock()
	s.calls = append(s.calls, IDs(events))
	answer := s.answer
	s.mu.Unlock()
	if err := answer(ctx, events); err != nil {
		return "", err
	}
	return "taken", nil
}

// Calls are the ids of the events of each call, whatever became of it, since the last time this was asked.
func (s *Scripted) Calls() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.Clone(s.calls)
	s.calls = nil
	return calls
}
