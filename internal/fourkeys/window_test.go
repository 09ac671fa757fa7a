package fourkeys_test

import (
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

func TestLastIsARollingWindow(t *testing.T) {
	diff(t, fourkeys.Window{From: at(-24), To: at(0), FollowedSince: at(-5)}, fourkeys.Last(24*time.Hour, at(0), at(-5)))
}

// A change belongs to the window in which it occurred, with all that is known of it.
func TestTheEdgesOfTheWindow(t *testing.T) {
	tell(t, map[string]story{
		"The first instant is inside": {
			events: []dora.Event{success("v2", 0)},
			want:   figures{deployed: 1, attempts: 1, counts: counts{Succeeded: 1}},
		},
		"The last instant is outside": {
			events: []dora.Event{success("v2", 168)},
			want:   figures{},
		},
		"A failure that ends after the window belongs to its deployment inside": {
			events: []dora.Event{success("v2", 167), degraded("f", 167.5, "v2"), recovered("f", 170, "v2")},
			want:   figures{deployed: 1, attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Succeeded: 1}},
		},
		"A failure that starts after the window belongs to its deployment inside": {
			events: []dora.Event{success("v2", 167.9), degraded("f", 168.1, "v2")},
			want:   figures{deployed: 1, attempts: 1, failed: 1, failures: 1, open: 1, counts: counts{Succeeded: 1}},
		},
		"A rollback after the window is charged to the deployment inside": {
			events: []dora.Event{success("v2", 167), rollback("v1", "v2", 169)},
			want:   figures{deployed: 1, attempts: 1, failed: 1, counts: counts{Succeeded: 1}},
		},
		"A rollback inside is not charged to anything when the version is older than the window": {
			events: []dora.Event{success("v2", -1), rollback("v1", "v2", 1)},
			want:   figures{counts: counts{Returned: 1}},
		},
		"The failure of a deployment before the window is in no recovery time, and not an incident": {
			events: []dora.Event{success("v2", -0.5), degraded("f", 0.2, "v2"), recovered("f", 1, "v2")},
			want:   figures{},
		},
		"A failure from before the window that is still open is shown": {
			events: []dora.Event{degraded("f", -100, "")},
			want:   figures{counts: counts{OpenFailures: 1}},
		},
		"A failed attempt from before the window that heals inside is deployed inside, and failed before it": {
			events: []dora.Event{failure("v2", -2, firstCommit(-10)), degraded("f", -2, "v2"), recovered("f", 1, "v2")},
			want:   figures{deployed: 1, leads: 1},
		},
		"A failed attempt inside that heals after the window is not deployed inside": {
			events: []dora.Event{failure("v2", 160), degraded("f", 160, "v2"), recovered("f", 170, "v2")},
			want:   figures{attempts: 1, failed: 1, failures: 1, recoveries: 1, counts: counts{Failed: 1}},
		},
	})
}
