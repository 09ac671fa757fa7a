// Package sinktest says what every sink promises, in assertions that the tests of each share, and has a scripted sink
// for the tests of those who use one.
package sinktest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/sink"
)

// Destination is a sink under test with a hand on the other end.
type Destination struct {
	Sink sink.Sink
	// Arrived are the ids of the events that the other end got, in order and with repetitions.
	Arrived func() []string
	// Break makes the other end fail as it does when it is down; Mend makes it work again.
	Break, Mend func()
	// Secrets are what no error may tell.
	Secrets []string
}

// Run checks the promises of a sink. It makes a new destination for each of them.
func Run(t *testing.T, connect func(t *testing.T) Destination) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, Destination){
		"it has a name that stays":                             hasName,
		"without events it does nothing":                       sendsNothing,
		"events of every kind arrive, in order":                sendsInOrder,
		"an event that is sent again is no error":              sendsAgain,
		"once its context has ended it sends nothing":          heedsContext,
		"while its destination is down it asks for a retry":    asksForRetry,
		"what was refused while it was down can be sent later": recovers,
	} {
		t.Run(name, func(t *testing.T) { check(t, connect(t)) })
	}
}

func hasName(t *testing.T, d Destination) {
	t.Helper()
	g := NewWithT(t)
	name := d.Sink.Name()
	g.Expect(name).NotTo(BeEmpty())
	send(t, d, Events())
	g.Expect(d.Sink.Name()).To(Equal(name))
}

// send sends events that are taken, Batch of them at a time.
func send(t *testing.T, d Destination, events []dora.Event) {
	t.Helper()
	g := NewWithT(t)
	for batch := range slices.Chunk(events, d.Sink.Batch()) {
		answer, err := d.Sink.Send(t.Context(), batch)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer).NotTo(BeEmpty())
	}
}

func sendsNothing(t *testing.T, d Destination) {
	t.Helper()
	g := NewWithT(t)
	_, err := d.Sink.Send(t.Context(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Arrived()).To(BeEmpty())
}

func sendsInOrder(t *testing.T, d Destination) {
	t.Helper()
	g := NewWithT(t)
	events := Events()
	send(t, d, events[:3])
	send(t, d, events[3:])
	g.Expect(d.Arrived()).To(Equal(IDs(events)))
}

func sendsAgain(t *testing.T, d Destination) {
	t.Helper()
	g := NewWithT(t)
	for range 2 {
		send(t, d, Events()[:1])
	}
	g.Expect(d.Arrived()).To(ContainElement(Events()[0].ID))
}

func heedsContext(t *testing.T, d Destination) {
	t.Helper()
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Sink.Send(ctx, Events())
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	g.Expect(d.Arrived()).To(BeEmpty())
}

func asksForRetry(t *testing.T, d Destination) {
	t.Helper()
	g := NewWithT(t)
	d.Break()
	_, err := d.Sink.Send(t.Context(), Events())
	g.Expect(err).To(HaveOccurred())
	g.Expect(sink.IsPermanent(err)).To(BeFalse())
	KeepsSecrets(t, err, d.Secrets...)
}

func recovers(t *testing.T, d Destination) {
	t.Helper()
	g := NewWithT(t)
	d.Break()
	_, err := d.Sink.Send(t.Context(), Events())
	g.Expect(err).To(HaveOccurred())
	d.Mend()
	send(t, d, Events())
	g.Expect(d.Arrived()).To(ContainElements(IDs(Events())))
}

// KeepsSecrets fails the test if an error, or any that it wraps, tells one of the secrets.
func KeepsSecrets(tb testing.TB, err error, secrets ...string) {
	tb.Helper()
	for _, secret := range secrets {
		for _, e := range unwrapped(err) {
			if secret != "" && strings.Contains(e.Error(), secret) {
				tb.Errorf("the error tells a secret: %s", strings.ReplaceAll(e.Error(), secret, "(the secret)"))
			}
		}
	}
}

// unwrapped is an error with everything that it wraps: a log may print any of them.
func unwrapped(err error) []error {
	if err == nil {
		return nil
	}
	all := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			all = append(all, unwrapped(e)...)
		}
	}
	return append(all, unwrapped(errors.Unwrap(err))...)
}

