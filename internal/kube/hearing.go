package kube

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The API server sends a bookmark a minute on each watch, whether anything happens or not, and answers whoever asks. A watch on which nothing
// came for silence is begun anew where it ended, which costs one request; a connection that is dead is found by HTTP/2's pings before that, but
// not a proxy that goes on answering those for a server that is gone. Deaf is a resource of which nothing was heard for longer.
const (
	silence = 100 * time.Second
	deaf    = 110 * time.Second
)

// Hearing knows when the API server was last heard of on each watch, and ends a watch that fell silent, so that it is begun anew.
// It stands between the clients and their connections.
type Hearing struct {
	mu      sync.Mutex
	heard   map[string]time.Time // by the path of what is watched
	renewed map[string]time.Time // by the name of a lease
}

// NewHearing has heard of nothing yet.
func NewHearing() *Hearing {
	return &Hearing{heard: map[string]time.Time{}, renewed: map[string]time.Time{}}
}

// Wrap listens to what a transport does.
func (h *Hearing) Wrap(next http.RoundTripper) http.RoundTripper { return &listening{next, h} }

// Check fails if nothing was heard for long of something that is watched, and says since when.
func (h *Hearing) Check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lost []string
	for path, at := range h.heard {
		if time.Since(at) > deaf {
			lost = append(lost, fmt.Sprintf("%s since %s", path, at.UTC().Format(time.RFC3339)))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return fmt.Errorf("the API server was not heard of on watches: %s", strings.Join(lost, "; "))
}

// Renewed is when a lease of this name was last written by this process. Zero if it never was.
func (h *Hearing) Renewed(lease string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.renewed[lease]
}

func (h *Hearing) hear(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard[path] = time.Now()
}

// expect begins to listen for what is about to be watched.
func (h *Hearing) expect(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.heard[path].IsZero() {
		h.heard[path] = time.Now()
	}
}

// answered notes an answer: also one that refuses to list or to watch is a word about it.
func (h *Hearing) answered(r *http.Request, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.heard[r.URL.Path].IsZero() {
		h.heard[r.URL.Path] = time.Now()
	}
	const leases = "/apis/coordination.k8s.io/v1/namespaces/"
	if r.Method != http.MethodPut || status >= http.StatusMultipleChoices || !strings.HasPrefix(r.URL.Path, leases) {
		return
	}
	h.renewed[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]] = time.Now()
}

// listening is a transport that is listened to.
type listening struct {
	next    http.RoundTripper
	hearing *Hearing
}

// RoundTrip implements http.RoundTripper.
func (l *listening) RoundTrip(r *http.Request) (*http.Response, error) {
	watches := r.Method == http.MethodGet && (r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1")
	if watches {
		l.hearing.expect(r.URL.Path)
	}
	answer, err := l.next.RoundTrip(r)
	if err != nil {
		return answer, err
	}
	l.hearing.answered(r, answer.StatusCode)
	if watches {
		answer.Body = listen(answer.Body, func() { l.hearing.hear(r.URL.Path) })
	}
	return answer, nil
}

// WrappedRoundTripper is the transport that is listened to, for those who look for its settings.
func (l *listening) WrappedRoundTripper() http.RoundTripper { return l.next }

// stream is the body of a watch. Silent says that it was ended because nothing came.
type stream struct {
	io.ReadCloser

	heard  func()
	alarm  *time.Timer
	silent atomic.Bool
}

func listen(body io.ReadCloser, heard func()) *stream {
	s := &stream{ReadCloser: body, heard: heard}
	s.alarm = time.AfterFunc(silence, func() {
		s.silent.Store(true)
		_ = body.Close() // which ends the read that waits
	})
	return s
}

// Read implements io.Reader. A stream that fell silent ends as if the server had ended it, so that it is watched on and nothing is listed again.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if n > 0 {
		s.alarm.Reset(silence)
		s.heard()
	}
	if err != nil && s.silent.Load() {
		err = io.EOF
	}
	return n, err
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.alarm.Stop()
	return s.ReadCloser.Close()
}
