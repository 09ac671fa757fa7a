package port_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func (w *world) client(t *testing.T, change ...func(*port.ClientOptions)) *port.Client {
	t.Helper()
	o := port.ClientOptions{
		Version: "v1.2.3", Cluster: "eu-1", BaseURL: w.URL, ClientID: clientID, ClientSecret: secret, Guard: loopback, Now: w.clock.Now,
	}
	for _, c := range change {
		c(&o)
	}
	client, err := port.NewClient(o)
	if err != nil {
		t.Fatalf("cannot make the client: %v", err)
	}
	return client
}

// look reads a blueprint.
func look(t *testing.T, c *port.Client) error {
	t.Helper()
	var out any
	return c.Do(t.Context(), http.MethodGet, port.Path("v1", "blueprints", "service"), nil, nil, &out)
}

func TestWhatNoClientIsMadeOf(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *port.Options)
		reason sink.Reason
		says   string
	}{
		"a person's credential": {func(o *port.Options) { o.ClientID = "ada@example.com" }, sink.CredentialsRefused, "use a machine credential"},
		"no client id":          {func(o *port.Options) { o.ClientID = "" }, sink.CredentialsMissing, "clientId"},
		"no client secret":      {func(o *port.Options) { o.ClientSecret = "" }, sink.CredentialsMissing, "clientSecret"},
		"a CA that is none":     {func(o *port.Options) { o.CA = []byte("nonsense") }, sink.CredentialsMissing, "ca.crt"},
		"no address":            {func(o *port.Options) { o.BaseURL = "api.port.io" }, sink.Failing, "https://api.port.io"},
		"a user in the address": {func(o *port.Options) { o.BaseURL = "https://me:" + secret + "@api.port.io" }, sink.Failing, "https://api.port.io"},
		"a query":               {func(o *port.Options) { o.BaseURL = "https://api.port.io?a=b" }, sink.Failing, "https://api.port.io"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o := newWorld(t).options
			c.change(&o)
			_, err := port.New(o)
			g.Expect(err).To(MatchError(ContainSubstring(c.says)))
			g.Expect(sink.ReasonOf(err)).To(Equal(c.reason))
			sinktest.KeepsSecrets(t, err, secret)
		})
	}
}

// TestATokenLastsAsLongAsPortSays: whoever asks with the same credentials gets the same token, with what is left of it.
func TestATokenLastsAsLongAsPortSays(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	first := w.client(t)
	g.Expect(look(t, first)).To(Succeed())
	w.forward(2*time.Hour + 59*time.Minute + 50*time.Second)
	second := w.client(t)
	for range 3 {
		g.Expect(look(t, second)).To(Succeed())
	}
	g.Expect(w.Asked()).To(Equal(2), "the second uses its token while it lasts")
	g.Expect(w.Tokens()).To(Equal(1))
	w.forward(9500 * time.Millisecond) // half a second before its end
	g.Expect(look(t, second)).To(Succeed())
	g.Expect(w.Asked()).To(Equal(3), "a token is renewed shortly before its end")
	w.forward(time.Second)
	g.Expect(look(t, second)).To(Succeed())
	g.Expect(w.Tokens()).To(Equal(2))
}

func TestOneTokenForAllAtOnce(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	c := w.client(t)
	var all sync.WaitGroup
	failed := make(chan error, 16)
	for range 16 {
		all.Go(func() {
			var out any
			failed <- c.Do(t.Context(), http.MethodGet, port.Path("v1", "blueprints", "service"), nil, nil, &out)
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.Asked()).To(Equal(1))
}

func TestATokenThatWasRevoked(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	c := w.client(t)
	g.Expect(look(t, c)).To(Succeed())
	w.Revoke()
	g.Expect(look(t, c)).To(Succeed())
	g.Expect(w.Tokens()).To(Equal(2))
}

// TestATokenThatIsNeverTaken is renewed once, and no more.
func TestATokenThatIsNeverTaken(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	for range 2 {
		w.Next(porttest.Answered(401, `{"ok":false,"error":"unauthorized"}`, nil))
	}
	err := look(t, w.client(t))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.CredentialsRefused))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	g.Expect(w.Asked()).To(Equal(2))
}

