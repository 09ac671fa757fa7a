package doctor

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// healthy is an installation with which nothing is wrong: one controller, a target of two Applications and a Rollout with its sink.
func healthy() *Snapshot {
	s := &Snapshot{
		Now: noon, ServerNow: noon, Version: "v0.3.0", Unread: map[Part]string{}, CRDs: map[string]CRD{}, ControllerNamespace: "dora-system",
		Pods: []Pod{{
			Namespace: "dora-system", Name: "dora-controller-0", Phase: "Running", Ready: true, Restarts: 1, LastEndedAt: ago(20 * time.Minute),
			Image: "ghcr.io/dora-controller/dora-controller:v0.3.1", CreatedAt: ago(24 * time.Hour),
		}},
		Workload: &Workload{
			Kind: "Deployment", Namespace: "dora-system", Name: "dora-controller", ServiceAccount: "dora-controller", Replicas: 1, LeaderElect: true, MetricsSecure: true,
			LeaseNamespace: "dora-system", LeaseName: "dora-controller", Trusted: []string{"argocd"}, Ledger: "/var/lib/dora-controller/ledger.db", LedgerVolume: "persistentVolumeClaim",
		},
		Lease:          &Lease{Holder: "dora-controller-0_x", RenewedAt: ago(2 * time.Second), Duration: 15 * time.Second},
		MetricsReaders: []string{"ServiceAccount monitoring/prometheus"},
		Access: []Access{
			{What: "list applications.argoproj.io", Allowed: true},
			{What: "get secrets", Namespace: "argocd", Secret: "port", For: "DoraSink argocd/port", Allowed: true},
			{What: "create tokenreviews.authentication.k8s.io", Metrics: true, Allowed: true},
		},
		Inside: Inside{
			Volume:      &Volume{Free: 900 << 20, Size: 1024 << 20},
			Certificate: &Certificate{NotAfter: noon.Add(60 * 24 * time.Hour), Names: []string{"*.dora-system.svc", "dora.example.com"}},
		},
		Services: []Service{{Namespace: "dora-system", Name: "dora-controller-receivers"}},
		Secrets:  map[string]bool{"argocd/port": true, "argocd/pager": true},
		Targets:  []dorav1alpha1.DoraTarget{target("argocd", "production")},
		Sinks:    []dorav1alpha1.DoraSink{portSink("argocd", "port")},
		Receivers: []dorav1alpha1.DoraReceiver{
			receiver("pager", dorav1alpha1.ReceiverPagerDuty), receiver("ci", dorav1alpha1.ReceiverEvents),
		},
		Applications: []Subject{
			application("argocd", "checkout", "acme/checkout:main-1a2b3c4"), application("argocd", "payments", "acme/payments:main-5d6e7f8"),
		},
		Rollouts: []Subject{{Kind: "Rollout", Namespace: "search", Name: "search", Labels: map[string]string{"env": "prod"}, Images: []string{"acme/search:0f1e2d3"}, CreatedAt: ago(time.Hour)}},
	}
	for _, name := range []string{TargetCRD, SinkCRD, ReceiverCRD, ApplicationCRD, RolloutCRD} {
		fields := map[string]bool{}
		for _, field := range FieldsOf[name] {
			fields[field] = true
		}
		s.CRDs[name] = CRD{Established: true, Served: []string{"v1alpha1"}, Fields: fields}
	}
	return s
}

func application(namespace, name string, images ...string) Subject {
	return Subject{
		Kind: "Application", Namespace: namespace, Name: name, Labels: map[string]string{"env": "prod"}, Images: images, Health: "Healthy", HealthTimed: true,
		ReconciledAt: ago(time.Minute), CreatedAt: ago(48 * time.Hour),
	}
}

