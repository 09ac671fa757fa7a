// Package porttest is a double of Port, the developer portal, for tests. It refuses what Port refuses.
//
// What it knows of Port is what Port's API reference and guides say (docs.port.io/api-reference; the facts stand where they are used), and where
// those are silent the stricter of the possible: an unknown property is refused, a relation to nothing is refused. The codes of errors
// beside not_found are its own, since the reference names none.
//
//	server.go     answers, credentials, limits, and the faults that a test asks for
//	blueprints.go blueprints, by the schema of the reference
//	entities.go   entities: one, many, search
//	documents.go  scorecards and pages, which are kept as they come
package porttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Document is a JSON object.
type Document = map[string]any

// maxBody is the most that Port reads: "Request body is too large (limit is 1MiB)".
const maxBody = 1 << 20

// Server is a portal of its own. Its exported fields are set before it is used, or between two requests of a test.
type Server struct {
	URL                    string
	ClientID, ClientSecret string
	// Now is Port's clock.
	Now func() time.Time
	// Lifetime is how long a token lives: Port's live three hours.
	Lifetime time.Duration
	// Echo makes errors repeat the credentials of the request, as a careless server does.
	Echo bool
	// PatchReplaces makes a PATCH of a blueprint replace the parts that are sent; otherwise they are merged, to any depth. Port's reference does
	// not say which.
	PatchReplaces bool

	mu         sync.Mutex
	token      string
	expires    time.Time
	tokens     int
	asked      int
	traces     int
	limit      limit
	faults     []Fault
	authFaults []Fault
	down       bool
	refused    map[string]Problem
	blueprints map[string]Document
	entities   map[string][]*Entity
	documents  map[string]Document
	requests   []Request
	arrivals   []Arrival
}

// Request is one that was made.
type Request struct {
	Method, Path string
	Query        url.Values
	UserAgent    string
	Body         []byte
	Status       int
}

// Problem is an error as Port answers it: {"ok":false,"error":"not_found","message":"..."}.
type Problem struct {
	Status  int
	Code    string
	Message string
}

// Fault answers the next request in Port's place, if it returns true.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// New starts a portal that ends with the test. It has no blueprints.
func New(tb testing.TB, clientID, clientSecret string) *Server {
	tb.Helper()
	s := &Server{
		ClientID: clientID, ClientSecret: clientSecret, Now: time.Now, Lifetime: 3 * time.Hour,
		refused: map[string]Problem{}, blueprints: map[string]Document{}, entities: map[string][]*Entity{}, documents: map[string]Document{},
	}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Answered is a fault: an answer of its own.
func Answered(status int, body string, header http.Header) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for name, values := range header {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// Reset is a fault: the connection breaks.
func Reset(http.ResponseWriter, *http.Request) bool {
	panic(http.ErrAbortHandler)
}

// Stalled is a fault: no answer until the client has gone.
func Stalled(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice
	<-r.Context().Done()
	return true
}

// Next puts faults in the place of the next answers, but for those with tokens.
func (s *Server) Next(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// NextToken puts faults in the place of the next answers with tokens.
func (s *Server) NextToken(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authFaults = append(s.authFaults, faults...)
}

// Down makes every answer a 503 of the proxy before Port, until it is false again.
func (s *Server) Down(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Revoke ends the token before its time.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
}

// Tokens is how many different tokens were given.
func (s *Server) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

// Asked is how often a token was asked for.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Requests are those since the last time this was asked, without those for tokens.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.requests
	s.requests = nil
	return slices.DeleteFunc(all, func(r Request) bool { return r.Path == authPath })
}

// limit is what is left of a rate limit.
type limit struct {
	on        bool
	remaining int
	until     time.Time
	seconds   bool
}

// LimitTo lets so many requests through until a time. Port's documentation has x-ratelimit-reset in UTC epoch seconds; its own Terraform
// provider reads it as seconds from now, for which seconds is true.
func (s *Server) LimitTo(remaining int, until time.Time, seconds bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit{on: true, remaining: remaining, until: until, seconds: seconds}
}

const authPath = "/v1/auth/access_token"

// recorder keeps the status of an answer.
type recorder struct {
	http.ResponseWriter

	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// serve handles one request at a time.
func (s *Server) serve(plain http.ResponseWriter, r *http.Request) {
	w := &recorder{ResponseWriter: plain, status: http.StatusOK}
	fault, down := s.prepare(w, r)
	if fault != nil && fault(w, r) {
		return
	}
	if down {
		http.Error(w, "<html>no upstream</html>", http.StatusServiceUnavailable)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	defer func() {
		s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.URL.Query(), r.UserAgent(), body, w.status})
	}()
	switch {
	case err != nil:
		return
	case s.overLimit(w):
		s.refuse(w, r, body, Problem{http.StatusTooManyRequests, "too_many_requests", "Rate limit exceeded"})
	case len(body) > maxBody:
		s.refuse(w, r, body, Problem{http.StatusRequestEntityTooLarge, "payload_too_large", "Request body is too large"})
	case r.URL.Path == authPath:
		s.authenticate(w, r, body)
	case s.token == "" || !s.Now().Before(s.expires) || r.Header.Get("Authorization") != "Bearer "+s.token:
		s.refuse(w, r, body, Problem{http.StatusUnauthorized, "unauthorized", "Invalid or expired token"})
	default:
		s.route(w, r, body)
	}
}

// prepare writes what every answer has, and takes the next fault.
func (s *Server) prepare(w http.ResponseWriter, r *http.Request) (fault Fault, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traces++
	w.Header().Set("X-Trace-Id", fmt.Sprintf("trace-%d", s.traces))
	queue := &s.faults
	if r.URL.Path == authPath {
		s.asked++
		queue = &s.authFaults
	}
	if len(*queue) > 0 {
		fault, *queue = (*queue)[0], (*queue)[1:]
	}
	return fault, s.down
}

// overLimit writes the headers that every answer of Port has: x-ratelimit-period, -limit, -remaining and -reset.
func (s *Server) overLimit(w http.ResponseWriter) bool {
	now := s.Now()
	if !s.limit.on || !now.Before(s.limit.until) {
		s.limit.on = false
		return false
	}
	over := s.limit.remaining <= 0
	s.limit.remaining = max(s.limit.remaining-1, 0)
	wait := int(s.limit.until.Sub(now).Seconds())
	h := w.Header()
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("X-Ratelimit-Period", "60")
	h.Set("X-Ratelimit-Limit", "1000")
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(s.limit.remaining))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(s.limit.until.Unix(), 10))
	if s.limit.seconds {
		h.Set("X-Ratelimit-Reset", strconv.Itoa(wait))
	}
	if over {
		h.Set("Retry-After", strconv.Itoa(wait))
	}
	return over
}

