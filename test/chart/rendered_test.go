package chart_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// A set is a way in which somebody may want the controller.
type set struct {
	values string
	has    []string // objects that are there
	not    []string // and some that are not
	args   []string // among those of the controller
}

var sets = map[string]set{
	"the defaults": {
		has: []string{
			"Deployment/dora-controller", "PersistentVolumeClaim/dora-controller-ledger", "NetworkPolicy/dora-controller", "Service/dora-controller",
			"ClusterRole/dora-controller", "ClusterRole/dora-controller-secret-reader", "Pod/dora-controller-test",
			"CustomResourceDefinition/dorareceivers.dora-controller.io",
			"CustomResourceDefinition/doratargets.dora-controller.io", "CustomResourceDefinition/dorasinks.dora-controller.io",
		},
		not: []string{"PodDisruptionBudget/dora-controller", "ServiceMonitor/dora-controller", "PrometheusRule/dora-controller"},
	},
	"names of one's own": {
		values: `{fullnameOverride: figures, serviceAccount: {name: robot}, commonLabels: {team: platform}}`,
		has: []string{
			"Deployment/figures", "PersistentVolumeClaim/figures-ledger", "ServiceAccount/robot", "ClusterRole/figures",
			// Its name stands in the docs.
			"ClusterRole/dora-controller-secret-reader",
		},
	},
	"another word":                   {values: `{nameOverride: dora}`, has: []string{"Deployment/dora-controller"}},
	"kinds that somebody else keeps": {values: `{crds: {install: false}}`, not: []string{"CustomResourceDefinition/doratargets.dora-controller.io"}},
	"kinds that go with the release": {values: `{crds: {keep: false}}`, has: []string{"CustomResourceDefinition/doratargets.dora-controller.io"}},
	"kinds with annotations":         {values: `{crds: {annotations: {argocd.argoproj.io/sync-options: ServerSideApply=true}}}`},
	"an image by digest":             {values: `{image: {repository: registry.example.com/dora, digest: "sha256:` + digest + `", pullPolicy: Always, pullSecrets: [registry]}}`},
	"an image by tag":                {values: `{image: {tag: v9.9.9, pullPolicy: Never}}`},
	"stopped":                        {values: `{replicas: 0}`},
	"a ledger in PostgreSQL": {
		values: `{replicas: 3, cluster: eu-1, podDisruptionBudget: {enabled: true}, ledger: {postgres: {
			host: db.example.com, port: 6432, database: delivery, schema: dora, secretRef: {name: dora-ledger, userKey: user}}}}`,
		has:  []string{"Deployment/dora-controller", "PodDisruptionBudget/dora-controller"},
		not:  []string{"PersistentVolumeClaim/dora-controller-ledger"},
		args: []string{"--leader-elect", "--ledger=postgres://db.example.com:6432/delivery?sslmode=verify-full&search_path=dora", "--cluster=eu-1"},
	},
	"every flag": {
		values: `{cluster: eu-west-1, namespaces: [team-a, team-b], trustedNamespaces: [team-a], allowNetworks: [10.0.0.0/8, "fd00::/8"], stdoutSink: true,
			explain: true, keepEvents: 400d, keepDecisions: 50, sinkGrace: 3d, log: {level: debug, encoder: console}, gitCache: {size: 2Gi, volumeSize: 3Gi},
			metrics: {port: 9090}, probes: {port: 9091}, extraArgs: [--zap-time-encoding=iso8601]}`,
		args: []string{
			"--cluster=eu-west-1", "--namespaces=team-a,team-b", "--trusted-namespaces=team-a", "--allow-networks=10.0.0.0/8,fd00::/8", "--stdout-sink", "--explain",
			"--keep-events=400d", "--keep-decisions=50", "--sink-grace=3d", "--log-level=debug", "--zap-encoder=console", "--git-cache-size=2Gi",
			"--metrics-bind-address=:9090", "--health-probe-bind-address=:9091", "--zap-time-encoding=iso8601",
		},
	},
	"receivers": {
		values: `{receivers: {enabled: true, tls: {secretName: receivers-tls}, service: {type: LoadBalancer, annotations: {a: b}, labels: {c: d}}},
			networkPolicy: {receiversFrom: [{ipBlock: {cidr: 192.0.2.0/24}}]}}`,
		has:  []string{"Service/dora-controller-receivers", "Deployment/dora-controller"},
		args: []string{"--receivers-bind-address=:8443", "--receivers-cert-dir=/etc/dora-controller/receivers"},
	},
	"receivers of several replicas": {
		values: `{replicas: 2, cluster: eu-1, receivers: {enabled: true, port: 9443, tls: {secretName: receivers-tls}},
			networkPolicy: {receiversFrom: [{ipBlock: {cidr: 192.0.2.0/24}}]}, ledger: {postgres: {host: db.example.com, secretRef: {name: dora-ledger}}}}`,
		has: []string{"Service/dora-controller-receivers"},
	},
	"receivers behind a proxy of the pod": {
		values: `{receivers: {enabled: true, port: 9443, plaintext: true}}`,
		has:    []string{"Service/dora-controller-receivers"},
		args:   []string{"--receivers-bind-address=:9443", "--receivers-plaintext"},
	},
	"no rights on the whole cluster": {
		values: `{crds: {install: false}, namespaces: [team-a, team-b], secretAccess: [{namespace: team-a}, {namespace: team-b, names: [git]}]}`,
		has: []string{
			"Role/team-a/dora-controller", "RoleBinding/team-a/dora-controller", "Role/team-b/dora-controller", "RoleBinding/team-b/dora-controller",
			"Role/team-a/dora-controller-secret-reader", "Role/team-b/dora-controller-secret-reader",
			"Role/team-a/dora-controller-doratarget-editor", "Role/team-b/dora-controller-dorareceiver-viewer",
		},
		not: []string{"ClusterRole/dora-controller", "ClusterRoleBinding/dora-controller", "ClusterRole/dora-controller-secret-reader"},
	},
	"secrets": {
		values: `{secretAccess: [{namespace: team-a}, {namespace: team-b, names: [git, port]}]}`,
		has: []string{
			"RoleBinding/team-a/dora-controller-secret-reader", "RoleBinding/team-b/dora-controller-secret-reader", "Role/team-b/dora-controller-secret-reader",
		},
		not: []string{"Role/team-a/dora-controller-secret-reader"},
	},
	"rights that somebody else gives": {
		values: `{rbac: {create: false}, serviceAccount: {create: false, name: robot}, metrics: {secure: {enabled: true}}}`,
		not:    []string{"ServiceAccount/robot"}, // and no right at all: TestNoRightsWhereSomebodyElseGivesThem
	},
	"nobody's rights but the controller's": {
		values: `{rbac: {aggregate: false, secretReader: false}, secretAccess: [{namespace: team-a}]}`,
		has:    []string{"ClusterRole/dora-controller", "Role/team-a/dora-controller-secret-reader"},
		not:    []string{"ClusterRole/dora-controller-doratarget-editor", "ClusterRole/dora-controller-secret-reader"},
	},
	"a volume of one's own": {
		values: `{ledger: {volume: {existingClaim: ledger}}}`, not: []string{"PersistentVolumeClaim/dora-controller-ledger"},
	},
	"a volume of a class": {
		values: `{ledger: {volume: {size: 20Gi, storageClassName: fast, accessMode: ReadWriteOncePod, keep: false, annotations: {backup: daily}}}}`,
	},
	"a volume of no class": {values: `{ledger: {volume: {storageClassName: "-"}}}`},
	"no volume":            {values: `{ledger: {volume: {enabled: false}}}`, not: []string{"PersistentVolumeClaim/dora-controller-ledger"}},
	"authorities":          {values: `{caBundles: [{configMap: company, key: ca.crt}, {secret: other, key: tls.crt}]}`},
	"all that can be added to a pod": {
		values: `{extraEnv: [{name: HTTPS_PROXY, value: "http://proxy:3128"}], extraEnvFrom: [{secretRef: {name: more, optional: true}}],
			extraVolumes: [{name: keys, secret: {secretName: keys}}], extraVolumeMounts: [{name: keys, mountPath: /keys, readOnly: true}],
			extraContainers: [` + sidecar + `], extraInitContainers: [` + strings.Replace(sidecar, "copies", "restores", 1) + `], podLabels: {a: b}, podAnnotations: {c: d}, deploymentLabels: {e: f},
			deploymentAnnotations: {g: h}, hostAliases: [{ip: 10.1.2.3, hostnames: [git.internal]}], dnsPolicy: None, dnsConfig: {nameservers: [10.0.0.10]}}`,
	},
	"where and how the pod runs": {
		values: `{nodeSelector: {kubernetes.io/os: linux}, tolerations: [{key: infra, operator: Exists}], priorityClassName: system-cluster-critical,
			runtimeClassName: sandbox, schedulerName: other, terminationGracePeriodSeconds: 60, revisionHistoryLimit: 2,
			resources: {requests: {cpu: 100m, memory: 1Gi}, limits: {cpu: 2, memory: 1Gi}}, livenessProbe: {periodSeconds: 20}, readinessProbe: {failureThreshold: 5},
			topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}],
			affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [ssd]}]}]}}}}`,
	},
	"watched by Prometheus": {
		values: `{metrics: {serviceMonitor: {enabled: true, labels: {release: prometheus}, annotations: {a: b}, interval: 30s, scrapeTimeout: 10s,
			relabelings: [{action: drop, sourceLabels: [pod], regex: old}], metricRelabelings: [{action: labeldrop, regex: id}]},
			prometheusRule: {enabled: true, labels: {release: prometheus}, annotations: {a: b}, disabled: [DoraSinkParked], alertLabels: {team: platform, severity: page},
			extraRules: [{alert: Mine, expr: up == 0}]}}}`,
		has: []string{"ServiceMonitor/dora-controller", "PrometheusRule/dora-controller"},
	},
	"watched by those who may": {
		values: `{metrics: {secure: {enabled: true, readers: [{namespace: monitoring, name: prometheus}]}, serviceMonitor: {enabled: true}}}`,
		args:   []string{"--metrics-secure"},
		has: []string{
			"ClusterRoleBinding/dora-controller-metrics", "ClusterRole/dora-controller-metrics-reader", "ClusterRoleBinding/dora-controller-metrics-reader",
		},
	},
	"watched with a certificate": {
		values: `{metrics: {secure: {enabled: true, certSecret: metrics-tls}, serviceMonitor: {enabled: true}}}`,
		args:   []string{"--metrics-secure", "--metrics-cert-dir=/etc/dora-controller/metrics"},
		has:    []string{"ClusterRole/dora-controller-metrics-reader"}, not: []string{"ClusterRoleBinding/dora-controller-metrics-reader"},
	},
	"watched by those whom somebody else lets": {
		values: `{crds: {install: false}, namespaces: [team-a], metrics: {secure: {enabled: true}}}`, args: []string{"--metrics-secure"},
		not: []string{"ClusterRoleBinding/dora-controller-metrics", "ClusterRole/dora-controller-metrics-reader"},
	},
	"watched by nobody": {
		values: `{metrics: {enabled: false}, service: {enabled: false}}`, args: []string{"--metrics-bind-address=0"},
		not: []string{"Service/dora-controller", "Pod/dora-controller-test"},
	},
	"dashboards": {
		values: `{dashboards: {enabled: true, namespace: monitoring, annotations: {grafana_folder: DORA}}}`,
		has: []string{
			"ConfigMap/monitoring/dora-controller-dashboard-controller", "ConfigMap/monitoring/dora-controller-dashboard-overview",
			"ConfigMap/monitoring/dora-controller-dashboard-service",
		},
	},
	"a network that is narrower": {
		values: `{networkPolicy: {metricsFrom: [{namespaceSelector: {matchLabels: {name: monitoring}}}], egressPorts: [443], egressTo: [{ipBlock: {cidr: 10.0.0.0/8}}],
			extraEgress: [{ports: [{port: 3128}]}], extraIngress: [{from: [{podSelector: {}}]}]}}`,
	},
	"no way out but the extra one": {values: `{networkPolicy: {egressPorts: [], extraEgress: [{to: [{ipBlock: {cidr: 10.0.0.1/32}}]}]}}`},
	"a network that is open":       {values: `{networkPolicy: {enabled: false}}`, not: []string{"NetworkPolicy/dora-controller"}},
	"a disruption budget":          {values: `{podDisruptionBudget: {enabled: true}}`, has: []string{"PodDisruptionBudget/dora-controller"}},
	"a budget that keeps the pod":  {values: `{podDisruptionBudget: {enabled: true, minAvailable: 1}}`},
	"a budget that lets it go":     {values: `{podDisruptionBudget: {enabled: true, maxUnavailable: 100%}}`},
	"policies": {
		values: `{trustedNamespaces: [argocd], admissionPolicies: {enabled: true, actions: [Deny, Audit], sinkTypes: [Port, Postgres], sinkHosts: ["*.example.com"]}}`,
		has:    []string{"ValidatingAdmissionPolicy/dora-controller-sinks", "ValidatingAdmissionPolicyBinding/dora-controller-sinks"},
	},
	"policies that warn": {values: `{admissionPolicies: {enabled: true, actions: [Warn], sharedSinkNamespaces: [platform]}}`},
	"a test of one's own": {
		values: `{tests: {image: {repository: registry.example.com/busybox, digest: "sha256:` + digest + `"}, resources: {limits: {memory: 64Mi}}}}`,
	},
	"no test": {values: `{tests: {enabled: false}}`, not: []string{"Pod/dora-controller-test"}},
	"further objects": {
		values: `{extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: more, namespace: "{{ .Release.Namespace }}"}, data: {a: b}},
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: text, namespace: dora-system}"]}`,
		has: []string{"ConfigMap/more", "ConfigMap/text"},
	},
}