func target(namespace, name string) dorav1alpha1.DoraTarget {
	selector := &dorav1alpha1.SubjectSelector{MatchLabels: map[string]dorav1alpha1.LabelValue{"env": "prod"}}
	t := dorav1alpha1.DoraTarget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(ago(time.Hour))},
		Spec: dorav1alpha1.DoraTargetSpec{
			Applications: selector, Rollouts: selector, Source: &dorav1alpha1.Source{}, Incidents: &dorav1alpha1.Incidents{}, Reported: &dorav1alpha1.Reported{},
		},
	}
	t.Status.SetConditions(1, dorav1alpha1.Followed(dorav1alpha1.ObservedSubjects{Applications: 2, Rollouts: 1}))
	return t
}

func portSink(namespace, name string) dorav1alpha1.DoraSink {
	s := dorav1alpha1.DoraSink{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(ago(time.Hour))},
		Spec: dorav1alpha1.DoraSinkSpec{
			Type: dorav1alpha1.SinkPort, Default: true, Port: &dorav1alpha1.PortSink{SecretRef: dorav1alpha1.SecretReference{Name: "port"}},
		},
	}
	s.Status.SetConditions(1, dorav1alpha1.Delivering())
	return s
}

// receiver was sent something lately, and refused something before.
func receiver(name string, kind dorav1alpha1.ReceiverType) dorav1alpha1.DoraReceiver {
	r := dorav1alpha1.DoraReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(ago(100 * 24 * time.Hour))},
		Spec:       dorav1alpha1.DoraReceiverSpec{Type: kind, SecretRef: dorav1alpha1.SecretReference{Name: "pager"}},
	}
	r.Status.Accepted, r.Status.LastAccepted = 4, new(metav1.NewTime(ago(29*24*time.Hour)))
	r.Status.Refused, r.Status.LastRefused, r.Status.LastRefusal = 1, new(metav1.NewTime(ago(30*24*time.Hour))), "NotSender"
	r.Status.SetConditions(1, dorav1alpha1.Receiving())
	return r
}

func TestNothingIsWrongWithAHealthyInstallation(t *testing.T) {
	g := NewWithT(t)
	r := Examine(healthy())
	g.Expect(r.Findings).To(BeEmpty())
	g.Expect(r.Unchecked).To(BeEmpty())
	g.Expect(r.Passed).To(HaveLen(len(All())))
	g.Expect(r.Problems()).To(BeZero())
}

// say makes a condition what the controller would say of the only target.
func say(s *Snapshot, ready metav1.Condition, notes ...metav1.Condition) {
	s.Targets[0].Status.SetConditions(1, ready, notes...)
}

func followed() metav1.Condition {
	return dorav1alpha1.Followed(dorav1alpha1.ObservedSubjects{Applications: 2})
}

