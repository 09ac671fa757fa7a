package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// The names of CustomResourceDefinitions.
const (
	TargetCRD      = "doratargets.dora-controller.io"
	SinkCRD        = "dorasinks.dora-controller.io"
	ReceiverCRD    = "dorareceivers.dora-controller.io"
	ApplicationCRD = "applications.argoproj.io"
	RolloutCRD     = "rollouts.argoproj.io"
)

const (
	manyRestarts = 3
	lately       = time.Hour
	youngPod     = 2 * time.Minute
	clockSkew    = 30 * time.Second
)

// installation are the checks of the kinds, the controller and its rights.
func installation() []Check {
	return []Check{
		{"crd-missing", "Are the kinds of dora-controller installed?", Problem, []Part{PartCRDs}, crdMissing},
		{"crd-not-established", "Does the API server serve them?", Problem, []Part{PartCRDs}, crdNotEstablished},
		{"crd-old", "Do they have the fields that this version knows?", Problem, []Part{PartCRDs}, crdOld},
		{"controller-missing", "Is there a pod of the controller?", Problem, []Part{PartPods}, controllerMissing},
		{"controller-not-ready", "Is one of them ready?", Problem, []Part{PartPod}, controllerNotReady},
		{"controller-restarting", "Does it keep running?", Problem, []Part{PartPod}, controllerRestarting},
		{"controller-version", "Is it of the plugin's version?", Warning, []Part{PartPod}, controllerVersion},
		{"controller-rights", "May the controller do what it needs?", Problem, []Part{PartAccess}, controllerRights},
		{"metrics-rights", "May the controller ask who reads its metrics?", Problem, []Part{PartAccess}, metricsRights},
		{"metrics-readers", "May anybody read metrics that are secured?", Warning, []Part{PartWorkload, PartReaders}, metricsReaders},
		{"ledger-volume", "Does the ledger outlive its pod?", Problem, []Part{PartWorkload}, ledgerVolume},
		{"ledger-volume-full", "Has the ledger's volume room?", Problem, []Part{PartInside}, ledgerVolumeFull},
		{"replicas-without-election", "Does one process write?", Problem, []Part{PartWorkload}, replicasWithoutElection},
		{"lease-not-held", "Does a leader hold the lease?", Problem, []Part{PartPod, PartWorkload, PartLease, PartClock}, leaseNotHeld},
		{"clock-skew", "Do the clocks agree?", Warning, []Part{PartClock}, skewedClock},
	}
}

func crdMissing(s *Snapshot) (found []Finding) {
	for _, name := range []string{TargetCRD, SinkCRD, ReceiverCRD} {
		if _, there := s.CRDs[name]; !there {
			found = append(found, Finding{
				Object: "CustomResourceDefinition " + name, Wrong: "it is not installed",
				Mend: s.installKinds(),
			})
		}
	}
	return found
}

// ours are the CustomResourceDefinitions of dora-controller that are installed.
func (s *Snapshot) ours() []string {
	return slices.DeleteFunc([]string{ReceiverCRD, SinkCRD, TargetCRD}, func(name string) bool { _, there := s.CRDs[name]; return !there })
}

func crdNotEstablished(s *Snapshot) (found []Finding) {
	for _, name := range s.ours() {
		if !s.CRDs[name].Established {
			found = append(found, Finding{
				Object: "CustomResourceDefinition " + name, Wrong: "it is installed, and not Established: the API server does not serve it",
				Mend: "kubectl describe crd " + name + " says why, such as a name that another one has",
			})
		}
	}
	return found
}

func crdOld(s *Snapshot) (found []Finding) {
	version := dorav1alpha1.GroupVersion.Version
	for _, name := range s.ours() {
		crd := s.CRDs[name]
		missing := crd.missing(FieldsOf[name])
		what := "the fields " + some(missing)
		switch {
		case !slices.Contains(crd.Served, version):
			what = "version " + version
		case len(missing) == 0:
			continue
		case len(missing) == 1:
			what = "the field " + missing[0]
		}
		found = append(found, Finding{
			Object: "CustomResourceDefinition " + name, Wrong: "it is of an older version: it does not have " + what, Mend: s.installKinds(),
		})
	}
	return found
}

// installKinds says how the kinds are installed: who else installed them with Helm has to leave them to Helm, which refuses what it did
// not make itself.
func (s *Snapshot) installKinds() string {
	apply := "kubectl apply --server-side --force-conflicts -k config/crd, of the version of the controller"
	release := ""
	if s.Workload != nil {
		release = s.Workload.Release
	}
	for _, name := range s.ours() {
		release = cmp.Or(s.CRDs[name].Release, release)
	}
	if release == "" {
		return apply
	}
	return "helm upgrade of release " + release + " to the chart of the controller's version, which has the kinds; with crds.install: false, " + apply
}