// TestNoToken: nothing that the auth route says is for good, since the mend is another secret and no other event.
func TestNoToken(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   sink.Reason
	}{
		"the secret is wrong":           {401, `{"ok":false,"error":"invalid_credentials","message":"no"}`, sink.CredentialsRefused},
		"the address is not allowed":    {403, `{"ok":false,"error":"forbidden","message":"IP not whitelisted"}`, sink.CredentialsRefused},
		"Port knows no such credential": {404, `{"ok":false,"error":"not_found","message":"no"}`, sink.CredentialsRefused},
		"the credential has no form":    {422, `{"ok":false,"error":"invalid_request","message":"no"}`, sink.CredentialsRefused},
		"another server is there":       {404, `<html>`, sink.NotFound},
		"a proxy refuses the method":    {405, `<html>`, sink.Failing},
		"too many ask":                  {429, `{"ok":false,"error":"too_many_requests"}`, sink.RateLimited},
		"Port is down":                  {503, `upstream`, sink.Failing},
		"Port has moved":                {302, ``, sink.Redirected},
		"the answer is no JSON":         {200, `<html>`, sink.Failing},
		"the answer has no token":       {200, `{"ok":true,"expiresIn":10,"tokenType":"Bearer"}`, sink.Failing},
		"the token breaks the header":   {200, `{"ok":true,"accessToken":"a\nb","expiresIn":10,"tokenType":"Bearer"}`, sink.Failing},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			w.NextToken(porttest.Answered(c.status, c.body, nil))
			err := look(t, w.client(t))
			g.Expect(err).To(HaveOccurred())
			g.Expect(sink.ReasonOf(err)).To(Equal(c.want), "%v", err)
			g.Expect(sink.IsPermanent(err)).To(BeFalse())
			g.Expect(w.Requests()).To(BeEmpty())
		})
	}
}

func TestAWrongSecretIsNotTold(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.Echo = true
	wrong := sinktest.Secret("wrong")
	err := look(t, w.client(t, func(o *port.ClientOptions) { o.ClientSecret = wrong }))
	g.Expect(err).To(MatchError(And(ContainSubstring("401"), ContainSubstring("invalid_credentials"), ContainSubstring("(an answer that repeats a credential)"))))
	sinktest.KeepsSecrets(t, err, wrong)
}

// TestWhatPortRepeats: an error body, a header and a broken answer that hold the token.
func TestWhatPortRepeats(t *testing.T) {
	w := newWorld(t)
	token := w.Token(1)
	for name, fault := range map[string]porttest.Fault{
		"in a message": porttest.Answered(500, `{"ok":false,"error":"`+token+`","message":"Bearer `+token+` and `+secret+`"}`, nil),
		"in a header":  porttest.Answered(500, `{}`, http.Header{"x-trace-id": {token}}),
		"in no JSON":   porttest.Answered(200, token, nil),
		"in a number":  porttest.Answered(200, `{"blueprint":"`+token+`"`, nil),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w.Next(fault)
			err := look(t, w.client(t))
			g.Expect(err).To(HaveOccurred())
			sinktest.KeepsSecrets(t, err, secret, token)
		})
	}
}

func TestTheRateLimit(t *testing.T) {
	for name, seconds := range map[string]bool{"reset in epoch seconds": false, "reset in seconds from now": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			c := w.client(t)
			g.Expect(look(t, c)).To(Succeed())
			w.Requests()
			w.LimitTo(2, noon.Add(40*time.Second), seconds)
			g.Expect(look(t, c)).To(Succeed())
			g.Expect(look(t, c)).To(Succeed())
			err := look(t, c)
			g.Expect(sink.ReasonOf(err)).To(Equal(sink.RateLimited))
			g.Expect(sink.RetryAfter(err)).To(Equal(40 * time.Second))
			g.Expect(w.Requests()).To(HaveLen(2), "what Port would refuse is not sent")
			w.forward(40 * time.Second)
			g.Expect(look(t, c)).To(Succeed())
		})
	}
}

func TestTooManyRequests(t *testing.T) {
	for name, header := range map[string]http.Header{
		"Retry-After":           {"Retry-After": {"7"}},
		"the reset of the rate": {"X-Ratelimit-Limit": {"1000"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"7"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			s := w.sink(t)
			send(t, s, event("e1"))
			header["Date"] = []string{noon.Format(http.TimeFormat)}
			w.Next(porttest.Answered(429, `{"ok":false,"error":"too_many_requests","message":"slow down"}`, header))
			_, err := s.Send(t.Context(), sinktest.Events()[:4])
			g.Expect(sink.ReasonOf(err)).To(Equal(sink.RateLimited))
			g.Expect(sink.RetryAfter(err)).To(Equal(7 * time.Second))
			g.Expect(sink.IsPermanent(err)).To(BeFalse())
			w.forward(7 * time.Second)
			send(t, s, sinktest.Events()...)
		})
	}
}

func TestTheErrorOfPort(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	c := w.client(t)
	err := c.Do(t.Context(), http.MethodGet, port.Path("v1", "blueprints", "ghost"), nil, nil, nil)
	problem, ok := errors.AsType[*port.Error](err)
	g.Expect(ok).To(BeTrue())
	g.Expect(problem.Status).To(Equal(http.StatusNotFound))
	g.Expect(problem.Code).To(Equal("not_found"))
	g.Expect(problem.Message).To(ContainSubstring(`"ghost" was not found`))
	g.Expect(problem.TraceID).To(Equal("trace-2"))
	g.Expect(err).To(MatchError(ContainSubstring("(x-trace-id trace-2)")))
	g.Expect(c.Missing(err)).To(BeTrue())
	w.Next(porttest.Answered(404, "<html>", nil))
	g.Expect(c.Missing(look(t, c))).To(BeFalse(), "any server answers 404 to what it does not know")
}

