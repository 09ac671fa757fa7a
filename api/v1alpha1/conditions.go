package v1alpha1

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The conditions of a DoraTarget.
const (
	// ConditionReady is True while the target is being followed and its figures are kept up to date. It is always there.
	ConditionReady = "Ready"
	// ConditionReconciling is there while the target is not ready and will become so by itself once the world changes.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is there while the target is not ready and someone has to mend its spec.
	ConditionStalled = "Stalled"
	// ConditionPolicyOverridden is there while an older target judges objects that this one selects too, and differs.
	ConditionPolicyOverridden = "PolicyOverridden"
	// ConditionIncomplete is there while the figures are known to lack something.
	ConditionIncomplete = "Incomplete"
	// ConditionCommitsUnresolved is there while the commits of deployments are looked for and something stands in the way.
	ConditionCommitsUnresolved = "CommitsUnresolved"
	// ConditionReportedTwice is there while deployments of a service are reported that the target follows in Argo.
	ConditionReportedTwice = "ReportedTwice"
	// ConditionReceiversMissing is there while spec.incidents names receivers that are not there.
	ConditionReceiversMissing = "ReceiversMissing"
	// ConditionWorsened is there while spec.alerts is: True while a service is in a lower band than it was, or a team's median worsened.
	ConditionWorsened = "Worsened"
)

// ConditionMarksRefused is there while annotations of a target mark nothing. Its reason is that of the first of them.
const ConditionMarksRefused = "MarksRefused"

// The reasons why annotations mark nothing.
const (
	// ReasonMarkUnreadable: the value is not a verdict and a reason.
	ReasonMarkUnreadable = "MarkUnreadable"
	// ReasonEventNotFound: the ledger has no event of that id that the target counts.
	ReasonEventNotFound = "EventNotFound"
	// ReasonEventOfAnother: an older target decides about the object that the event is of.
	ReasonEventOfAnother = "EventOfAnother"
	// ReasonEventHasNoMark: events of that type are in no figure by themselves.
	ReasonEventHasNoMark = "EventHasNoMark"
	// ReasonTooManyMarks: the target has more marks than are heard.
	ReasonTooManyMarks = "TooManyMarks"
)

// MarksRefused says that annotations mark nothing: the first of them, why, and how many there are besides.
func MarksRefused(reason, annotation, message string, others int) metav1.Condition {
	more := ""
	if others > 0 {
		more = fmt.Sprintf(" (and %s)", count(int64(others), "other annotation"))
	}
	return metav1.Condition{
		Type: ConditionMarksRefused, Status: metav1.ConditionTrue, Reason: reason,
		Message: fmt.Sprintf("Annotation %s%s marks nothing: %s", annotation, more, message),
	}
}

// The reasons of conditions. Each has a part of that name in docs/doratarget.md.
const (
	// ReasonFollowed: everything is in order.
	ReasonFollowed = "Followed"
	// ReasonStarting: the controller has just started and has not looked yet.
	ReasonStarting = "Starting"
	// ReasonArgoCRDsMissing: none of the kinds that the target selects is installed.
	ReasonArgoCRDsMissing = "ArgoCRDsMissing"
	// ReasonNothingSelected: the selectors match no object.
	ReasonNothingSelected = "NothingSelected"
	// ReasonLedgerUnavailable: the ledger cannot be read or written.
	ReasonLedgerUnavailable = "LedgerUnavailable"
	// ReasonNamespaceNotAllowed: a selector names a namespace that the target may not see.
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// ReasonClustersNotAllowed: the target names clusters, and its namespace is not trusted.
	ReasonClustersNotAllowed = "ClustersNotAllowed"
	// ReasonInvalidSpec: the spec says something that cannot be read.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonSuspended: spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonPolicyOwnedByAnother: an older target judges objects that this one selects too, and differs.
	ReasonPolicyOwnedByAnother = "PolicyOwnedByAnother"
	// ReasonHistoryGap: deployments happened while nobody watched, or the ledger took nothing, and Argo no longer tells how they ended.
	ReasonHistoryGap = "HistoryGap"
	// ReasonFollowedInArgo: deployments are reported that Argo shows too, and what Argo shows counts.
	ReasonFollowedInArgo = "FollowedInArgo"
	// ReasonReceiverNotFound: spec.incidents names DoraReceivers that are not in the target's namespace.
	ReasonReceiverNotFound = "ReceiverNotFound"
	// ReasonClusterNotFound: the target names clusters whose ledgers are not in this controller's database.
	ReasonClusterNotFound = "ClusterNotFound"
	// ReasonServiceFell: a service is in a lower band than over the window before.
	ReasonServiceFell = "ServiceFell"
	// ReasonTeamWorsened: a median of a team is longer than over the window before, by what spec.alerts says.
	ReasonTeamWorsened = "TeamWorsened"
	// ReasonNothingWorsened: neither.
	ReasonNothingWorsened = "NothingWorsened"
)

