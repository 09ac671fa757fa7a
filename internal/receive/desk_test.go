package receive_test

import (
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// TestANewSecret: while it changes both are accepted, and then the old one is not.
func TestANewSecret(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	before, after := s.tokens["pager"], sinktest.Secret("after")
	ask := func(token string) int {
		return s.post("/hooks/payments/pager", "pager", `"checkout"`, header("Authorization", "Bearer "+token)).Code
	}
	r := s.receiver("pager", "PagerDuty")
	r.Secret = map[string][]byte{"token": []byte(before), "token.next": []byte(after)}
	s.put(t, r)
	g.Expect(ask(before)).To(Equal(http.StatusAccepted))
	g.Expect(ask(after)).To(Equal(http.StatusAccepted))
	g.Expect(ask("")).To(Equal(http.StatusUnauthorized))
	r = s.receiver("pager", "PagerDuty")
	r.Secret = map[string][]byte{"token": []byte(after)}
	s.put(t, r)
	g.Expect(ask(before)).To(Equal(http.StatusUnauthorized))
	g.Expect(ask(after)).To(Equal(http.StatusAccepted))
}

// TestANewToken: likewise of a receiver that is found by its token.
func TestANewToken(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	before, after := s.tokens["ci"], sinktest.Secret("after")
	ask := func(token string) int {
		return s.post("/events/deploy", "ci", `"checkout"`, header("Authorization", "bearer "+token)).Code
	}
	r := s.receiver("ci", "Events")
	r.Secret = map[string][]byte{"token": []byte(before), "token.next": []byte(after)}
	r.Tokens = [][]byte{[]byte(before), []byte(after)}
	s.put(t, r)
	g.Expect([]int{ask(before), ask(after)}).To(Equal([]int{http.StatusAccepted, http.StatusAccepted}))
	r = s.receiver("ci", "Events")
	r.Secret, r.Tokens = map[string][]byte{"token": []byte(after)}, [][]byte{[]byte(after)}
	s.put(t, r)
	g.Expect([]int{ask(before), ask(after)}).To(Equal([]int{http.StatusUnauthorized, http.StatusAccepted}))
	s.desk.Remove(r.Sender)
	g.Expect(ask(after)).To(Equal(http.StatusUnauthorized))
}

// TestTwoReceiversWithOneToken: the older one keeps it, in whatever order the two are seen.
func TestTwoReceiversWithOneToken(t *testing.T) {
	older := func(s *stand) *receive.Receiver { return s.receiver("ci", "Events") }
	younger := func(s *stand) *receive.Receiver {
		r := s.receiver("ci", "Events")
		r.Sender, r.UID, r.Since = receive.Sender{Namespace: "other", Name: "ci"}, "other", noon.Add(time.Second)
		return r
	}
	g, s := NewWithT(t), newStand(t)
	g.Expect(s.desk.Put(younger(s), receive.Tally{})).To(MatchError(receive.ErrTokenTaken))
	s.post("/events/deploy", "ci", `"checkout"`)

	s.desk.Remove(older(s).Sender)
	s.put(t, younger(s))
	s.put(t, older(s))
	s.post("/events/deploy", "ci", `"checkout"`)
	g.Expect(s.desk.Put(younger(s), receive.Tally{})).To(MatchError(receive.ErrTokenTaken))
	s.post("/events/deploy", "ci", `"checkout"`)
	g.Expect(s.ledger.from).To(Equal([]receive.Sender{older(s).Sender, older(s).Sender, older(s).Sender}))
}

// TestTally: it begins with what is known of before, is kept while the object is the same, and begins anew with another of the same name.
func TestTally(t *testing.T) {
	g, s := NewWithT(t), newStand(t)
	var told []receive.Sender
	desk := receive.NewDesk(func(who receive.Sender) { told = append(told, who) })
	s.Open(desk, s.ledger)
	r := s.receiver("pager", "PagerDuty")
	known := receive.Tally{Accepted: 7, Refused: 2, LastRefusal: receive.TooOften}
	g.Expect(desk.Put(r, known)).To(Succeed())
	s.post("/hooks/payments/pager", "pager", `"checkout"`)
	s.post("/hooks/payments/pager", "pager", `{`)
	g.Expect(desk.Put(s.receiver("pager", "PagerDuty"), receive.Tally{})).To(Succeed())
	got, _ := desk.Tally(r.Sender)
	g.Expect(got).To(Equal(receive.Tally{Accepted: 8, Refused: 3, LastAccepted: noon, LastRefused: noon, LastRefusal: receive.BadRequest}))
	g.Expect(told).To(Equal([]receive.Sender{r.Sender, r.Sender}))
	other := s.receiver("pager", "PagerDuty")
	other.UID = "another"
	g.Expect(desk.Put(other, receive.Tally{})).To(Succeed())
	got, _ = desk.Tally(r.Sender)
	g.Expect(got).To(Equal(receive.Tally{}))
}