// broken is, for each check, what breaks an installation so that this check finds it, and no other.
var broken = map[string]struct {
	breaks func(*Snapshot)
	says   string // a part of what is said
}{
	"crd-missing":         {func(s *Snapshot) { delete(s.CRDs, SinkCRD) }, "dorasinks.dora-controller.io it is not installed"},
	"crd-not-established": {func(s *Snapshot) { crd := s.CRDs[TargetCRD]; crd.Established = false; s.CRDs[TargetCRD] = crd }, "not Established"},
	"crd-old":             {func(s *Snapshot) { delete(s.CRDs[TargetCRD].Fields, "spec.sinks") }, "the field spec.sinks"},
	"crd-old, of several fields": {func(s *Snapshot) {
		delete(s.CRDs[TargetCRD].Fields, "spec.reported")
		delete(s.CRDs[TargetCRD].Fields, "spec.incidents")
	}, "does not have the fields spec.incidents, spec.reported kubectl apply --server-side --force-conflicts -k config/crd"},
	"crd-old, of a field within a list": {func(s *Snapshot) { delete(s.CRDs[TargetCRD].Fields, "status.services.band") }, "the field status.services.band "},
	"crd-old, of a status":              {func(s *Snapshot) { delete(s.CRDs[ReceiverCRD].Fields, "status.lastRefusal") }, "the field status.lastRefusal "},
	"crd-old, of Helm": {func(s *Snapshot) {
		crd := s.CRDs[SinkCRD]
		crd.Served, crd.Release = []string{"v1alpha0"}, "dora-system/dora"
		s.CRDs[SinkCRD] = crd
	}, "does not have version v1alpha1 helm upgrade of release dora-system/dora to"},
	"crd-missing, of a release of Helm": {func(s *Snapshot) {
		delete(s.CRDs, ReceiverCRD)
		s.Workload.Release = "dora-system/dora"
	}, "helm upgrade of release dora-system/dora to"},
	"controller-missing": {func(s *Snapshot) { s.Pods = nil }, "--controller-namespace"},
	"controller-not-ready": {func(s *Snapshot) {
		s.Pods[0].Ready, s.Pods[0].Phase, s.Pods[0].Waiting = false, "Pending", "ImagePullBackOff"
	}, "ImagePullBackOff"},
	"controller-not-ready, which ended hours ago": {func(s *Snapshot) {
		s.Pods[0].Ready, s.Pods[0].Restarts, s.Pods[0].LastReason, s.Pods[0].LastEndedAt = false, 3, "Error", ago(5*time.Hour)
	}, "no pod of the controller is ready; its phase is Running"},
	"controller-not-ready, which waits after restarts": {func(s *Snapshot) {
		s.Pods[0].Ready, s.Pods[0].Restarts, s.Pods[0].LastEndedAt, s.Pods[0].Waiting = false, 9, ago(2*time.Hour), "ImagePullBackOff"
	}, "it waits: ImagePullBackOff"},
	"controller-not-ready, of another installation": {func(s *Snapshot) {
		other := s.Pods[0]
		other.Namespace, other.Ready, other.Waiting = "dora-payments", false, "ImagePullBackOff"
		s.Pods = append(s.Pods, other)
	}, "Pod dora-payments/dora-controller-0 no pod of the controller is ready; it waits: ImagePullBackOff"},
	"controller-restarting, and not ready": {func(s *Snapshot) {
		s.Pods[0].Ready, s.Pods[0].Waiting = false, "CrashLoopBackOff"
	}, "--previous says why"},
	"controller-restarting": {func(s *Snapshot) { s.Pods[0].Restarts, s.Pods[0].LastReason = 7, "OOMKilled" }, "limit of memory"},
	"controller-version":    {func(s *Snapshot) { s.Pods[0].Image = "ghcr.io/dora-controller/dora-controller:v0.4.0" }, "the controller is v0.4.0 and this plugin v0.3.0"},
	"controller-rights":     {func(s *Snapshot) { s.Access[0].Allowed = false }, "may not list applications.argoproj.io"},
	"metrics-rights":        {func(s *Snapshot) { s.Access[2].Allowed = false }, "may not create tokenreviews.authentication.k8s.io, so nobody can read metrics kubectl create clusterrolebinding"},
	"metrics-readers":       {func(s *Snapshot) { s.MetricsReaders = nil }, "no ClusterRoleBinding lets anybody get /metrics"},
	"ledger-volume":         {func(s *Snapshot) { s.Workload.LedgerVolume = "emptyDir" }, "lost with the pod"},
	"ledger-volume-full":    {func(s *Snapshot) { s.Inside.Volume.Free = 102 << 20 }, "only 102 MiB of 1024 MiB are free"},
	"replicas-without-election": {func(s *Snapshot) {
		s.Workload.Replicas, s.Workload.LeaderElect = 2, false
	}, "add --leader-elect"},
	"lease-not-held": {func(s *Snapshot) { s.Lease.RenewedAt = ago(10 * time.Minute) }, "Lease dora-system/dora-controller its holder dora-controller-0_x renewed it last at 2026-11-20T11:50:00Z"},
	"clock-skew":     {func(s *Snapshot) { s.Lease.RenewedAt = noon.Add(5 * time.Minute) }, "ahead by 5m0s"},

	"no-targets":       {func(s *Snapshot) { s.Targets, s.Sinks, s.Receivers = nil, nil, nil }, "nothing is counted"},
	"target-not-ready": {func(s *Snapshot) { say(s, dorav1alpha1.LedgerUnavailable()) }, "such as a full disk"},
	"target-suspended": {func(s *Snapshot) { s.Targets[0].Spec.Suspend = true; say(s, dorav1alpha1.Suspended()) }, "figures stand still"},
	"target-unobserved": {func(s *Snapshot) {
		s.Targets[0].Generation = 2
	}, "has not looked at its spec"},
	"namespace-not-trusted": {func(s *Snapshot) {
		s.Targets[0].Spec.Applications = &dorav1alpha1.SubjectSelector{Namespaces: []dorav1alpha1.NamespaceName{"payments"}}
		say(s, dorav1alpha1.NamespaceNotAllowed("argocd", "payments"))
	}, "add argocd to --trusted-namespaces"},
	"namespace-not-watched":         {func(s *Snapshot) { s.Workload.Namespaces = []string{"other"} }, "add argocd to --namespaces"},
	"observation-gap, of a cluster": {func(s *Snapshot) { say(s, followed(), dorav1alpha1.ClusterNotFound("eu-1")) }, "correct clusters in the target's spec, or let"},
	"policy-conflict": {func(s *Snapshot) {
		say(s, followed(), dorav1alpha1.PolicyOwnedByAnother(dorav1alpha1.PolicyOwner{Namespace: "argocd", Name: "older", Objects: 1, Fields: []string{"images"}}))
	}, "argocd/older"},
	"argocd-missing": {func(s *Snapshot) { delete(s.CRDs, ApplicationCRD); say(s, dorav1alpha1.ArgoCRDsMissing("Application")) }, "install Argo CD"},
	"argocd-old":     {func(s *Snapshot) { delete(s.CRDs[ApplicationCRD].Fields, "status.health.lastTransitionTime") }, "2.14"},
	"rollouts-missing": {func(s *Snapshot) {
		delete(s.CRDs, RolloutCRD)
		s.Targets[0].Spec.Applications = nil
		say(s, dorav1alpha1.ArgoCRDsMissing("Rollout"))
	}, "install Argo Rollouts"},
	"selects-nothing": {func(s *Snapshot) { s.Applications, s.Rollouts = nil, nil; say(s, dorav1alpha1.NothingSelected()) }, "--show-labels"},
	"selects-nothing, of what is reported": {func(s *Snapshot) {
		s.Targets[0].Spec.Applications, s.Targets[0].Spec.Rollouts = nil, nil
		say(s, dorav1alpha1.NothingReported())
	}, "nothing was reported of the services of spec.reported to a DoraReceiver of its namespace report a deployment"},
	"service-in-several-namespaces": {func(s *Snapshot) {
		s.Applications = append(s.Applications, application("team-b", "checkout", "acme/checkout:main-1a2b3c4"))
	}, "service checkout in prod objects of several namespaces bear this name, and their deployments are counted as one service's: argocd, team-b"},

	"observation-gap": {func(s *Snapshot) { say(s, followed(), dorav1alpha1.HistoryGap(3)) }, "keep the controller and its ledger running, and raise revisionHistoryLimit of the Applications"},
	"commits-unresolved": {func(s *Snapshot) {
		say(s, followed(), dorav1alpha1.CommitsUnresolved("Unreachable", 2, "git.example.com does not answer"))
	}, "git.example.com does not answer see whether the controller reaches that host"},
	"image-without-commit": {func(s *Snapshot) { s.Applications[0].Images = []string{"acme/checkout:1.2.3"} }, "Application argocd/checkout"},
	"image-latest": {func(s *Snapshot) {
		s.Targets[0].Spec.Source = nil
		s.Applications[1].Images = []string{"acme/payments"}
	}, "Application argocd/payments"},
	"application-without-health": {func(s *Snapshot) { s.Applications[0].HealthTimed = false }, "Application argocd/checkout"},
	"application-not-reconciled": {func(s *Snapshot) {
		s.Applications[0].ReconciledAt, s.Applications[0].Health, s.Applications[0].HealthTimed = time.Time{}, "", false
	}, "for an hour, or ever: Application argocd/checkout"},
	"history-limit-zero": {func(s *Snapshot) { s.Applications[0].NoHistory = true }, "Application argocd/checkout"},

	"sink-missing": {func(s *Snapshot) { say(s, followed(), dorav1alpha1.SinkNotFound("lake")) }, "lake"},
	"sink-not-ready": {func(s *Snapshot) {
		s.Sinks[0].Status.SetConditions(1, dorav1alpha1.SinkFailing("Unauthorized", "port refuses the credential: correct the Secret"))
	}, "correct the Secret"},
	"sink-stuck": {func(s *Snapshot) {
		s.Sinks[0].Status.Pending, s.Sinks[0].Status.OldestPending, s.Sinks[0].Status.LastError = 12, new(metav1.NewTime(ago(time.Hour))), "503 busy"
	}, "12 events wait for it, the oldest since 2026-11-20T11:00:00Z; it answered last: 503 busy"},
	"sink-parked": {func(s *Snapshot) {
		s.Sinks[0].Status.Parked, s.Sinks[0].Status.LastError = 2, "422 no such blueprint"
		s.Sinks[0].Status.SetConditions(1, dorav1alpha1.Delivering(), dorav1alpha1.EventsParked(2, "422 no such blueprint"))
	}, "422 no such blueprint"},
	"sink-metrics-refused": {func(s *Snapshot) { s.Sinks[0].Status.MetricsError = "no blueprint service" }, "no blueprint service"},
	"sink-suspended": {func(s *Snapshot) {
		s.Sinks[0].Spec.Suspend = true
		s.Sinks[0].Status.SetConditions(1, dorav1alpha1.SinkSuspended(4))
	}, "unless it is meant"},
	"sink-unused": {func(s *Snapshot) { s.Sinks[0].Spec.Default = false }, "no target uses it"},
	"receiver-not-ready": {func(s *Snapshot) {
		s.Receivers[0].Status.SetConditions(1, dorav1alpha1.SecretMissing("Secret argocd/pager has no key signingSecret"))
	}, "DoraReceiver argocd/pager it is not ready: SecretMissing Secret argocd/pager has no key signingSecret"},
	"receiver-unobserved": {func(s *Snapshot) { s.Receivers[1].Generation = 2 }, "DoraReceiver argocd/ci the controller is ready and has not looked at its spec"},
	"receiver-suspended": {func(s *Snapshot) {
		s.Receivers[0].Spec.Suspend = true
		s.Receivers[0].Status.SetConditions(1, dorav1alpha1.ReceiverSuspended())
	}, "unless it is meant"},
	"receiver-refuses": {func(s *Snapshot) {
		s.Receivers[0].Status.LastRefused = new(metav1.NewTime(ago(time.Hour)))
	}, "it refused its latest request, at 2026-11-20T11:00:00Z: NotSender compare the token or secret"},
	"receiver-silent": {func(s *Snapshot) {
		s.Receivers[1].Status.LastAccepted, s.Receivers[1].Status.LastRefused = nil, nil
	}, "nothing ever came see whether its sender posts to /events/deploy"},
	"receiver-missing": {
		func(s *Snapshot) { say(s, followed(), dorav1alpha1.ReceiverNotFound("pagr")) }, "it names receivers that are not there (ReceiverNotFound)",
	},
	"receiver-unheard": {func(s *Snapshot) { s.Targets[0].Spec.Reported = nil }, "DoraReceiver argocd/ci no DoraTarget of its namespace"},
	"incident-uncounted": {func(s *Snapshot) {
		s.Incidents = append(s.Incidents, paged("Search UI", "production"), paged("checkout", "production"))
	}, "DoraReceiver argocd/pager it takes incidents of Search UI in production, checkout in production, and no DoraTarget that hears it counts"},
	"incident-uncounted, of another environment": {func(s *Snapshot) {
		s.Targets[0].Status.Services = []dorav1alpha1.ServiceStatus{{Service: "checkout", Environment: "prod"}}
		s.Targets[0].Spec.Incidents.Services = map[string]dorav1alpha1.ServiceName{"Checkout API": "checkout"}
		s.Incidents = append(s.Incidents, paged("Checkout API", "production"))
	}, "incidents of Checkout API in production, and no DoraTarget that hears it counts deployments there, so they are in no figure " +
		"DoraTarget argocd/production counts that service in prod: let spec.environment of the receiver"},
	"receivers-certificate": {func(s *Snapshot) {
		s.Inside.Certificate.NotAfter = noon.Add(13 * 24 * time.Hour)
	}, "ends at 2026-12-03T12:00:00Z"},
	"receivers-host": {func(s *Snapshot) {
		s.Services[0].Hosts = []string{"dora.example.com", "hooks.example.com"}
	}, "is for *.dora-system.svc, dora.example.com, and not for hooks.example.com add the name"},
	"secret-missing": {func(s *Snapshot) {
		s.Secrets["argocd/port"] = false
		s.Sinks[0].Status.SetConditions(1, dorav1alpha1.SinkFailing("SecretInvalid", "there is no Secret"))
	}, "create it, or change spec.port.secretRef"},
	"secret-not-readable": {func(s *Snapshot) { s.Access[1].Allowed = false }, "--verb=get --resource=secrets --resource-name=port && kubectl create rolebinding dora-controller-reads-port -n argocd"},
}