// Followed is Ready: the target is being followed. Kinds that the target selects and that are not installed are
// named, since a cluster without Argo Rollouts is in order.
func Followed(subjects ObservedSubjects, missing ...string) metav1.Condition {
	message := fmt.Sprintf("Following %s and %s", count(subjects.Applications, "Application"), count(subjects.Rollouts, "Rollout"))
	if subjects.Reported > 0 {
		message += fmt.Sprintf(", and %s that others report", count(subjects.Reported, "service"))
	}
	if len(missing) > 0 {
		message += "; " + sorted(missing) + " not installed in this cluster, picked up when that changes"
	}
	return ready(metav1.ConditionTrue, ReasonFollowed, message)
}

// OfShard says in a condition that all it tells is of the objects of one shard.
func OfShard(c metav1.Condition, shard string) metav1.Condition {
	if shard != "" {
		c.Message += fmt.Sprintf("; only what is labelled %s=%s is seen and counted here", LabelShard, shard)
	}
	return c
}

// Starting is Ready unknown, before the first look at the cluster and the ledger.
func Starting() metav1.Condition {
	return ready(metav1.ConditionUnknown, ReasonStarting,
		"The controller has not looked at everything that is selected yet; if this stays, it cannot record that: look at the controller's log")
}

// ArgoCRDsMissing is not Ready: none of the kinds that the target selects is installed, such as "Rollout".
func ArgoCRDsMissing(kinds ...string) metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonArgoCRDsMissing,
		"Not installed in this cluster: "+sorted(kinds)+" (argoproj.io/v1alpha1); "+
			"install Argo CD or Argo Rollouts, the target then becomes ready by itself")
}

// NothingSelected is not Ready: the selectors match no object.
func NothingSelected() metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonNothingSelected,
		"No Application or Rollout has the selected labels in the namespaces that this target may see; "+
			"label one, or change spec.applications or spec.rollouts")
}

// NothingReported is not Ready: the target selects by spec.reported alone, and nothing of these services was reported.
func NothingReported() metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonNothingSelected,
		"No deployment of the services in spec.reported was reported to a DoraReceiver of this namespace; report one, or change spec.reported")
}

// LedgerUnavailable is not Ready: the ledger cannot be read or written. The cause belongs into the log, since its text
// changes from one try to the next.
func LedgerUnavailable() metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonLedgerUnavailable,
		"The ledger cannot be read or written, the figures are of before; look at the controller's log for the cause, such as a full disk")
}

// NamespaceNotAllowed is not Ready: a selector names namespaces that the target may not see, and nothing of it is
// followed until that is mended.
func NamespaceNotAllowed(own string, namespaces ...string) metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonNamespaceNotAllowed, fmt.Sprintf(
		"This target may see namespace %s only, not %s; remove them from namespaces, or ask the administrator to trust namespace %s",
		own, sorted(namespaces), own))
}

// ClustersNotAllowed is not Ready: the target names clusters, and nothing of it is followed until that is mended.
func ClustersNotAllowed(own string) metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonClustersNotAllowed, fmt.Sprintf(
		"Only a target of a trusted namespace may name clusters; remove clusters, or ask the administrator to trust namespace %s", own))
}

