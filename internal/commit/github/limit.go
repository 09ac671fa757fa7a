package github

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// leastWait is what GitHub asks for where it names no time.
const leastWait = time.Minute

// gate reads the rate limits in answers. Once one is used up, it fails all requests of its credentials until the limit ends.
type gate struct {
	next      http.RoundTripper
	host      string
	now       func() time.Time
	report    func(host string, remaining, limit int, reset time.Time)
	anonymous bool

	mu    sync.Mutex
	until time.Time
	why   string
}

// RoundTrip implements http.RoundTripper. An answer that tells of a used-up limit is a *commit.RetryError.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.closed(); err != nil {
		return nil, err
	}
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if rate, ok := ownRate(resp.Header); ok {
		g.report(g.host, rate.Remaining, rate.Limit, rate.Reset)
	}
	wait, why := verdict(resp.StatusCode, resp.Header, body)
	if wait > 0 {
		g.close(wait, why)
	}
	if wait > 0 && resp.StatusCode >= http.StatusBadRequest {
		return nil, g.closed()
	}
	return withBody(resp, body), nil
}

func (g *gate) close(wait time.Duration, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.anonymous {
		why += "; these are requests without credentials: a token raises the limit"
	}
	g.until, g.why = g.now().Add(wait), why
}

func (g *gate) closed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := g.until.Sub(g.now())
	if wait <= 0 {
		return nil
	}
	return &commit.RetryError{Err: fmt.Errorf("GitHub wants to be left alone until %s: %s", g.until.UTC().Format(time.RFC3339), g.why), After: wait}
}

// ownRate is the limit that our questions are counted against. Enterprise Servers have none unless their administrators set one.
func ownRate(h http.Header) (egress.Rate, bool) {
	rate, ok := egress.ReadRate(h)
	resource := h.Get("X-Ratelimit-Resource")
	return rate, ok && rate.Limit > 0 && rate.Remaining >= 0 && (resource == "" || resource == "core")
}

// verdict is how long to send nothing; zero is not at all. The order is that of GitHub's own advice: Retry-After, then the reset of a
// used-up limit, then a minute. An answer that is no refusal can use up the limit too.
func verdict(status int, h http.Header, body []byte) (wait time.Duration, why string) {
	refused := status == http.StatusForbidden || status == http.StatusTooManyRequests
	rate, own := ownRate(h)
	switch {
	case h.Get("Retry-After") != "" && (refused || status == http.StatusServiceUnavailable):
		return asked(h), said(refusalOf(body).Message)
	case own && rate.Remaining == 0, refused && h.Get("X-Ratelimit-Remaining") == "0":
		return asked(h), "its rate limit is used up"
	case refused && (status == http.StatusTooManyRequests || isSecondary(body)):
		return leastWait, said(refusalOf(body).Message)
	}
	return 0, ""
}

// asked is how long the headers ask to be left alone. Where that is over already the server has just refused nevertheless.
func asked(h http.Header) time.Duration {
	if wait := egress.RetryAfter(h); wait > 0 {
		return wait
	}
	return leastWait
}

// isSecondary tells by the message, or by the documentation that is named, whether a refusal is the secondary limit.
func isSecondary(body []byte) bool {
	r := refusalOf(body)
	message, about := strings.ToLower(r.Message), strings.ToLower(r.Documentation)
	return strings.Contains(message, "secondary rate limit") || strings.Contains(message, "abuse detection") ||
		strings.HasSuffix(about, "secondary-rate-limits") || strings.HasSuffix(about, "#abuse-rate-limits")
}

type refusal struct {
	Message       string `json:"message"`
	Documentation string `json:"documentation_url"`
}

func refusalOf(body []byte) refusal {
	var r refusal
	_ = json.Unmarshal(body, &r) // another form of body says nothing
	return r
}
