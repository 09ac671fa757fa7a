package github

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

const (
	// leastWait is what GitHub asks for where it names no time, and what is waited where the time it names has passed by our clock.
	leastWait = time.Minute
	// longestWait is the span of GitHub's primary limit. No server can keep us away for longer.
	longestWait = time.Hour
	// farFuture is a time in seconds that no reset has; beyond it, times overflow.
	farFuture = 1 << 40
)

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
	l := readLimits(resp.Header)
	if l.told {
		g.report(g.host, l.remaining, l.limit, l.reset)
	}
	wait, why := l.verdict(resp.StatusCode, body, g.now())
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

// limits are what the headers of an answer tell.
type limits struct {
	told             bool // of the budget that our questions are counted against
	remaining, limit int
	empty            bool // nothing remains, of whichever budget
	reset            time.Time
	retryAfter       string
}

func readLimits(h http.Header) limits {
	l := limits{retryAfter: h.Get("Retry-After"), empty: h.Get("X-Ratelimit-Remaining") == "0"}
	reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64)
	if err != nil || reset <= 0 || reset > farFuture {
		return l // an Enterprise Server has no limits unless its administrator sets them
	}
	l.reset = time.Unix(reset, 0).UTC()
	limit, err := strconv.Atoi(h.Get("X-Ratelimit-Limit"))
	remaining, err2 := strconv.Atoi(h.Get("X-Ratelimit-Remaining"))
	resource := h.Get("X-Ratelimit-Resource")
	if err == nil && err2 == nil && limit > 0 && remaining >= 0 && (resource == "" || resource == "core") {
		l.told, l.limit, l.remaining = true, limit, remaining
	}
	return l
}

// verdict is how long to send nothing; zero is not at all. The order is that of GitHub's own advice: Retry-After, then the reset of a
// used-up limit, then a minute. An answer that is no refusal can use up the limit too.
func (l limits) verdict(status int, body []byte, now time.Time) (wait time.Duration, why string) {
	refused := status == http.StatusForbidden || status == http.StatusTooManyRequests
	switch {
	case l.retryAfter != "" && (refused || status == http.StatusServiceUnavailable):
		return bounded(retryAfter(l.retryAfter, now)), said(messageOf(body))
	case l.told && l.remaining == 0, refused && l.empty:
		return bounded(l.reset.Sub(now)), "its rate limit is used up"
	case refused && (status == http.StatusTooManyRequests || isSecondary(body)):
		return leastWait, said(messageOf(body))
	}
	return 0, ""
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(now)
	}
	return leastWait
}

// bounded keeps a wait within what is sensible. One that is over by our clock is a minute, since the server has just refused.
func bounded(wait time.Duration) time.Duration {
	if wait <= 0 {
		return leastWait
	}
	return min(wait, longestWait)
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

func messageOf(body []byte) string { return refusalOf(body).Message }
