package doratarget

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// unchanged keeps the figures and says why they stand still.
func unchanged(object *dorav1alpha1.DoraTarget, ready metav1.Condition) *dorav1alpha1.DoraTargetStatus {
	status := object.Status.DeepCopy()
	if status.Display == nil {
		status.Display = dorav1alpha1.NewDisplay(status, nil)
	}
	status.SetConditions(object.Generation, ready, notes(status)...)
	return status
}

// notes are the conditions of a status that say something about its figures.
func notes(status *dorav1alpha1.DoraTargetStatus) []metav1.Condition {
	return slices.DeleteFunc(slices.Clone(status.Conditions), func(c metav1.Condition) bool {
		return !slices.Contains([]string{
			dorav1alpha1.ConditionPolicyOverridden, dorav1alpha1.ConditionIncomplete, dorav1alpha1.ConditionCommitsUnresolved,
			dorav1alpha1.ConditionSinksMissing, dorav1alpha1.ConditionMarksRefused, dorav1alpha1.ConditionReportedTwice,
			dorav1alpha1.ConditionReceiversMissing, dorav1alpha1.ConditionWorsened,
		}, c.Type)
	})
}

// blank is the status of a target that follows nothing until its spec is mended. What it told is not told again then.
func blank(object *dorav1alpha1.DoraTarget, ready metav1.Condition) *dorav1alpha1.DoraTargetStatus {
	status := &dorav1alpha1.DoraTargetStatus{
		Conditions: slices.Clone(object.Status.Conditions), ObservedGeneration: object.Status.ObservedGeneration,
		ObservedSubjects: &dorav1alpha1.ObservedSubjects{}, Alerts: object.Status.Alerts,
	}
	status.Display = dorav1alpha1.NewDisplay(status, nil)
	status.SetConditions(object.Generation, ready)
	return status
}

// tell is the status of a target that is followed, and what of it is to be told as news.
func tell(object *dorav1alpha1.DoraTarget, s *scope, h *history, t thresholds) (*dorav1alpha1.DoraTargetStatus, []dorav1alpha1.AlertStatus) {
	status := &dorav1alpha1.DoraTargetStatus{
		Conditions: slices.Clone(object.Status.Conditions), ObservedGeneration: object.Status.ObservedGeneration,
		ObservedSubjects: new(s.subjects),
	}
	tellFigures(status, s, h, t)
	status.LastDeployment = h.last.DeepCopy()
	status.SetOpenFailures(h.openFailures())
	if object.Spec.Source != nil {
		status.Commits = commitsOf(&h.commits)
	}
	w := alertsOf(object, s, h, t)
	status.Alerts, status.AlertsOmitted = w.alerts, int64(w.omitted)
	conditions := remarks(s, h.commits.Failing)
	if object.Spec.Alerts != nil {
		conditions = append(conditions, dorav1alpha1.Worsened(status.Alerts, status.AlertsOmitted))
	}
	status.SetConditions(object.Generation, readiness(s), conditions...)
	return status, w.news
}

func tellFigures(status *dorav1alpha1.DoraTargetStatus, s *scope, h *history, t thresholds) {
	if len(h.services) == 0 {
		status.Display = dorav1alpha1.NewDisplay(status, nil)
		return
	}
	fleet := h.fleet()
	gaps, all := s.gaps(), int64(0)
	var services []dorav1alpha1.ServiceStatus
	var environments []string
	for service, summary := range fleet.Services {
		services = append(services, dorav1alpha1.ServiceStatus{
			Service: service.Name, Environment: service.Environment, Team: h.teamOf(s, service),
			Figures: figuresOf(&summary, t.Bands(summary), gaps[service]),
		})
		environments = append(environments, service.Environment)
	}
	for _, n := range gaps {
		all += n
	}
	status.SetServices(services)
	status.SetTeams(teamsOf(s, h, t))
	status.Summary = new(figuresOf(&fleet.Whole, t.Bands(fleet.Whole), all))
	status.Bands = distributionsOf(new(fleet.Distribution(t)))
	status.Display = dorav1alpha1.NewDisplay(status, environments)
}

func readiness(s *scope) metav1.Condition {
	asked, shard := 0, s.target.Object.Labels[dorav1alpha1.LabelShard]
	for _, kind := range []dora.Kind{dora.KindApplication, dora.KindRollout} {
		if s.target.Asks(kind) {
			asked++
		}
	}
	switch {
	case asked > 0 && len(s.missing) == asked && s.subjects.Reported == 0:
		return dorav1alpha1.ArgoCRDsMissing(s.missing...)
	case asked == 0 && s.subjects.Reported == 0:
		return dorav1alpha1.NothingReported()
	case s.subjects == dorav1alpha1.ObservedSubjects{}:
		return dorav1alpha1.OfShard(dorav1alpha1.NothingSelected(), shard)
	case s.waiting > 0:
		return dorav1alpha1.Starting()
	}
	return dorav1alpha1.OfShard(dorav1alpha1.Followed(s.subjects, s.missing...), shard)
}

