package port

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	maxAnswer  = 4 << 20  // of what Port says when all is well; a blueprint of hundreds of properties fits well
	maxProblem = 64 << 10 // of what it says when not
	maxTime    = 2 * time.Minute
)

// ClientOptions are what a Client needs to know.
type ClientOptions struct {
	Version string // of this build, for the User-Agent
	Cluster string // the cluster that this controller watches, for the User-Agent
	BaseURL string // such as https://api.port.io

	ClientID, ClientSecret string // of a machine credential

	CA    []byte // certificates to trust beside the system's, in PEM form; nil is none
	Guard egress.Guard
	Now   func() time.Time // nil is the system's clock
}

// Client speaks to the API of Port. It gets its own token and renews it, and leaves Port alone while Port asks for that. It may be used
// by many goroutines.
type Client struct {
	http      *http.Client
	base      string
	agent     string
	id        string
	secret    string
	now       func() time.Time
	renewing  chan struct{} // holds one value while a token is asked for
	mu        sync.Mutex    // guards what follows
	token     token
	spent     string // the token before it
	quietTill time.Time
}

// token is what Port's answers call accessToken, with its type before it.
type token struct {
	value, header string
	until         time.Time
}

// NewClient makes a client. It connects to nothing yet.
func NewClient(o ClientOptions) (*Client, error) {
	if err := checkCredential(o.ClientID, o.ClientSecret); err != nil {
		return nil, err
	}
	base, err := baseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	transport, err := sink.NewClient(o.Guard, o.CA, maxAnswer)
	if err != nil {
		return nil, err
	}
	transport.Timeout = maxTime
	now := o.Now
	if now == nil {
		now = time.Now
	}
	return &Client{
		http: transport, base: base, agent: userAgent(o.Version, o.Cluster), id: o.ClientID, secret: o.ClientSecret,
		now: now, renewing: make(chan struct{}, 1),
	}, nil
}

// checkCredential refuses those of persons, whose client id is their e-mail address: they end when the person leaves, and what they
// write looks as if the person had.
func checkCredential(id, secret string) error {
	switch {
	case id == "" || secret == "":
		return sink.Because(sink.CredentialsMissing, errors.New("a clientId and a clientSecret are needed"))
	case strings.Contains(id, "@"):
		return sink.Because(sink.CredentialsRefused, errors.New(
			"the clientId is an e-mail address, so this is a personal credential: use a machine credential of the organization"))
	}
	return nil
}

// Regions are the addresses of Port's API, by where an organization lives.
var Regions = map[string]string{"EU": "https://api.port.io", "US": "https://api.us.port.io"}

func baseURL(text string) (string, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" ||
		base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return "", errors.New("the base URL is no address such as https://api.port.io")
	}
	return strings.TrimRight(base.String(), "/"), nil
}

// userAgent stays the same over time, since Port tells by it who wrote an entity.
func userAgent(version, cluster string) string {
	agent := "dora-controller/" + plain(version)
	if cluster != "" {
		agent += " (" + plain(cluster) + ")"
	}
	return agent
}

// plain keeps of a text what may stand in a header.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`()\`, r) {
			return '-'
		}
		return r
	}, text)
}

// Path is the path of a request: identifiers may hold a slash.
func Path(segments ...string) string {
	var path strings.Builder
	for _, segment := range segments {
		path.WriteString("/" + url.PathEscape(segment))
	}
	return path.String()
}

// Do makes a request and reads its answer: in is sent as JSON unless it is nil, and the answer is decoded into out unless that is nil.
// The path is of the form that Path makes, from /v1 on. Its error says by its type and reason what is to become of the request, as package
// sink has it, and wraps an *Error if Port answered.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return err
	}
	t, err := c.authorized(ctx)
	if err != nil {
		return err
	}
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request := request{method: method, address: address, body: body}
	err = c.send(ctx, request, t, out)
	if problem, ok := errors.AsType[*Error](err); !ok || problem.Status != http.StatusUnauthorized {
		return err
	}
	c.forget(t) // it was revoked, or ran out by Port's clock
	if t, err = c.authorized(ctx); err != nil {
		return err
	}
	return c.send(ctx, request, t, out)
}

