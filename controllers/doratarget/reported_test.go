package doratarget

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/intake"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/record"
)

var (
	ci        = intake.Sender{Namespace: "shop", Name: "ci"}
	pagerduty = intake.Sender{Namespace: "shop", Name: "pagerduty"}
	stranger  = intake.Sender{Namespace: "other", Name: "pagerduty"}
)

// take has reports taken into the ledger as the controller does, and returns the ids of their events.
func (s *story) take(from intake.Sender, reports ...ingest.Report) []string {
	s.Helper()
	recorder, ok := s.reconciler.Memory.(*record.Recorder)
	if !ok {
		s.Fatal("the memory is no recorder")
	}
	for n := range reports {
		reports[n].Key = fmt.Sprint(reports[n].Key, n)
		reports[n].Environment = "production"
	}
	ids, err := intake.New(intake.Options{
		Cluster: "eu", Store: s.store, Now: s.clock.Now, Memory: recorder,
		Audience: &kube.Audience{Targets: s.reconciler.Targets, Sinks: s.reconciler.Sinks, Memory: recorder},
	}).Take(s.Context(), from, reports)
	if err != nil {
		s.Fatal(err)
	}
	return ids
}

// ago is how long before now reports are about.
func ago(minutes int) time.Time { return epoch.Add(-time.Duration(minutes) * time.Minute) }

func deployed(service, version string, minutes int) ingest.Report {
	return ingest.Report{
		Key: version, Source: "api", Service: service, Deployment: &ingest.Deployment{Version: version, OccurredAt: ago(minutes), Success: true},
	}
}

func outage(service, id, severity string, from, to int) ingest.Report {
	i := &ingest.Incident{ID: id, OpenedAt: ago(from), Severity: severity}
	if to > 0 {
		i.ResolvedAt = ago(to)
	}
	return ingest.Report{Key: id, Source: "pagerduty", Service: service, Incident: i}
}

func (s *story) event(id string) dora.Event {
	s.Helper()
	for row, err := range s.store.Events(s.Context(), ledger.EventQuery{IDs: []string{id}}) {
		if err != nil {
			s.Fatal(err)
		}
		return row.Event
	}
	s.Fatalf("there is no event %s", id)
	return dora.Event{}
}

func TestAServiceThatOthersDeployHasFigures(t *testing.T) {
	s := newStory(t, target(t, "all", `{reported: {services: ["pay*"]}}`))
	object, _ := s.look("all")
	if readyReason(object) != "False NothingSelected" {
		t.Errorf("before a report it is %s", readyReason(object))
	}
	s.take(ci, deployed("payments", "1", 180), deployed("payments", "2", 120), deployed("cart", "1", 60))
	s.clock.Step(48 * time.Hour)
	object, _ = s.look("all")
	if readyReason(object) != "True Followed" || object.Status.ObservedSubjects.Reported != 1 || object.Status.Summary.Counts.Succeeded != 2 {
		t.Errorf("%s, %+v, %+v", readyReason(object), object.Status.ObservedSubjects, object.Status.Summary)
	}
	if last := object.Status.LastDeployment; last.Version != "2" || last.Service != "payments" || len(object.Status.Services) != 1 {
		t.Errorf("the last deployment is %+v of %d services", last, len(object.Status.Services))
	}
}

func missingReceivers(object *dorav1alpha1.DoraTarget) string {
	if c := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionReceiversMissing); c != nil {
		return c.Reason + ": " + c.Message
	}
	return "absent"
}

