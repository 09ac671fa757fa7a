package chaos

import (
	"os"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

// TestHandOver has two replicas on a ledger in PostgreSQL, as the chart does with replicas: 2.
func TestHandOver(t *testing.T) { //nolint:tparallel // one after the other, beside other tests
	t.Parallel()
	s := openStage(t, true)
	s.replicate(0)
	s.replicate(0)
	s.leader()
	s.follow("cart", "search")
	s.seen()
	t.Run("every replica is alive and ready, and serves its metrics", s.servedByAll)
	t.Run("a leader that was paused writes nothing when it comes back, and ends", s.paused)
	t.Run("a leader that is cut off from the API server ends, and stands by when it is back", s.cutOff)
	s.published()
}

// other is the replica that does not lead.
func (s *stage) other(leads *replica) *replica {
	if s.replicas[0] == leads {
		return s.replicas[1]
	}
	return s.replicas[0]
}

func (s *stage) servedByAll(t *testing.T) {
	g := NewWithT(t)
	leads := s.leader()
	for _, r := range s.replicas {
		g.Eventually(func(g Gomega) {
			for _, path := range []string{"/healthz?verbose", "/readyz?verbose"} {
				said, err := get(t.Context(), r.probes+path)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(said).To(ContainSubstring("[+]work ok"))
			}
		}).WithTimeout(patience).Should(Succeed())
		metrics, err := get(t.Context(), r.metrics+"/metrics")
		g.Expect(err).NotTo(HaveOccurred())
		status := map[bool]string{true: "1", false: "0"}[r == leads]
		g.Expect(metrics).To(ContainSubstring(`leader_election_master_status{name="dora-controller"} ` + status))
	}
}

// paused: the kernel stops the leader for longer than its lease. The other takes over and writes; when the first goes on, it has in mind what was,
// and sees all at once what happened.
func (s *stage) paused(t *testing.T) {
	g := NewWithT(t)
	old := s.leader()
	young := s.other(old)
	cart, search := s.argo.apps[0], s.argo.apps[1]
	cart.sync(t.Context(), cart.fresh())
	s.seen()

	old.Once()
	g.Expect(old.Signal(syscall.SIGSTOP)).To(Succeed())
	cart.becomes(t.Context(), "Healthy")
	g.Eventually(func() bool { return young.leads(t.Context()) }).WithTimeout(patience).Should(BeTrue())
	s.seen()
	search.atOnce(t.Context())
	s.seen()

	g.Expect(old.Signal(syscall.SIGCONT)).To(Succeed())
	cart.sync(t.Context(), cart.fresh())
	g.Eventually(old.Running).WithTimeout(patience).Should(BeFalse())
	said, err := os.ReadFile(old.Log())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(said)).To(Or(ContainSubstring("another process has taken over the ledger"), ContainSubstring("leader election lost")))
	cart.becomes(t.Context(), "Degraded")
	s.seen()
	s.back()
	g.Eventually(func() error { _, err := get(t.Context(), old.probes+"/readyz"); return err }).WithTimeout(patience).Should(Succeed(), "it stands by")
	g.Expect(young.leads(t.Context())).To(BeTrue())
}

// cutOff: the leader does not reach the API server any more, and reaches the database.
func (s *stage) cutOff(t *testing.T) {
	g := NewWithT(t)
	old := s.leader()
	young := s.other(old)
	cart := s.argo.apps[0]
	cart.sync(t.Context(), cart.fresh())
	s.seen()

	before, err := os.ReadFile(old.Log())
	g.Expect(err).NotTo(HaveOccurred())
	old.line.hang(true)
	cart.becomes(t.Context(), "Healthy")
	g.Eventually(func() bool { return young.leads(t.Context()) }).WithTimeout(patience).Should(BeTrue())
	s.seen()
	g.Eventually(func(g Gomega) {
		said, err := os.ReadFile(old.Log())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(strings.TrimPrefix(string(said), string(before))).To(ContainSubstring("leader election lost"))
	}).WithTimeout(patience).Should(Succeed(), "it ends by itself")
	old.line.hang(false)
	cart.sync(t.Context(), cart.fresh())
	g.Eventually(func() error { _, err := get(t.Context(), old.probes+"/readyz"); return err }).WithTimeout(patience).Should(Succeed(), "it stands by")
	cart.becomes(t.Context(), "Healthy")
	s.seen()
	g.Expect(young.leads(t.Context())).To(BeTrue())
}
