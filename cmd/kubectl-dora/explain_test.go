package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

func TestWhatPeopleSaidIsExplained(t *testing.T) {
	g := NewWithT(t)
	path, events := aLedger(t)
	var failed dora.Event
	for _, e := range events {
		if e.Outcome == dora.Failed {
			failed = e
		}
	}
	before := run(t, "explain", "checkout", failed.ID, "--ledger", path)
	g.Expect(before.stdout).To(MatchRegexp(`what it counts as +a failed attempt\n`))
	g.Expect(before.stdout).NotTo(ContainSubstring("said at"))

	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	other := aLedgerWith(t, ledger.Change{Marks: []dora.Mark{
		{EventID: failed.ID, Verdict: dora.Ignore, Reason: "a drill", By: "ada", At: at, Source: "DoraTarget argocd/all"},
		{EventID: failed.ID, Reason: "no drill", By: "cleo", At: at.Add(time.Hour), Source: "DoraTarget argocd/all"},
		{EventID: failed.ID, Verdict: dora.Ignore, Reason: "a drill", By: "ada", At: at.Add(90 * time.Minute), Source: "DoraTarget argocd/all"},
		{EventID: failed.ID, By: "removal from DoraTarget argocd/all", At: at.Add(100 * time.Minute), Source: "DoraTarget argocd/all"},
		{EventID: failed.ID, Verdict: dora.NotAFailure, Reason: "the quota", By: "bob", At: at.Add(2 * time.Hour), Source: "DoraTarget argocd/all"},
	}})
	got := run(t, "explain", "checkout", failed.ID, "--ledger", other)
	g.Expect(got.stdout).To(And(
		MatchRegexp(`what it counts as +a deployment that did not fail, since people say so\n`),
		MatchRegexp(`said at 2026-11-20T12:00:00Z +marked ignore by ada: a drill \(DoraTarget argocd/all\)\n`),
		MatchRegexp(`said at 2026-11-20T13:00:00Z +what stood was taken back by cleo: no drill \(DoraTarget argocd/all\)\n`),
		MatchRegexp(`said at 2026-11-20T13:40:00Z +what stood was taken back by removal from DoraTarget argocd/all\n`),
		MatchRegexp(`said at 2026-11-20T14:00:00Z +marked not-a-failure by bob: the quota \(DoraTarget argocd/all\)\n`)))
	lines := run(t, "explain", "checkout", "--ledger", other).stdout
	g.Expect(lines).To(ContainSubstring("marked not-a-failure by bob: the quota"))
	var explained told
	g.Expect(json.Unmarshal([]byte(run(t, "explain", "checkout", failed.ID, "--ledger", other, "-o", "json").stdout), &explained)).To(Succeed())
	g.Expect(explained.Marks).To(HaveLen(5))
}

