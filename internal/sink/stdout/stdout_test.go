package stdout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
	"github.com/dora-controller/dora-controller/internal/sink/stdout"
)

// pipe takes as many bytes as it has room for.
type pipe struct {
	bytes.Buffer

	broken bool
	room   int
	writes int
}

func (p *pipe) Write(b []byte) (int, error) {
	p.writes++
	if !p.broken {
		return p.Buffer.Write(b)
	}
	n := min(p.room, len(b))
	p.room -= n
	_, _ = p.Buffer.Write(b[:n])
	return n, errors.New("broken pipe")
}

func arrived(t *testing.T, text string) []string {
	t.Helper()
	ids := []string{}
	for line := range strings.Lines(text) {
		var event dora.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("cannot read line %q: %v", line, err)
		}
		ids = append(ids, event.ID)
	}
	return ids
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Destination {
		t.Helper()
		out := &pipe{}
		return sinktest.Destination{
			Sink:    stdout.New("stdout", out),
			Arrived: func() []string { return arrived(t, out.String()) },
			Break:   func() { out.broken = true },
			Mend:    func() { out.broken = false },
		}
	})
}

func TestOneEventALine(t *testing.T) {
	g := NewWithT(t)
	out := &pipe{}
	events := sinktest.Events()
	events[0].Message = "two\nlines"
	g.Expect(stdout.New("stdout", out).Send(t.Context(), events)).To(Equal("written"))
	g.Expect(out.writes).To(Equal(1), "one write for a batch, so that nobody writes between its lines")
	g.Expect(strings.Count(out.String(), "\n")).To(Equal(len(events)))
	g.Expect(out.String()).To(HavePrefix(`{"schema":"dora/v1","id":"e1",`))
	g.Expect(out.String()).To(HaveSuffix("\n"))
}

func TestFiguresAreLinesToo(t *testing.T) {
	g := NewWithT(t)
	out := &pipe{}
	g.Expect(stdout.New("stdout", out).SendFigures(t.Context(), sinktest.Figures())).To(Equal("written"))
	g.Expect(strings.Count(out.String(), "\n")).To(Equal(len(sinktest.Figures())))
	g.Expect(out.String()).To(HavePrefix(`{"schema":"dora-metrics/v1","cluster":"eu-1","target":"shop/shop","scope":"service"`))
}

// TestCutOff cuts the output off after every number of bytes: what is read in the end are whole lines, with nothing lost.
func TestCutOff(t *testing.T) {
	g := NewWithT(t)
	events := sinktest.Events()[:2]
	whole := &pipe{}
	g.Expect(stdout.New("stdout", whole).Send(t.Context(), events)).To(Equal("written"))
	for room := range whole.Len() {
		out := &pipe{broken: true, room: room}
		s := stdout.New("stdout", out)
		for range 2 { // the second attempt takes nothing
			_, err := s.Send(t.Context(), events)
			g.Expect(err).To(MatchError(ContainSubstring("broken pipe")))
			g.Expect(sink.IsPermanent(err)).To(BeFalse())
		}
		out.broken = false
		g.Expect(s.Send(t.Context(), events)).To(Equal("written"))
		ids := arrived(t, out.String())
		g.Expect(ids[len(ids)-2:]).To(Equal([]string{"e1", "e2"}))
	}
}

func TestWhatCannotBeEncoded(t *testing.T) {
	g := NewWithT(t)
	out := &pipe{}
	event := sinktest.Events()[0]
	nan := math.NaN()
	event.LeadTimeSeconds = &nan
	_, err := stdout.New("stdout", out).Send(t.Context(), []dora.Event{event})
	g.Expect(sink.IsPermanent(err)).To(BeTrue())
	g.Expect(out.Len()).To(BeZero())
}

func TestFromManyGoroutines(t *testing.T) {
	g := NewWithT(t)
	out := &pipe{}
	s := stdout.New("stdout", out)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { _, _ = s.Send(t.Context(), sinktest.Events()) })
	}
	all.Wait()
	g.Expect(arrived(t, out.String())).To(HaveLen(16 * len(sinktest.Events())))
}