// authenticate gives a token: "clientId" and "clientSecret", additionalProperties false. There is one token for a set of credentials: who asks
// again gets the same one, until it has expired, with the seconds that it has left.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, body []byte) {
	var asked map[string]string
	if json.Unmarshal(body, &asked) != nil || len(asked) != 2 || asked["clientId"] == "" || asked["clientSecret"] == "" {
		s.refuse(w, r, body, Problem{http.StatusUnprocessableEntity, "invalid_request", "The json provided does not match the route's schema"})
		return
	}
	if asked["clientId"] != s.ClientID || asked["clientSecret"] != s.ClientSecret {
		s.refuse(w, r, body, Problem{http.StatusUnauthorized, "invalid_credentials", "Invalid clientId or clientSecret"})
		return
	}
	if now := s.Now(); s.token == "" || !now.Before(s.expires) {
		s.tokens++
		s.token, s.expires = s.Token(s.tokens), now.Add(s.Lifetime)
	}
	reply(w, http.StatusOK, Document{
		"ok": true, "accessToken": s.token, "expiresIn": s.expires.Sub(s.Now()).Seconds(), "tokenType": "Bearer",
	})
}

// Token is the nth token that is given.
func (s *Server) Token(n int) string { return fmt.Sprintf("%s-token-%d", s.ClientSecret, n) }

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(marshal(body))
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, body []byte, p Problem) {
	if s.Echo {
		p.Message += fmt.Sprintf(" (authorization: %s; body: %.400s)", r.Header.Get("Authorization"), body)
	}
	reply(w, p.Status, Document{"ok": false, "error": p.Code, "message": p.Message})
}

// route finds who answers. The reference has identifiers in paths; one with a slash in it is escaped.
func (s *Server) route(w http.ResponseWriter, r *http.Request, body []byte) {
	segments := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i, segment := range segments {
		segments[i], _ = url.PathUnescape(segment)
	}
	answer, problem := s.answer(call{r: r, body: body, method: r.Method, path: segments})
	if problem != nil {
		s.refuse(w, r, body, *problem)
		return
	}
	reply(w, answer.status, answer.body)
}

// call is a request that is let in.
type call struct {
	r      *http.Request
	body   []byte
	method string
	path   []string // unescaped
}

type answer struct {
	status int
	body   any
}

func ok(body any) (answer, *Problem)      { return answer{http.StatusOK, body}, nil }
func created(body any) (answer, *Problem) { return answer{http.StatusCreated, body}, nil }

func (s *Server) answer(c call) (answer, *Problem) {
	at := func(pattern ...string) bool {
		if len(pattern) != len(c.path) {
			return false
		}
		for i, p := range pattern {
			if p != "*" && p != c.path[i] {
				return false
			}
		}
		return true
	}
	switch {
	case at("v1", "blueprints") || at("v1", "blueprints", "*"):
		return s.answerBlueprint(c)
	case at("v1", "blueprints", "*", "entities") || at("v1", "blueprints", "*", "entities", "*"):
		return s.answerEntities(c)
	case at("v1", "blueprints", "*", "scorecards") || at("v1", "blueprints", "*", "scorecards", "*") || at("v1", "pages") || at("v1", "pages", "*"):
		return s.answerDocument(c)
	}
	return answer{}, &Problem{http.StatusNotFound, "route_not_found", "Route not found"}
}

// decode reads the body of a call.
func (c call) decode(into any) *Problem {
	if err := json.Unmarshal(c.body, into); err != nil {
		return invalid("The json provided does not match the route's schema: %v", err)
	}
	return nil
}

func invalid(format string, a ...any) *Problem {
	return &Problem{http.StatusUnprocessableEntity, "invalid_request", fmt.Sprintf(format, a...)}
}

func notFound(kind, identifier string) *Problem {
	return &Problem{http.StatusNotFound, "not_found", fmt.Sprintf("%s with identifier %q was not found", kind, identifier)}
}