// aLedgerWith is a ledger's file with the month, and what was recorded besides.
func aLedgerWith(t *testing.T, changes ...ledger.Change) string {
	t.Helper()
	path := strings.TrimSuffix(t.TempDir(), "/") + "/said.db"
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Commit(t.Context(), ledger.Change{Events: monthOf(t)}); err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		if err := store.Commit(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestWhatArgoSaidIsExplained(t *testing.T) {
	g := NewWithT(t)
	e := monthOf(t)[0]
	other := e.ID
	e.ID = "seen"
	look := func(at time.Time, health deploy.Health, ids ...string) ledger.Change {
		packed, err := evidence.Encode(&evidence.Evidence{Now: at, Observation: deploy.Observation{
			Subject: e.Subject, Destination: "prod", App: &deploy.App{Health: health, HealthSince: at},
		}})
		g.Expect(err).NotTo(HaveOccurred())
		change := ledger.Change{Observation: &ledger.Observation{UID: e.Subject.UID, At: at, Data: packed}}
		if len(ids) > 0 {
			change.Subject = &ledger.Subject{Subject: e.Subject, Cluster: "eu", Service: "checkout", Environment: "production"}
			change.Events = []dora.Event{e}
		}
		return change
	}
	path := aLedgerWith(t, look(e.StartedAt.Add(-time.Minute), deploy.Healthy), look(e.StartedAt, deploy.Missing),
		look(e.StartedAt.Add(time.Minute), deploy.Progressing), look(e.ObservedAt, deploy.Healthy, e.ID))
	got := run(t, "explain", "checkout", "seen", "--ledger", path)
	_, table, _ := strings.Cut(got.stdout, "after the first time what was new\n\n")
	var lines []string
	for line := range strings.Lines(table) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	g.Expect(lines).To(Equal([]string{
		"SEEN AT FIELD SAID",
		"2026-11-03T09:56:00Z destination prod",
		"health.status Missing since 2026-11-03T09:56:00Z",
		"2026-11-03T09:57:00Z health.status Progressing since 2026-11-03T09:57:00Z",
		"2026-11-03T10:00:00Z health.status Healthy since 2026-11-03T10:00:00Z",
	}))
	g.Expect(run(t, "explain", "checkout", other, "--ledger", path).stdout).To(ContainSubstring("What Argo's status said then is not kept"))
	var explained told
	g.Expect(json.Unmarshal([]byte(run(t, "explain", "checkout", "seen", "--ledger", path, "-o", "json").stdout), &explained)).To(Succeed())
	g.Expect(explained.Evidence.Observation.App.Health).To(Equal(deploy.Healthy))
	g.Expect(explained.Seen).To(HaveExactElements(
		HaveField("Observation.App.Health", deploy.Missing), HaveField("Observation.App.Health", deploy.Progressing)))
}

// What was not counted has evidence too. A decision is named by the time that is shown of it.
func TestWhatArgoSaidOfADecisionIsExplained(t *testing.T) {
	g := NewWithT(t)
	e := monthOf(t)[0]
	at := time.Date(2026, 11, 4, 9, 0, 0, 250_000_000, time.UTC)
	packed, err := evidence.Encode(&evidence.Evidence{Now: at, Observation: deploy.Observation{
		Subject: e.Subject, App: &deploy.App{Health: deploy.Progressing, HealthSince: at.Truncate(time.Second), Stale: true},
	}})
	g.Expect(err).NotTo(HaveOccurred())
	decided := func(at time.Time) ledger.Decision {
		return ledger.Decision{Cluster: "eu", UID: e.Subject.UID, Service: "checkout", At: at, Reason: "SelfHeal", Message: "Argo CD repaired drift"}
	}
	subject := ledger.Subject{Subject: e.Subject, Cluster: "eu", Service: "checkout", Environment: "production"}
	other := aLedgerWith(t, ledger.Change{
		Subject: &subject, Decisions: []ledger.Decision{decided(at), decided(at.Add(time.Hour))}, Observation: &ledger.Observation{UID: e.Subject.UID, At: at, Data: packed},
	})
	g.Expect(run(t, "explain", "checkout", "--ledger", other).stdout).To(MatchRegexp(`2026-11-04T09:00:00Z +SelfHeal`))
	got := run(t, "explain", "checkout", "2026-11-04T09:00:00Z", "--ledger", other)
	g.Expect(got.stdout).To(And(
		HavePrefix("SelfHeal: Argo CD repaired drift\n"), MatchRegexp(`by which rule +4 of docs/concepts.md\n`),
		MatchRegexp(`2026-11-04T09:00:00Z +health.status +Progressing since 2026-11-04T09:00:00Z\n`)))
	g.Expect(run(t, "explain", "checkout", "2026-11-04T10:00:00Z", "--ledger", other).stdout).To(ContainSubstring("What Argo's status said then is not kept"))
	var explained told
	g.Expect(json.Unmarshal([]byte(run(t, "explain", "checkout", "2026-11-04T09:00:00Z", "--ledger", other, "-o", "json").stdout), &explained)).To(Succeed())
	g.Expect(explained.Evidence.Observation.App.Stale).To(BeTrue())
	g.Expect(run(t, "explain", "checkout", "2026-11-04T09:00:01Z", "--ledger", other).stderr).To(
		ContainSubstring("nothing was decided about it at 2026-11-04T09:00:01Z that led to no event; kubectl dora explain checkout has the times"))
}

// paged is an incident of the deployment, and what explain tells of both: of a copy of the ledger, unless targets are given.
type paged struct {
	t                  *testing.T
	deployed, incident dora.Event
	court              court
}

func newPaged(t *testing.T) *paged {
	t.Helper()
	p := &paged{t: t}
	for _, e := range monthOf(t) {
		if e.Outcome == dora.Succeeded {
			p.deployed = e
		}
	}
	p.incident = dora.Event{
		ID: "page", Type: dora.TypeDegraded, Service: p.deployed.Service, Environment: p.deployed.Environment,
		Subject:    dora.Subject{Kind: dora.KindReported, Namespace: "argocd", Name: p.deployed.Service, UID: "u"},
		OccurredAt: p.deployed.OccurredAt.Add(time.Minute), ObservedAt: p.deployed.OccurredAt.Add(2 * time.Minute), FailureID: "f", CausedBy: p.deployed.ID,
		Basis: dora.BasisAPI, Source: "pagerduty", Receiver: "pager", Severity: "P3", Title: "Checkout is slow", Link: "https://example.com/1", Reason: "NamedByCommit",
	}
	return p
}

// target adds one that counts deployments of the service.
func (p *paged) target(name, incidents string) {
	p.t.Helper()
	target := dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: name}}
	if incidents != "" {
		target.Spec.Incidents = &dorav1alpha1.Incidents{}
		if err := yaml.UnmarshalStrict([]byte(incidents), target.Spec.Incidents); err != nil {
			p.t.Fatal(err)
		}
	}
	target.Status.Services = []dorav1alpha1.ServiceStatus{{Service: p.incident.Service, Environment: p.incident.Environment}}
	p.court.asked, p.court.targets = true, append(p.court.targets, target)
}