// A receiver whose name is misspelled stops all incidents: it is said, once, until it is there.
func TestReceiversThatAreNotThereAreToldOnce(t *testing.T) {
	receiver := func(namespace, name string) *dorav1alpha1.DoraReceiver {
		return &dorav1alpha1.DoraReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	s := newStory(t, target(t, "all", `{applications: {}, incidents: {receivers: [pagerdutty, grafana, ci]}}`), application("cart", nil),
		receiver("shop", "ci"), receiver("other", "grafana"))
	s.keep("cart", nil, succeeded(ago(300)))
	said := s.notices()
	object, _ := s.look("all")
	want := "ReceiverNotFound: No DoraReceiver of this namespace: grafana, pagerdutty; create it, or correct spec.incidents.receivers, " +
		"since incidents of others do not count"
	if got := missingReceivers(object); got != want || readyReason(object) != "True Followed" {
		t.Errorf("%s, %s", got, readyReason(object))
	}
	if diff := cmp.Diff([]string{"Warning " + strings.Replace(want, ":", "", 1)}, said()); diff != "" {
		t.Error(diff)
	}
	s.look("all")
	if again := said(); len(again) != 0 {
		t.Errorf("it is told again: %v", again)
	}
	for _, name := range []string{"grafana", "pagerdutty"} {
		if err := s.client.Create(t.Context(), receiver("shop", name)); err != nil {
			t.Fatal(err)
		}
	}
	if object, _ = s.look("all"); missingReceivers(object) != "absent" || len(said()) != 0 {
		t.Errorf("once they are there it says %s", missingReceivers(object))
	}
}

// What Argo shows is not counted again, and it is said so.
func TestArgoComesFirst(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, reported: {services: ["*"]}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(ago(300)))
	s.take(ci, deployed("cart", "1", 299), deployed("payments", "1", 120))
	object, _ := s.look("all")
	condition := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionReportedTwice)
	if object.Status.Summary.Counts.Succeeded != 2 || condition == nil || condition.Reason != dorav1alpha1.ReasonFollowedInArgo {
		t.Errorf("%+v, %+v", object.Status.Summary.Counts, condition)
	}
	if err := s.client.Delete(t.Context(), application("cart", nil)); err != nil {
		t.Fatal(err)
	}
	object, _ = s.look("all")
	if meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionReportedTwice) != nil || object.Status.Summary.Counts.Succeeded != 2 {
		t.Errorf("once Argo no longer shows it: %+v, %+v", object.Status.Summary.Counts, object.Status.Conditions)
	}
}

func TestIncidentsCountForTargetsThatAskForThem(t *testing.T) {
	for name, tc := range map[string]struct {
		spec                        string
		failures, incidents, failed int64
	}{
		"nobody asks":               {`{applications: {}}`, 0, 0, 0},
		"all of the namespace":      {`{applications: {}, incidents: {}}`, 1, 1, 1},
		"those of another receiver": {`{applications: {}, incidents: {receivers: [opsgenie]}}`, 0, 0, 0},
		"those of this one":         {`{applications: {}, incidents: {receivers: [pagerduty, ci]}}`, 1, 1, 1},
		"the severe ones":           {`{applications: {}, incidents: {severities: [p1]}}`, 1, 0, 1},
		"others":                    {`{applications: {}, incidents: {severities: [P2]}}`, 0, 1, 0},
		"no severity of these":      {`{applications: {}, incidents: {severities: [critical]}}`, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, target(t, "all", tc.spec), application("cart", nil))
			s.keep("cart", nil, succeeded(ago(300)))
			s.take(pagerduty, outage("cart", "A", "P1", 290, 270), outage("cart", "B", "P2", 100, 90), outage("search", "C", "P1", 50, 40))
			object, _ := s.look("all")
			got := object.Status.Summary
			if got.Recovery.Samples != tc.failures || got.Counts.Incidents != tc.incidents || got.ChangeFailureRate.Failures != tc.failed {
				t.Errorf("%d recoveries, %d incidents, %d failed changes", got.Recovery.Samples, got.Counts.Incidents, got.ChangeFailureRate.Failures)
			}
			if tc.failures == 1 && *got.Recovery.P50Seconds != 20*60 {
				t.Errorf("recovered after %d s", *got.Recovery.P50Seconds)
			}
		})
	}
}

// A receiver of one namespace changes nothing for targets of another, not even where these see everything, and is held against nothing there.
func TestReceiversAreHeardInTheirOwnNamespaceAlone(t *testing.T) {
	trusted := target(t, "everything", `{applications: {}, incidents: {}, reported: {services: ["*"]}}`)
	trusted.Namespace = "platform"
	s := newStory(t, target(t, "all", `{applications: {}, incidents: {}, reported: {services: ["*"]}}`), trusted, application("cart", nil))
	s.keep("cart", nil, succeeded(ago(300)))
	deploy := "cart-deploy-" + ago(300).Format(time.RFC3339)
	ids := s.take(stranger, outage("cart", "A", "P1", 290, 270), deployed("cart", "9", 280), deployed("payments", "9", 280))
	named := outage("cart", "B", "P1", 200, 0)
	named.Incident.Mentions = []string{"since " + ago(300).Format("0102-1504")}
	ids = append(ids, s.take(stranger, named)...)
	for _, id := range ids {
		if e := s.event(id); e.CausedBy != "" || e.Subject.Namespace != "other" {
			t.Errorf("%+v is held against a deployment of others", e)
		}
	}
	object, _ := s.look("all")
	if c := object.Status.Summary.Counts; c.Incidents+c.OpenFailures != 0 || c.Succeeded != 1 || object.Status.Summary.ChangeFailureRate.Failures != 0 {
		t.Errorf("a stranger changed figures: %+v", object.Status.Summary)
	}
	if owned := s.take(pagerduty, named); s.event(owned[0]).CausedBy != deploy {
		t.Error("an incident of the own namespace is not held against what it names")
	}
}

