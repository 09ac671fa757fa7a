package sqltest_test

import (
	"fmt"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// start is a Monday.
var start = time.Date(2026, time.November, 2, 0, 0, 0, 0, time.UTC)

func at(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }

// figure is a row of dora_metrics that says that a target followed a service then.
type figure struct {
	target  string
	service fourkeys.Service
	team    string
	at      time.Time
}

// history is what a database holds.
type history struct {
	events  []dora.Event
	figures []figure
}

// drawHistory tells what happened to a few services in about ten days. Versions, times, causes and failures come from few values, so that they
// meet: equal seconds, rollbacks to what ran, failures of what never was, or of what another service did.
func drawHistory(t *rapid.T) history {
	var h history
	for i := range rapid.IntRange(0, 40).Draw(t, "number of events") {
		h.events = append(h.events, drawEvent(t, strconv.Itoa(i)))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "number of figures") {
		target := fmt.Sprintf("shop/%d", i)
		h.figures = append(h.figures, figure{target, drawService(t), drawTeam(t), at(rapid.IntRange(-24, 240).Draw(t, "counted at hour"))})
	}
	return h
}

func drawService(t *rapid.T) fourkeys.Service {
	return fourkeys.Service{
		Name:        rapid.SampledFrom([]string{"cart", "cart", "shop"}).Draw(t, "service"),
		Environment: rapid.SampledFrom([]string{"production", "production", ""}).Draw(t, "environment"),
	}
}

func drawTeam(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "red", "blue"}).Draw(t, "team")
}

func drawEvent(t *rapid.T, id string) dora.Event {
	service := drawService(t)
	moment := at(rapid.IntRange(-24, 192).Draw(t, "hour"))
	e := dora.Event{
		Schema: dora.Schema, ID: id, Service: service.Name, Environment: service.Environment, Team: drawTeam(t),
		Cluster: rapid.SampledFrom([]string{"eu", "eu", "us"}).Draw(t, "cluster"),
		Subject: dora.Subject{
			Kind: dora.KindApplication, Namespace: "argocd", Name: rapid.SampledFrom([]string{"one", "one", "other"}).Draw(t, "subject"), UID: id,
		},
		OccurredAt: moment, ObservedAt: moment, Source: rapid.SampledFrom([]string{"", "", "api", "pagerduty"}).Draw(t, "source"),
		Type: rapid.SampledFrom([]dora.Type{
			dora.TypeDeploy, dora.TypeDeploy, dora.TypeDeploy, dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange,
		}).Draw(t, "type"),
	}
	switch e.Type {
	case dora.TypeDeploy:
		drawDeploy(t, &e)
	case dora.TypeDegraded:
		e.FailureID = drawFailure(t)
		e.CausedBy = rapid.SampledFrom([]string{"", "0", "1", "2", "3", "4", "5", "6", "7", "8", "none"}).Draw(t, "caused by")
	case dora.TypeRecovered:
		e.FailureID = drawFailure(t)
		e.Running = drawVersion(t, "running")
	case dora.TypeChange:
		e.Version = drawVersion(t, "version")
	}
	drawMark(t, &e)
	return e
}

// drawMark has people say something of one event in three, also what says nothing new, or nothing at all. Changes of code have no marks.
func drawMark(t *rapid.T, e *dora.Event) {
	if e.Type == dora.TypeChange {
		return
	}
	verdict := rapid.SampledFrom([]dora.Verdict{
		dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Withdrawn, dora.Failure, dora.NotAFailure, dora.Ignore,
	}).Draw(t, "mark")
	e.Say(dora.Mark{Verdict: verdict, Reason: "because", By: "ada", At: e.OccurredAt})
}

func drawFailure(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "f1", "f2", "f3", "f4", "f5", "f6"}).Draw(t, "failure")
}

// drawVersion is one of few, one that is not known, or one whose images are not.
func drawVersion(t *rapid.T, label string) *dora.Version {
	switch n := rapid.IntRange(0, 11).Draw(t, label); n {
	case 0:
		return nil
	case 1:
		return &dora.Version{Tag: "v1"}
	case 10, 11:
		return &dora.Version{Images: []string{}, Tag: "v1", Commit: fmt.Sprint("0a1b2c", n)}
	case 2:
		return &dora.Version{Images: []string{}, Tag: "v1"}
	case 3:
		return &dora.Version{Images: []string{"registry.example/proxy:1", "registry.example/shop:v1"}, Tag: "v1"}
	default:
		tag := fmt.Sprintf("v%d", n%3)
		return &dora.Version{Images: []string{"registry.example/shop:" + tag}, Tag: tag}
	}
}

func drawDeploy(t *rapid.T, e *dora.Event) {
	truth := rapid.SampledFrom([]*bool{nil, new(true), new(false)})
	e.Outcome = rapid.SampledFrom([]dora.Outcome{
		dora.Succeeded, dora.Succeeded, dora.Failed, dora.Failed, dora.RolledBack, dora.RolledBack, dora.Unknown, "paused",
	}).Draw(t, "outcome")
	e.Change = rapid.SampledFrom([]dora.ChangeKind{dora.ChangeImage, dora.ChangeImage, dora.ChangeImage, dora.ChangeConfig, ""}).Draw(t, "change")
	e.Success, e.Exposed, e.Unplanned = truth.Draw(t, "success"), truth.Draw(t, "exposed"), truth.Draw(t, "unplanned")
	e.IsRollback = new(e.Outcome == dora.RolledBack)
	if rapid.Bool().Draw(t, "start is known") {
		e.StartedAt = e.OccurredAt.Add(-time.Duration(rapid.IntRange(0, 2).Draw(t, "minutes")) * time.Minute)
	}
	e.Version = drawVersion(t, "version")
	if previous := drawVersion(t, "previous"); rapid.Bool().Draw(t, "previous is known") {
		e.Previous = dora.Predecessor{Known: true, Version: previous}
	}
	drawLeadTime(t, e)
}

func drawLeadTime(t *rapid.T, e *dora.Event) {
	before := time.Duration(rapid.IntRange(-3600, 400_000).Draw(t, "lead time"))*time.Second + 250*time.Millisecond
	switch rapid.IntRange(0, 3).Draw(t, "lead time is known") {
	case 0:
	case 1:
		e.LeadTimeUnknown = "NoCommitInImage"
	case 2:
		e.LeadTimeSeconds = new(before.Seconds())
	default:
		e.FirstCommitAt = new(e.OccurredAt.Add(-before))
	}
}

func drawKinds(t *rapid.T) []dora.ChangeKind {
	return rapid.SampledFrom([][]dora.ChangeKind{
		{dora.ChangeImage}, {dora.ChangeConfig}, {dora.ChangeImage, dora.ChangeConfig},
	}).Draw(t, "kinds")
}
