package enrich

import (
	"maps"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// place is something that an owner's questions go to: a server, or one repository on it.
type place struct{ owner, what string }

// places are those that a deployment's question goes to.
type places struct {
	// server is the name of the host; empty where an image tells the repository, or it lies on this machine.
	server string
	host   place
	// repository stands for the service where an image is to tell it.
	repository place
}

func placeOf(owner string, source *commit.Source, e *dora.Event) places {
	address := ""
	if source != nil {
		address = source.Repository
	}
	server := commit.HostOf(address)
	if address == "" {
		address = "the images of " + e.Service
	}
	return places{server, place{owner, "host " + server}, place{owner, address}}
}

// of is what a failure is about. A server that does not answer, or wants to be left alone, is left alone; whatever else may be wrong with
// one repository says nothing about the others.
func (p places) of(reason commit.Reason, timeout bool) place {
	if p.server != "" && (timeout || reason == commit.RateLimited) {
		return p.host
	}
	return p.repository
}

// forgotten is how long after its end a rest still makes the next one longer.
const forgotten = time.Hour

// rest is how long a place is left alone, after how many failures in a row.
type rest struct {
	until    time.Time
	failures int
	reason   commit.Reason
	message  string
}

// tire lets a place rest, and returns until when.
func (w *Worker) tire(at place, atLeast time.Duration, reason commit.Reason, message string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.rest[at]
	wait := max(w.opts.Backoff.Delay(was.failures+1, w.opts.Random()), atLeast)
	now := rest{w.opts.Clock.Now().Add(wait), was.failures + 1, reason, message}
	w.rest[at] = now
	maps.DeleteFunc(w.rest, func(_ place, r rest) bool { return w.opts.Clock.Since(r.until) > forgotten })
	return now.until
}

// resting is the rest that holds longer, of the host's and the repository's.
func (w *Worker) resting(at places) (rest, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	longer := w.rest[at.host]
	if other := w.rest[at.repository]; other.until.After(longer.until) {
		longer = other
	}
	return longer, w.opts.Clock.Now().Before(longer.until)
}

func (w *Worker) awake(at places) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.rest, at.host)
	delete(w.rest, at.repository)
}

// Hurry forgets what is left alone: what stood in the way may be mended.
func (w *Worker) Hurry() {
	w.mu.Lock()
	clear(w.rest)
	w.mu.Unlock()
	w.Notify()
}