func TestArgosFailuresCanBeLeftOut(t *testing.T) {
	degraded := dora.Event{Type: dora.TypeDegraded, OccurredAt: ago(295), FailureID: "f", CausedBy: "cart-deploy-" + ago(300).Format(time.RFC3339)}
	recovered := dora.Event{Type: dora.TypeRecovered, OccurredAt: ago(285), FailureID: "f"}
	for spec, want := range map[string][2]int64{`{applications: {}, incidents: {argo: Ignore}}`: {1, 600}, `{applications: {}, incidents: {}}`: {1, 900}} {
		s := newStory(t, target(t, "all", spec), application("cart", nil))
		s.keep("cart", nil, succeeded(ago(300)), degraded, recovered)
		s.take(pagerduty, outage("cart", "A", "P1", 290, 280)) // of one outage, of which Argo saw the first ten minutes
		object, _ := s.look("all")
		if got := object.Status.Summary.Recovery; got.Samples != want[0] || *got.P50Seconds != want[1] {
			t.Errorf("%s: %d recoveries of %d s", spec, got.Samples, *got.P50Seconds)
		}
	}
}

func TestTheWindowOfTheTargetSaysWhatAnIncidentIsHeldAgainst(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, failureWindow: 10m, incidents: {services: {"Cart API": cart}}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(ago(300)))
	early, late := s.take(pagerduty, outage("Cart API", "A", "", 291, 0))[0], s.take(pagerduty, outage("Cart API", "B", "", 289, 0))[0]
	if a, b := s.event(early), s.event(late); a.CausedBy == "" || b.CausedBy != "" || a.Service != "cart" {
		t.Errorf("%+v, %+v", a, b)
	}
}

// Events go to the sinks of those who count them.
func TestSinksAreOwedWhatTheirTargetsCount(t *testing.T) {
	s := newStory(t,
		target(t, "argo", `{applications: {}, sinks: [argo]}`),
		target(t, "severe", `{applications: {}, sinks: [severe], incidents: {severities: [P1]}}`),
		target(t, "ci", `{sinks: [ci], reported: {services: [payments, cart]}}`),
		target(t, "both", `{applications: {}, sinks: [both], reported: {services: [payments, cart]}}`),
		application("cart", nil))
	s.keep("cart", nil, succeeded(ago(300)))
	s.take(ci, deployed("payments", "1", 60), deployed("cart", "1", 60))
	s.take(pagerduty, outage("cart", "A", "P1", 290, 0), outage("cart", "B", "P3", 290, 0))
	for sink, want := range map[string]int{"argo": 0, "severe": 1, "ci": 2, "both": 1} {
		rows, err := s.store.Outstanding(t.Context(), ledger.OutstandingQuery{Sink: "shop/" + sink})
		if err != nil || len(rows) != want {
			t.Errorf("%s is owed %d events, want %d: %v", sink, len(rows), want, err)
		}
	}
}

func TestAFreezeTakesAnIncidentOut(t *testing.T) {
	freeze := fmt.Sprintf(`{applications: {}, incidents: {}, freezes: [{name: drill, reason: a drill, from: %q, to: %q}]}`,
		ago(295).Format(time.RFC3339), ago(200).Format(time.RFC3339))
	s := newStory(t, target(t, "all", freeze), application("cart", nil))
	s.keep("cart", nil, succeeded(ago(300)))
	s.take(pagerduty, outage("cart", "A", "P1", 290, 270))
	object, _ := s.look("all")
	if got := object.Status.Summary; got.ChangeFailureRate.Failures != 0 || got.Recovery.Samples != 0 || object.Status.Marks.Frozen != 1 {
		t.Errorf("%+v, %+v", got, object.Status.Marks)
	}
}

// Of three reports that of the middle is a drill's, so the last is no rework: nobody had to mend anything.
func TestAFreezeKeepsADrillOutOfRework(t *testing.T) {
	freeze := fmt.Sprintf(`{reported: {services: ["*"]}, freezes: [{name: drill, reason: a drill, from: %q, to: %q}]}`,
		ago(60).Format(time.RFC3339), ago(40).Format(time.RFC3339))
	for spec, want := range map[string][3]int64{freeze: {0, 0, 1}, `{reported: {services: ["*"]}}`: {1, 1, 0}} {
		s := newStory(t, target(t, "all", spec))
		failed := deployed("cart", "2", 50)
		failed.Deployment.Success = false
		s.take(ci, deployed("cart", "1", 100), failed, deployed("cart", "3", 20))
		object, _ := s.look("all")
		var marks dorav1alpha1.MarkCounts
		if object.Status.Marks != nil {
			marks = *object.Status.Marks
		}
		figures := object.Status.Summary
		if got := [3]int64{figures.ChangeFailureRate.Failures, figures.Rework.Unplanned, marks.Frozen}; got != want || figures.Rework.Samples != 2 {
			t.Errorf("%d failed, rework and frozen of %d, want %d", got, figures.Rework.Samples, want)
		}
	}
}

