package sink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
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
	permanent := map[int]bool{400: true, 405: true, 406: true, 410: true, 411: true, 413: true, 415: true, 422: true, 501: true}
	for status := 100; status < 600; status++ {
		g := NewWithT(t)
		err := sink.Judge(&http.Response{StatusCode: status}, now)
		if status/100 == 2 {
			g.Expect(err).NotTo(HaveOccurred())
			continue
		}
		g.Expect(err).To(MatchError(ContainSubstring(strconv.Itoa(status))))
		g.Expect(sink.IsPermanent(err)).To(Equal(permanent[status]), "status %d", status)
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "0": 0, "-5": 0, "30": 30 * time.Second, "99999999999999999": (1<<31 - 1) * time.Second,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 11:59:00 GMT": 0,
	} {
		g := NewWithT(t)
		answer := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {header}}}
		g.Expect(sink.RetryAfter(sink.Judge(answer, now))).To(Equal(want), header)
	}
}

func TestRedact(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	address := "http://user:pa55word@" + server.Listener.Addr().String() + "/hooks/t0ken?key=s3cret"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = http.DefaultClient.Do(request) //nolint:bodyclose // nobody answers
	redacted := sink.Redact(fmt.Errorf("send: %w", err))
	sinktest.KeepsSecrets(t, redacted, "pa55word", "t0ken", "s3cret")
	g.Expect(redacted).To(MatchError(ContainSubstring("cannot reach " + server.Listener.Addr().String())))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = http.DefaultClient.Do(request.WithContext(ctx)) //nolint:bodyclose // as above
	g.Expect(sink.Redact(err)).To(MatchError(context.Canceled), "the reason stays what it is")
	g.Expect(sink.Redact(io.EOF)).To(MatchError(io.EOF))
}
