package receive

import (
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrTokenTaken is that another receiver, which is older, has the same token.
var ErrTokenTaken = errors.New("another receiver has the same token")

// Requests of which nobody knows who made them get this many lines in the log, and places in the tally of the receiver that they name; the
// others are counted by the metric alone.
const (
	strangersPerSecond = 1
	strangersAtOnce    = 20
)

func newStrangers() *rate.Limiter { return rate.NewLimiter(strangersPerSecond, strangersAtOnce) }

// ownFor is how long what a receiver's own sender was refused for stays before the eyes of people, whatever strangers do.
const ownFor = time.Hour

// Desk knows the receivers that there are. It may be used by many goroutines at once.
type Desk struct {
	changed func(Sender)

	mu      sync.RWMutex
	byName  map[Sender]*place
	byToken map[[sha256.Size]byte]*place
}

// place is what is known of a receiver from one request to the next.
type place struct {
	*Receiver

	limit, strangers *rate.Limiter

	mu    sync.Mutex
	tally Tally
}

// Tally is what became of requests.
type Tally struct {
	Accepted, Refused         int64
	LastAccepted, LastRefused time.Time
	LastRefusal               Reason
}

// NewDesk makes one that calls changed, if it is not nil, when the tally of a receiver has changed.
func NewDesk(changed func(Sender)) *Desk {
	return &Desk{changed: changed, byName: map[Sender]*place{}, byToken: map[[sha256.Size]byte]*place{}}
}

// Put makes requests for a receiver be taken, in place of what it was before. Known is its tally, if it was not there. One that has a token of
// an older receiver is not taken, nor is it any longer what it was before.
func (d *Desk) Put(r *Receiver, known Tally) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.placeFor(r, known)
	d.remove(r.Sender)
	for _, token := range r.Tokens {
		if owner := d.byToken[sha256.Sum256(token)]; owner != nil && owner.olderThan(r) {
			return ErrTokenTaken
		}
	}
	for _, token := range r.Tokens {
		digest := sha256.Sum256(token)
		if owner := d.byToken[digest]; owner != nil {
			d.remove(owner.Sender)
		}
		d.byToken[digest] = p
	}
	d.byName[r.Sender] = p
	return nil
}

// placeFor takes over what is known of a receiver.
func (d *Desk) placeFor(r *Receiver, known Tally) *place {
	p := &place{Receiver: r, limit: perMinute(r.PerMinute), strangers: newStrangers(), tally: known}
	before := d.byName[r.Sender]
	if before == nil || before.UID != r.UID {
		return p
	}
	p.tally, p.strangers = before.count(), before.strangers
	if before.PerMinute == r.PerMinute {
		p.limit = before.limit
	}
	return p
}

// perMinute allows what a minute allows at once, since many senders send in bursts.
func perMinute(requests int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(requests)/60), requests)
}

func (r *Receiver) olderThan(other *Receiver) bool {
	if !r.Since.Equal(other.Since) {
		return r.Since.Before(other.Since)
	}
	return r.String() < other.String()
}

// Remove makes requests for a receiver be refused.
func (d *Desk) Remove(s Sender) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(s)
}

func (d *Desk) remove(s Sender) {
	p := d.byName[s]
	if p == nil {
		return
	}
	delete(d.byName, s)
	for _, token := range p.Tokens {
		delete(d.byToken, sha256.Sum256(token))
	}
}

// Tally tells what became of a receiver's requests; false if it is not there.
func (d *Desk) Tally(s Sender) (Tally, bool) {
	p := d.named(s)
	if p == nil {
		return Tally{}, false
	}
	return p.count(), true
}

// named is a receiver by its name, and bearing by its token; nil if there is none. A token is looked up by its digest, so that how long that
// takes tells nothing about other tokens.
func (d *Desk) named(s Sender) *place {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byName[s]
}

func (d *Desk) bearing(token string) *place {
	digest := sha256.Sum256([]byte(token))
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byToken[digest]
}

func (p *place) count() Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tally
}

func (d *Desk) accepted(p *place, at time.Time) {
	p.mu.Lock()
	p.tally.Accepted++
	p.tally.LastAccepted = at
	p.mu.Unlock()
	d.tell(p.Sender)
}

// anybodys are the reasons for which requests are refused before it is known who asks.
var anybodys = map[Reason]bool{NotSender: true, TooLarge: true, TooSlow: true, Busy: true}

func (d *Desk) refused(p *place, at time.Time, why Reason) {
	p.mu.Lock()
	p.tally.Refused++
	if known := p.tally.LastRefusal; !anybodys[why] || known == "" || anybodys[known] || at.Sub(p.tally.LastRefused) >= ownFor {
		p.tally.LastRefused, p.tally.LastRefusal = at, why
	}
	p.mu.Unlock()
	d.tell(p.Sender)
}

func (d *Desk) tell(s Sender) {
	if d.changed != nil {
		d.changed(s)
	}
}

// plainKey is the key whose place a key takes that ends in .next.
func plainKey(key string) (string, bool) { return strings.CutSuffix(key, nextKey) }
