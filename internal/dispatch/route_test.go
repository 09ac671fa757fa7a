package dispatch

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/filter"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func wanting(f *fixture, expression string) Route {
	read, err := filter.New(expression)
	f.Expect(err).NotTo(HaveOccurred())
	return Route{Filter: read}
}

func TestWhatAFilterLeavesOutIsNeverSent(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		f.d.Register(s, wanting(f, `event.service != "b"`))
		f.start()
		f.record(port, "a1", "b1", "c1", "b2")
		f.Expect(s.Calls()).To(Equal([][]string{{"a1", "c1"}}))
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(2)), HaveField("Pending", int64(0)), HaveField("Cursor", int64(4))))

		f.d.Register(s, Route{})
		f.record(port, "b3")
		f.Expect(s.Calls()).To(Equal([][]string{{"b3"}}), "a new filter holds for what comes, not for what it left out before")
		f.d.Register(s, Route{WithoutEvents: true})
		f.record(port, "a2")
		f.Expect(s.Calls()).To(BeEmpty())
		f.Expect(f.figures("port").Pending).To(BeZero())
		f.stop()
	})
}

func TestAFilterThatFailsParks(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		f.d.Register(s, wanting(f, `event.service.matches(event.service == "a" ? "(" : "b")`))
		f.start()
		f.record(port, "a1", "b1")
		f.Expect(s.Calls()).To(Equal([][]string{{"b1"}}))
		f.Expect(f.figures("port")).To(And(HaveField("Parked", int64(1)), HaveField("LastError", ContainSubstring("cannot evaluate the filter"))))
		f.stop()
	})
}

// TestATriedSinkIsTriedWithOne: after a failure one event is sent, then two, four, and so on.
func TestATriedSinkIsTriedWithOne(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Fail(errBusy)
		f.d.Register(s.Takes(8), Route{})
		f.start()
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprintf("%c1", 'a'+i))
		}
		f.record(port, names...)
		f.Expect(s.Calls()).To(HaveExactElements(HaveLen(8)))
		f.wait(time.Second)
		f.Expect(s.Calls()).To(Equal([][]string{{"b1"}}), "one that never failed")
		s.Fail(nil)
		f.wait(2 * time.Second)
		calls := s.Calls()
		sizes := []int{}
		for _, call := range calls {
			sizes = append(sizes, len(call))
		}
		// Of eight that never failed 1, 2, 4 and the last, and one that did; eight more, and the other that did; the last two.
		f.Expect(sizes).To(Equal([]int{1, 2, 4, 1, 1, 8, 1, 2}))
		f.Expect(f.figures("port")).To(And(HaveField("Delivered", int64(20)), HaveField("Pending", int64(0))))
		f.stop()
	})
}

// TestADestinationThatRefusesEverythingIsSuspected: a wrong address must not park a backlog as fast as it can be sent.
func TestADestinationThatRefusesEverythingIsSuspected(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Fail(errRefused)
		f.d.Register(s.Takes(1), Route{})
		f.start()
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprintf("a%d", i))
		}
		f.record(port, names...)
		f.Expect(f.figures("port").Parked).To(Equal(int64(manyRefused)))
		health, _ := f.d.Health("port")
		f.Expect(health.Reason).To(Equal(sink.Refused))
		f.Expect(health.Err).To(MatchError("it refuses everything, 10 events in a row; the last: refused"))
		f.wait(time.Second)
		f.wait(2 * time.Second)
		f.Expect(f.figures("port").Parked).To(Equal(int64(manyRefused+2)), "ever more slowly")
		s.Fail(nil)
		f.wait(4 * time.Second)
		f.Expect(f.figures("port")).To(And(HaveField("Parked", int64(12)), HaveField("Delivered", int64(88))))
		health, _ = f.d.Health("port")
		f.Expect(health.Err).NotTo(HaveOccurred())
		f.stop()
	})
}

func TestASinkThatIsHurriedEndsItsRest(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		s.Fail(&sink.RetryableError{Err: errBusy, After: time.Hour})
		f.start(s)
		f.record(port, "a1", "b1")
		s.Fail(nil)
		s.Calls()
		f.d.Hurry("port")
		f.d.Hurry("none")
		synctest.Wait()
		f.Expect(s.Calls()).To(Equal([][]string{{"b1"}}), "what was put off itself is the ledger's to hasten")
		f.Expect(f.Hasten(f.ctx, "port", noon)).To(Equal(int64(1)))
		f.d.Hurry("port")
		synctest.Wait()
		f.Expect(s.Calls()).To(Equal([][]string{{"a1"}}))
		f.stop()
	})
}

func TestWhatWasAnsweredIsInTheLog(t *testing.T) {
	story(t, func(f *fixture) {
		s := sinktest.NewScripted("port")
		f.start(s)
		f.record(port, "a1")
		s.Fail(errBusy)
		f.record(port, "b1")
		s.Fail(errRefused)
		f.wait(time.Second)
		log, err := f.Deliveries(f.ctx, ledger.DeliveryQuery{})
		f.Expect(err).NotTo(HaveOccurred())
		told := []string{}
		for _, d := range log {
			told = append(told, fmt.Sprintf("%s %s %s: %s", d.At.Format("05"), d.EventID, d.Fate, d.Answer))
		}
		f.Expect(told).To(Equal([]string{"01 b1 parked: refused", "00 b1 retried: busy", "00 a1 delivered: taken"}))
		f.stop()
	})
}

