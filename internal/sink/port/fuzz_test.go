package port

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func fuzzed(tb testing.TB) *Sink {
	tb.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := New(Options{
		BaseURL: "https://api.port.io", ClientID: "id", ClientSecret: sinktest.Secret("client-secret"), Now: func() time.Time { return now },
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// FuzzBulkAnswer: whatever Port answers, each entity has a verdict, one is taken only if Port says so, and none tells the secret.
func FuzzBulkAnswer(f *testing.F) {
	secret := sinktest.Secret("client-secret")
	for _, seed := range []string{
		`{"ok":true,"entities":[{"created":true,"identifier":"a","index":0},{"created":false,"identifier":"b","index":1}],"errors":[]}`,
		`{"ok":false,"entities":[],"errors":[{"identifier":"unknown","index":1,"statusCode":404,"error":"not_found","message":"` + secret + `"}]}`,
		`{"entities":[{"index":-1},{"index":1e300},{"index":0.5},{"index":null},{}]}`,
		`{"errors":[{"index":0,"statusCode":1e99},{"index":1,"statusCode":200}]}`,
		`{"entities":null,"errors":null}`, `[]`, `null`, `{`,
	} {
		f.Add([]byte(seed), 2)
	}
	s := fuzzed(f)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		n = min(max(n, 0), maxEntities)
		var answer bulkAnswer
		if json.Unmarshal(body, &answer) != nil {
			return
		}
		verdicts := s.verdicts(answer, n)
		if len(verdicts) != n {
			t.Fatalf("%d verdicts of %d entities", len(verdicts), n)
		}
		taken := 0
		for _, err := range verdicts {
			if err == nil {
				taken++
				continue
			}
			if strings.Contains(err.Error(), secret) {
				t.Fatal("a verdict tells the secret")
			}
		}
		if taken > len(answer.Entities) {
			t.Fatalf("%d taken, of %d that Port took", taken, len(answer.Entities))
		}
	})
}

// FuzzRateHeaders: no header makes the sink wait for more than an hour, or for less than no time.
func FuzzRateHeaders(f *testing.F) {
	f.Add("0", "1772366440", "", 200)
	f.Add("0", "40", "", 429)
	f.Add("0", "-1", "Sun, 01 Mar 2026 12:00:40 GMT", 429)
	f.Add("5", "99999999999999999999", "2026-03-01T12:00:40Z", 429)
	f.Fuzz(func(t *testing.T, remaining, reset, after string, status int) {
		s := fuzzed(t)
		h := http.Header{"Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}, "X-Ratelimit-Limit": {"1000"}}
		h["X-Ratelimit-Remaining"], h["X-Ratelimit-Reset"], h["Retry-After"] = []string{remaining}, []string{reset}, []string{after}
		s.client.heed(&http.Response{StatusCode: status, Header: h})
		err := s.client.quiet()
		if err == nil {
			return
		}
		if wait := sink.RetryAfter(err); wait <= 0 || wait > time.Hour {
			t.Fatalf("a wait of %s", wait)
		}
		if sink.ReasonOf(err) != sink.RateLimited {
			t.Fatalf("the reason %s", sink.ReasonOf(err))
		}
	})
}

// portal answers each request with the next of its answers, and the last one again and again.
type portal struct {
	answers []string
	status  []int
	header  http.Header
	asked   []*http.Request
}

func (p *portal) RoundTrip(req *http.Request) (*http.Response, error) {
	_ = req.Body.Close()
	p.asked = append(p.asked, req)
	n := min(len(p.asked), len(p.answers)) - 1
	return &http.Response{StatusCode: p.status[n], Header: p.header, Body: io.NopCloser(strings.NewReader(p.answers[n])), Request: req}, nil
}

// FuzzAnswer: whatever Port answers to the request for a token and to one with it, nothing is for good that is not the request's own fault, and nobody
// hears of the secret or of the token. $S and $T stand for them.
func FuzzAnswer(f *testing.F) {
	const good = `{"ok":true,"accessToken":"$T","expiresIn":10800,"tokenType":"Bearer"}`
	f.Add(200, good, 200, `{"ok":true,"blueprint":{"schema":{"properties":{"a":{}}}}}`, "X-Trace-Id", "abc")
	f.Add(200, good, 422, `{"ok":false,"error":"validation_error","message":"no $T, and no $S"}`, "X-Trace-Id", "$T")
	f.Add(401, `{"error":"invalid_credentials","message":"$S"}`, 200, `{}`, "", "")
	f.Add(200, `{"accessToken":"a\r\nX: y","expiresIn":1e300,"tokenType":"$S"}`, 404, `{"error":7}`, "Retry-After", "40")
	f.Add(200, good, 401, `<html>$T`, "X-Ratelimit-Remaining", "0")
	f.Fuzz(func(t *testing.T, authStatus int, auth string, status int, body, name, value string) {
		secret, token := sinktest.Secret("client-secret"), "tok3n-of-the-portal-77f1"
		if slices.ContainsFunc([]int{authStatus, status}, func(s int) bool { return s < 200 || s > 599 }) {
			return
		}
		fill := strings.NewReplacer("$S", secret, "$T", token).Replace
		p := &portal{
			answers: []string{fill(auth), fill(body)}, status: []int{authStatus, status},
			header: http.Header{http.CanonicalHeaderKey(name): {fill(value)}},
		}
		c := fuzzed(t).client
		c.http = &http.Client{Transport: p, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		var answer any
		err := c.Do(t.Context(), http.MethodGet, Path("v1", "blueprints", "service"), nil, nil, &answer)
		if len(p.asked) > 4 {
			t.Errorf("%d requests for one", len(p.asked))
		}
		if err == nil {
			return
		}
		for wrapped := err; wrapped != nil; wrapped = errors.Unwrap(wrapped) {
			if text := wrapped.Error(); sinktest.Leaks(text) || c.token.value == token && strings.Contains(text, token) {
				t.Errorf("the error tells a secret: %v", wrapped)
			}
		}
		if sink.IsPermanent(err) && !slices.Contains([]int{400, 413, 422}, status) {
			t.Errorf("%d is for good: %v", status, err)
		}
		if wait := sink.RetryAfter(err); wait < 0 || wait > time.Hour || len(err.Error()) > 1200 {
			t.Errorf("a wait of %v, %v", wait, err)
		}
	})
}