// TestOnlyPortSetsAnEventAside, and no proxy that stands before it.
func TestOnlyPortSetsAnEventAside(t *testing.T) {
	for status, body := range map[int]string{
		405: "<html>not allowed</html>", 422: "<html>unprocessable</html>", 501: "", 403: `{"ok":false,"error":"forbidden"}`, 302: "", 404: "nothing here",
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			s := w.sink(t)
			send(t, s, event("e1"))
			w.Next(porttest.Answered(status, body, nil))
			_, err := s.Send(t.Context(), sinktest.Events()[:4])
			g.Expect(err).To(HaveOccurred())
			g.Expect(sink.IsPermanent(err)).To(BeFalse(), "%v", err)
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		fault porttest.Fault
		want  sink.Reason
	}{
		"the connection breaks": {porttest.Reset, sink.Unreachable},
		"the answer has no end": {porttest.Answered(200, `{"a":"`+strings.Repeat("x", 5<<20), nil), sink.Failing},
		"the answer breaks off": {porttest.Answered(200, `{"ok":tr`, nil), sink.Failing},
		"the answer is empty":   {porttest.Answered(200, ``, nil), sink.Failing},
		"the error has no end":  {porttest.Answered(500, `{"error":"`+strings.Repeat(secret, 1<<14), nil), sink.Failing},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			for range 2 { // net/http itself repeats a GET whose connection broke
				w.Next(c.fault)
			}
			err := look(t, w.client(t))
			g.Expect(err).To(HaveOccurred())
			g.Expect(sink.ReasonOf(err)).To(Equal(c.want), "%v", err)
			g.Expect(sink.IsPermanent(err)).To(BeFalse())
			sinktest.KeepsSecrets(t, err, secret)
		})
	}
}

func TestPortThatDoesNotAnswer(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	send(t, s, event("e1"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w.Next(porttest.Stalled)
	_, err := s.Send(ctx, sinktest.Events()[:4])
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.Unreachable))
}

func TestAnAddressThatIsNotAllowed(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.options.Guard = egress.Guard{}
	_, err := w.sink(t).Send(t.Context(), sinktest.Events())
	g.Expect(sink.ReasonOf(err)).To(Equal(sink.AddressRefused))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
}

// TestNamesWithASlash are identifiers by Port's pattern, and no more than one segment of a path.
func TestNamesWithASlash(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.options.Blueprints.Incident = "dora/incident"
	w.PutBlueprint(blueprint("dora/incident", port.IncidentProperties(), "service=service", "deployment=deployment"))
	e := event("e5")
	e.FailureID = "eu-1/argocd/cart:1"
	s := w.sink(t)
	send(t, s, e)
	send(t, s, e)
	g.Expect(w.Entity("dora/incident", "eu-1/argocd/cart:1")).NotTo(BeNil())
}

func TestTheUserAgent(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	for _, cluster := range []string{"", "eu (1)\r\nX-Evil: ü"} {
		g.Expect(look(t, w.client(t, func(o *port.ClientOptions) { o.Cluster = cluster }))).To(Succeed())
	}
	requests := w.Requests()
	g.Expect(requests[0].UserAgent).To(Equal("dora-controller/v1.2.3"))
	g.Expect(requests[1].UserAgent).To(Equal("dora-controller/v1.2.3 (eu--1---X-Evil:--)"))
}

// TestThePartsOfACall: of a call whose second part finds the portal down, the first arrived and the rest waits.
func TestThePartsOfACall(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	s := w.sink(t)
	send(t, s, event("e4"))
	batch := sinktest.Events()[:2]
	for i := range batch {
		images := *batch[i].Version
		images.Images = []string{strings.Repeat("x", 700_000)}
		batch[i].Version = &images
	}
	pass := func(http.ResponseWriter, *http.Request) bool { return false }
	w.Next(pass, porttest.Answered(502, "<html>", nil))
	_, err := s.Send(t.Context(), batch)
	failed := partialOf(t, err).Failed
	g.Expect(failed).To(And(HaveLen(1), HaveKey("e2")))
	g.Expect(sink.IsPermanent(failed["e2"])).To(BeFalse())
}

// TestWhatAnswersIsNoHTTP: net/http quotes in its errors what the server sent.
func TestWhatAnswersIsNoHTTP(t *testing.T) {
	g := NewWithT(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 64<<10))
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad\r\n{\"clientSecret\" \""+secret+"\"}\r\n\r\n")
		_ = conn.Close()
	}()
	err = look(t, newWorld(t).client(t, func(o *port.ClientOptions) { o.BaseURL = "http://" + listener.Addr().String() }))
	g.Expect(err).To(MatchError("cannot reach " + listener.Addr().String() + ": what answered there does not speak HTTP, or broke off"))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	sinktest.KeepsSecrets(t, err, secret, sinktest.Canary)
}
