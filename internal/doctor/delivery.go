package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// longWait is how long an event may wait for a sink that is said to be ready.
const longWait = 15 * time.Minute

// delivery are the checks of sinks.
func delivery() []Check {
	sinks := []Part{PartSinks}
	return []Check{
		{"sink-missing", "Does each target find its sinks?", Problem, []Part{PartTargets}, sinkMissing},
		{"sink-not-ready", "Does each sink take what it is sent?", Problem, sinks, sinkNotReady},
		{"sink-stuck", "Does nothing wait for long?", Problem, sinks, sinkStuck},
		{"sink-parked", "Was nothing refused?", Problem, sinks, sinkParked},
		{"sink-metrics-refused", "Are metrics taken?", Problem, sinks, sinkMetricsRefused},
		{"sink-suspended", "Is none suspended?", Warning, sinks, sinkSuspended},
		{"sink-unused", "Is each sink somebody's?", Warning, []Part{PartTargets, PartSinks}, sinkUnused},
		{"secret-missing", "Are the Secrets there that objects name?", Problem, []Part{PartTargets, PartSinks, PartReceivers, PartSecrets}, secretMissing},
		{"secret-not-readable", "May the controller read them?", Problem, []Part{PartAccess, PartTargets, PartSinks, PartReceivers}, secretNotReadable},
	}
}

var sinkMissing = condition(dorav1alpha1.ConditionSinksMissing, "it names sinks that it cannot use (%s), and its events do not go there", nil)

func (s *Snapshot) eachSink(find func(*dorav1alpha1.DoraSink) (wrong, mend string)) (found []Finding) {
	for i := range s.Sinks {
		if wrong, mend := find(&s.Sinks[i]); wrong != "" {
			found = append(found, Finding{Object: nameOfSink(&s.Sinks[i]), Wrong: wrong, Mend: mend})
		}
	}
	return found
}

func nameOfSink(sink *dorav1alpha1.DoraSink) string {
	return "DoraSink " + sink.Namespace + "/" + sink.Name
}

func sinkNotReady(s *Snapshot) []Finding {
	return s.eachSink(func(sink *dorav1alpha1.DoraSink) (wrong, mend string) {
		reason := reasonOf(sink.Status.Conditions)
		if reason == "" || reason == dorav1alpha1.ReasonSuspended || s.secretIsGone(sink) {
			return "", ""
		}
		return "it is not ready: " + reason, ready(sink.Status.Conditions).Message
	})
}

// secretIsGone says that secret-missing tells why a sink is not ready.
func (s *Snapshot) secretIsGone(sink *dorav1alpha1.DoraSink) bool {
	ref, _ := sink.Spec.Secret()
	if ref == nil {
		return false
	}
	there, known := s.Secrets[sink.Namespace+"/"+ref.Name]
	return known && !there
}

// sinkStuck finds what waits though the sink is said to be ready: of one that is not, its reason says it all.
func sinkStuck(s *Snapshot) []Finding {
	return s.eachSink(func(sink *dorav1alpha1.DoraSink) (wrong, mend string) {
		oldest := sink.Status.OldestPending
		if sink.Spec.Suspend || sink.Status.Pending == 0 || oldest == nil || reasonOf(sink.Status.Conditions) != "" || s.Now.Sub(oldest.Time) < longWait {
			return "", ""
		}
		last := ""
		if sink.Status.LastError != "" {
			last = "; it answered last: " + sink.Status.LastError
		}
		return fmt.Sprintf("%d events wait for it, the oldest since %s%s", sink.Status.Pending, oldest.UTC().Format(time.RFC3339), last),
			"dora-controller deliveries --pending, in the controller's pod, says what each waits for"
	})
}

func sinkParked(s *Snapshot) []Finding {
	return s.eachSink(func(sink *dorav1alpha1.DoraSink) (wrong, mend string) {
		if sink.Status.Parked == 0 {
			return "", ""
		}
		return fmt.Sprintf("it refused %d events for good: %s", sink.Status.Parked, or(sink.Status.LastError, "no answer is kept")),
			"mend the cause, then dora-controller sinks retry " + sink.Name + " -n " + sink.Namespace
	})
}