// The second of two deployments was made while an incident was open. It is rework to those who count that incident, and to no others.
func TestAnIncidentMakesReworkWhereItCounts(t *testing.T) {
	for spec, want := range map[string]int64{
		`{reported: {services: ["*"]}, incidents: {}}`: 1, `{reported: {services: ["*"]}, incidents: {severities: [P1]}}`: 0, `{reported: {services: ["*"]}}`: 0,
	} {
		s := newStory(t, target(t, "all", spec))
		s.take(ci, deployed("cart", "1", 100))
		s.take(pagerduty, outage("cart", "A", "P3", 95, 20))
		s.take(ci, deployed("cart", "2", 50))
		object, _ := s.look("all")
		if got := object.Status.Summary.Rework; got.Unplanned != want || got.Samples != 2 {
			t.Errorf("%s: %d of %d are rework, want %d", spec, got.Unplanned, got.Samples, want)
		}
	}
}

func TestWhatIsReportedSurvivesARestart(t *testing.T) {
	s := newStory(t, target(t, "all", `{incidents: {}, reported: {services: ["*"]}}`))
	s.take(ci, deployed("payments", "1", 180))
	s.take(pagerduty, outage("payments", "A", "", 170, 150))
	before, _ := s.look("all")
	s.open()
	after, _ := s.look("all")
	if !slices.EqualFunc(before.Status.Services, after.Status.Services, func(a, b dorav1alpha1.ServiceStatus) bool {
		return a.Recovery.Samples == b.Recovery.Samples && a.Counts == b.Counts
	}) || after.Status.Summary.Recovery.Samples != 1 {
		t.Errorf("before %+v, after %+v", before.Status.Summary, after.Status.Summary)
	}
}

// An incident of a team's service is the team's, though whoever was paged for it says nothing of teams: cart was deployed 300 minutes ago, and was
// down for 20 minutes from 290 on; search was deployed and nothing happened.
func TestAnIncidentIsThatOfTheServicesTeam(t *testing.T) {
	shop := map[string]string{"team": "shop"}
	s := newStory(t, target(t, "all", `{applications: {}, incidents: {}}`), application("cart", shop), application("search", shop))
	for _, name := range []string{"cart", "search"} {
		e := succeeded(ago(300))
		e.Team = "shop"
		s.keep(name, ofTeam("shop"), e)
	}
	if began := s.event(s.take(pagerduty, outage("cart", "A", "P1", 290, 270))[0]); began.Team != "shop" {
		t.Errorf("those who count by events take it for one of team %q", began.Team)
	}
	object, _ := s.look("all")
	if len(object.Status.Teams) != 1 {
		t.Fatalf("the teams are %+v", object.Status.Teams)
	}
	team := object.Status.Teams[0]
	if team.Team != "shop" || team.Services != 2 || team.ChangeFailureRate.Ratio != "0.5" || team.ChangeFailureRate.Samples != 2 {
		t.Errorf("1 of 2 deployments of shop failed, not %+v", team.ChangeFailureRate)
	}
	if team.Recovery.Samples != 1 || *team.Recovery.P50Seconds != 20*60 {
		t.Errorf("shop recovered once, after 20 minutes, not %+v", team.Recovery)
	}
}

// Events never change, so an incident that becomes severe while it is open counts once its end tells so, and from its beginning.
func TestAnIncidentThatBecomesSevereCountsOnceItHasEnded(t *testing.T) {
	s := newStory(t, target(t, "all", `{applications: {}, incidents: {severities: [P1]}}`), application("cart", nil))
	s.keep("cart", nil, succeeded(ago(300)))
	raised, ended := outage("cart", "A", "P1", 290, 0), outage("cart", "A", "", 290, 270)
	raised.Key, ended.Key = "raised", "ended"
	s.take(pagerduty, outage("cart", "A", "P3", 290, 0), raised)
	object, _ := s.look("all")
	if got := object.Status.Summary; len(object.Status.OpenFailures) != 0 || got.ChangeFailureRate.Failures != 0 {
		t.Errorf("while it is open: %+v, %+v", object.Status.OpenFailures, got.ChangeFailureRate)
	}
	s.take(pagerduty, ended)
	object, _ = s.look("all")
	if got := object.Status.Summary; got.ChangeFailureRate.Failures != 1 || got.Recovery.Samples != 1 || *got.Recovery.P50Seconds != 20*60 {
		t.Errorf("once it has ended: %+v, %+v", got.ChangeFailureRate, got.Recovery)
	}
}
