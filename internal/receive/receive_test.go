package receive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// driver verifies by the token of its Secret, and reads what its field says.
type driver struct {
	read func(*ingest.Request) ([]ingest.Report, error)
}

func (driver) Verify(r *ingest.Request, secret map[string][]byte) error {
	return ingest.VerifyCredentials(r, secret)
}

func (d driver) Read(r *ingest.Request) ([]ingest.Report, error) { return d.read(r) }

// readService reports a deployment of the service that the body is the name of.
func readService(r *ingest.Request) ([]ingest.Report, error) {
	name, err := ingest.Decode[string](r.Body)
	if err != nil {
		return nil, err
	}
	return []ingest.Report{{Source: "test", Key: name, Service: name, Deployment: &ingest.Deployment{OccurredAt: r.Now}}}, nil
}

// kept is a ledger in memory.
type kept struct {
	mu      sync.Mutex
	fails   error
	reports []ingest.Report
	from    []receive.Sender
}

func (k *kept) Take(_ context.Context, from receive.Sender, reports []ingest.Report) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails != nil {
		return nil, k.fails
	}
	k.reports, k.from = append(k.reports, reports...), append(k.from, from)
	var ids []string
	for i := range reports {
		ids = append(ids, strconv.Itoa(len(k.reports)-len(reports)+i))
	}
	return ids, nil
}

// stand is a server that is open, with two receivers: payments/ci, known by its token, and payments/pager, named by its path.
type stand struct {
	*receive.Server

	desk   *receive.Desk
	ledger *kept
	log    *bytes.Buffer
	now    time.Time
	tokens map[string]string
}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{ledger: &kept{}, log: &bytes.Buffer{}, now: noon, tokens: map[string]string{}}
	var writing sync.Mutex // requests come side by side; what they said is read when they have ended
	log := funcr.New(func(_, args string) {
		writing.Lock()
		defer writing.Unlock()
		s.log.WriteString(args + "\n")
	}, funcr.Options{})
	s.Server = receive.NewServer(receive.Options{Log: log, Now: func() time.Time { return s.now }})
	s.desk = receive.NewDesk(nil)
	s.put(t, s.receiver("ci", "Events"))
	s.put(t, s.receiver("pager", "PagerDuty"))
	s.Open(s.desk, s.ledger)
	return s
}

func (s *stand) put(t *testing.T, r *receive.Receiver) {
	t.Helper()
	if err := s.desk.Put(r, receive.Tally{}); err != nil {
		t.Fatal(err)
	}
}

func (s *stand) receiver(name, kind string) *receive.Receiver {
	if s.tokens[name] == "" {
		s.tokens[name] = sinktest.Secret(name)
	}
	r := &receive.Receiver{
		Sender: receive.Sender{Namespace: "payments", Name: name}, Type: kind, UID: "uid-" + name, Since: noon, Driver: driver{readService},
		Secret: map[string][]byte{"token": []byte(s.tokens[name])}, Environment: "production", PerMinute: 60,
	}
	if kind == "Events" {
		r.Tokens = [][]byte{[]byte(s.tokens[name])}
	}
	return r
}

// post asks as the sender of a receiver would.
func (s *stand) post(path, name, body string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+s.tokens[name])
	for _, change := range changes {
		change(request)
	}
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, request)
	return answer
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

type said struct {
	ID    string   `json:"id"`
	IDs   []string `json:"ids"`
	Error string   `json:"error"`
	Field string   `json:"field"`
}

func read(t *testing.T, answer *httptest.ResponseRecorder) said {
	t.Helper()
	var s said
	if err := json.Unmarshal(answer.Body.Bytes(), &s); err != nil {
		t.Fatalf("the answer is no JSON: %v", err)
	}
	return s
}