const (
	digest  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	sidecar = `{name: copies, image: litestream, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}`
)

func TestRendered(t *testing.T) {
	c := newCluster(t)
	c.namespaces(t, system, "team-a", "team-b", "monitoring")
	NewWithT(t).Expect(c.api.Create(t.Context(), &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "sandbox"}, Handler: "runsc"})).To(Succeed())
	t.Run("it is accepted", func(t *testing.T) { isAccepted(t, c) })
	t.Run("the namespace takes restricted pods only", func(t *testing.T) { takesRestrictedOnly(t, c) })
	t.Run("policies", func(t *testing.T) { policiesHold(t, c) })
}

func isAccepted(t *testing.T, c *cluster) {
	t.Helper()
	NewWithT(t).Expect(len(sets)).To(BeNumerically(">=", 30))
	for name, s := range sets {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			all := render(t, s.values)
			var names []string
			for _, o := range all {
				names = append(names, called(o))
				g.Expect(c.tried(t.Context(), o.DeepCopy())).To(Succeed(), called(o))
				soberRights(t, o)
			}
			g.Expect(names).To(ContainElements(s.has))
			for _, absent := range s.not {
				g.Expect(names).NotTo(ContainElement(absent))
			}
			deployment := deploymentIn(t, all)
			g.Expect(c.tried(t.Context(), podOf(deployment))).To(Succeed(), "only restricted pods run here")
			g.Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElements(s.args))
		})
	}
}

