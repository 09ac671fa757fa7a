package ledgertest

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// records: subjects, decisions, the revision and the beginning.
func records(t *testing.T, open Open) {
	t.Helper()
	verify(t, open, []spec{
		{"a subject is replaced as a whole", replacesSubject},
		{"a subject's times may be absent, and are kept in UTC to the microsecond", func(f *fixture) {
			subject := Subject("cart")
			subject.FollowedSince = time.Time{}
			subject.DeletedAt = start.Add(1234567 * time.Nanosecond).In(time.FixedZone("", 3600))
			f.commit(ledger.Change{Subject: &subject})
			subject.DeletedAt = start.Add(1234 * time.Microsecond)
			f.Expect(f.Subjects(f.ctx, ledger.SubjectQuery{})).To(Equal([]ledger.Subject{subject}))
		}},
		{"subjects are told apart by cluster and uid", func(f *fixture) {
			here, there := Subject("cart"), Subject("cart")
			there.Cluster = "asia-1"
			f.commit(ledger.Change{Subject: &here})
			f.commit(ledger.Change{Subject: &there})
			f.Expect(f.Subjects(f.ctx, ledger.SubjectQuery{})).To(Equal([]ledger.Subject{there, here}))
		}},
		{"each field of a query selects subjects", selectsSubjects},
		{"decisions are listed newest first, up to the limit", listsDecisions},
		{"decisions of another subject are not listed", func(f *fixture) {
			f.commit(ledger.Change{Decisions: []ledger.Decision{Decision("cart", "A", start), Decision("pay", "B", start)}})
			f.Expect(f.Decisions(f.ctx, "uid-pay", 0)).To(ConsistOf(HaveField("Reason", "B")))
			f.Expect(f.Decisions(f.ctx, "uid-none", 0)).To(BeEmpty())
		}},
		{"the revision grows with each change and with nothing else", growsRevision},
		{"a pruned event grows the revision", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
			before := f.revision()
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start})).To(BeZero())
			f.Expect(f.revision()).To(Equal(before))
			f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(time.Hour)})).To(Equal(int64(1)))
			f.Expect(f.revision()).To(BeNumerically(">", before))
		}},
		{"the ledger began with its first record", beganOnce},
		{"a history changes with each event, what completes it, and each that is dropped, and with nothing else", changesHistories},
		{"histories are told apart by subject, service and environment", func(f *fixture) {
			first, moved, other := Deployment("e1", "cart", start), Deployment("e2", "cart", start), Deployment("e3", "pay", start)
			moved.Environment = "staging"
			f.commit(ledger.Change{Events: []dora.Event{first, moved, other}})
			all, err := f.Histories(f.ctx, 0)
			f.Expect(err).NotTo(HaveOccurred())
			f.Expect(all).To(ConsistOf(
				ledger.History{UID: "uid-cart", Service: "cart", Environment: first.Environment, Changed: f.revision()},
				ledger.History{UID: "uid-cart", Service: "cart", Environment: "staging", Changed: f.revision()},
				ledger.History{UID: "uid-pay", Service: "pay", Environment: first.Environment, Changed: f.revision()},
			))
		}},
	})
}

func replacesSubject(f *fixture) {
	first := Subject("cart")
	first.Gaps = 2
	f.commit(ledger.Change{Subject: &first})
	second := ledger.Subject{
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart", UID: "uid-cart"},
		Cluster: "eu-1", Service: "basket", FollowedSince: start, DeletedAt: start.Add(time.Hour),
	}
	f.commit(ledger.Change{Subject: &second})
	f.Expect(f.Subjects(f.ctx, ledger.SubjectQuery{})).To(Equal([]ledger.Subject{second}))
}

func selectsSubjects(f *fixture) {
	add := func(cluster, namespace, name string, kind dora.Kind) {
		subject := Subject(name)
		subject.Cluster, subject.Namespace, subject.Kind = cluster, namespace, kind
		f.commit(ledger.Change{Subject: &subject})
	}
	add("eu-1", "argocd", "pay", dora.KindApplication)
	add("eu-1", "argocd", "cart", dora.KindApplication)
	add("eu-1", "apps", "search", dora.KindRollout)
	add("asia-1", "argocd", "cart", dora.KindApplication)

	names := func(q ledger.SubjectQuery) []string {
		subjects, err := f.Subjects(f.ctx, q)
		f.Expect(err).NotTo(HaveOccurred())
		names := []string{}
		for _, s := range subjects {
			names = append(names, s.Cluster+"/"+s.Namespace+"/"+s.Name)
		}
		return names
	}
	f.Expect(names(ledger.SubjectQuery{})).To(Equal([]string{"asia-1/argocd/cart", "eu-1/apps/search", "eu-1/argocd/cart", "eu-1/argocd/pay"}))
	f.Expect(names(ledger.SubjectQuery{Cluster: "asia-1"})).To(Equal([]string{"asia-1/argocd/cart"}))
	f.Expect(names(ledger.SubjectQuery{Namespace: "apps"})).To(Equal([]string{"eu-1/apps/search"}))
	f.Expect(names(ledger.SubjectQuery{Kind: dora.KindRollout})).To(Equal([]string{"eu-1/apps/search"}))
	f.Expect(names(ledger.SubjectQuery{UID: "uid-cart"})).To(Equal([]string{"asia-1/argocd/cart", "eu-1/argocd/cart"}))
	f.Expect(names(ledger.SubjectQuery{UID: "uid-cart", Cluster: "eu-1"})).To(Equal([]string{"eu-1/argocd/cart"}))
	f.Expect(names(ledger.SubjectQuery{Namespace: "none"})).To(BeEmpty())
}

