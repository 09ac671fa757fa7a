package ledgertest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Deployment is a succeeded deployment of a service, complete and plausible. Its subject's uid is "uid-" and the service.
func Deployment(id, service string, at time.Time) dora.Event {
	yes, no := true, false
	version := &dora.Version{
		Images: []string{"registry.example.com/" + service + ":1.1.0-4f5e6d7"}, Tag: "1.1.0-4f5e6d7", Commit: "4f5e6d7",
		ConfigRevisions: []string{"9d1f0a1"},
	}
	return dora.Event{
		Schema: dora.Schema, ID: id, Type: dora.TypeDeploy, Outcome: dora.Succeeded,
		Service: service, Team: "shop", Environment: "production", Cluster: "eu-1",
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: service, UID: "uid-" + service},
		Attempt: at.Add(-time.Minute).Format(time.RFC3339), StartedAt: at.Add(-time.Minute), OccurredAt: at,
		ObservedAt: at.Add(time.Second), Change: dora.ChangeImage, Version: version, Previous: dora.Predecessor{Known: true},
		Running: version, Success: &yes, IsRollback: &no, Basis: dora.BasisLive, Reason: "Healthy", Message: "reached Healthy",
	}
}

// Degraded is the start of a failure of a service.
func Degraded(id, service string, at time.Time) dora.Event {
	event := Deployment(id, service, at)
	return dora.Event{
		Schema: dora.Schema, ID: id, Type: dora.TypeDegraded, Service: service, Environment: event.Environment,
		Cluster: event.Cluster, Subject: event.Subject, OccurredAt: at, ObservedAt: at, FailureID: "failure-" + id,
	}
}

// Recovered is the end of a failure of a service.
func Recovered(id, service string, at time.Time) dora.Event {
	event := Degraded(id, service, at)
	seconds := 61.5
	event.Type, event.RecoverySeconds = dora.TypeRecovered, &seconds
	return event
}

// Reported is a change of code that was reported from outside.
func Reported(id, service string, at time.Time) dora.Event {
	event := Degraded(id, service, at)
	event.Type, event.FailureID, event.Basis = dora.TypeChange, "", dora.BasisAPI
	event.Version = &dora.Version{Images: []string{}, Commit: strings.Repeat("c", 40)}
	event.Source, event.Receiver, event.Severity, event.Title = "github", "ci", "SEV2", "it is \"down\""
	event.Link, event.Reported = "https://incidents.example.com/1", json.RawMessage(`{"pusher":{"name":"ü"}}`)
	return event
}

// Facts are what was found out about a deployment whose first commit was made at that time.
func Facts(id string, first time.Time) dora.CommitFacts {
	return dora.CommitFacts{
		EventID: id, Commit: "4f5e6d7" + strings.Repeat("0", 33), FirstCommit: strings.Repeat("a", 40), FirstCommitAt: first,
		Commits: 3, Base: strings.Repeat("b", 40), Repository: "https://git.example.com/shop/cart", ResolvedAt: start,
	}
}

// Subject is the Application of that service, as Deployment's events name it.
func Subject(service string) ledger.Subject {
	return ledger.Subject{
		Subject: Deployment("", service, start).Subject, Cluster: "eu-1", Labels: map[string]string{"app": service},
		Service: service, Team: "shop", Environment: "production", FollowedSince: start,
	}
}

// Decision says that something was counted, or why it was not.
func Decision(service, reason string, at time.Time) ledger.Decision {
	return ledger.Decision{
		Cluster: "eu-1", UID: "uid-" + service, Service: service, At: at, Attempt: "2026-03-01T12:00:00Z",
		Reason: reason, Message: "because of " + reason,
	}
}

// sentAt is an attempt that the destination took.
func sentAt(at time.Time) ledger.Attempt {
	return ledger.Attempt{At: at, Took: 120 * time.Millisecond, Answer: "202 Accepted"}
}

// failed is an attempt that was answered so.
func failed(answer string) ledger.Attempt {
	return ledger.Attempt{At: start, Took: time.Second, Answer: answer}
}

// deployments are n deployments of a service, a minute apart, with ids prefix1, prefix2 and so on.
func deployments(prefix, service string, n int) []dora.Event {
	list := make([]dora.Event, n)
	for i := range list {
		list[i] = Deployment(fmt.Sprintf("%s%d", prefix, i+1), service, start.Add(time.Duration(i)*time.Minute))
	}
	return list
}