func takesRestrictedOnly(t *testing.T, c *cluster) {
	t.Helper()
	for _, values := range []string{`{podSecurityContext: {runAsNonRoot: false}}`, `{securityContext: {allowPrivilegeEscalation: true}}`} {
		pod := podOf(deploymentIn(t, render(t, values)))
		NewWithT(t).Expect(c.tried(t.Context(), pod)).To(MatchError(ContainSubstring("violates PodSecurity")))
	}
}

// TestTheClusterIsReadForADatabaseAlone, and only where there are rights on the whole cluster.
func TestTheClusterIsReadForADatabaseAlone(t *testing.T) {
	database := `ledger: {postgres: {host: db.example.com, secretRef: {name: dora-ledger}}}`
	for values, want := range map[string]bool{
		"": false, `{cluster: eu-1, ` + database + `}`: true, `{cluster: eu-1, namespaces: [team-a], ` + database + `}`: false,
	} {
		g, rules := NewWithT(t), []any{}
		for _, o := range render(t, values) {
			if slices.Contains([]string{"Role", "ClusterRole"}, o.GetKind()) {
				of, _, err := unstructured.NestedSlice(o.Object, "rules")
				g.Expect(err).NotTo(HaveOccurred())
				rules = append(rules, of...)
			}
		}
		reads := ContainElement(HaveKeyWithValue("resources", ConsistOf("namespaces")))
		if !want {
			g.Expect(rules).NotTo(reads, values)
			continue
		}
		g.Expect(rules).To(ContainElement(Equal(map[string]any{
			"apiGroups": []any{""}, "resources": []any{"namespaces"}, "resourceNames": []any{"kube-system"}, "verbs": []any{"get"},
		})), values)
	}
}

