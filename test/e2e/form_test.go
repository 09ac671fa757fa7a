//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// home is the service and environment that the labels said, and the name of the Application, until they were changed.
type home struct {
	service, environment, application string
	until                             time.Time
}

// homeAt is where something belongs that began then.
func (v *service) homeAt(began time.Time) home {
	for _, h := range v.homes {
		if began.Before(h.until.Truncate(time.Second)) {
			return h
		}
	}
	return home{service: v.labels["service"], environment: v.labels["env"], application: v.application}
}

// wellFormed holds what the words do not tell of each event against what the person did and the contract's table of outcomes.
func (v *service) wellFormed(written moments, events []dora.Event) {
	v.Helper()
	for _, e := range events {
		err := errors.Join(v.belongs(e), v.outcomeFits(e))
		if e.Type == dora.TypeDeploy {
			err = errors.Join(err, v.attemptFits(e, written))
		}
		if err != nil {
			v.Errorf("%s: the %s %s of %s: %v", v.name, e.Type, e.Outcome, e.OccurredAt, err)
		}
	}
}

func (v *service) belongs(e dora.Event) error {
	began := e.StartedAt
	if e.Type != dora.TypeDeploy {
		began = e.OccurredAt
	}
	h := v.homeAt(began)
	subject := dora.Subject{Kind: dora.KindApplication, Namespace: v.argo, Name: h.application, UID: e.Subject.UID}
	if v.standalone {
		subject.Kind, subject.Namespace, subject.Name = dora.KindRollout, v.namespace, v.workload.name
	}
	if e.Service != h.service || e.Environment != h.environment || e.Team != v.labels["team"] || e.Cluster != "stand" {
		return fmt.Errorf("it is of service %q in %q, team %q, cluster %q", e.Service, e.Environment, e.Team, e.Cluster)
	}
	if e.Subject != subject || e.Subject.UID == "" {
		return fmt.Errorf("its subject is %+v", e.Subject)
	}
	return nil
}

// outcomeFits is the contract's table: outcome, success, is_rollback.
func (v *service) outcomeFits(e dora.Event) error {
	success, rollback := e.Success, e.IsRollback
	want := map[dora.Outcome][2]string{dora.Succeeded: {"true", "false"}, dora.Failed: {"false", "false"}, dora.Unknown: {"null", "false"}, dora.RolledBack: {"false", "true"}}[e.Outcome]
	if e.Outcome == dora.RolledBack && e.Running != nil && slices.Equal(e.Running.Images, e.Version.Images) {
		want[0] = "true" // it brought the earlier version back
	}
	if e.Type != dora.TypeDeploy {
		want = [2]string{"null", "null"}
	}
	if got := [2]string{told(success), told(rollback)}; got != want {
		return fmt.Errorf("success and is_rollback are %v, not %v", got, want)
	}
	if (e.Outcome == dora.Succeeded || e.Outcome == dora.Failed) && (e.Running == nil || !slices.Equal(e.Running.Images, e.Version.Images)) {
		return fmt.Errorf("%v runs after it", e.Running)
	}
	return nil
}

func told(yes *bool) string {
	if yes == nil {
		return "null"
	}
	return strconv.FormatBool(*yes)
}

// attemptFits: the attempt is an operation that Argo CD told of, or a revision of a Rollout, and its version has the image that was committed.
func (v *service) attemptFits(e dora.Event, written moments) error {
	if at, err := time.Parse(time.RFC3339, e.Attempt); err == nil && (!at.Equal(e.StartedAt) || !written["operation began"][e.Attempt]) {
		return fmt.Errorf("its attempt is %s, and it started at %s", e.Attempt, e.StartedAt)
	}
	if e.StartedAt.After(e.OccurredAt) || e.OccurredAt.After(e.ObservedAt) {
		return fmt.Errorf("it started at %s and was seen at %s", e.StartedAt, e.ObservedAt)
	}
	if r, ours := v.releases[v.named(e.Version)]; ours && !slices.Contains(e.Version.Images, r.image) {
		return fmt.Errorf("its images %v lack %s", e.Version.Images, r.image)
	}
	return nil
}
