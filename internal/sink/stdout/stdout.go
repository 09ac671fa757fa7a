// Package stdout writes events as JSON, one event a line, for log collectors and for people who try things out.
//
// Only whole lines are written, each batch with one Write. If a writer takes part of a line and fails, its rest is the
// first thing that the next batch writes, so that a reader never finds two halves glued together. An event may stand
// there twice, as in every sink.
package stdout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Sink writes events to a writer.
type Sink struct {
	name string

	mu   sync.Mutex
	out  io.Writer
	rest []byte // of a line that the writer took in part
}

var _ sink.Measured = (*Sink)(nil)

// New makes a sink of that name. The writer is the sink's alone: what others write to it may land between two lines.
func New(name string, out io.Writer) *Sink { return &Sink{name: name, out: out} }

// Name implements sink.Sink.
func (s *Sink) Name() string { return s.name }

// Batch implements sink.Sink.
func (s *Sink) Batch() int { return 100 }

// Send implements sink.Sink. It fails with PermanentError if an event cannot be encoded, and can be retried if the writer fails.
func (s *Sink) Send(ctx context.Context, events []dora.Event) (answer string, err error) {
	return send(ctx, s, events)
}

// SendFigures implements sink.Measured.
func (s *Sink) SendFigures(ctx context.Context, figures []sink.Figures) (answer string, err error) {
	return send(ctx, s, figures)
}

func send[T any](ctx context.Context, s *Sink, values []T) (answer string, err error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("cannot write: %w", err)
	}
	lines, err := encode(values)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(lines) == 0 {
		return "", nil
	}
	return "written", s.write(append(s.rest, lines...))
}

func encode[T any](values []T) ([]byte, error) {
	var lines bytes.Buffer
	for _, value := range values {
		line, err := json.Marshal(value)
		if err != nil {
			return nil, &sink.PermanentError{Err: fmt.Errorf("cannot encode: %w", err)}
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	return lines.Bytes(), nil
}

// write remembers what is missing of a line that was begun. Lines that were not begun will be sent again.
func (s *Sink) write(lines []byte) error {
	n, err := s.out.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if whole := n == 0 && len(s.rest) == 0 || n > 0 && lines[n-1] == '\n'; whole {
		s.rest = nil
	} else {
		end := n + bytes.IndexByte(lines[n:], '\n') + 1
		s.rest = bytes.Clone(lines[n:end])
	}
	if err != nil {
		return &sink.RetryableError{Err: fmt.Errorf("cannot write: %w", err)}
	}
	return nil
}