// measured is a scripted sink that takes figures, and can be asked.
type measured struct {
	*sinktest.Scripted

	failure error // of figures
	taken   []string
	checked int
	unwell  error
}

func (m *measured) SendFigures(_ context.Context, figures []sink.Figures) (string, error) {
	for _, f := range figures {
		m.taken = append(m.taken, fmt.Sprintf("%s %s%s %d", f.Target, f.Team, f.Service, f.Deployments))
	}
	return "taken", m.failure
}

func (m *measured) Check(context.Context) error {
	m.checked++
	return m.unwell
}

func (m *measured) took() []string {
	taken := m.taken
	m.taken = nil
	return taken
}

func of(service string, deployments int) sink.Figures {
	return sink.Figures{Target: "shop/all", Scope: sink.ScopeService, Service: service, Deployments: deployments, From: noon.Add(-time.Hour), To: noon}
}

func TestFiguresAreSentWhenTheyChange(t *testing.T) {
	story(t, func(f *fixture) {
		m := &measured{Scripted: sinktest.NewScripted("port")}
		f.d.Register(m, wanting(f, `event.service != "c"`))
		f.start()
		give := func(figures ...sink.Figures) {
			f.d.Measure("port", "shop/all", figures)
			synctest.Wait()
		}
		give(of("a", 1), of("b", 1), of("c", 1))
		f.Expect(m.took()).To(ConsistOf("shop/all a 1", "shop/all b 1"))
		give(of("a", 2), of("b", 1))
		f.Expect(m.took()).To(ConsistOf("shop/all a 2"), "only what has changed")
		later := of("a", 2)
		later.To = later.To.Add(time.Hour)
		give(later)
		f.Expect(m.took()).To(BeEmpty(), "time alone is no change")
		later.To = later.To.Add(24 * time.Hour)
		give(later)
		f.Expect(m.took()).To(HaveLen(1), "but a new day is, since destinations keep figures by the day")
		give(of("a", 2), of("b", 1))
		f.Expect(m.took()).To(ContainElement("shop/all b 1"), "what was gone is news")

		m.failure = errBusy
		give(of("a", 3), of("b", 1))
		give(of("a", 4), of("b", 1))
		f.Expect(m.took()).To(ConsistOf("shop/all a 3"))
		health, _ := f.d.Health("port")
		f.Expect(health).To(And(HaveField("Err", BeNil()), HaveField("FiguresErr", errBusy), HaveField("FiguresAt", noon)))
		f.record(port, "a1")
		f.Expect(m.Calls()).To(HaveLen(1), "events are not held up")
		m.failure = nil
		f.wait(time.Second)
		f.Expect(m.took()).To(ConsistOf("shop/all a 4"), "only the newest")
		f.d.Measure("none", "shop/all", nil) // nobody is there
		f.stop()
	})
}

func TestTheDestinationIsAsked(t *testing.T) {
	story(t, func(f *fixture) {
		m := &measured{Scripted: sinktest.NewScripted("port"), unwell: sink.Because(sink.BlueprintMissing, errors.New("no blueprint"))}
		changed := 0
		f.d.opts.Changed = func(string) { changed++ }
		f.d.Register(m, Route{})
		health, registered := f.d.Health("port")
		f.Expect(registered).To(BeTrue())
		f.Expect(health.Asked).To(BeFalse())
		f.start()
		expect := func(reason sink.Reason) {
			health, _ := f.d.Health("port")
			f.Expect(health).To(And(HaveField("Asked", true), HaveField("Reason", reason)))
		}
		expect(sink.BlueprintMissing)
		f.Expect(changed).To(Equal(1))
		f.record(port, "a1")
		f.Expect(m.Calls()).To(HaveLen(1), "events are sent all the same")
		expect(sink.BlueprintMissing)
		m.unwell = nil
		f.wait(time.Minute)
		expect("")
		f.Expect(m.checked).To(Equal(2))
		f.wait(10*time.Minute - 1)
		f.Expect(m.checked).To(Equal(2))
		f.wait(1)
		f.Expect(m.checked).To(Equal(3))

		m.Fail(&sink.RetryableError{Err: sink.Because(sink.CredentialsRefused, errBusy)})
		f.record(port, "a2")
		expect(sink.CredentialsRefused)
		m.Fail(errRefused)
		f.wait(time.Second)
		expect("")
		_, registered = f.d.Health("none")
		f.Expect(registered).To(BeFalse())
		f.stop()
	})
}

var _ sink.Sink = (*closing)(nil)

type closing struct {
	*sinktest.Scripted

	closed chan struct{}
}

func (c *closing) Close() { close(c.closed) }

func TestASinkIsClosedWhenItIsNotUsedAnyMore(t *testing.T) {
	story(t, func(f *fixture) {
		first, second := &closing{sinktest.NewScripted("port"), make(chan struct{})}, &closing{sinktest.NewScripted("port"), make(chan struct{})}
		f.d.Register(first, Route{})
		f.start()
		f.d.Register(second, Route{})
		<-first.closed
		f.record(port, "a1")
		f.Expect(second.Calls()).To(HaveLen(1))
		f.d.Remove("port")
		<-second.closed
		f.stop()
	})
}
