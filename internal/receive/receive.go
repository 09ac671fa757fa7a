// Package receive is the HTTP server by which others report what Argo does not see.
//
// # The way of a request
//
//	path, method, form ─▶ which receiver? ─▶ body, bounded ─▶ is it the sender? ─▶ how often? ─▶ read ─▶ the ledger ─▶ 202
//	 404   405     415        401                413                401            429        400        503
//
// What it guarantees:
//
//   - Accepted means durable: 202 is sent after the ledger has what was reported, and never before. Whoever gets another answer, or none, sends
//     it again; that it came twice is nobody's harm.
//   - Before it is known who asks, a request costs little, and the same whoever is asked for: no Secret is read, nothing but the lease, once a
//     second, is asked of the API server, and of the body no more is held than came in, within a bound for all requests together. A sender
//     who is known by a token is known before the body is read. A receiver that does not exist answers as one that does, to whoever is not
//     its sender.
//   - One receiver does not starve another: how often it is used is counted for each alone. What is forged keeps nobody out: it uses up nobody's
//     number in a minute, each request is verified, and only so many strangers get a line in the log and a place in the status.
//   - Nothing that came in is sent back, logged, or shown in a status: not in an error either.
//   - A mistake in a driver is the end of that request, and of nothing else.
//
// Only a process that leads has the ledger. Others pass on what they are sent to that one, if it tells where it is, or answer 503.
package receive

import (
	"context"
	"maps"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Sender names a receiver, and with it whoever sends to it.
type Sender struct{ Namespace, Name string }

func (s Sender) String() string { return s.Namespace + "/" + s.Name }

// Ledger keeps what was reported.
type Ledger interface {
	// Take keeps reports durably before it returns, and returns the id of each. After an error it may have kept them or
	// not; an ingest.BadRequestError says that a report is at fault, and what is wrong with it.
	Take(ctx context.Context, from Sender, reports []ingest.Report) (ids []string, err error)
}

// Receiver is one of those that requests are for. It is not changed after it was given to a Desk.
type Receiver struct {
	Sender

	// Type is that of the DoraReceiver. UID and Since, when it was made, tell it from another of its name.
	Type, UID string
	Since     time.Time
	Driver    ingest.Driver
	// Secret is what the driver verifies senders by. A key that ends in .next is accepted in the place of the key without that.
	Secret map[string][]byte
	// Tokens are given where the sender is known by a token, and the path names no receiver.
	Tokens [][]byte
	// Services says what services are called here; DefaultService is for those that have no entry. Environment is for reports without one.
	Services                    map[string]string
	DefaultService, Environment string
	PerMinute                   int
	Suspended                   bool
}

// verify tells whether a request was made by the sender, with a secret or with the one that follows it.
func (r *Receiver) verify(request *ingest.Request) error {
	now, next := secrets(r.Secret)
	err := r.Driver.Verify(request, now)
	if err != nil && next != nil {
		return r.Driver.Verify(request, next)
	}
	return err
}

// nextKey ends the keys of values that will take the place of others.
const nextKey = ".next"

// secrets are the values of now, and, if a change is under way, those with what comes next.
func secrets(all map[string][]byte) (now, next map[string][]byte) {
	now = make(map[string][]byte, len(all))
	for key, value := range all {
		if _, ok := plainKey(key); !ok {
			now[key] = value
		}
	}
	for key, value := range all {
		if plain, ok := plainKey(key); ok {
			if next == nil {
				next = maps.Clone(now)
			}
			next[plain] = value
		}
	}
	return now, next
}
