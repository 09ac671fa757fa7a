package delivery

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/backoff"
	"github.com/dora-controller/dora-controller/internal/dispatch"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
)

// A test that needs another process starts its own binary again with this set; TestMain then runs that part instead.
const childSettings = "DELIVERY_CHILD"

// settings are what the other process has to know.
type settings struct {
	Ledger string
	Run    int // tells its events from those of the others
	Seed   uint64
	// One of these is where the events go.
	Postgres    *postgres.Options
	CloudEvents *cloudevents.Options
}

func (s *settings) sink() (sink.Sink, error) {
	if s.Postgres != nil {
		return postgres.New(*s.Postgres)
	}
	return cloudevents.New(*s.CloudEvents)
}

// quick is a backoff that a test can wait for.
var quick = backoff.Exponential{Base: time.Millisecond, Cap: 20 * time.Millisecond}

// What the other process says, a line each: it is about to record an event, has recorded it, is about to send some, has sent them.
const (
	aboutTo, done, sending, sent = "will", "did", "sending", "sent"
)

func say(words ...any) { fmt.Fprintln(os.Stdout, words...) } // one write of a whole line

// deliverUntilKilled records events and delivers them, and never ends by itself.
func deliverUntilKilled(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil { //nolint:musttag // both ends are in this file
		return err
	}
	store, err := sqlite.Open(context.Background(), s.Ledger, sqlite.Options{})
	if err != nil {
		return err
	}
	destination, err := s.sink()
	if err != nil {
		return err
	}
	dispatcher := dispatch.New(store, dispatch.Options{Backoff: quick})
	underWay := make(chan struct{}, 50) // no more are recorded before some were sent: both are to be going on when the end comes
	dispatcher.Register(talkative{destination, underWay}, dispatch.Route{})
	go func() { _ = dispatcher.Start(context.Background()) }()
	return recordForever(s, store, dispatcher.Notify, underWay)
}

func recordForever(s settings, store *sqlite.Store, notify func(), underWay chan<- struct{}) error {
	lots := lots(s.Seed, uint64(s.Run))
	teller := newStoryteller(lots, s.Run)
	for {
		events, facts := teller.some(1+lots.IntN(5), time.Now())
		for _, event := range events {
			underWay <- struct{}{}
			say(aboutTo, event.ID)
		}
		for _, change := range []ledger.Change{{Events: events, Sinks: []string{sinkName}}, {Facts: facts, Sinks: []string{sinkName}}} {
			if err := store.Commit(context.Background(), change); err != nil {
				return err
			}
			for _, event := range change.Events {
				say(done, event.ID)
			}
			notify()
		}
	}
}

// talkative says when it sends, so that the process can be killed just then.
type talkative struct {
	sink.Sink

	underWay <-chan struct{}
}

// Send implements sink.Sink.
func (t talkative) Send(ctx context.Context, events []dora.Event) (string, error) {
	say(sending, len(events))
	answer, err := t.Sink.Send(ctx, events)
	say(sent, len(events))
	for range min(len(events), len(t.underWay)) {
		<-t.underWay
	}
	return answer, err
}

// child is another process, until it is killed.
type child struct {
	*exec.Cmd

	out *bufio.Scanner
}

func startChild(t *testing.T, s settings) *child {
	t.Helper()
	g := NewWithT(t)
	text, err := json.Marshal(s) //nolint:musttag // both ends are in this file
	g.Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childSettings+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Start()).To(Succeed())
	return &child{Cmd: cmd, out: bufio.NewScanner(out)}
}

// lives lets it say so many lines more, and fails if it ends.
func (c *child) lives(t *testing.T, lines int, heard func(line string)) {
	t.Helper()
	for range lines {
		NewWithT(t).Expect(c.out.Scan()).To(BeTrue(), "it ended by itself")
		heard(c.out.Text())
	}
}

// kill ends the process without a chance to tidy up, and hears what it had still said.
func (c *child) kill(t *testing.T, heard func(line string)) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(c.Process.Kill()).To(Succeed())
	for c.out.Scan() {
		heard(c.out.Text())
	}
	g.Expect(c.Wait()).To(MatchError("signal: killed"))
}