// remarks are what there is to know about the figures of a target that is in order.
func remarks(s *scope, failing []ledger.ReasonCount) []metav1.Condition {
	var conditions []metav1.Condition
	if owners := slices.Collect(maps.Values(s.owners)); len(owners) > 0 {
		conditions = append(conditions, dorav1alpha1.PolicyOwnedByAnother(*owners[0], others(owners[1:])...))
	}
	gaps := int64(0)
	for _, n := range s.gaps() {
		gaps += n
	}
	if len(s.missingClusters) > 0 {
		conditions = append(conditions, dorav1alpha1.ClusterNotFound(s.missingClusters...))
	} else if gaps > 0 {
		conditions = append(conditions, dorav1alpha1.HistoryGap(gaps))
	}
	if len(failing) > 0 {
		most := slices.MaxFunc(failing, func(a, b ledger.ReasonCount) int { return cmp.Compare(a.Count, b.Count) })
		conditions = append(conditions, dorav1alpha1.CommitsUnresolved(most.Reason, most.Count, most.Message))
	}
	if len(s.missingSinks) > 0 {
		conditions = append(conditions, dorav1alpha1.SinkNotFound(s.missingSinks...))
	}
	if len(s.refused) > 0 {
		first := s.refused[0]
		conditions = append(conditions, dorav1alpha1.MarksRefused(first.Reason, first.Key, first.Message, len(s.refused)-1))
	}
	if len(s.twice) > 0 {
		conditions = append(conditions, dorav1alpha1.FollowedInArgo(s.twice...))
	}
	if len(s.missingReceivers) > 0 {
		conditions = append(conditions, dorav1alpha1.ReceiverNotFound(s.missingReceivers...))
	}
	return conditions
}

func others(owners []*dorav1alpha1.PolicyOwner) []dorav1alpha1.PolicyOwner {
	more := make([]dorav1alpha1.PolicyOwner, len(owners))
	for i, owner := range owners {
		more[i] = *owner
	}
	return more
}

func lastDeployment(e *dora.Event) *dorav1alpha1.LastDeployment {
	last := &dorav1alpha1.LastDeployment{
		Service: e.Service, Environment: e.Environment, Outcome: outcome(e.Outcome),
		Time: metav1.NewTime(e.OccurredAt), EventID: e.ID,
	}
	if e.Version != nil {
		last.Version = e.Version.Tag
	}
	return last
}

func outcome(o dora.Outcome) dorav1alpha1.Outcome {
	switch o {
	case dora.Succeeded:
		return dorav1alpha1.OutcomeSucceeded
	case dora.Failed:
		return dorav1alpha1.OutcomeFailed
	case dora.RolledBack:
		return dorav1alpha1.OutcomeRolledBack
	case dora.Unknown:
	}
	return dorav1alpha1.OutcomeUnknown
}

// urgent tells whether a status has to say something else than figures: a condition, or what it was written for.
func urgent(object *dorav1alpha1.DoraTarget, s *scope, backfill *dorav1alpha1.BackfillStatus, failing []ledger.ReasonCount) bool {
	wanted := object.Status.DeepCopy()
	wanted.Backfill, wanted.Marks = backfill, s.marks
	conditions := remarks(s, failing)
	if worsened := meta.FindStatusCondition(object.Status.Conditions, dorav1alpha1.ConditionWorsened); worsened != nil {
		conditions = append(conditions, *worsened) // follows from the figures
	}
	wanted.SetConditions(object.Generation, readiness(s), conditions...)
	return wanted.ObservedGeneration != object.Status.ObservedGeneration ||
		!equality.Semantic.DeepEqual(wanted.Backfill, object.Status.Backfill) || !equality.Semantic.DeepEqual(wanted.Marks, object.Status.Marks) ||
		!slices.EqualFunc(wanted.Conditions, object.Status.Conditions, func(a, b metav1.Condition) bool {
			return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason
		})
}

// drift is by how much of it a rate may differ from the one that is written before that alone is a reason to write.
const drift = 0.05

// steady is a status with the rates that are written already where no more than time has passed: as long as a service was followed for less
// than the window its rates move at every look, though nothing is deployed.
func steady(written, status *dorav1alpha1.DoraTargetStatus) *dorav1alpha1.DoraTargetStatus {
	status = status.DeepCopy()
	if was, is := written.Summary, status.Summary; was != nil && is != nil && drifted(&was.DeploymentFrequency, &is.DeploymentFrequency) {
		status.Display.PerWeek = written.Display.PerWeek
	}
	if len(written.Services) == len(status.Services) {
		for i := range status.Services {
			drifted(&written.Services[i].DeploymentFrequency, &status.Services[i].DeploymentFrequency)
		}
	}
	if len(written.Teams) == len(status.Teams) {
		for i := range status.Teams {
			steadyTeam(&written.Teams[i], &status.Teams[i])
		}
	}
	return status
}

// drifted makes a frequency the one that is written if it is the same but for the time that has passed.
func drifted(was, is *dorav1alpha1.FrequencyFigure) bool {
	if was.Samples != is.Samples || was.Band != is.Band || !near(was.PerWeek, is.PerWeek) {
		return false
	}
	*is = *was
	return true
}

// near tells whether two rates are the same but for the time that may have passed.
func near(was, is dorav1alpha1.Decimal) bool {
	before, errBefore := was.Parse()
	now, errNow := is.Parse()
	return errBefore == nil && errNow == nil && math.Abs(now-before) <= drift*before
}

// same compares as the API server stores it: times to the second.
func same(a, b *dorav1alpha1.DoraTargetStatus) bool {
	return equality.Semantic.DeepEqual(stored(a), stored(b))
}

func stored(status *dorav1alpha1.DoraTargetStatus) *dorav1alpha1.DoraTargetStatus {
	status = status.DeepCopy()
	if status.LastDeployment != nil {
		status.LastDeployment.Time = metav1.NewTime(status.LastDeployment.Time.UTC().Truncate(time.Second))
	}
	for i := range status.OpenFailures {
		status.OpenFailures[i].Since = metav1.NewTime(status.OpenFailures[i].Since.UTC().Truncate(time.Second))
	}
	return status
}