// TestNoRightsWhereSomebodyElseGivesThem: rbac.create is that of all roles and bindings, whatever else is said.
func TestNoRightsWhereSomebodyElseGivesThem(t *testing.T) {
	for _, values := range []string{`{rbac: {create: false}}`, `{rbac: {create: false}, namespaces: [team-a]}`, `{rbac: {create: false}, metrics: {secure: {enabled: true}}}`} {
		for _, o := range render(t, values) {
			NewWithT(t).Expect(o.GetAPIVersion()).NotTo(HavePrefix("rbac.authorization.k8s.io/"), "%s with %s", called(o), values)
		}
	}
	_, err := helm(t, `{rbac: {create: false}, secretAccess: [{namespace: team-a}, {namespace: team-b, names: [git]}]}`, "template", release, chart, "--values", "-")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("secretAccess needs rbac.create")))
}

func TestTheTokenIsMountedWhereItIsUsed(t *testing.T) {
	g := NewWithT(t)
	all := render(t, "")
	automount := func(name string, fields ...string) bool {
		value, found, err := unstructured.NestedBool(find(t, all, name).Object, fields...)
		g.Expect(err).NotTo(HaveOccurred())
		return value || !found
	}
	g.Expect(automount("ServiceAccount/dora-controller", "automountServiceAccountToken")).To(BeFalse())
	g.Expect(automount("Pod/dora-controller-test", "spec", "automountServiceAccountToken")).To(BeFalse())
	g.Expect(automount("Deployment/dora-controller", "spec", "template", "spec", "automountServiceAccountToken")).To(BeTrue())
}

