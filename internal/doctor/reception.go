package doctor

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

const (
	// unheardOf is after which somebody should have sent something to a receiver that is new, and silent after which to one that was used.
	unheardOf = 24 * time.Hour
	silent    = 30 * 24 * time.Hour
	// refusedLately is for how long a refusal is news.
	refusedLately = 24 * time.Hour
	// renewed is how long before its end a certificate should have been replaced.
	renewed = 14 * 24 * time.Hour
)

// reception are the checks of receivers.
func reception() []Check {
	receivers, incidents := []Part{PartReceivers}, []Part{PartReceivers, PartTargets, PartIncidents}
	return []Check{
		{"receiver-not-ready", "Does each receiver take what it is sent?", Problem, receivers, receiverNotReady},
		{"receiver-unobserved", "Does the controller see each receiver?", Problem, []Part{PartReceivers, PartReadyPod}, receiverUnobserved},
		{"receiver-suspended", "Is no receiver suspended?", Warning, receivers, receiverSuspended},
		{"receiver-refuses", "Was the latest request to each accepted?", Problem, receivers, receiverRefuses},
		{"receiver-silent", "Did something come lately?", Warning, receivers, receiverSilent},
		{"receiver-unheard", "Does a target count what each is told?", Warning, []Part{PartReceivers, PartTargets}, receiverUnheard},
		{"incident-uncounted", "Is each incident of a service that a target counts?", Warning, incidents, incidentUncounted},
		{"receiver-missing", "Does each target find its receivers?", Problem, []Part{PartTargets}, receiverMissing},
		{"receivers-certificate", "Is the certificate of receivers good for a while?", Problem, []Part{PartInside}, receiversCertificate},
		{"receivers-host", "Is it for the host that senders ask?", Warning, []Part{PartInside, PartServices}, receiversHost},
	}
}

var receiverMissing = condition(dorav1alpha1.ConditionReceiversMissing,
	"it names receivers that are not there (%s), and incidents of others do not count", nil)

func nameOfReceiver(r *dorav1alpha1.DoraReceiver) string {
	return "DoraReceiver " + r.Namespace + "/" + r.Name
}

func (s *Snapshot) eachReceiver(find func(*dorav1alpha1.DoraReceiver) (wrong, mend string)) (found []Finding) {
	for i := range s.Receivers {
		if wrong, mend := find(&s.Receivers[i]); wrong != "" {
			found = append(found, Finding{Object: nameOfReceiver(&s.Receivers[i]), Wrong: wrong, Mend: mend})
		}
	}
	return found
}

func receiverNotReady(s *Snapshot) []Finding {
	return s.eachReceiver(func(r *dorav1alpha1.DoraReceiver) (wrong, mend string) {
		reason := reasonOf(r.Status.Conditions)
		there, known := s.Secrets[r.Namespace+"/"+r.Spec.SecretRef.Name]
		if reason == "" || reason == dorav1alpha1.ReasonSuspended || known && !there { // secret-missing says it
			return "", ""
		}
		return "it is not ready: " + reason, ready(r.Status.Conditions).Message
	})
}

func receiverUnobserved(s *Snapshot) []Finding {
	return s.eachReceiver(func(r *dorav1alpha1.DoraReceiver) (wrong, mend string) {
		seen := r.Status.ObservedGeneration >= r.Generation && ready(r.Status.Conditions) != nil
		if seen || s.Now.Sub(r.CreationTimestamp.Time) < youngPod {
			return "", ""
		}
		if !s.watches(r.Namespace) {
			return "the controller does not watch its namespace: it runs with --namespaces=" + strings.Join(s.Workload.Namespaces, ","),
				"add " + r.Namespace + " to --namespaces of the controller"
		}
		return "the controller is ready and has not looked at its spec", "see the controller's log for errors about this receiver"
	})
}

func receiverSuspended(s *Snapshot) []Finding {
	return s.eachReceiver(func(r *dorav1alpha1.DoraReceiver) (wrong, mend string) {
		if !r.Spec.Suspend {
			return "", ""
		}
		return "it is suspended: senders are told to come again, and not all of them do", "set spec.suspend to false, unless it is meant"
	})
}

