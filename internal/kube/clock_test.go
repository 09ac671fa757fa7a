package kube

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
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
	date        string
}

func (a *answering) RoundTrip(*http.Request) (*http.Response, error) {
	a.machine.Step(a.there)
	date := a.date
	if date == "" {
		date = a.machine.Now().Add(a.ahead).UTC().Format(http.TimeFormat)
	}
	a.machine.Step(a.back)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Date": {date}}, Body: http.NoBody}, nil
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
		"the answer was long on its way":    {answering{back: time.Minute}, 0, 0},
		"the request was long on its way":   {answering{there: time.Minute}, 0, 0},
		"an hour ahead, half a minute away": {answering{ahead: time.Hour, there: 15 * second, back: 15 * second}, time.Hour, 16 * second},
		"no time is told":                   {answering{date: "yesterday"}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			machine := clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 700_000_000, time.UTC))
			test.server.machine = machine
			c := NewClock(machine, logr.Discard())
			g.Expect(c.Now()).To(Equal(machine.Now()), "before anything was heard")
			ask(g, c.Wrap(&test.server))
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

// The seconds that an answer tells are no reason to move: what was found stays until it cannot be.
func TestTheTimeStandsStillBetweenAnswers(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	machine := clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	c, server := NewClock(machine, logr.Discard()), &answering{machine: machine, ahead: time.Minute}
	ask(g, c.Wrap(server))
	found := c.Now().Sub(machine.Now())
	for range 100 {
		machine.Step(137 * time.Millisecond)
		ask(g, c.Wrap(server))
		g.Expect(c.Now().Sub(machine.Now())).To(Equal(found))
	}
	g.Expect(testutil.ToFloat64(c)).To(BeNumerically("~", 60, 1))

	server.ahead = 0 // somebody sets the machine's clock
	ask(g, c.Wrap(server))
	g.Expect(c.Now()).To(Equal(machine.Now()))
	g.Expect(testutil.ToFloat64(c)).To(BeZero())
}