// TestALedgerInPostgreSQL: no volume, no password but by name, pods that are rolled over one by one, and a way out to the server.
func TestALedgerInPostgreSQL(t *testing.T) {
	g := NewWithT(t)
	all := render(t, sets["a ledger in PostgreSQL"].values)
	deployment := deploymentIn(t, all)
	g.Expect(deployment.Spec.Replicas).To(HaveValue(Equal(int32(3))))
	g.Expect(deployment.Spec.Strategy.Type).To(Equal(appsv1.RollingUpdateDeploymentStrategyType))
	pod := deployment.Spec.Template.Spec
	g.Expect(pod.Volumes).NotTo(ContainElement(HaveField("Name", "ledger")))
	g.Expect(pod.Containers[0].VolumeMounts).NotTo(ContainElement(HaveField("Name", "ledger")))
	for variable, key := range map[string]string{"PGUSER": "user", "PGPASSWORD": "password"} {
		from := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "dora-ledger"}, Key: key}}
		g.Expect(pod.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: variable, ValueFrom: from}))
	}
	egress, _, err := unstructured.NestedSlice(find(t, all, "NetworkPolicy/dora-controller").Object, "spec", "egress")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fmt.Sprint(egress)).To(ContainSubstring("map[port:6432]"))
}

// TestReplicasReachEachOther: what a replica is sent while it stands by it passes on, to the pods of the release and nobody else; in clear text it does not.
func TestReplicasReachEachOther(t *testing.T) {
	g := NewWithT(t)
	rules := func(all []*unstructured.Unstructured, direction string) string {
		found, _, err := unstructured.NestedSlice(find(t, all, "NetworkPolicy/dora-controller").Object, "spec", direction)
		g.Expect(err).NotTo(HaveOccurred())
		text, err := json.Marshal(found)
		g.Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	all := render(t, sets["receivers of several replicas"].values)
	own, err := json.Marshal(deploymentIn(t, all).Spec.Selector)
	g.Expect(err).NotTo(HaveOccurred())
	podIP := &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}
	g.Expect(deploymentIn(t, all).Spec.Template.Spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: "POD_IP", ValueFrom: podIP}))
	g.Expect(rules(all, "egress")).To(ContainSubstring(`{"ports":[{"port":9443}],"to":[{"podSelector":` + string(own) + `}]}`))
	g.Expect(rules(all, "ingress")).To(ContainSubstring(`{"from":[{"ipBlock":{"cidr":"192.0.2.0/24"}},{"podSelector":` + string(own) + `}],"ports":[{"port":"receivers"}]}`))

	for _, alone := range []string{
		`{receivers: {enabled: true, tls: {secretName: receivers-tls}}}`,
		`{cluster: eu-1, receivers: {enabled: true, plaintext: true}, ledger: {postgres: {host: db.example.com, secretRef: {name: dora-ledger}}}}`,
	} {
		all := render(t, alone)
		g.Expect(deploymentIn(t, all).Spec.Template.Spec.Containers[0].Env).NotTo(ContainElement(HaveField("Name", "POD_IP")))
		g.Expect(rules(all, "egress")).NotTo(ContainSubstring("podSelector"))
	}
}