// paged is an incident that pager was told of, and that no target counted when it opened.
func paged(service, environment string) Incident {
	return Incident{Namespace: "argocd", Receiver: "pager", Service: service, Environment: environment, At: ago(time.Hour)}
}

// What was named otherwise, is counted by now, or is heard by nobody at all is no news, or other checks tell it.
func TestIncidentsThatACheckHasNothingToSayOf(t *testing.T) {
	for name, change := range map[string]func(*Snapshot){
		"a target counts the service": func(s *Snapshot) {
			s.Targets[0].Status.Services = []dorav1alpha1.ServiceStatus{{Service: "checkout", Environment: "production"}}
		},
		"by another name": func(s *Snapshot) {
			s.Incidents[0].Service = "Checkout API"
			s.Targets[0].Spec.Incidents.Services = map[string]dorav1alpha1.ServiceName{"Checkout API": "checkout"}
			s.Targets[0].Status.Services = []dorav1alpha1.ServiceStatus{{Service: "checkout", Environment: "production"}}
		},
		"its status is too short to tell": func(s *Snapshot) { s.Targets[0].Status.ServicesOmitted = 1 },
		"it was counted":                  func(s *Snapshot) { s.Incidents[0].Counted = true },
		"another namespace's":             func(s *Snapshot) { s.Incidents[0].Namespace = "shop" },
		"nobody hears it":                 func(s *Snapshot) { s.Targets[0].Spec.Incidents.Receivers = []dorav1alpha1.ReceiverName{"other"} },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := healthy()
			s.Incidents = []Incident{paged("checkout", "production")}
			change(s)
			g.Expect(incidentUncounted(s)).To(BeEmpty())
		})
	}
}

