package kube

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// posted collects Kubernetes events as "target: type reason (attempt): note".
type posted struct{ all []string }

func (p *posted) Eventf(regarding, related runtime.Object, kind, reason, _, note string, args ...any) {
	name := regarding.(interface{ GetName() string }).GetName()
	p.all = append(p.all, name+": "+kind+" "+reason+" ("+related.(*corev1.ObjectReference).FieldPath+"): "+args[0].(string))
	_ = note
}

func TestNotices(t *testing.T) {
	version := func(tag string) *dora.Version { return &dora.Version{Tag: tag} }
	previous := dora.Predecessor{Known: true, Version: version("1.1")}
	event := func(e dora.Event) dora.Event {
		e.Service, e.Environment, e.Attempt = "cart", "prod", "S"
		if e.Type == "" {
			e.Type = dora.TypeDeploy
		}
		return e
	}
	for want, e := range map[string]dora.Event{
		"Normal Deployed: cart in prod runs 1.0":           event(dora.Event{Outcome: dora.Succeeded, Version: version("1.0"), Previous: dora.Predecessor{Known: true}}),
		"Normal Deployed: cart in prod runs 1.2 (was 1.1)": event(dora.Event{Outcome: dora.Succeeded, Version: version("1.2"), Previous: previous}),
		"Warning DeploymentFailed: cart in prod failed to run 1.2 (was 1.1): pod crashed": event(dora.Event{
			Outcome: dora.Failed, Version: version("1.2"), Previous: previous, Message: "pod crashed",
		}),
		"Warning RolledBack: cart in prod stopped the deployment of 1.2 and went back to 1.1": event(dora.Event{
			Outcome: dora.RolledBack, Version: version("1.2"), Success: new(false), Running: version("1.1"),
		}),
		"Warning RolledBack: cart in prod went back to 1.0 (was 1.1)": event(dora.Event{
			Outcome: dora.RolledBack, Version: version("1.0"), Success: new(true), Previous: previous,
		}),
		"Normal DeploymentUnknown: cart in prod was deployed with 1.2; Argo no longer tells how that ended": event(dora.Event{
			Outcome: dora.Unknown, Version: version("1.2"),
		}),
		"Warning Degraded: cart in prod is degraded":                                        event(dora.Event{Type: dora.TypeDegraded}),
		"Warning Degraded: cart in prod is degraded after the deployment with event id abc": event(dora.Event{Type: dora.TypeDegraded, CausedBy: "abc"}),
		"Normal Recovered: cart in prod has recovered after 90 s":                           event(dora.Event{Type: dora.TypeRecovered, RecoverySeconds: new(90.0)}),
		"Normal Deployed: cart in prod runs a@sha256:1, b:2":                                event(dora.Event{Outcome: dora.Succeeded, Version: &dora.Version{Images: []string{"a@sha256:1", "b:2"}}}),
		"Normal Deployed: cart in prod runs an unknown version":                             event(dora.Event{Outcome: dora.Succeeded}),
		"Normal Recovered: cart in prod has recovered":                                      event(dora.Event{Type: dora.TypeRecovered}),
		"Warning DeploymentFailed: cart in prod failed to run 1.0: reset":                   event(dora.Event{Outcome: dora.Failed, Version: version("1.0"), Message: "reset"}),
	} {
		n := noticeOf(&e)
		if got := n.kind + " " + n.reason + ": " + n.note; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestTargetsThatAreNotSuspendedAreTold(t *testing.T) {
	selection := Selection{
		compile(target(t, "shop/suspended", `{applications: {}, suspend: true}`, 0), false),
		compile(target(t, "shop/all", `{applications: {}}`, 0), false),
	}
	result := &deploy.Result{
		Events: []dora.Event{{
			Type: dora.TypeDeploy, Outcome: dora.Succeeded, ID: "1", Service: "cart", Attempt: "S1",
			Version: &dora.Version{Tag: "1.0"}, Message: strings.Repeat("ä", 1000),
		}},
		Decisions: []deploy.Decision{{Reason: deploy.ReasonSameImages, Attempt: "S2", Message: "nothing new"}, {Reason: "Counted", EventID: "1"}},
	}
	for explain, want := range map[bool][]string{
		false: {"all: Normal Deployed (attempt{S1}): cart runs 1.0: "},
		true:  {"all: Normal Deployed (attempt{S1}): cart runs 1.0: ", "all: Normal SameImages (attempt{S2}): cart: nothing new"},
	} {
		events := &posted{}
		announcer := &Announcer{Events: events, Explain: explain}
		announcer.Announce(t.Context(), dora.Subject{Kind: dora.KindApplication, Name: "cart"}, result, selection)
		if len(events.all) != len(want) {
			t.Fatalf("explain %v: told %v, want %v", explain, events.all, want)
		}
		for i, told := range events.all {
			if !strings.HasPrefix(told, want[i]) {
				t.Errorf("explain %v: told %q, want %q", explain, told, want[i])
			}
			if len(told) > noteBytes+100 || strings.ContainsRune(told, '\uFFFD') {
				t.Errorf("the note is not cut well: %d bytes", len(told))
			}
		}
	}
}
