package receive_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/events"
	"github.com/dora-controller/dora-controller/internal/receive"
)

// answers are all that a request can be answered. DriverFailing is not among them.
var answers = []int{202, 400, 401, 403, 404, 405, 413, 415, 422}

// canary shows where what was sent is sent back.
const canary = "canary-a1b2c3"

// FuzzRequest: whatever is asked is answered in JSON, with one of the answers that there are and no word of what came; and nobody without the
// token gets anything into the ledger.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/events/deploy", "application/json", "Bearer x", "", []byte(`{"service":"checkout","success":true}`))
	f.Add("POST", "/hooks/payments/pager", "application/json", "", "", []byte(`"checkout"`))
	f.Fuzz(func(t *testing.T, method, path, kind, authorization, encoding string, body []byte) {
		s := newStand(t)
		r := s.receiver("ci", "Events")
		r.Driver = events.Driver{}
		s.put(t, r)
		for _, token := range []string{authorization, "Bearer " + s.tokens["ci"], "Bearer " + s.tokens["pager"]} {
			request := &http.Request{
				Method: method, URL: &url.URL{Path: path, RawQuery: canary}, Host: canary, RemoteAddr: "192.0.2.1:1",
				Header: http.Header{"Content-Type": {kind}, "Authorization": {token}, "Content-Encoding": {encoding}, "X-A": {canary}},
			}
			request.Body = http.NoBody
			if len(body) > 0 {
				request = request.WithContext(t.Context())
				request.Body = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)+canary)).Body
			}
			said := httptest.NewRecorder()
			s.ServeHTTP(said, request)
			text := said.Body.String()
			if !slices.Contains(answers, said.Code) || !json.Valid(said.Body.Bytes()) || said.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s %q: %d %s", method, path, said.Code, text)
			}
			if strings.Contains(text+s.log.String(), canary) {
				t.Errorf("what came is told: %s", text)
			}
			if token == authorization && len(s.ledger.reports) > 0 {
				t.Errorf("%q is a token", authorization)
			}
		}
	})
}

// FuzzNames: whatever a receiver calls services, none is lost between what the sender says and the ledger.
func FuzzNames(f *testing.F) {
	f.Add("Checkout API", "checkout", "", "staging")
	f.Fuzz(func(t *testing.T, given, known, fallback, environment string) {
		s := newStand(t)
		r := s.receiver("pager", "PagerDuty")
		r.Services, r.DefaultService = map[string]string{"a": known}, fallback
		r.Driver = driver{func(*ingest.Request) ([]ingest.Report, error) {
			return []ingest.Report{{Service: given, Environment: environment}}, nil
		}}
		s.put(t, r)
		answer := s.post("/hooks/payments/pager", "pager", `{}`)
		want := given
		switch {
		case given == "a":
			want = known
		case fallback != "":
			want = fallback
		}
		switch {
		case want == "" && answer.Code != http.StatusUnprocessableEntity:
			t.Errorf("nobody's incident is answered %d", answer.Code)
		case want != "" && (len(s.ledger.reports) != 1 || s.ledger.reports[0].Service != want || s.ledger.reports[0].Environment == ""):
			t.Errorf("%q of %q became %+v", given, environment, s.ledger.reports)
		}
		if tally, _ := s.desk.Tally(r.Sender); tally.Accepted+tally.Refused != 1 || (tally.LastRefusal == receive.NoService) != (want == "") {
			t.Errorf("the tally is %+v", tally)
		}
	})
}