func (p *paged) of(e *dora.Event) map[string]string {
	all := []dora.Event{p.deployed, p.incident}
	p.court.hear(all)
	told := map[string]string{}
	for _, answer := range answers(e, all, &p.court) {
		told[answer[0]] = strings.TrimPrefix(told[answer[0]]+"; "+answer[1], "; ")
	}
	return told
}

func TestAnIncidentIsExplainedByWhatItsSenderSaid(t *testing.T) {
	g, p := NewWithT(t), newPaged(t)
	told := p.of(&p.incident)
	for question, answer := range map[string]string{
		"what it counts as": "a failure of a deployment, where spec.incidents counts it of a DoraTarget that counts service checkout in environment production", "by which rule": "docs/incidents.md",
		"reported by": "pagerduty to DoraReceiver argocd/pager", "severity": "P3", "title": "Checkout is slow", "link": "https://example.com/1",
		"when it happened, by its sender's clock": stamp(p.incident.OccurredAt), "when it was told": stamp(p.incident.ObservedAt),
		"why that deployment": "the incident named it by its commit",
	} {
		g.Expect(told).To(HaveKeyWithValue(question, answer))
	}
	g.Expect(told).NotTo(Or(HaveKey("when it happened, by Argo's clock"), HaveKey("how that is known")))
	g.Expect(told["caused by"]).To(HaveSuffix("(" + p.deployed.ID + ")"))
	for tie, want := range map[string]string{
		"NamedByEvent": "by the id of its event", "NamedByVersion": "by its version", "WithinWindow": "latest within failureWindow", "NoDeployment": "none was within failureWindow",
		"NotCounted": "no DoraTarget of namespace argocd that counted incidents of DoraReceiver pager counted deployments of service checkout in environment production; spec.services", "": "not kept",
	} {
		p.incident.Reason = tie
		g.Expect(p.of(&p.incident)["why that deployment"]).To(ContainSubstring(want))
	}
}

func TestAReportedDeploymentIsExplainedByWhoReportedIt(t *testing.T) {
	g, p := NewWithT(t), newPaged(t)
	p.deployed.Subject, p.deployed.Basis, p.deployed.Source, p.deployed.Receiver = p.incident.Subject, dora.BasisAPI, "api", "ci"
	told := p.of(&p.deployed)
	g.Expect(told).To(And(HaveKeyWithValue("reported by", "api to DoraReceiver argocd/ci"), HaveKeyWithValue("by which rule", "docs/incidents.md"),
		HaveKeyWithValue("when it was told", stamp(p.deployed.ObservedAt)), HaveKeyWithValue("what it counts as", "a deployment, rework")))
	g.Expect(told["version"]).To(ContainSubstring("checkout"))
	g.Expect(why(&p.deployed)).To(ContainSubstring("reported by api to DoraReceiver argocd/ci"))
}

func TestWhichTargetsCountAnIncidentIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		targets       map[string]string
		counts, blame string
		counted, not  string
	}{
		"no target counts the service": {nil, "nothing: no DoraTarget of namespace argocd counts deployments of service checkout in environment production", ", which no DoraTarget counts", "", ""},
		"another severity": {
			map[string]string{"a": `{severities: [P1]}`},
			"nothing: no DoraTarget's spec.incidents counts it", ", which no DoraTarget counts",
			"", "DoraTarget argocd/a: spec.incidents.severities has none of those of the incident (P3)",
		},
		"another receiver": {
			map[string]string{"a": `{receivers: [opsgenie]}`},
			"nothing: no DoraTarget's spec.incidents counts it", ", which no DoraTarget counts",
			"", "DoraTarget argocd/a: spec.incidents.receivers does not name pager",
		},
		"nobody asked": {
			map[string]string{"a": ""},
			"nothing: no DoraTarget's spec.incidents counts it", ", which no DoraTarget counts",
			"", "DoraTarget argocd/a: it has no spec.incidents",
		},
		"it counts": {map[string]string{"a": `{severities: [p3]}`}, "a failure of a deployment", ", so it is a failed attempt", "DoraTarget argocd/a", ""},
		"one of two": {
			map[string]string{"a": `{severities: [P3]}`, "b": `{severities: [P1]}`},
			"a failure of a deployment for DoraTarget argocd/a",
			", so it is a failed attempt for DoraTarget argocd/a", "DoraTarget argocd/a", "DoraTarget argocd/b: spec.incidents.severities has none of those of the incident (P3)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, p := NewWithT(t), newPaged(t)
			p.court.asked = true
			for name, incidents := range c.targets {
				p.target(name, incidents)
			}
			told := p.of(&p.incident)
			g.Expect([]string{told["what it counts as"], told["counted by"], told["not counted by"]}).To(Equal([]string{c.counts, c.counted, c.not}))
			g.Expect(p.of(&p.deployed)["it caused"]).To(HaveSuffix("(page)" + c.blame))
		})
	}
}

func TestTheEnvironmentInWhichAServiceCountsIsExplained(t *testing.T) {
	g, p := NewWithT(t), newPaged(t)
	p.target("a", "{}")
	p.incident.Environment = "prod"
	g.Expect(p.of(&p.incident)).To(HaveKeyWithValue("what it counts as", "nothing: no DoraTarget of namespace argocd counts deployments of "+
		"service checkout in environment prod; DoraTarget argocd/a counts it in production"))
}

func TestAnIncidentThatBecameSevereIsExplained(t *testing.T) {
	g, p := NewWithT(t), newPaged(t)
	p.target("a", `{severities: [P1]}`)
	ended := p.incident
	ended.ID, ended.Type, ended.Severity = "end", dora.TypeRecovered, "P1"
	all := []dora.Event{p.deployed, p.incident, ended}
	p.court.hear(all)
	g.Expect(countsAs(&p.incident, &p.court)).To(Equal("a failure of a deployment"))
	g.Expect(countsAs(&ended, &p.court)).To(Equal("the end of a failure"))
}

func TestWhatArgoShowsIsExplainedBySpecIncidents(t *testing.T) {
	g, p := NewWithT(t), newPaged(t)
	p.incident.Basis, p.incident.Receiver, p.incident.Subject = "", "", p.deployed.Subject
	g.Expect(p.of(&p.incident)).To(HaveKeyWithValue("what it counts as", "a failure of a deployment"))
	p.target("a", `{argo: Ignore}`)
	g.Expect(p.of(&p.incident)).To(And(HaveKeyWithValue("what it counts as", "nothing: no DoraTarget's spec.incidents counts it"),
		HaveKeyWithValue("not counted by", "DoraTarget argocd/a: spec.incidents.argo is Ignore")))
	p.target("b", "")
	g.Expect(p.of(&p.incident)).To(HaveKeyWithValue("what it counts as", "a failure of a deployment for DoraTarget argocd/b"))
}

func TestAMarkComesBeforeWhatAFailureMakesOfItsDeployment(t *testing.T) {
	g, p := NewWithT(t), newPaged(t)
	g.Expect(p.of(&p.deployed)["it caused"]).To(HaveSuffix("(page), so it is a failed attempt where spec.incidents counts that incident"))
	p.incident.Mark = &dora.Mark{Verdict: dora.Ignore}
	g.Expect(p.of(&p.deployed)["it caused"]).To(HaveSuffix("(page), which counts as nothing, since people say so"))
	p.deployed.Mark = &dora.Mark{Verdict: dora.NotAFailure}
	g.Expect(p.of(&p.deployed)["it caused"]).To(HaveSuffix("(page), which is not held against it, since people say so"))
	p.deployed.Mark = &dora.Mark{Verdict: dora.Ignore}
	g.Expect(p.of(&p.deployed)["it caused"]).To(HaveSuffix("(page), and is in no figure either, since people say so of the deployment"))
}