// A target of Argo's objects that match nothing is in order while something is reported to it.
func TestATargetOfWhatIsReportedNeedsNothingElse(t *testing.T) {
	g := NewWithT(t)
	s := healthy()
	s.Applications, s.Rollouts = nil, nil
	s.Targets[0].Spec.Rollouts = nil
	g.Expect(selectsNothing(s)).To(BeEmpty())
	s.Targets[0].Spec.Reported = nil
	g.Expect(selectsNothing(s)).To(HaveLen(1))
}

// checkOf is the check that the name of a case begins with.
func checkOf(name string) string {
	check, _, _ := strings.Cut(name, ", ")
	return check
}

func TestEachCheckFindsWhatItIsForAndNoOtherDoes(t *testing.T) {
	for name, test := range broken {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := healthy()
			test.breaks(s)
			r := Examine(s)
			var checks []string
			for _, f := range r.Findings {
				checks = append(checks, f.Check)
				g.Expect(f.Object + " " + f.Wrong + " " + f.Mend).To(ContainSubstring(test.says))
				g.Expect(f.Wrong).NotTo(BeEmpty())
				g.Expect(f.Mend).NotTo(BeEmpty())
				g.Expect(f.Severity).To(BeElementOf(Problem, Warning))
			}
			g.Expect(checks).To(Equal([]string{checkOf(name)}))
		})
	}
}