func listsDecisions(f *fixture) {
	for i := range 3 {
		f.commit(ledger.Change{Decisions: []ledger.Decision{
			Decision("cart", fmt.Sprintf("R%d", 2*i), start), Decision("cart", fmt.Sprintf("R%d", 2*i+1), start),
		}})
	}
	for limit, want := range map[int]int{1: 1, 4: 4, 9: 6, 0: 6} {
		decisions, err := f.Decisions(f.ctx, "uid-cart", limit)
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(decisions).To(HaveLen(want))
		for i, d := range decisions {
			f.Expect(d.Reason).To(Equal(fmt.Sprintf("R%d", 5-i)))
			if i > 0 {
				f.Expect(d.Seq).To(BeNumerically("<", decisions[i-1].Seq))
			}
		}
	}
}

func growsRevision(f *fixture) {
	f.Expect(f.revision()).To(BeZero())
	subject := Subject("cart")
	last := int64(0)
	for _, change := range []ledger.Change{
		{States: []ledger.State{{Key: "a"}}},
		{Subject: &subject},
		{Events: deployments("e", "cart", 2), Sinks: []string{"port"}},
		{Decisions: []ledger.Decision{Decision("cart", "Counted", start)}},
	} {
		f.commit(change)
		f.Expect(f.revision()).To(BeNumerically(">", last))
		last = f.revision()
	}
	f.Expect(f.Commit(f.ctx, ledger.Change{States: []ledger.State{{Key: "a"}}})).To(MatchError(ledger.ErrConflict))
	f.Expect(f.Retry(f.ctx, "port", f.seq("e1"), start, failed("later"))).To(Succeed())
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	f.Expect(f.Park(f.ctx, "port", f.seq("e2"), failed("never"))).To(Succeed())
	f.Expect(f.Ping(f.ctx)).To(Succeed())
	f.Expect(f.revision()).To(Equal(last))
}

func changesHistories(f *fixture) {
	heard := int64(0)
	changed := func() []string {
		histories, err := f.Histories(f.ctx, heard)
		f.Expect(err).NotTo(HaveOccurred())
		services := []string{}
		for _, h := range histories {
			services, heard = append(services, h.Service), max(heard, h.Changed)
		}
		return services
	}
	f.Expect(changed()).To(BeEmpty())
	f.commit(ledger.Change{Events: []dora.Event{Deployment("e1", "cart", start)}, Sinks: []string{"port"}, Resolve: true})
	f.commit(ledger.Change{Events: []dora.Event{Deployment("e2", "pay", start)}})
	f.Expect(changed()).To(ConsistOf("cart", "pay"))
	f.commit(ledger.Change{Events: []dora.Event{Deployment("e1", "cart", start)}, States: []ledger.State{{Key: "a"}}})
	f.Expect(changed()).To(BeEmpty(), "the ledger had that event")
	f.Expect(f.Commit(f.ctx, ledger.Change{Events: []dora.Event{Deployment("e3", "cart", start)}, States: []ledger.State{{Key: "a"}}})).To(MatchError(ledger.ErrConflict))
	f.Expect(f.Delivered(f.ctx, "port", sentAt(start), f.row("e1"))).To(Succeed())
	f.Expect(f.PutOff(f.ctx, "e1", start.Add(time.Hour), "busy", "")).To(Succeed())
	f.Expect(changed()).To(BeEmpty())

	unknown := dora.CommitFacts{EventID: "e2", Reason: "NoCommit", ResolvedAt: start}
	f.commit(ledger.Change{Facts: []dora.CommitFacts{unknown}})
	f.Expect(changed()).To(ConsistOf("pay"))
	f.Expect(f.Reopen(f.ctx, ledger.ReopenQuery{}, start)).To(Equal(int64(1)))
	f.Expect(changed()).To(ConsistOf("pay"))
	f.reopen()
	f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start})).To(BeZero())
	f.Expect(changed()).To(BeEmpty())
	f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.Add(time.Hour)})).To(Equal(int64(2)))
	f.Expect(changed()).To(ConsistOf("cart", "pay"))
}

func beganOnce(f *fixture) {
	f.Expect(f.Since(f.ctx)).To(BeZero())
	f.Expect(f.Ping(f.ctx)).To(Succeed())
	f.Expect(f.Since(f.ctx)).To(BeZero())
	f.step(time.Minute)
	f.commit(ledger.Change{Events: deployments("e", "cart", 1)})
	began := start.Add(time.Minute)
	f.Expect(f.Since(f.ctx)).To(Equal(began))
	f.step(time.Hour)
	f.commit(ledger.Change{Events: deployments("f", "cart", 1)})
	f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.AddDate(1, 0, 0)})).To(Equal(int64(2)))
	f.Expect(f.Since(f.ctx)).To(Equal(began), "a pruned ledger still began when it began")
	f.reopen()
	f.Expect(f.Since(f.ctx)).To(Equal(began))
}
