package egress

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// roundTrip is a function that is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Limit bounds what is read of each answer of next, decompressed: what would be more than limit bytes fails with tooLarge.
func Limit(next http.RoundTripper, limit int64, tooLarge error) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(req)
		if err == nil {
			answer.Body = &bounded{ReadCloser: answer.Body, left: limit, tooLarge: tooLarge}
		}
		return answer, err
	})
}

type bounded struct {
	io.ReadCloser
	left     int64
	tooLarge error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.tooLarge
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n + int(b.left), b.tooLarge
	}
	return n, err
}

// Secret adds a header to requests to one server and takes it from requests to any other, so that no redirect carries it away. The
// server is the scheme and the host of to. An http.Client by itself takes along every header that it does not know to be a secret.
func Secret(next http.RoundTripper, to *url.URL, name, value string) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		req.Header.Del(name)
		if req.URL.Scheme == to.Scheme && req.URL.Host == to.Host {
			req.Header.Set(name, value)
		}
		return next.RoundTrip(req)
	})
}

// Rate is what the headers of an answer say about how often its server may be asked.
type Rate struct {
	Limit, Remaining int
	Reset            time.Time // UTC; zero if it is not said
}

// ReadRate reads the headers RateLimit-Limit, -Remaining and -Reset, with or without "X-" before them.
func ReadRate(h http.Header) (Rate, bool) {
	for _, prefix := range []string{"Ratelimit-", "X-Ratelimit-"} {
		limit, noLimit := strconv.Atoi(h.Get(prefix + "Limit"))
		remaining, noRemaining := strconv.Atoi(h.Get(prefix + "Remaining"))
		if noLimit == nil && noRemaining == nil {
			return Rate{Limit: limit, Remaining: remaining, Reset: reset(h, prefix+"Reset")}, true
		}
	}
	return Rate{}, false
}

// Watch tells what each answer of a host says about the rate limit; nobody, if tell is nil.
func Watch(next http.RoundTripper, host string, tell func(host string, remaining, limit int, reset time.Time)) http.RoundTripper {
	if tell == nil {
		return next
	}
	return watched{next, host, tell}
}

type watched struct {
	next http.RoundTripper
	host string
	tell func(host string, remaining, limit int, reset time.Time)
}

// RoundTrip implements http.RoundTripper.
func (w watched) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(req)
	if err != nil || req.URL.Host != w.host {
		return answer, err
	}
	if rate, ok := ReadRate(answer.Header); ok {
		w.tell(w.host, rate.Remaining, rate.Limit, rate.Reset)
	}
	return answer, nil
}

// reset is when a quota begins anew: the header has seconds from now or, as GitLab and GitHub have it, since 1970.
func reset(h http.Header, name string) time.Time {
	const aTimestamp = 1e9
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	switch {
	case err != nil || n < 0:
		return time.Time{}
	case n < aTimestamp:
		return now(h).Add(time.Duration(n) * time.Second).UTC()
	}
	return time.Unix(n, 0).UTC()
}

// now is the server's time, which its own times are to be measured by.
func now(h http.Header) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at
	}
	return time.Now()
}

// maxWait is the longest that a server is left alone at its word.
const maxWait = time.Hour

// RetryAfter is how long the headers of an answer ask to be left alone: by Retry-After, else until the quota begins anew. It is zero if
// they do not say, and never more than an hour.
func RetryAfter(h http.Header) time.Duration {
	var wait time.Duration
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now(h))
	} else if at, err := time.Parse(time.RFC3339, text); err == nil { // no standard, but said
		wait = at.Sub(now(h))
	} else if rate, ok := ReadRate(h); ok && !rate.Reset.IsZero() {
		wait = rate.Reset.Sub(now(h))
	}
	return min(max(wait, 0), maxWait)
}