// InvalidSpec is not Ready: the spec says something that cannot be read. The error names the field.
func InvalidSpec(err error) metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonInvalidSpec, "Correct the spec: "+err.Error())
}

// Suspended is not Ready: spec.suspend is true.
func Suspended() metav1.Condition {
	return ready(metav1.ConditionFalse, ReasonSuspended,
		"Suspended, the figures stand still; set spec.suspend to false to go on")
}

// PolicyOwner is an older target that judges objects which a younger one selects too.
type PolicyOwner struct {
	Namespace, Name string
	// Objects is how many objects both select and it judges differently.
	Objects int64
	// Fields are the fields of the spec that differ, by their JSON names.
	Fields []string
}

// PolicyOwnedByAnother says that older targets judge some objects, and differ. Their events count here all the same.
// It names the owner of most objects, and how many more owners there are.
func PolicyOwnedByAnother(owner PolicyOwner, others ...PolicyOwner) metav1.Condition {
	first, more := slices.MinFunc(append(slices.Clip(others), owner), mostObjectsFirst), ""
	if len(others) > 0 {
		more = fmt.Sprintf(" (and %s)", count(int64(len(others)), "other target"))
	}
	return metav1.Condition{
		Type: ConditionPolicyOverridden, Status: metav1.ConditionTrue, Reason: ReasonPolicyOwnedByAnother,
		Message: fmt.Sprintf(
			"%s judged by the older DoraTarget %s/%s%s, which differs in %s; "+
				"make these fields equal, or narrow a selector so that the targets do not overlap",
			are(first.Objects, "object"), first.Namespace, first.Name, more, sorted(first.Fields)),
	}
}

// HistoryGap says that Argo no longer tells how some deployments ended. It goes when they leave the ledger.
func HistoryGap(deployments int64) metav1.Condition {
	return metav1.Condition{
		Type: ConditionIncomplete, Status: metav1.ConditionTrue, Reason: ReasonHistoryGap,
		Message: fmt.Sprintf(
			"%s happened unrecorded and can no longer be told, so no figure counts them; "+
				"keep the controller and its ledger running, and raise revisionHistoryLimit of the Applications to bridge longer gaps",
			count(deployments, "deployment")),
	}
}

// FollowedInArgo says that deployments of these services are reported, and not counted: Argo shows them.
func FollowedInArgo(services ...string) metav1.Condition {
	return metav1.Condition{
		Type: ConditionReportedTwice, Status: metav1.ConditionTrue, Reason: ReasonFollowedInArgo,
		Message: fmt.Sprintf("Argo shows the deployments of %s, so those that are reported are not counted; stop to report them, or narrow spec.reported",
			few(slices.Sorted(slices.Values(services)))),
	}
}

// ReceiverNotFound says that a target counts the incidents of receivers that are not there.
func ReceiverNotFound(names ...string) metav1.Condition {
	return metav1.Condition{
		Type: ConditionReceiversMissing, Status: metav1.ConditionTrue, Reason: ReasonReceiverNotFound,
		Message: "No DoraReceiver of this namespace: " + sorted(names) + "; create it, or correct spec.incidents.receivers, " +
			"since incidents of others do not count",
	}
}

// CommitsUnresolved says what stands in the way of finding the commits of some deployments. The reason is one of those that
// docs/lead-time.md explains; the message is the newest failure's and holds no secret.
func CommitsUnresolved(reason string, deployments int64, message string) metav1.Condition {
	verb := "wait"
	if deployments == 1 {
		verb = "waits"
	}
	return metav1.Condition{
		Type: ConditionCommitsUnresolved, Status: metav1.ConditionTrue, Reason: reason,
		Message: fmt.Sprintf("%s %s for commits, tried again and again: %s", count(deployments, "deployment"), verb, message),
	}
}

// ClusterNotFound says that deployments of other clusters are not counted.
func ClusterNotFound(clusters ...string) metav1.Condition {
	return metav1.Condition{
		Type: ConditionIncomplete, Status: metav1.ConditionTrue, Reason: ReasonClusterNotFound,
		Message: fmt.Sprintf("No deployments of %s are counted: there is no ledger of that name in this controller's database; correct clusters, "+
			"or let the controller there keep its ledger in the same PostgreSQL database", sorted(clusters)),
	}
}