func TestEveryCheckHasSomethingThatBreaksIt(t *testing.T) {
	g := NewWithT(t)
	var names []string
	for _, c := range All() {
		names = append(names, c.Name)
		g.Expect(c.Asks).To(HaveSuffix("?"))
		g.Expect(c.needs).NotTo(BeEmpty())
	}
	g.Expect(len(names)).To(BeNumerically(">=", 15))
	var found []string
	for name := range broken {
		found = append(found, checkOf(name))
	}
	slices.Sort(found)
	g.Expect(slices.Compact(found)).To(Equal(slices.Sorted(slices.Values(names))))
}

// What could not be read is said, and neither passes nor fails.
func TestWhatMayNotBeReadIsToldAsNotChecked(t *testing.T) {
	for _, part := range []Part{
		PartCRDs, PartPods, PartWorkload, PartLease, PartAccess, PartSecrets, PartTargets, PartSinks, PartApplications, PartRollouts, PartClock, PartReaders,
		PartReceivers, PartInside, PartServices, PartIncidents,
	} {
		t.Run(string(part), func(t *testing.T) {
			g := NewWithT(t)
			s := healthy()
			s.Unread[part] = "you may not list them"
			switch part { // as it is when it was not read
			case PartCRDs:
				s.CRDs = nil
			case PartPods, PartPod, PartReadyPod:
				s.Pods = nil
			case PartWorkload:
				s.Workload = nil
			case PartLease:
				s.Lease = nil
			case PartAccess:
				s.Access = nil
			case PartSecrets:
				s.Secrets = nil
			case PartTargets:
				s.Targets = nil
			case PartSinks:
				s.Sinks = nil
			case PartApplications:
				s.Applications = nil
			case PartRollouts:
				s.Rollouts = nil
			case PartReaders:
				s.MetricsReaders = nil
			case PartReceivers:
				s.Receivers = nil
			case PartIncidents:
				s.Incidents = nil
			case PartInside:
				s.Inside = Inside{}
			case PartServices:
				s.Services = nil
			case PartClock:
				s.ServerNow = time.Time{}
			}
			r := Examine(s)
			g.Expect(r.Findings).To(BeEmpty())
			g.Expect(r.Unchecked).NotTo(BeEmpty())
			for _, u := range r.Unchecked {
				g.Expect(u.Why).To(Equal(string(part) + ": you may not list them"))
			}
			g.Expect(len(r.Passed) + len(r.Unchecked)).To(Equal(len(All())))
		})
	}
}