// refusals are what is to be done about the reasons that docs/dorareceiver.md lists.
var refusals = map[string]string{
	"NotSender":     "compare the token or secret of the sender with the Secret that spec.secretRef names, and the path that it posts to with status.path",
	"OtherType":     "let the sender post to the path of status.path",
	"KeyTaken":      "let the sender give each deployment an idempotency key of its own, such as the id of its CI job",
	"NoService":     "set spec.defaultService, or let the sender name its service",
	"BadRequest":    "the line Refused of the controller's log names the field; docs/receivers-incidents.md says what each product has to be set to",
	"NotJSON":       "let the sender send JSON, uncompressed, with Content-Type: application/json",
	"TooOften":      "raise spec.rateLimit, or let the sender send less",
	"TooLarge":      "let the sender send less at once: 2 MiB are taken",
	"LedgerFailing": "the controller's log says why the ledger does not take it",
	"DriverFailing": "the controller's log has a stack: please report it",
}

// receiverRefuses finds those of which the latest request was refused: a refusal before others that were accepted is mended.
func receiverRefuses(s *Snapshot) []Finding {
	return s.eachReceiver(func(r *dorav1alpha1.DoraReceiver) (wrong, mend string) {
		refused, accepted := r.Status.LastRefused, r.Status.LastAccepted
		if refused == nil || s.Now.Sub(refused.Time) > refusedLately || accepted != nil && !accepted.Before(refused) || r.Spec.Suspend {
			return "", ""
		}
		reason := r.Status.LastRefusal
		return fmt.Sprintf("it refused its latest request, at %s: %s", refused.UTC().Format(time.RFC3339), reason),
			or(refusals[reason], "docs/dorareceiver.md says what each answer means")
	})
}

func receiverSilent(s *Snapshot) []Finding {
	return s.eachReceiver(func(r *dorav1alpha1.DoraReceiver) (wrong, mend string) {
		mend = "see whether its sender posts to " + r.Path() + " below the address of the receivers, unless there was nothing to tell"
		last, news := r.Status.LastAccepted, s.Now.Sub(r.CreationTimestamp.Time) < unheardOf
		switch {
		case ready(r.Status.Conditions) == nil || reasonOf(r.Status.Conditions) != "" || last == nil && (news || r.Status.LastRefused != nil):
			return "", "" // it is new, or another check says it
		case last == nil:
			return "nothing ever came", mend
		case s.Now.Sub(last.Time) > silent:
			return "nothing has come since " + last.UTC().Format(time.RFC3339), mend
		}
		return "", ""
	})
}

// tellsOf says what a type of receiver is told of: deployments and changes, or incidents. CloudEvents may be either.
func tellsOf(kind dorav1alpha1.ReceiverType) (deployments, incidents bool) {
	deployments = slices.Contains([]dorav1alpha1.ReceiverType{
		dorav1alpha1.ReceiverEvents, dorav1alpha1.ReceiverCloudEvents, dorav1alpha1.ReceiverGitHub, dorav1alpha1.ReceiverGitLab, dorav1alpha1.ReceiverGitea,
	}, kind)
	return deployments, !deployments || kind == dorav1alpha1.ReceiverCloudEvents
}

// receiverUnheard: a receiver is heard by targets of its own namespace, and by no others.
func receiverUnheard(s *Snapshot) []Finding {
	return s.eachReceiver(func(r *dorav1alpha1.DoraReceiver) (wrong, mend string) {
		deployments, incidents := tellsOf(r.Spec.Type)
		if slices.ContainsFunc(s.Targets, func(t dorav1alpha1.DoraTarget) bool {
			return t.Namespace == r.Namespace && (deployments && t.Spec.Reported != nil || incidents && t.Spec.Incidents.Hears(r.Name))
		}) {
			return "", ""
		}
		field := "spec.incidents"
		if deployments {
			field = "spec.reported"
		}
		return "no DoraTarget of its namespace counts what it is told, and those of other namespaces do not hear it",
			"set " + field + " of a DoraTarget in namespace " + r.Namespace + ", see docs/incidents.md"
	})
}

