package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// inbox is a receiver that keeps the newest form of each event, as a careful one does, and the order in which they came. It checks signatures and
// forms by the double of package cloudeventstest, and keeps of what that took as little as there is to know.
type inbox struct {
	*cloudeventstest.Receiver

	mu      sync.Mutex
	token   string
	fault   func(w http.ResponseWriter) (answered bool)
	order   []string
	newest  map[string]string
	refused int
}

func newInbox(tb testing.TB) *inbox {
	tb.Helper()
	in := &inbox{Receiver: cloudeventstest.New(tb, cloudeventstest.Settings{}), newest: map[string]string{}}
	in.Behave(in.step)
	return in
}

func (in *inbox) step(w http.ResponseWriter, req *http.Request) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fault != nil && in.fault(w) {
		return true
	}
	if in.token != "" && req.Header.Get("Authorization") != "Bearer "+in.token {
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	if req.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // half a question gets no answer
	}
	event, err := cloudeventstest.Parse(req.Header, bytes.Clone(body))
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	case strings.HasPrefix(event.ID(), unwanted):
		in.refused++
		w.WriteHeader(http.StatusUnprocessableEntity)
	default:
		in.order = append(in.order, event.ID())
		in.newest[event.ID()] = string(event.Data())
		w.WriteHeader(http.StatusAccepted)
	}
	return true
}

// fail puts a fault before all answers, until the answer is called.
func (in *inbox) fail(fault func(w http.ResponseWriter) bool) (mend func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.fault = fault
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.fault = nil
	}
}

func (in *inbox) arrived() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.order
}

func (in *inbox) held() map[string]string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.newest
}

func formOfData(event dora.Event) string {
	data, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func (in *inbox) troubles(c *clock) []trouble {
	return []trouble{
		{"nothing", func(*rand.Rand) func() { return func() {} }},
		{"it fails", func(drawn *rand.Rand) func() {
			status := []int{500, 502, 503, 504, 507, 404, 302}[drawn.IntN(7)]
			return in.fail(func(w http.ResponseWriter) bool { w.WriteHeader(status); return true })
		}},
		{"it fails now and then", func(drawn *rand.Rand) func() {
			fails := rand.New(rand.NewPCG(drawn.Uint64(), 0))
			return in.fail(func(w http.ResponseWriter) bool {
				if fails.IntN(30) > 0 {
					return false
				}
				w.WriteHeader([]int{500, 502, 503, 504}[fails.IntN(4)])
				_, _ = io.WriteString(w, "sorry")
				return true
			})
		}},
		{"it breaks off now and then", func(drawn *rand.Rand) func() {
			fails := rand.New(rand.NewPCG(drawn.Uint64(), 0))
			return in.fail(func(http.ResponseWriter) bool {
				if fails.IntN(30) == 0 {
					panic(http.ErrAbortHandler)
				}
				return false
			})
		}},
		{"it wants to be left alone", func(drawn *rand.Rand) func() {
			until := c.Now().Add(time.Duration(1+drawn.IntN(7200)) * time.Second)
			return in.fail(func(w http.ResponseWriter) bool {
				left := until.Sub(c.Now())
				if left <= 0 {
					return false
				}
				w.Header().Set("Retry-After", strconv.Itoa(int(left.Seconds())+1))
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			})
		}},
	}
}

func cloudeventsDestination(t *testing.T, c *clock) *destination {
	t.Helper()
	in := newInbox(t)
	p := before(t, hostOf(in.URL))
	token, changes := sinktest.Secret("token-0"), 0
	in.token = token
	return &destination{
		proxy: p,
		connect: func() sink.Sink {
			s, err := cloudevents.New(cloudevents.Options{Name: sinkName, Cluster: "eu-1", URL: p.instead(in.URL), Token: token, Guard: here})
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			return s
		},
		troubles: in.troubles(c),
		rotate: func() {
			changes++
			token = sinktest.Secret(fmt.Sprintf("token-%d", changes))
			in.mu.Lock()
			defer in.mu.Unlock()
			in.token = token
		},
		arrived: in.arrived, held: in.held, form: formOfData, stream: byService,
	}
}