// Without a controller nothing can be said of it: that it is ready, holds a lease or keeps its ledger is neither found nor passed.
func TestOfAControllerThatIsNotThereNothingPasses(t *testing.T) {
	g := NewWithT(t)
	s := healthy()
	s.Pods, s.Workload, s.Lease, s.Access, s.Services, s.Inside = nil, nil, nil, nil, nil, Inside{}
	for _, part := range []Part{PartAccess, PartInside, PartServices} { // as the plugin tells them then
		s.Unread[part] = "no controller was found"
	}
	r := Examine(s)
	g.Expect(r.Findings).To(HaveLen(1))
	g.Expect(r.Findings[0].Check).To(Equal("controller-missing"))
	var unchecked []string
	for _, u := range r.Unchecked {
		unchecked = append(unchecked, u.Check)
	}
	g.Expect(unchecked).To(ContainElements("controller-not-ready", "controller-restarting", "controller-version", "ledger-volume", "lease-not-held",
		"replicas-without-election", "metrics-readers", "target-unobserved", "receiver-unobserved", "namespace-not-watched"))
	g.Expect(r.Unchecked).To(ContainElement(Unchecked{"controller-not-ready", "a pod of the controller: there is none"}))
}

// One that is there and not ready has looked at nothing.
func TestWhatNobodyIsReadyToLookAtIsNotChecked(t *testing.T) {
	g := NewWithT(t)
	s := healthy()
	s.Pods[0].Ready = false
	g.Expect(Examine(s).Unchecked).To(ConsistOf(
		Unchecked{"target-unobserved", "a pod of the controller that is ready: there is none"},
		Unchecked{"receiver-unobserved", "a pod of the controller that is ready: there is none"},
	))
}