// TestAnswers: each request that is refused is refused for what is wrong with it, and keeps nothing.
func TestAnswers(t *testing.T) {
	bad := func(*ingest.Request) ([]ingest.Report, error) {
		return nil, &ingest.BadRequestError{Field: "occurred_at", Mend: "must be there"}
	}
	for name, c := range map[string]struct {
		path    string
		as      string
		change  func(*http.Request)
		set     func(*stand, *receive.Receiver)
		body    string
		code    int
		field   string
		refused receive.Reason // of payments/pager, in its tally
		again   string         // Retry-After
	}{
		"by its token":                   {path: "/events/deploy", as: "ci", code: 202},
		"by its path":                    {code: 202},
		"with a charset":                 {change: header("Content-Type", "application/json; charset=utf-8"), code: 202},
		"another form of JSON":           {change: header("Content-Type", "application/cloudevents+json"), code: 202},
		"no such path":                   {path: "/", code: 404},
		"a path that is longer":          {path: "/hooks/payments/pager/x", code: 404},
		"a path that is shorter":         {path: "/hooks/payments", code: 404},
		"read, not posted":               {change: func(r *http.Request) { r.Method = http.MethodGet }, code: 405},
		"a form":                         {change: header("Content-Type", "application/x-www-form-urlencoded"), code: 415},
		"no type":                        {change: header("Content-Type", ""), code: 415},
		"compressed":                     {change: header("Content-Encoding", "gzip"), code: 415},
		"nobody of that name":            {path: "/hooks/payments/nobody", code: 401},
		"a token's receiver by its path": {path: "/hooks/payments/ci", as: "ci", code: 401},
		"a path's receiver by its token": {path: "/events/deploy", code: 401},
		"no token":                       {path: "/events/deploy", change: func(r *http.Request) { r.Header.Del("Authorization") }, code: 401},
		"a token of another path":        {path: "/events", as: "ci", code: 403},
		"forged":                         {change: header("Authorization", "Bearer x"), code: 401, refused: receive.NotSender},
		"too large by its own account":   {body: `"` + strings.Repeat("a", 2<<20) + `"`, code: 413, refused: receive.TooLarge},
		"too large without an account": {
			body: `"` + strings.Repeat("a", 2<<20) + `"`, change: func(r *http.Request) { r.ContentLength = -1 }, code: 413, refused: receive.TooLarge,
		},
		"cut off":       {change: func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`"`), broken{})) }, code: 408, refused: receive.TooSlow},
		"suspended":     {set: func(_ *stand, r *receive.Receiver) { r.Suspended = true }, code: 503, refused: receive.Suspended, again: "60"},
		"a wrong field": {set: func(_ *stand, r *receive.Receiver) { r.Driver = driver{bad} }, code: 400, field: "occurred_at", refused: receive.BadRequest},
		"no JSON":       {body: `{`, code: 400, refused: receive.BadRequest},
		"nothing that counts": {
			set: func(_ *stand, r *receive.Receiver) {
				r.Driver = driver{func(*ingest.Request) ([]ingest.Report, error) { return nil, nil }}
			},
			code: 202,
		},
		"nobody's": {body: `""`, code: 422, field: "service", refused: receive.NoService},
		"a driver that fails": {set: func(_ *stand, r *receive.Receiver) {
			r.Driver = driver{func(*ingest.Request) ([]ingest.Report, error) { panic("sent") }}
		}, code: 500, refused: receive.DriverFailing},
		"a ledger that is full": {set: func(s *stand, _ *receive.Receiver) { s.ledger.fails = errors.New("disk full") }, code: 503, refused: receive.LedgerFailing, again: "5"},
		"a report that the ledger cannot keep": {set: func(s *stand, _ *receive.Receiver) {
			s.ledger.fails = fmt.Errorf("cannot keep it: %w", &ingest.BadRequestError{Field: "started_at", Mend: "must not be after occurred_at"})
		}, code: 400, field: "started_at", refused: receive.BadRequest},
		"a key of another report": {set: func(s *stand, _ *receive.Receiver) {
			s.ledger.fails = fmt.Errorf("cannot keep it: %w", &ingest.ConflictError{Field: "idempotency_key", Mend: "must be its own"})
		}, code: 409, field: "idempotency_key", refused: receive.KeyTaken},
		"a process that stands by": {set: func(s *stand, _ *receive.Receiver) { s.Close() }, code: 503, again: "5"},
	} {
		t.Run(name, func(t *testing.T) {
			g, s := NewWithT(t), newStand(t)
			r := s.receiver("pager", "PagerDuty")
			if c.set != nil {
				c.set(s, r)
			}
			s.put(t, r)
			if c.path == "" {
				c.path = "/hooks/payments/pager"
			}
			if c.as == "" {
				c.as = "pager"
			}
			if c.body == "" {
				c.body = `"checkout"`
			}
			if c.change == nil {
				c.change = func(*http.Request) {}
			}
			answer := s.post(c.path, c.as, c.body, c.change)
			g.Expect(answer.Code).To(Equal(c.code), answer.Body.String())
			g.Expect(answer.Header().Get("Retry-After")).To(Equal(c.again))
			words := read(t, answer)
			g.Expect(words.Field).To(Equal(c.field))
			refused := c.code != http.StatusAccepted
			g.Expect(words.Error != "").To(Equal(refused), words.Error) //nolint:ginkgolinter // there is a text, or none
			tally, _ := s.desk.Tally(r.Sender)
			g.Expect(tally.LastRefusal).To(Equal(c.refused))
			if refused || name == "nothing that counts" {
				g.Expect(s.ledger.reports).To(BeEmpty())
			} else {
				g.Expect(s.ledger.reports).To(HaveLen(1))
			}
			g.Expect(sinktest.Leaks(answer.Body.String()+s.log.String())).To(BeFalse(), "a secret is told")
			g.Expect(answer.Body.String()+s.log.String()).NotTo(ContainSubstring("checkout"), "what was sent is told")
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestWhatIsKept: the ledger gets what the sender said, by the names that are used here, and the sender its id.
func TestWhatIsKept(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	r := s.receiver("pager", "PagerDuty")
	r.Services, r.DefaultService = map[string]string{"Checkout API": "checkout"}, "shop"
	s.put(t, r)
	g.Expect(read(t, s.post("/hooks/payments/pager", "pager", `"Checkout API"`))).To(Equal(said{ID: "0"}))
	g.Expect(read(t, s.post("/hooks/payments/pager", "pager", `"Search API"`))).To(Equal(said{ID: "1"}))
	g.Expect(read(t, s.post("/hooks/payments/pager", "pager", `""`))).To(Equal(said{ID: "2"}))
	g.Expect(read(t, s.post("/events/deploy", "ci", `"Search API"`))).To(Equal(said{ID: "3"}))
	var services []string
	for _, report := range s.ledger.reports {
		g.Expect(report.Environment).To(Equal("production"))
		services = append(services, report.Service)
	}
	g.Expect(cmp.Diff([]string{"checkout", "shop", "shop", "Search API"}, services)).To(BeEmpty())
	g.Expect(s.ledger.from[0]).To(Equal(receive.Sender{Namespace: "payments", Name: "pager"}))
	g.Expect(s.log.String()).To(ContainSubstring(`"receiver"="payments/pager"`))
	g.Expect(s.log.String()).To(ContainSubstring(`"ids"=["0"]`))
	tally, _ := s.desk.Tally(r.Sender)
	g.Expect(tally).To(Equal(receive.Tally{Accepted: 3, LastAccepted: noon}))
	g.Expect(testutil.CollectAndCount(s.Metrics())).To(Equal(2))
}

// TestSeveralReports: those that name no service are left out, and said so, and the others are kept.
func TestSeveralReports(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	r := s.receiver("pager", "PagerDuty")
	r.Driver = driver{func(*ingest.Request) ([]ingest.Report, error) {
		return []ingest.Report{{Service: "a"}, {Key: "b"}, {Service: "c", Environment: "staging"}}, nil
	}}
	s.put(t, r)
	g.Expect(read(t, s.post("/hooks/payments/pager", "pager", `{}`))).To(Equal(said{IDs: []string{"0", "1"}}))
	g.Expect(s.ledger.reports[1].Environment).To(Equal("staging"))
	tally, _ := s.desk.Tally(r.Sender)
	g.Expect(tally).To(Equal(receive.Tally{Accepted: 1, LastAccepted: noon, Refused: 1, LastRefused: noon, LastRefusal: receive.NoService}))
}

// TestABatchWithAMistake: what can be read is taken, and what cannot is told, unless nothing was taken.
func TestABatchWithAMistake(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	r := s.receiver("pager", "PagerDuty")
	r.Driver = driver{func(*ingest.Request) ([]ingest.Report, error) {
		return []ingest.Report{{Service: "a"}, {Service: "c"}}, &ingest.BadRequestError{Field: "1.id", Mend: "must be there"}
	}}
	s.put(t, r)
	answer := s.post("/hooks/payments/pager", "pager", `[]`)
	g.Expect(answer.Code).To(Equal(http.StatusBadRequest))
	g.Expect(read(t, answer)).To(Equal(said{IDs: []string{"0", "1"}, Error: "must be there", Field: "1.id"}))
	g.Expect(s.ledger.reports).To(HaveLen(2))
	g.Expect(s.log.String()).To(ContainSubstring(`"ids"=["0" "1"]`))
	tally, _ := s.desk.Tally(r.Sender)
	g.Expect(tally).To(Equal(receive.Tally{Refused: 1, LastRefused: noon, LastRefusal: receive.BadRequest}))

	s.ledger.fails = errors.New("no disk")
	answer = s.post("/hooks/payments/pager", "pager", `[]`)
	g.Expect(answer.Code).To(Equal(http.StatusServiceUnavailable), "to be sent again")
	g.Expect(read(t, answer).IDs).To(BeEmpty())
}

// TestHowOften: a receiver takes its number in a minute, and what is refused does not count against it.
// TestANoteNeedsNoService: its incident had one when it began.
func TestANoteNeedsNoService(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	r := s.receiver("pager", "PagerDuty")
	r.Driver = driver{func(*ingest.Request) ([]ingest.Report, error) {
		return []ingest.Report{{Key: "note", Incident: &ingest.Incident{ID: "a"}}, {Key: "opened", Incident: &ingest.Incident{ID: "b", OpenedAt: noon}}}, nil
	}}
	s.put(t, r)
	g.Expect(read(t, s.post("/hooks/payments/pager", "pager", `{}`))).To(Equal(said{ID: "0"}))
	g.Expect(s.ledger.reports).To(HaveLen(1))
	g.Expect(s.ledger.reports[0].Key).To(Equal("note"))
}

func TestHowOften(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	ask := func(name string) int { return s.post("/hooks/payments/"+name, name, `"checkout"`).Code }
	s.put(t, s.receiver("other", "PagerDuty"))
	for range 60 {
		g.Expect(ask("pager")).To(Equal(http.StatusAccepted))
	}
	refused := s.post("/hooks/payments/pager", "pager", `"checkout"`)
	g.Expect(refused.Code).To(Equal(http.StatusTooManyRequests))
	g.Expect(refused.Header().Get("Retry-After")).To(Equal("1"), "60 a minute is one a second")
	g.Expect(ask("other")).To(Equal(http.StatusAccepted), "another is not concerned")
	s.put(t, s.receiver("pager", "PagerDuty"))
	g.Expect(ask("pager")).To(Equal(http.StatusTooManyRequests), "a look at the object forgets nothing")
	s.now = noon.Add(time.Second)
	g.Expect(ask("pager")).To(Equal(http.StatusAccepted))
	g.Expect(ask("pager")).To(Equal(http.StatusTooManyRequests))
}

// TestForgeries: however much is forged, the sender is heard. Few forged requests get into the log and the tally, for a while none of them hides
// what the sender was refused for, and nobody's number in a minute is used up.
func TestForgeries(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	forge := func() int {
		return s.post("/hooks/payments/pager", "pager", `"checkout"`, header("Authorization", "Bearer forged")).Code
	}
	pager := s.receiver("pager", "PagerDuty").Sender
	g.Expect(s.post("/hooks/payments/pager", "pager", `""`).Code).To(Equal(http.StatusUnprocessableEntity))
	for range 500 {
		g.Expect(forge()).To(Equal(http.StatusUnauthorized))
	}
	g.Expect(s.post("/hooks/payments/pager", "pager", `"checkout"`).Code).To(Equal(http.StatusAccepted))
	tally, _ := s.desk.Tally(pager)
	g.Expect(tally).To(Equal(receive.Tally{Accepted: 1, LastAccepted: noon, Refused: 21, LastRefused: noon, LastRefusal: receive.NoService}))
	g.Expect(strings.Count(s.log.String(), `"reason"="NotSender"`)).To(Equal(20))
	s.now = noon.Add(time.Hour)
	forge()
	tally, _ = s.desk.Tally(pager)
	g.Expect(tally.LastRefusal).To(Equal(receive.NotSender), "in the end it is told: the sender may have another secret")
}

// TestStrangersInTheLog: nor do those that name no receiver fill the log, whatever is wrong with them.
func TestStrangersInTheLog(t *testing.T) {
	for name, path := range map[string]string{"nobody": "/hooks/payments/nobody", "no token": "/events", "nothing": "/"} {
		g, s := NewWithT(t), newStand(t)
		for range 100 {
			s.post(path, "", `{}`)
		}
		g.Expect(strings.Count(s.log.String(), `"Refused"`)).To(Equal(20), name)
	}
}

// TestWhoExistsIsNotTold: whatever is asked without the secret, one that is there answers as one that is not, word for word.
func TestWhoExistsIsNotTold(t *testing.T) {
	large := `"` + strings.Repeat("a", 2<<20) + `"`
	for name, c := range map[string]struct {
		body   string
		change func(*http.Request)
		code   int
	}{
		"forged":                       {`{}`, func(*http.Request) {}, http.StatusUnauthorized},
		"no JSON":                      {`{`, func(*http.Request) {}, http.StatusUnauthorized},
		"too large by its own account": {large, func(*http.Request) {}, http.StatusRequestEntityTooLarge},
		"too large":                    {large, func(r *http.Request) { r.ContentLength = -1 }, http.StatusRequestEntityTooLarge},
		"cut off":                      {`"`, func(r *http.Request) { r.Body = io.NopCloser(broken{}) }, http.StatusRequestTimeout},
	} {
		g, s := NewWithT(t), newStand(t)
		for range 150 {
			there := s.post("/hooks/payments/pager", "", c.body, c.change)
			absent := s.post("/hooks/payments/nobody", "", c.body, c.change)
			g.Expect(there.Code).To(Equal(c.code), name)
			g.Expect(cmp.Diff(absent.Result().Header, there.Result().Header)).To(BeEmpty(), name)
			g.Expect(there.Body.String()).To(Equal(absent.Body.String()), name)
			g.Expect(absent.Code).To(Equal(c.code), name)
		}
	}
}

// TestWhatIsHeld: bodies that do not end take room, and large ones that come then are told to come again; room is given back.
func TestWhatIsHeld(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	const many = 8 // of a bit more than 1 MiB, each with room for 2
	var ended sync.WaitGroup
	arrived, finish := make(chan struct{}), make(chan struct{})
	for range many {
		ended.Go(func() {
			s.post("/hooks/payments/pager", "pager", "", func(r *http.Request) {
				r.Body = io.NopCloser(&slow{Reader: strings.NewReader(strings.Repeat("a", 1<<20+1)), arrived: arrived, finish: finish})
				r.ContentLength = -1
			})
		})
		<-arrived
	}
	large := `"` + strings.Repeat("a", 1<<20) + `"`
	g.Expect(s.post("/hooks/payments/pager", "pager", large).Code).To(Equal(http.StatusServiceUnavailable))
	g.Expect(s.post("/hooks/payments/pager", "pager", `"checkout"`).Code).To(Equal(http.StatusAccepted), "there is room for what is small")
	close(finish)
	ended.Wait()
	g.Expect(s.post("/hooks/payments/pager", "pager", large).Code).To(Equal(http.StatusAccepted))
}

// slow is a body that stops before its end until it may go on.
type slow struct {
	io.Reader

	arrived chan<- struct{}
	finish  <-chan struct{}
}

func (s *slow) Read(into []byte) (int, error) {
	n, err := s.Reader.Read(into)
	if errors.Is(err, io.EOF) {
		s.arrived <- struct{}{}
		<-s.finish
	}
	return n, err
}