// incidentUncounted finds what receivers are told of services or environments that no target counts which hears them, and so is in no figure.
func incidentUncounted(s *Snapshot) (found []Finding) {
	for i := range s.Receivers {
		var strange []string
		r := &s.Receivers[i]
		for _, told := range s.Incidents {
			if told.Counted || told.Namespace != r.Namespace || told.Receiver != r.Name {
				continue
			}
			place := told.Service + " in " + or(told.Environment, "no environment")
			switch known, of, elsewhere := s.placed(&told); {
			case known:
			case of != nil:
				found = append(found, uncounted(r, place, fmt.Sprintf("%s counts that service in %s: let spec.environment of the receiver, or the sender, "+
					"say the same word as spec.environment of the target", objectOf(of), some(elsewhere))))
			default:
				strange = append(strange, place)
			}
		}
		if len(strange) > 0 {
			found = append(found, uncounted(r, some(strange), "set what these are called here with spec.services of the receiver or spec.incidents.services "+
				"of the target; kubectl dora status TARGET lists the services that it counts. It may be meant"))
		}
	}
	return found
}

func uncounted(r *dorav1alpha1.DoraReceiver, places, mend string) Finding {
	return Finding{
		Object: nameOfReceiver(r), Mend: mend,
		Wrong: "it takes incidents of " + places + ", and no DoraTarget that hears it counts deployments there, so they are in no figure",
	}
}

// placed tells whether a target that hears an incident counts its service where it was, by the names of now, or nobody hears it at all, which
// receiver-unheard says; else which target counts that service in which other environments.
func (s *Snapshot) placed(told *Incident) (known bool, of *dorav1alpha1.DoraTarget, elsewhere []string) {
	heard := false
	for i := range s.Targets {
		t := &s.Targets[i]
		if t.Namespace != told.Namespace || !t.Spec.Incidents.Hears(told.Receiver) {
			continue
		}
		service := or(string(t.Spec.Incidents.Services[told.Service]), told.Service)
		if t.Status.Has(service, told.Environment) {
			return true, nil, nil
		}
		if others := t.Status.EnvironmentsOf(service); len(others) > 0 && of == nil {
			of, elsewhere = t, others
		}
		heard = true
	}
	return !heard, of, elsewhere
}

func receiversCertificate(s *Snapshot) []Finding {
	c := s.Inside.Certificate
	if c == nil || c.NotAfter.Sub(s.Now) > renewed {
		return nil
	}
	wrong := "the certificate of receivers ends at " + c.NotAfter.UTC().Format(time.RFC3339)
	if c.NotAfter.Before(s.Now) {
		wrong = "the certificate of receivers has ended, at " + c.NotAfter.UTC().Format(time.RFC3339) + ", and senders that look at it send nothing"
	}
	return []Finding{{
		Object: s.workloadObject(), Wrong: wrong,
		Mend: "renew it in its Secret, receivers.tls of the Helm chart, or see why cert-manager does not; it is read again without a restart",
	}}
}

// receiversHost compares the certificate with the hosts that a Service is said to have, or else with its name in the cluster.
func receiversHost(s *Snapshot) (found []Finding) {
	c := s.Inside.Certificate
	if c == nil {
		return nil
	}
	for _, service := range s.Services {
		hosts := service.Hosts
		if len(hosts) == 0 {
			hosts = []string{service.Name + "." + service.Namespace + ".svc"}
		}
		others := slices.DeleteFunc(slices.Clone(hosts), c.covers)
		if len(others) == 0 {
			continue
		}
		found = append(found, Finding{
			Object: "Service " + service.Namespace + "/" + service.Name,
			Wrong: fmt.Sprintf("the certificate of receivers is for %s, and not for %s",
				or(strings.Join(c.Names, ", "), "no host"), strings.Join(others, ", ")),
			Mend: "add the name to the certificate, receivers.tls.dnsNames of the Helm chart, unless senders reach the receivers by another name, " +
				"or by something that ends TLS and does not look at it",
		})
	}
	return found
}

// covers tells whether a certificate is for a host, as whoever asks it would judge.
func (c *Certificate) covers(host string) bool {
	var of x509.Certificate
	for _, name := range c.Names {
		if address := net.ParseIP(name); address != nil {
			of.IPAddresses = append(of.IPAddresses, address)
		} else {
			of.DNSNames = append(of.DNSNames, name)
		}
	}
	return of.VerifyHostname(host) == nil
}

func (s *Snapshot) workloadObject() string {
	if s.Workload == nil {
		return "the controller"
	}
	return s.Workload.object()
}

// HostsOf are the names that a Service is given outside of its cluster, as far as its annotations tell.
func HostsOf(service *metav1.ObjectMeta) []string {
	hosts := strings.FieldsFunc(service.Annotations["external-dns.alpha.kubernetes.io/hostname"], func(r rune) bool { return r == ',' || r == ' ' })
	return slices.Compact(hosts)
}