func controllerMissing(s *Snapshot) []Finding {
	if len(s.Pods) > 0 {
		return nil
	}
	return []Finding{{
		Object: "Pod app.kubernetes.io/name=dora-controller", Wrong: "there is no pod of the controller, so that nothing is counted",
		Mend: "install it, see the README; if its pods are labelled otherwise or elsewhere, name the namespace with --controller-namespace",
	}}
}

func controllerNotReady(s *Snapshot) (found []Finding) {
	var seen []string
	for i := range s.Pods {
		if namespace := s.Pods[i].Namespace; !slices.Contains(seen, namespace) {
			seen, found = append(seen, namespace), append(found, s.notReadyIn(namespace)...)
		}
	}
	return found
}

// notReadyIn is about one namespace: there may be several controllers, each in one of its own.
func (s *Snapshot) notReadyIn(namespace string) []Finding {
	of := slices.DeleteFunc(slices.Clone(s.Pods), func(p Pod) bool { return p.Namespace != namespace })
	told := slices.IndexFunc(of, func(p Pod) bool { return !s.restarting(&p) })
	if told < 0 || slices.ContainsFunc(of, func(p Pod) bool { return p.Ready }) {
		return nil // controller-restarting says it if all of them end again and again
	}
	pod := &of[told]
	why := "its phase is " + pod.Phase
	if pod.Waiting != "" {
		why = "it waits: " + pod.Waiting
	}
	return []Finding{{
		Object: "Pod " + pod.Namespace + "/" + pod.Name, Wrong: "no pod of the controller is ready; " + why,
		Mend: fmt.Sprintf("see kubectl -n %s describe pod %s, and its logs; of several pods all but the leader are not ready, and that is in order",
			pod.Namespace, pod.Name),
	}}
}

// restarting tells whether a pod's controller ends again and again, and did so lately.
func (s *Snapshot) restarting(pod *Pod) bool {
	return pod.Waiting == "CrashLoopBackOff" || pod.Restarts >= manyRestarts && s.Now.Sub(pod.LastEndedAt) < lately
}

func controllerRestarting(s *Snapshot) (found []Finding) {
	for _, pod := range s.Pods {
		if !s.restarting(&pod) {
			continue
		}
		mend := fmt.Sprintf("kubectl -n %s logs %s --previous says why", pod.Namespace, pod.Name)
		if pod.LastReason == "OOMKilled" {
			mend = "raise the limit of memory of the controller's container; docs/operations.md has sizes"
		}
		found = append(found, Finding{
			Object: "Pod " + pod.Namespace + "/" + pod.Name,
			Wrong:  fmt.Sprintf("the controller was restarted %d times, last because of %s", pod.Restarts, or(pod.LastReason, "an error")), Mend: mend,
		})
	}
	return found
}

// release finds the first two numbers of a version.
var release = regexp.MustCompile(`^v?(\d+)\.(\d+)(?:\.|$)`)

func controllerVersion(s *Snapshot) []Finding {
	own := release.FindStringSubmatch(s.Version)
	for _, pod := range s.Pods {
		_, tag, _ := cutImage(pod.Image)
		theirs := release.FindStringSubmatch(tag)
		if own == nil || theirs == nil || own[1] == theirs[1] && own[2] == theirs[2] {
			continue
		}
		return []Finding{{
			Object: "Pod " + pod.Namespace + "/" + pod.Name, Wrong: fmt.Sprintf("the controller is %s and this plugin %s", tag, s.Version),
			Mend: "use the plugin of the controller's version: what it prints may be misread",
		}}
	}
	return nil
}