// Worsened says what got worse and has not ended, of the alerts of a target: the services first, a few of each by name.
func Worsened(alerts []AlertStatus, omitted int64) metav1.Condition {
	var services, medians []string
	for i := range alerts {
		switch a := &alerts[i]; {
		case a.Ended != nil:
		case a.Reason == AlertServiceFell:
			services = append(services, fmt.Sprintf("%s in %s (%s to %s)", a.Service, a.Environment, a.BeforeBand, a.Band))
		default:
			medians = append(medians, fmt.Sprintf("%s in %s (%s)", a.Team, a.Environment, a.Metric))
		}
	}
	c := metav1.Condition{Type: ConditionWorsened, Status: metav1.ConditionTrue, Reason: ReasonServiceFell}
	var says []string
	if len(services) > 0 {
		says = append(says, "In a lower band than over the window before: "+few(services))
	}
	if len(medians) > 0 {
		says = append(says, "Medians of teams that worsened: "+few(medians))
	}
	switch {
	case len(says) == 0:
		c.Status, c.Reason = metav1.ConditionFalse, ReasonNothingWorsened
		says = append(says, "No service is in a lower band than over the window before, and no median of a team worsened by what spec.alerts says")
	case len(services) == 0:
		c.Reason = ReasonTeamWorsened
	}
	if omitted > 0 {
		says = append(says, fmt.Sprintf("%d more, beyond the %d of status.alerts", omitted, MaxAlerts))
	}
	c.Message = strings.Join(says, "; ")
	return c
}

// few names five, and counts the rest.
func few(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s", strings.Join(names[:shown], ", "), count(int64(len(names)-shown), "other"))
}

// SetConditions makes these the conditions of the status, for this generation of the spec. Reconciling and Stalled
// follow from ready; the notes are PolicyOwnedByAnother, HistoryGap or ClusterNotFound, CommitsUnresolved, SinkNotFound, MarksRefused,
// FollowedInArgo, ReceiverNotFound and Worsened, where they hold. It reports whether anything changed.
func (s *DoraTargetStatus) SetConditions(generation int64, ready metav1.Condition, notes ...metav1.Condition) bool {
	wanted := append([]metav1.Condition{ready}, notes...)
	if abnormal := abnormalType(ready.Reason); abnormal != "" {
		ready.Type, ready.Status = abnormal, metav1.ConditionTrue
		wanted = append(wanted, ready)
	}

	changed := s.ObservedGeneration != generation
	s.ObservedGeneration = generation
	return setConditions(&s.Conditions, generation, wanted,
		ConditionReady, ConditionReconciling, ConditionStalled, ConditionPolicyOverridden, ConditionIncomplete, ConditionCommitsUnresolved,
		ConditionSinksMissing, ConditionMarksRefused, ConditionReportedTwice, ConditionReceiversMissing, ConditionWorsened) || changed
}

// abnormalType tells which of kstatus' two abnormal conditions goes with a reason of Ready. A suspended target has
// neither: it does not move, and nothing is wrong with it.
func abnormalType(reason string) string {
	switch reason {
	case ReasonStarting, ReasonArgoCRDsMissing, ReasonNothingSelected, ReasonLedgerUnavailable:
		return ConditionReconciling
	case ReasonNamespaceNotAllowed, ReasonClustersNotAllowed, ReasonInvalidSpec:
		return ConditionStalled
	default:
		return ""
	}
}

func ready(status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: ConditionReady, Status: status, Reason: reason, Message: message}
}

func mostObjectsFirst(a, b PolicyOwner) int {
	if a.Objects != b.Objects {
		return int(b.Objects - a.Objects)
	}
	return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
}

// sorted joins names in an order that does not change from one look to the next.
func sorted(names []string) string {
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func are(n int64, noun string) string {
	if n == 1 {
		return count(n, noun) + " is"
	}
	return count(n, noun) + " are"
}
