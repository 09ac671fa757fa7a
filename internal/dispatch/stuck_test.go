package dispatch

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/progress"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// deadlocked is a sink that does not heed its deadline.
type deadlocked struct {
	*sinktest.Scripted

	goOn chan struct{}
}

func (d *deadlocked) Send(context.Context, []dora.Event) (string, error) {
	<-d.goOn
	return "", nil
}

// may is what a step may take, with the time limit of 30 seconds that is the default.
const may = 30*time.Second + progress.Spare

func TestADeliveryThatDoesNotEndIsStuck(t *testing.T) {
	story(t, func(f *fixture) {
		board := &progress.Board{}
		f.d.opts.Board = board
		s := &deadlocked{sinktest.NewScripted("port"), make(chan struct{})}
		f.d.Register(s, Route{})
		f.start()
		f.wait(time.Hour)
		f.Expect(board.Check()).To(Succeed(), "there is nothing to deliver")
		f.record(port, "a1")
		f.wait(may)
		f.Expect(board.Check()).To(Succeed())
		f.wait(1)
		f.Expect(board.Check()).To(MatchError("stuck: deliver port since 2000-01-01T01:00:00Z"))
		close(s.goOn)
		f.stop()
	})
}

// TestADestinationThatIsDownIsNotStuck, however long it is.
func TestADestinationThatIsDownIsNotStuck(t *testing.T) {
	story(t, func(f *fixture) {
		board := &progress.Board{}
		f.d.opts.Board = board
		s := sinktest.NewScripted("port")
		s.Answer(func(ctx context.Context, _ []dora.Event) error {
			<-ctx.Done()
			return ctx.Err()
		})
		f.start(s)
		f.record(port, "a1", "b1", "c1")
		for range 100 {
			f.wait(10 * time.Second)
			f.Expect(board.Check()).To(Succeed())
		}
		f.Expect(f.figures("port").Pending).To(Equal(int64(3)))
		f.stop()
	})
}

// sleeping is a ledger that does not answer who asks what is due.
type sleeping struct {
	ledger.Outbox

	goOn chan struct{}
}

func (s sleeping) Due(context.Context, string, time.Time, int) ([]ledger.Delivery, error) {
	<-s.goOn
	return nil, nil
}

func TestALedgerThatDoesNotSayWhatIsDueIsStuck(t *testing.T) {
	story(t, func(f *fixture) {
		board, goOn := &progress.Board{}, make(chan struct{})
		f.use(sleeping{f.Memory, goOn})
		f.d.opts.Board = board
		f.start(sinktest.NewScripted("port"))
		f.wait(may + 1)
		f.Expect(board.Check()).To(MatchError("stuck: deliver port since 2000-01-01T00:00:00Z"))
		close(goOn)
		f.stop()
	})
}
