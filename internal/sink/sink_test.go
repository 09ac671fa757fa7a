package sink_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestKindsOfErrors(t *testing.T) {
	g := NewWithT(t)
	permanent := fmt.Errorf("send: %w", &sink.PermanentError{Err: io.EOF})
	later := fmt.Errorf("send: %w", &sink.RetryableError{Err: io.EOF, After: time.Minute})

	g.Expect(sink.IsPermanent(permanent)).To(BeTrue())
	g.Expect(sink.IsPermanent(later)).To(BeFalse())
	g.Expect(sink.IsPermanent(io.EOF)).To(BeFalse())
	g.Expect(sink.RetryAfter(later)).To(Equal(time.Minute))
	g.Expect(sink.RetryAfter(permanent)).To(BeZero())
	g.Expect(permanent).To(MatchError("send: EOF"))
	g.Expect(errors.Is(permanent, io.EOF) && errors.Is(later, io.EOF)).To(BeTrue())

	partial := &sink.PartialError{Failed: map[string]error{"b": io.EOF, "a": permanent, "d": io.EOF, "c": io.EOF}}
	g.Expect(partial).To(MatchError("4 events failed: a: send: EOF; b: EOF; c: EOF; and 1 more"))
	g.Expect(errors.Is(partial, io.EOF)).To(BeTrue())
}

func TestJudge(t *testing.T) {
	permanent := map[int]bool{400: true, 413: true, 422: true}
	for status := 100; status < 600; status++ {
		g := NewWithT(t)
		err := sink.Judge(&http.Response{StatusCode: status})
		if status/100 == 2 {
			g.Expect(err).NotTo(HaveOccurred())
			continue
		}
		g.Expect(err).To(MatchError(ContainSubstring(strconv.Itoa(status))))
		g.Expect(sink.IsPermanent(err)).To(Equal(permanent[status]), "status %d", status)
	}
}

func TestAWrongAddressIsNotBlamedOnAnEvent(t *testing.T) {
	for _, status := range []int{405, 406, 410, 411, 415, 501} {
		err := sink.Judge(&http.Response{StatusCode: status})
		NewWithT(t).Expect(err).To(MatchError(HaveSuffix(", as to whatever it is sent there: look at the address")))
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "0": 0, "-5": 0, "30": 30 * time.Second, "86400": time.Hour, "99999999999999999": 0,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 11:59:00 GMT": 0,
	} {
		g := NewWithT(t)
		answer := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{
			"Retry-After": {header}, "Date": {now.Format(http.TimeFormat)},
		}}
		g.Expect(sink.RetryAfter(sink.Judge(answer))).To(Equal(want), header)
	}
}

func TestReasons(t *testing.T) {
	g := NewWithT(t)
	refused := &sink.RetryableError{Err: sink.Because(sink.CredentialsRefused, io.EOF)}
	g.Expect(sink.ReasonOf(fmt.Errorf("send: %w", refused))).To(Equal(sink.CredentialsRefused))
	g.Expect(sink.ReasonOf(sink.Because(sink.BlueprintMissing, refused))).To(Equal(sink.BlueprintMissing), "the outermost counts")
	g.Expect(sink.ReasonOf(&sink.PermanentError{Err: io.EOF})).To(Equal(sink.Refused))
	g.Expect(sink.ReasonOf(io.EOF)).To(Equal(sink.Failing))
	g.Expect(sink.Because(sink.Failing, nil)).To(Succeed())
	for status, want := range map[int]sink.Reason{
		301: sink.Redirected, 400: sink.Refused, 401: sink.CredentialsRefused, 403: sink.CredentialsRefused, 404: sink.NotFound,
		405: sink.Refused, 406: sink.Refused, 410: sink.NotFound, 411: sink.Refused, 413: sink.Refused, 415: sink.Refused, 422: sink.Refused,
		501: sink.Refused, 429: sink.RateLimited, 500: sink.Failing, 503: sink.Failing, 507: sink.Full,
	} {
		g.Expect(sink.ReasonOf(sink.Judge(&http.Response{StatusCode: status}))).To(Equal(want), "status %d", status)
	}
}

// ask sends a request with a client of the package.
func ask(t *testing.T, guard egress.Guard, address string) (*http.Response, error) {
	t.Helper()
	client, err := sink.NewClient(guard, nil, 100)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, http.NoBody)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return client.Do(request)
}

func TestTheClient(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		case "/large":
			_, _ = w.Write(make([]byte, 101))
		}
	}))
	t.Cleanup(server.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)

	_, err := ask(t, egress.Guard{}, server.URL) //nolint:bodyclose // refused
	g.Expect(sink.ReasonOf(sink.Unsent(err))).To(Equal(sink.AddressRefused))
	_, err = ask(t, here, secure.URL) //nolint:bodyclose // refused
	g.Expect(sink.ReasonOf(sink.Unsent(err))).To(Equal(sink.CertificateRefused))

	answer, err := ask(t, here, server.URL+"/elsewhere")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Body.Close()).To(Succeed())
	g.Expect(sink.Judge(answer)).To(MatchError("the destination answered 307 Temporary Redirect, a redirect, which is not followed: " +
		"name the address where it is"))

	answer, err = ask(t, here, server.URL+"/large")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = io.ReadAll(answer.Body)
	g.Expect(err).To(MatchError(sink.ErrTooLarge))
	g.Expect(answer.Body.Close()).To(Succeed())

	server.Close()
	_, err = ask(t, here, server.URL) //nolint:bodyclose // nobody answers
	g.Expect(sink.ReasonOf(sink.Unsent(err))).To(Equal(sink.Unreachable))
}