type request struct {
	method, address string
	body            []byte
}

func encode(in any) ([]byte, error) {
	if in == nil {
		return nil, nil
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, &sink.PermanentError{Err: fmt.Errorf("cannot encode: %w", err)}
	}
	return body, nil
}

// send makes one attempt. Each request has its own header, so that a renewal disturbs none that is under way.
func (c *Client) send(ctx context.Context, r request, t token, out any) error {
	if err := c.quiet(); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.address, bytes.NewReader(r.body))
	if err != nil {
		return &sink.PermanentError{Err: errors.New("the request cannot be made: its path or method is wrong")}
	}
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if t.header != "" {
		req.Header.Set("Authorization", t.header)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return sink.Unsent(err)
	}
	defer func() { _ = answer.Body.Close() }()
	c.heed(answer)
	if err := judge(answer, c.secrets(t)...); err != nil {
		return err
	}
	return c.decode(ctx, answer, t, out)
}

// decode tells nothing of what it could not read: it may be a token.
func (c *Client) decode(ctx context.Context, answer *http.Response, t token, out any) error {
	if out == nil {
		return nil
	}
	trace := traceID(answer.Header, c.secrets(t)...)
	err := json.NewDecoder(answer.Body).Decode(out)
	switch {
	case err == nil:
		if traced, ok := out.(interface{ traced(id string) }); ok {
			traced.traced(trace)
		}
		return nil
	case ctx.Err() != nil:
		return sink.Unsent(ctx.Err())
	case errors.Is(err, sink.ErrTooLarge):
		return sink.Unsent(err)
	}
	problem := &Error{
		Status: answer.StatusCode, TraceID: trace,
		said: fmt.Sprintf("what answered %s is not the API of Port, or broke off: no JSON of the form that Port's reference has", sink.Status(answer)),
	}
	return &sink.RetryableError{Err: sink.Because(sink.Failing, problem)}
}

// heed remembers until when Port wants to be left alone: it says so before it refuses.
func (c *Client) heed(answer *http.Response) {
	rate, told := egress.ReadRate(answer.Header)
	if answer.StatusCode != http.StatusTooManyRequests && (!told || rate.Remaining > 0) {
		return
	}
	if wait := egress.RetryAfter(answer.Header); wait > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.quietTill = c.now().Add(wait)
	}
}

// quiet fails while Port wants to be left alone.
func (c *Client) quiet() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := c.quietTill.Sub(c.now())
	if wait <= 0 {
		return nil
	}
	err := fmt.Errorf("no requests are left of Port's rate limit, which begins anew in %s", wait.Round(time.Second))
	return &sink.RetryableError{Err: sink.Because(sink.RateLimited, err), After: wait}
}

// authorized is the token to use.
func (c *Client) authorized(ctx context.Context) (token, error) {
	select {
	case c.renewing <- struct{}{}:
		defer func() { <-c.renewing }()
	case <-ctx.Done():
		return token{}, sink.Unsent(ctx.Err())
	}
	if t := c.current(); c.now().Before(t.until) {
		return t, nil
	}
	return c.renew(ctx)
}