func controllerRights(s *Snapshot) (found []Finding) {
	missing := map[string][]string{}
	for _, a := range s.Access {
		if !a.Allowed && a.Secret == "" && !a.Metrics {
			missing[a.Namespace] = append(missing[a.Namespace], a.What)
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(missing)) {
		where := ""
		if namespace != "" {
			where = " in namespace " + namespace
		}
		found = append(found, Finding{
			Object: "ServiceAccount " + s.serviceAccount(), Wrong: "the controller may not " + strings.Join(missing[namespace], ", ") + where,
			Mend: "apply config/rbac of the controller's version, or upgrade its Helm release with rbac.create: both bind the roles to this service account",
		})
	}
	return found
}

// metricsRights: without them the controller refuses everybody who asks for metrics.
func metricsRights(s *Snapshot) []Finding {
	var missing []string
	for _, a := range s.Access {
		if a.Metrics && !a.Allowed {
			missing = append(missing, a.What)
		}
	}
	if missing == nil {
		return nil
	}
	account := s.serviceAccount()
	return []Finding{{
		Object: "ServiceAccount " + account, Wrong: "it runs with --metrics-secure and may not " + strings.Join(missing, ", ") + ", so nobody can read metrics",
		Mend: "kubectl create clusterrolebinding dora-controller-metrics --clusterrole=system:auth-delegator --serviceaccount=" +
			strings.Replace(account, "/", ":", 1),
	}}
}

func metricsReaders(s *Snapshot) []Finding {
	if !s.Workload.MetricsSecure || len(s.MetricsReaders) > 0 {
		return nil
	}
	return []Finding{{
		Object: s.Workload.object(), Wrong: "it runs with --metrics-secure, and no ClusterRoleBinding lets anybody get /metrics",
		Mend: "name Prometheus' service account in metrics.secure.readers of the Helm chart, or bind it a ClusterRole that may get the nonResourceURL /metrics",
	}}
}

func (s *Snapshot) serviceAccount() string {
	if s.Workload == nil {
		return "of the controller"
	}
	return s.Workload.Namespace + "/" + s.Workload.ServiceAccount
}

func (w *Workload) object() string { return w.Kind + " " + w.Namespace + "/" + w.Name }

func ledgerVolume(s *Snapshot) []Finding {
	w := s.Workload
	var wrong string
	switch w.LedgerVolume {
	case "emptyDir":
		wrong = "the ledger is on an emptyDir"
	case "":
		wrong = "no volume is mounted where the ledger is, " + w.Ledger
	default:
		return nil
	}
	return []Finding{{
		Object: w.object(), Wrong: wrong + ", so all events are lost with the pod",
		Mend: "mount a persistentVolumeClaim there, as config/manager does",
	}}
}

// fullFrom is which part of a volume is free at least: one in so many.
const fullFrom = 10

func ledgerVolumeFull(s *Snapshot) []Finding {
	v := s.Inside.Volume
	if v == nil || v.Free >= v.Size/fullFrom {
		return nil
	}
	const mebibyte = 1 << 20
	return []Finding{{
		Object: s.workloadObject(),
		Wrong: fmt.Sprintf("only %d MiB of %d MiB are free on the ledger's volume; once it is full nothing is recorded",
			v.Free/mebibyte, v.Size/mebibyte),
		Mend: "grow the persistentVolumeClaim, or keep less with --keep-events",
	}}
}

func replicasWithoutElection(s *Snapshot) []Finding {
	w := s.Workload
	if w.Replicas < 2 || w.LeaderElect {
		return nil
	}
	return []Finding{{
		Object: w.object(), Wrong: fmt.Sprintf("it has %d replicas and no --leader-elect: all but one wait for the ledger, or write another one", w.Replicas),
		Mend: "add --leader-elect, or set replicas to 1",
	}}
}

func leaseNotHeld(s *Snapshot) []Finding {
	w := s.Workload
	if !w.LeaderElect || s.ServerNow.Sub(s.Pods[0].CreatedAt) < youngPod {
		return nil
	}
	object := "Lease " + w.LeaseNamespace + "/" + w.LeaseName
	mend := "see the log of the controller's pods: they may not reach the API server, or may not write the lease"
	switch {
	case s.Lease == nil:
		return []Finding{{Object: object, Wrong: "there is none, so nobody leads and nothing is counted", Mend: mend}}
	case s.Lease.Holder == "":
		return []Finding{{Object: object, Wrong: "nobody holds it, so nothing is counted", Mend: mend}}
	case s.ServerNow.Sub(s.Lease.RenewedAt) > max(4*s.Lease.Duration, time.Minute):
		return []Finding{{
			Object: object, Wrong: "its holder " + s.Lease.Holder + " renewed it last at " + s.Lease.RenewedAt.UTC().Format(time.RFC3339), Mend: mend,
		}}
	}
	return nil
}

// skewedClock compares this machine's clock with the API server's, and that with the leader's.
func skewedClock(s *Snapshot) (found []Finding) {
	if skew := s.Now.Sub(s.ServerNow).Abs(); skew > clockSkew {
		found = append(found, Finding{
			Object: "this machine",
			Wrong:  fmt.Sprintf("its clock and the API server's differ by %s, so ages that the plugin tells are wrong", skew.Round(time.Second)),
			Mend:   "set the clock, with NTP",
		})
	}
	if s.Lease != nil && s.Lease.RenewedAt.Sub(s.ServerNow) > clockSkew {
		found = append(found, Finding{
			Object: "the controller's lease", Wrong: "it was renewed in the future: the clock of the leader's node is ahead by " +
				s.Lease.RenewedAt.Sub(s.ServerNow).Round(time.Second).String(),
			Mend: "set the clock of that node, with NTP: lead and recovery times compare clocks",
		})
	}
	return found
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}