// Each reason why commits are waited for, as docs/troubleshooting.md lists them, has its mend.
func TestEveryReasonOfCommitsHasItsMend(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	g.Expect(err).NotTo(HaveOccurred())
	_, section, _ := strings.Cut(string(page), "### Commits are waited for")
	section, _, _ = strings.Cut(section, "\n## ")
	var reasons []string
	for _, m := range regexp.MustCompile("(?m)^\\| \\[`([A-Za-z]+)`\\]").FindAllStringSubmatch(section, -1) {
		reasons = append(reasons, m[1])
	}
	g.Expect(slices.Sorted(maps.Keys(unresolved))).To(ConsistOf(reasons))
}

func TestProblemsAreCountedAndWarningsAreNot(t *testing.T) {
	g := NewWithT(t)
	s := healthy()
	broken["history-limit-zero"].breaks(s)
	g.Expect(Examine(s).Problems()).To(BeZero())
	broken["crd-missing"].breaks(s)
	g.Expect(Examine(s).Problems()).To(Equal(1))
}

func TestManyObjectsAreOneFinding(t *testing.T) {
	g := NewWithT(t)
	s := healthy()
	s.Applications = nil
	for name := range strings.SplitSeq("abcdefgh", "") {
		s.Applications = append(s.Applications, application("argocd", name, "acme/"+name+":latest"))
	}
	s.Targets[0].Spec.Source = nil
	r := Examine(s)
	g.Expect(r.Findings).To(HaveLen(1))
	g.Expect(r.Findings[0].Wrong).To(HaveSuffix("Application argocd/e and 3 more"))
}

func TestATargetOfAnUntrustedNamespaceSeesItsOwnAlone(t *testing.T) {
	g := NewWithT(t)
	s := healthy()
	s.Workload.Trusted = nil
	s.Targets[0].Namespace, s.Sinks[0].Namespace, s.Receivers = "payments", "payments", nil
	say(s, dorav1alpha1.NothingSelected())
	r := Examine(s)
	g.Expect(r.Findings).To(HaveLen(1))
	g.Expect(r.Findings[0].Wrong).To(HaveSuffix("in other namespaces they would: argocd"))
}

// A development build has no release to compare.
func TestVersionsWithoutANumberAreNotCompared(t *testing.T) {
	for _, pair := range [][2]string{{"dev", "v0.3.0"}, {"v0.3.0", "main-1a2b3c4"}, {"v0.3.0", ""}, {"0.3.9", "v0.3.0"}} {
		s := healthy()
		s.Version, s.Pods[0].Image = pair[0], "x:"+pair[1]
		if found := Examine(s).Findings; len(found) > 0 {
			t.Errorf("%v: %v", pair, found)
		}
	}
}

// A Secret's content has no place in a snapshot, so that it cannot be shown.
func TestASnapshotHasNoRoomForSecrets(t *testing.T) {
	g := NewWithT(t)
	field, ok := reflect.TypeFor[Snapshot]().FieldByName("Secrets")
	g.Expect(ok).To(BeTrue())
	g.Expect(field.Type).To(Equal(reflect.TypeFor[map[string]bool]()))
}

func TestAReportIsWrittenWithListsThatAreNeverNull(t *testing.T) {
	g := NewWithT(t)
	text, err := json.Marshal(Examine(healthy()))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(HavePrefix(`{"findings":[],"not_checked":[],"passed":["crd-missing",`))
}