// Events are one of each kind: deployments of every outcome, and a failure with its recovery.
func Events() []dora.Event {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	yes, no, seconds := true, false, 90.5
	version := &dora.Version{Images: []string{"registry.example.com/cart:1.2.3-4f5e6d7"}, Tag: "1.2.3-4f5e6d7", Commit: "4f5e6d7"}
	base := dora.Event{
		Schema: dora.Schema, Service: "cart", Team: "shop", Environment: "production", Cluster: "eu-1",
		Subject:    dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart", UID: "8f14e45f"},
		OccurredAt: at, ObservedAt: at, Basis: dora.BasisLive,
	}
	deploy := func(id string, outcome dora.Outcome, success, rollback *bool) dora.Event {
		event := base
		event.ID, event.Type, event.Outcome, event.Success, event.IsRollback = id, dora.TypeDeploy, outcome, success, rollback
		event.Attempt, event.StartedAt, event.Change = at.Format(time.RFC3339), at, dora.ChangeImage
		event.Version, event.Previous, event.Running = version, dora.Predecessor{Known: true, Version: version}, version
		return event
	}
	degraded, recovered := base, base
	degraded.ID, degraded.Type, degraded.FailureID, degraded.CausedBy = "e5", dora.TypeDegraded, "f1", "e2"
	recovered.ID, recovered.Type, recovered.FailureID, recovered.RecoverySeconds = "e6", dora.TypeRecovered, "f1", &seconds
	return []dora.Event{
		deploy("e1", dora.Succeeded, &yes, &no), deploy("e2", dora.Failed, &no, &no), deploy("e3", dora.RolledBack, &yes, &yes),
		deploy("e4", dora.Unknown, nil, nil), degraded, recovered,
	}
}

// Figures are one of each scope; the last has no data.
func Figures() []sink.Figures {
	to := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	number := func(v float64) *float64 { return &v }
	service := sink.Figures{
		Schema: sink.FiguresSchema, Cluster: "eu-1", Target: "shop/shop", Scope: sink.ScopeService, Environment: "production",
		Team: "shop", Service: "cart", Primary: true, From: to.AddDate(0, 0, -30), To: to,
		Services: 1, Deployments: 12, PerWeek: number(2.8), PerDay: number(0.4),
		LeadTimeP50: number(86_400), LeadTimeP90: number(172_800), LeadTimeSamples: 11, LeadTimeRejected: 1,
		ChangeFailureRate: number(0.25), FailedAttempts: 3, Attempts: 12, RecoveryP50: number(1800), RecoveryP90: number(3600),
		RecoverySamples: 3, ReworkRate: number(0.1), Unplanned: 1, Succeeded: 10, Failed: 2, Aborted: 1, Returned: 1, OpenFailures: 1,
		FrequencyBand: fourkeys.High, LeadTimeBand: fourkeys.Elite, ChangeFailureRateBand: fourkeys.Medium,
		RecoveryBand: fourkeys.Elite, Band: fourkeys.Medium,
	}
	team, target, none := service, service, sink.Figures{
		Schema: sink.FiguresSchema, Cluster: "eu-1", Target: "shop/shop", Scope: sink.ScopeService, Environment: "production",
		Service: "quiet", Primary: true, From: service.From, To: to, Services: 1,
	}
	team.Scope, team.Service, team.Services = sink.ScopeTeam, "", 3
	team.Standing = &sink.Standing{
		Spread: fourkeys.Spread{High: 1, Medium: 2}, Drags: []string{"search", "cart", "basket"},
		Trends: fourkeys.Trends{Frequency: fourkeys.Better, LeadTime: fourkeys.Worse, ChangeFailureRate: fourkeys.Same, Recovery: fourkeys.Same},
	}
	target.Scope, target.Service, target.Team, target.Environment = sink.ScopeTarget, "", "", ""
	return []sink.Figures{service, team, target, none}
}

// IDs are those of some events, in their order.
func IDs(events []dora.Event) []string {
	ids := make([]string, 0, len(events))
	for _, event := range events {
		ids = append(ids, event.ID)
	}
	return ids
}