func TestTheServiceSelectsNoTestPod(t *testing.T) {
	g := NewWithT(t)
	all := render(t, "")
	selector, _, err := unstructured.NestedStringMap(find(t, all, "Service/dora-controller").Object, "spec", "selector")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: selector})).To(Equal(
		metav1.FormatLabelSelector(deploymentIn(t, all).Spec.Selector)))
	g.Expect(find(t, all, "Pod/dora-controller-test").GetLabels()["app.kubernetes.io/name"]).NotTo(Equal(selector["app.kubernetes.io/name"]))
}

// soberRights: nothing may list or watch Secrets, or read them in the whole cluster; there are no wildcards; and of Argo's objects
// nothing is ever written.
func soberRights(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	g := NewWithT(t)
	var role rbacv1.ClusterRole
	if !slices.Contains([]string{"Role", "ClusterRole"}, o.GetKind()) {
		return
	}
	g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role)).To(Succeed())
	for _, rule := range role.Rules {
		g.Expect(slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)).NotTo(ContainElement("*"), called(o))
		g.Expect(rule.Verbs).NotTo(ContainElements("escalate", "bind", "impersonate"))
		if slices.Contains(rule.Resources, "secrets") {
			g.Expect(rule.Verbs).To(Equal([]string{"get"}), called(o))
			g.Expect(role.Labels).NotTo(HaveKey(HavePrefix("rbac.authorization.k8s.io/aggregate")))
			g.Expect(o.GetName()).To(HaveSuffix("secret-reader"))
		}
		if slices.Contains(rule.APIGroups, "argoproj.io") || slices.Contains(rule.APIGroups, "apps") {
			g.Expect([]string{"get", "list", "watch"}).To(ContainElements(rule.Verbs), called(o))
		}
	}
}

func deploymentIn(t *testing.T, all []*unstructured.Unstructured) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	for _, o := range all {
		if o.GetKind() == "Deployment" {
			NewWithT(t).Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, deployment)).To(Succeed())
			return deployment
		}
	}
	t.Fatal("there is no Deployment")
	return nil
}

// podOf is the pod that a Deployment's controller would make.
func podOf(deployment *appsv1.Deployment) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: deployment.Namespace, Name: "pod", Labels: deployment.Spec.Template.Labels},
		Spec:       deployment.Spec.Template.Spec,
	}
}
