package github

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const (
	maxAnswer = 32 << 20 // bytes of one answer
	maxKept   = 1 << 20  // bytes of an answer that is kept for its ETag
	redacted  = "[redacted]"
)

var errLongAnswer = fmt.Errorf("%w: it has more than %d MiB", commit.ErrTooLarge, maxAnswer>>20)

// wire is the last step before the network. It lets requests to the API's own host pass, reads the whole of a bounded answer, and
// takes out of it the credentials of the request, should a server repeat them.
type wire struct {
	next         http.RoundTripper
	scheme, host string
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != w.scheme || req.URL.Host != w.host {
		return nil, fmt.Errorf("%w: a redirect leads away from the API's host; write the repository's present address", egress.ErrRefused)
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", userAgent)
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // all of it was read, or none of it matters
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	return scrubbed(resp, body, req.Header.Get("Authorization")), nil
}

func scrubbed(resp *http.Response, body []byte, authorization string) *http.Response {
	if _, secret, _ := strings.Cut(authorization, " "); secret != "" {
		body = bytes.ReplaceAll(body, []byte(secret), []byte(redacted))
		if to := resp.Header.Get("Location"); to != "" {
			resp.Header.Set("Location", strings.ReplaceAll(to, secret, "redacted"))
		}
	}
	return withBody(resp, body)
}

func withBody(resp *http.Response, body []byte) *http.Response {
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp
}

// answer is one that a server gave, to be used again while it says "not modified".
type answer struct {
	header http.Header
	body   []byte
}

// conditional asks again with the ETag of the last answer. Answers are kept apart by credentials (key), address and the form that was
// asked for.
type conditional struct {
	next    http.RoundTripper
	answers *lru[answer]
	key     string
}

// RoundTrip implements http.RoundTripper.
func (c *conditional) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return c.next.RoundTrip(req)
	}
	key := strings.Join([]string{c.key, req.Header.Get("Accept"), req.URL.String()}, " ")
	last, known := c.answers.get(key)
	if known {
		req = req.Clone(req.Context())
		req.Header.Set("If-None-Match", last.header.Get("ETag"))
	}
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if known && resp.StatusCode == http.StatusNotModified {
		resp.StatusCode, resp.Status, resp.Header = http.StatusOK, "200 OK", last.header.Clone()
		return withBody(resp, last.body), nil
	}
	return c.keep(key, resp)
}

func (c *conditional) keep(key string, resp *http.Response) (*http.Response, error) {
	if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") == "" || resp.ContentLength > maxKept {
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Etag": resp.Header.Values("ETag"), "Link": resp.Header.Values("Link"), "Content-Type": resp.Header.Values("Content-Type")}
	c.answers.put(key, answer{header, body}, len(key)+len(body)+len(resp.Header.Get("Link"))+512)
	return withBody(resp, body), nil
}
