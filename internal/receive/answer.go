package receive

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reason is why a request was refused, as one of a fixed set of words.
type Reason string

// The reasons. Each has a row in docs/dorareceiver.md.
const (
	NoSuchPath    Reason = "NoSuchPath"    // nothing is taken at that path
	NotPosted     Reason = "NotPosted"     // only POST is taken
	NotJSON       Reason = "NotJSON"       // the body is in another form, or compressed
	NotSender     Reason = "NotSender"     // nobody knows who asks
	OtherType     Reason = "OtherType"     // the sender's receiver is for another path
	TooLarge      Reason = "TooLarge"      // the body is too large
	TooSlow       Reason = "TooSlow"       // the body did not come in time, or not whole
	TooOften      Reason = "TooOften"      // above spec.rateLimit
	Busy          Reason = "Busy"          // too much is being read at this moment
	Suspended     Reason = "Suspended"     // spec.suspend is true
	BadRequest    Reason = "BadRequest"    // a field is wrong
	NoService     Reason = "NoService"     // nothing says whose it is
	KeyTaken      Reason = "KeyTaken"      // its idempotency key is of a report that told something else
	StandingBy    Reason = "StandingBy"    // this process does not lead
	LedgerFailing Reason = "LedgerFailing" // the ledger did not take it
	DriverFailing Reason = "DriverFailing" // a mistake in this program
	accepted      Reason = ""              // it was not refused
)

// answer is what a request is answered.
type answer struct {
	code   int
	reason Reason
	// field and mend say what is wrong, in words of ours.
	field, mend string
	// after is when to come again, in whole seconds; 0 if that would not help.
	after int
	// ids are of what was taken; of a batch that is refused, those that could be read.
	ids []string
	// dropped is how many reports of an accepted request say nothing of whose they are.
	dropped int
	// cause is for the log alone.
	cause error
	// unread tells that the body was left where it is: the connection ends.
	unread bool
}

// body is what an answer says. Of one event there is its id.
type body struct {
	ID    string   `json:"id,omitempty"`
	IDs   []string `json:"ids,omitempty"`
	Error string   `json:"error,omitempty"`
	Field string   `json:"field,omitempty"`
}

func (a *answer) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if a.after > 0 {
		header.Set("Retry-After", strconv.Itoa(a.after))
	}
	if a.code == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if a.code == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if a.unread {
		header.Set("Connection", "close")
	}
	said := body{Error: a.mend, Field: a.field, IDs: a.ids}
	if len(a.ids) == 1 {
		said.ID, said.IDs = a.ids[0], nil
	}
	text, err := json.Marshal(said)
	if err != nil {
		text = []byte("{}") // texts always can be written
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(append(text, '\n')) // who has gone asks again
}

func refuse(code int, why Reason, mend string) *answer {
	return &answer{code: code, reason: why, mend: mend}
}

// later tells whoever sends to come again.
func later(code int, why Reason, wait time.Duration, mend string) *answer {
	seconds := int((wait + time.Second - 1) / time.Second)
	return &answer{code: code, reason: why, mend: mend, after: min(max(seconds, 1), 3600)}
}

func newCounts() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dora_receiver_requests_total",
		Help: "Requests to receivers, by how they were answered. The receiver is empty where nobody knows which one was meant.",
	}, []string{"namespace", "receiver", "code"})
}

func newPassed() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dora_receiver_passed_on_total",
		Help: "Requests that came while the process stood by, by how the one that leads answered; 503 where none was reached.",
	}, []string{"code"})
}

// Metrics are those of the server while it is open. They are to be registered once.
func (s *Server) Metrics() prometheus.Collector { return s.counts }

// MetricsStandingBy are those of the server while it is not open. They are to be registered once.
func (s *Server) MetricsStandingBy() prometheus.Collector { return s.passed }