func (c *Client) current() token {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

// forget gives up a token, unless it has been replaced already.
func (c *Client) forget(t token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.value == t.value {
		c.token.until = time.Time{}
	}
}

func (c *Client) renew(ctx context.Context) (token, error) {
	body, err := encode(map[string]string{"clientId": c.id, "clientSecret": c.secret})
	if err != nil {
		return token{}, err
	}
	var answer struct {
		AccessToken string  `json:"accessToken"`
		ExpiresIn   float64 `json:"expiresIn"`
		TokenType   string  `json:"tokenType"`
	}
	asked := c.now()
	err = c.send(ctx, request{method: http.MethodPost, address: c.base + "/v1/auth/access_token", body: body}, token{}, &answer)
	if err != nil {
		return token{}, refused(err)
	}
	t := token{value: answer.AccessToken, header: answer.TokenType + " " + answer.AccessToken, until: asked.Add(validity(answer.ExpiresIn))}
	if answer.AccessToken == "" || strings.ContainsAny(t.header, "\r\n") {
		err := errors.New("what answered is not the API of Port: it gave no token that a header can hold")
		return token{}, &sink.RetryableError{Err: sink.Because(sink.Failing, err)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent, c.token = c.token.value, t
	return t, nil
}

// validity is how long a token is used that lives for some more seconds. Port gives the same token to all who ask with the same credential until it
// expires, so these can be few.
func validity(seconds float64) time.Duration {
	const longest, margin = 24 * time.Hour, time.Minute
	lives := time.Duration(min(max(seconds, 0), longest.Seconds()) * float64(time.Second))
	return lives - min(lives/10, margin)
}

// refused is the error of a token that was not given. None is for good: the mend is another secret, and no other event.
func refused(err error) error {
	problem, answered := errors.AsType[*Error](err)
	if !answered {
		return err
	}
	reason := sink.ReasonOf(err)
	switch {
	case problem.Code != "" && (reason == sink.Refused || reason == sink.NotFound):
		reason = sink.CredentialsRefused
	case reason == sink.Refused: // by a proxy
		reason = sink.Failing
	}
	return &sink.RetryableError{Err: sink.Because(reason, fmt.Errorf("no token was given: %w", problem)), After: sink.RetryAfter(err)}
}

// Error is what Port said instead of doing what it was asked.
type Error struct {
	Status  int
	Code    string // such as not_found; empty if what answered is not the API of Port
	Message string
	TraceID string // by which Port's people find the request
	said    string
}

// Error is fit to be shown.
func (e *Error) Error() string {
	text := e.said
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.TraceID != "" {
		text += " (x-trace-id " + e.TraceID + ")"
	}
	return text
}

// judge is the verdict on an answer. Only what Port says itself is for good: a proxy that stands before it knows nothing of entities.
func judge(answer *http.Response, secrets ...string) error {
	verdict := sink.Judge(answer)
	if verdict == nil {
		return nil
	}
	problem := readProblem(answer.Body, secrets...)
	problem.Status, problem.TraceID, problem.said = answer.StatusCode, traceID(answer.Header, secrets...), verdict.Error()
	return classify(verdict, problem, problem.Code != "" || answer.StatusCode == http.StatusRequestEntityTooLarge)
}

// classify gives a problem the type and the reason of a verdict. It is for good only if it is final.
func classify(verdict error, problem *Error, final bool) error {
	reasoned := sink.Because(sink.ReasonOf(verdict), problem)
	if final && sink.IsPermanent(verdict) {
		return &sink.PermanentError{Err: reasoned}
	}
	return &sink.RetryableError{Err: reasoned, After: sink.RetryAfter(verdict)}
}

// readProblem reads the error body of Port. What is too long to be one is not quoted: its end could be half a secret.
func readProblem(body io.Reader, secrets ...string) *Error {
	var said struct {
		Error   any `json:"error"`
		Message any `json:"message"`
	}
	text, err := io.ReadAll(io.LimitReader(body, maxProblem+1))
	if err != nil || len(text) > maxProblem || json.Unmarshal(text, &said) != nil {
		return &Error{}
	}
	code, _ := said.Error.(string)
	message, _ := said.Message.(string)
	return &Error{Code: sink.Quote(code, secrets...), Message: sink.Quote(message, secrets...)}
}

// secrets are what no answer to a request with that token may tell: also the tokens before it, which the answer to a request for another may
// repeat.
func (c *Client) secrets(t token) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []string{c.secret, t.value, c.token.value, c.spent}
}

// quote makes a part of an answer fit to be shown.
func (c *Client) quote(said string) string { return sink.Quote(said, c.secrets(token{})...) }

func traceID(h http.Header, secrets ...string) string {
	return sink.Quote(h.Get("X-Trace-Id"), secrets...)
}
