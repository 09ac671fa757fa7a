package kube

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	clocktesting "k8s.io/utils/clock/testing"
)

// answering is a server whose clock says a time, and takes a while to answer.
type answering struct {
	machine *clocktesting.FakeClock
	ahead   time.Duration
	// there and back are how long a request and its answer are on their way.
	there, back time.Duration
	date, kind  string
	code        int
}

func (a *answering) RoundTrip(*http.Request) (*http.Response, error) {
	a.machine.Step(a.there)
	date := cmp.Or(a.date, a.machine.Now().Add(a.ahead).UTC().Format(http.TimeFormat))
	a.machine.Step(a.back)
	header := http.Header{"Date": {date}, "Content-Type": {cmp.Or(a.kind, "application/json")}}
	return &http.Response{StatusCode: cmp.Or(a.code, http.StatusOK), Header: header, Body: http.NoBody}, nil
}

func TestTheTimeIsTheAPIServers(t *testing.T) {
	t.Parallel()
	second := time.Second
	for name, test := range map[string]struct {
		server answering
		want   time.Duration
		within time.Duration
	}{
		"in step":                           {answering{}, 0, 0},
		"a second behind":                   {answering{ahead: -second}, 0, 0},
		"a minute ahead":                    {answering{ahead: time.Minute}, time.Minute, second},
		"a minute behind":                   {answering{ahead: -time.Minute}, -time.Minute, second},
		"in protobuf":                       {answering{ahead: time.Minute, kind: "application/vnd.kubernetes.protobuf;type=watch"}, time.Minute, second},
		"the answer was long on its way":    {answering{back: time.Minute}, 0, 0},
		"the request was long on its way":   {answering{there: time.Minute}, 0, 0},
		"an hour ahead, half a minute away": {answering{ahead: time.Hour, there: 15 * second, back: 15 * second}, time.Hour, 16 * second},
		"no time is told":                   {answering{date: "yesterday"}, 0, 0},
		"a proxy without a server":          {answering{ahead: time.Hour, code: http.StatusBadGateway}, 0, 0},
		"a page of a proxy":                 {answering{ahead: time.Hour, kind: "text/html"}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			machine := clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 700_000_000, time.UTC))
			test.server.machine = machine
			c := NewClock(machine, logr.Discard())
			g.Expect(c.Now()).To(Equal(machine.Now()), "before anything was heard")
			transport := c.Wrap(&test.server)
			for range doubts - 1 {
				ask(g, transport)
				g.Expect(c.Now()).To(Equal(machine.Now()), "one answer proves nothing")
			}
			ask(g, transport)
			g.Expect(c.Now()).To(BeTemporally("~", machine.Now().Add(test.want), test.within))
			g.Expect(c.Since(machine.Now())).To(Equal(c.Now().Sub(machine.Now())))
		})
	}
}

func ask(g Gomega, transport http.RoundTripper) {
	answer, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, "https://kubernetes/version", http.NoBody))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Body.Close()).To(Succeed())
}

// lasting is a clock with a server, and what it says while its lease is renewed every two seconds.
type lasting struct {
	Gomega

	machine *clocktesting.FakeClock
	server  *answering
	clock   *Clock
	said    int
}

func newLasting(t *testing.T) *lasting {
	t.Helper()
	l := &lasting{Gomega: NewWithT(t), machine: clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))}
	l.server = &answering{machine: l.machine}
	l.clock = NewClock(l.machine, funcr.New(func(string, string) { l.said++ }, funcr.Options{}))
	return l
}

// renew asks so many times, each time of a server that is so much ahead, one after the other.
func (l *lasting) renew(times int, ahead ...time.Duration) {
	for i := range times {
		l.server.ahead = ahead[i%len(ahead)]
		l.machine.Step(2*time.Second + 137*time.Millisecond)
		ask(l, l.clock.Wrap(l.server))
	}
}

func (l *lasting) offset() time.Duration { return l.clock.Now().Sub(l.machine.Now()) }

// The seconds that an answer tells are no reason to move: what was found stays until it cannot be.
func TestTheTimeStandsStillBetweenAnswers(t *testing.T) {
	t.Parallel()
	l := newLasting(t)
	l.renew(doubts, time.Minute)
	found := l.offset()
	l.Expect(testutil.ToFloat64(l.clock)).To(BeNumerically("~", 60, 1))
	for range 100 {
		l.renew(1, time.Minute)
		l.Expect(l.offset()).To(Equal(found))
	}
	l.renew(4, 0) // somebody sets the machine's clock
	l.Expect(l.offset()).To(Equal(found), "not for long enough to be believed")
	l.renew(2, 0)
	l.Expect(l.offset()).To(BeZero())
	l.Expect(testutil.ToFloat64(l.clock)).To(BeZero())
	l.Expect(l.said).To(Equal(2))
}

// A server of several whose clock is wrong, or a proxy that answers for one, changes nothing as long as another tells the time that is gone by.
func TestOneOfSeveralServersIsWrong(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string][]time.Duration{
		"every second answer": {0, time.Minute}, "four of five": {0, time.Minute, time.Minute, time.Minute, time.Minute},
		"each in its own way":  {time.Minute, 25 * time.Hour, -time.Hour, 3 * time.Hour},
		"now and then, by far": {0, 0, 0, 0, 0, 0, 0, 25 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLasting(t)
			l.renew(1, 0)
			for range 50 {
				l.renew(len(ahead), ahead...)
				l.Expect(l.offset()).To(BeZero())
			}
			l.Expect(l.said).To(BeZero())
		})
	}
}
