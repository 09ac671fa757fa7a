package committest

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// Token is what a fuzzed server is sent, and may repeat where its script says $T.
const Token = "tok3n-canary-7d1f3b"

// Scripted is a server that says what a fuzzer wants it to say. Each line of its script is an answer: a status, a blank and a body. The
// last one is given again and again.
type Scripted struct {
	Script string
	Header http.Header
	asked  int
}

var errAsked = errors.New("asked too often")

// mostAsked bounds what one fuzzed input costs.
const mostAsked = 400

// RoundTrip implements http.RoundTripper.
func (s *Scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	s.asked++
	if s.asked > mostAsked {
		return nil, errAsked
	}
	lines := strings.Split(strings.ReplaceAll(s.Script, "$T", Token), "\n")
	line := lines[min(s.asked, len(lines))-1]
	first, body, _ := strings.Cut(line, " ")
	status, err := strconv.Atoi(first)
	if err != nil || status < 200 || status > 599 {
		status, body = http.StatusOK, line
	}
	header := s.Header.Clone()
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}, nil
}

var fullSHA = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// Believable asks a repository of a fuzzed server everything, and holds that each answer is one that can be, or an error fit to be shown.
func Believable(t *testing.T, r commit.Repository) {
	t.Helper()
	const digits = "4f5e6d7"
	base, head := strings.Repeat("b", 40), digits+strings.Repeat("0", 33)
	for _, sha := range []string{digits, head} {
		full, err := r.Commit(t.Context(), sha)
		if err == nil && (!fullSHA.MatchString(full) || !strings.HasPrefix(full, sha)) {
			t.Errorf("%s means the commit %q", sha, full)
		}
		fit(t, err)
	}
	full, err := r.Tag(t.Context(), "v1")
	if err == nil && !fullSHA.MatchString(full) {
		t.Errorf("the tag leads to %q", full)
	}
	fit(t, err)
	for _, o := range []commit.RangeOptions{{}, {Path: "a/b", Clock: commit.Author}, {Squash: true}} {
		found, err := r.Range(t.Context(), base, head, o)
		if err == nil {
			possible(t, found)
		}
		fit(t, err)
	}
}

func possible(t *testing.T, found commit.Range) {
	t.Helper()
	none := found.First == "" && found.FirstAt.IsZero()
	if found.Commits < 0 || found.Commits == 0 && !none {
		t.Errorf("a range of %+v", found)
	}
	if found.Commits > 0 && (!fullSHA.MatchString(found.First) || found.FirstAt.IsZero() || found.FirstAt.Location() != time.UTC) {
		t.Errorf("a range of %+v", found)
	}
}

// fit: an error is a bounded line without the token, and asks for no more than an hour.
func fit(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if text := err.Error(); strings.Contains(text, Token) || len(text) > 2000 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("not fit to be shown: %q", text)
	}
	if wait := commit.RetryAfter(err); wait < 0 || wait > time.Hour {
		t.Errorf("a wait of %v", wait)
	}
}