func sinkMetricsRefused(s *Snapshot) []Finding {
	return s.eachSink(func(sink *dorav1alpha1.DoraSink) (wrong, mend string) {
		if sink.Status.MetricsError == "" || reasonOf(sink.Status.Conditions) != "" {
			return "", ""
		}
		return "it does not take metrics: " + sink.Status.MetricsError,
			"mend what it says, or leave Metrics out of spec.sends; docs/dorasink.md has the usual causes"
	})
}

func sinkSuspended(s *Snapshot) []Finding {
	return s.eachSink(func(sink *dorav1alpha1.DoraSink) (wrong, mend string) {
		if !sink.Spec.Suspend {
			return "", ""
		}
		return fmt.Sprintf("it is suspended, with %d events kept for it", sink.Status.Pending), "set spec.suspend to false, unless it is meant"
	})
}

func sinkUnused(s *Snapshot) []Finding {
	return s.eachSink(func(sink *dorav1alpha1.DoraSink) (wrong, mend string) {
		used := slices.ContainsFunc(s.Targets, func(t dorav1alpha1.DoraTarget) bool { return uses(&t, sink) })
		if used || sink.Status.Delivered > 0 {
			return "", ""
		}
		return "no target uses it, so it gets nothing",
			"name it in spec.sinks of a DoraTarget, or set spec.default for the targets of its namespace that name none"
	})
}

func uses(t *dorav1alpha1.DoraTarget, sink *dorav1alpha1.DoraSink) bool {
	own := t.Namespace == sink.Namespace
	if len(t.Spec.Sinks) == 0 {
		return own && sink.Spec.Default
	}
	return slices.ContainsFunc(t.Spec.Sinks, func(name dorav1alpha1.SinkName) bool {
		return own && string(name) == sink.Name || string(name) == sink.Namespace+"/"+sink.Name
	})
}

// NamedSecret is a Secret that an object names.
type NamedSecret struct{ Namespace, Name, For, Field string }

// NamedSecrets are the Secrets that targets, sinks and receivers name, each once for each object.
func (s *Snapshot) NamedSecrets() []NamedSecret {
	targets, sinks := s.Targets, s.Sinks
	var all []NamedSecret
	for i := range s.Receivers {
		r := &s.Receivers[i]
		all = append(all, NamedSecret{r.Namespace, r.Spec.SecretRef.Name, nameOfReceiver(r), "spec.secretRef"})
	}
	for i := range sinks {
		if ref, field := sinks[i].Spec.Secret(); ref != nil {
			all = append(all, NamedSecret{sinks[i].Namespace, ref.Name, nameOfSink(&sinks[i]), field})
		}
	}
	for i := range targets {
		t := &targets[i]
		if t.Spec.Source == nil {
			continue
		}
		if ref := t.Spec.Source.SecretRef; ref != nil {
			all = append(all, NamedSecret{t.Namespace, ref.Name, objectOf(t), "spec.source.secretRef"})
		}
		for _, ref := range t.Spec.Source.PullSecrets {
			all = append(all, NamedSecret{t.Namespace, ref.Name, objectOf(t), "spec.source.pullSecrets"})
		}
	}
	return all
}

func secretMissing(s *Snapshot) (found []Finding) {
	for _, n := range s.NamedSecrets() {
		if there, known := s.Secrets[n.Namespace+"/"+n.Name]; known && !there {
			found = append(found, Finding{
				Object: n.For, Wrong: "there is no Secret " + n.Namespace + "/" + n.Name, Mend: "create it, or change " + n.Field,
			})
		}
	}
	return found
}

// allowSecret are commands that need no role that is there already: whether an installation has one depends on how it was made.
func allowSecret(namespace, secret, account string) string {
	name := "dora-controller-reads-" + secret
	return fmt.Sprintf("kubectl create role %s -n %s --verb=get --resource=secrets --resource-name=%s && "+
		"kubectl create rolebinding %s -n %s --role=%s --serviceaccount=%s", name, namespace, secret, name, namespace, name, account)
}

func secretNotReadable(s *Snapshot) (found []Finding) {
	for _, a := range s.Access {
		if a.Secret == "" || a.Allowed {
			continue
		}
		account := strings.Replace(s.serviceAccount(), "/", ":", 1)
		found = append(found, Finding{
			Object: a.For, Wrong: "the controller may not read Secret " + a.Namespace + "/" + a.Secret,
			Mend: "add it to secretAccess of the Helm chart, or " + allowSecret(a.Namespace, a.Secret, account),
		})
	}
	return found
}
