package chart_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

// mistakes are values with something wrong, and what has to be said of it.
var mistakes = map[string]struct{ values, want string }{
	"a typo":                          {`{replicaz: 1}`, "additional properties 'replicaz' not allowed"},
	"a typo further down":             {`{image: {tagg: v1}}`, "'/image': additional properties 'tagg' not allowed"},
	"a typo far down":                 {`{metrics: {serviceMonitor: {intervall: 30s}}}`, "'/metrics/serviceMonitor': additional properties 'intervall' not allowed"},
	"a typo in a list":                {`{secretAccess: [{namespace: a, name: b}]}`, "'/secretAccess/0': additional properties 'name' not allowed"},
	"a typo in a rule of the network": {`{networkPolicy: {extraEgress: [{prots: [{port: 1}]}]}}`, "'/networkPolicy/extraEgress/0': additional properties 'prots' not allowed"},
	"a typo in who may ask":           {`{networkPolicy: {metricsFrom: [{podSelectr: {}}]}}`, "'/networkPolicy/metricsFrom/0': additional properties 'podSelectr' not allowed"},
	"a typo in the environment":       {`{extraEnv: [{name: a, vlaue: b}]}`, "'/extraEnv/0': additional properties 'vlaue' not allowed"},
	"a typo in a toleration":          {`{tolerations: [{kye: a}]}`, "'/tolerations/0': additional properties 'kye' not allowed"},
	"a typo in how pods are spread":   {`{topologySpreadConstraints: [{maxSkw: 1}]}`, "'/topologySpreadConstraints/0': additional properties 'maxSkw' not allowed"},
	"a typo deep in affinity": {
		`{affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLables: {a: b}}}]}}}`,
		"'/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/labelSelector': additional properties 'matchLables' not allowed",
	},
	"a typo in a security context":        {`{securityContext: {runAsNonroot: true}}`, "'/securityContext': additional properties 'runAsNonroot' not allowed"},
	"a typo in another container":         {`{extraContainers: [{name: a, image: b, livenessProbe: {httpGet: {prot: 1}}}]}`, "'/extraContainers/0/livenessProbe/httpGet': additional"},
	"a typo in a volume":                  {`{extraVolumes: [{name: a, secret: {secretNmae: b}}]}`, "'/extraVolumes/0/secret': additional properties 'secretNmae' not allowed"},
	"a typo in a rule of alerts":          {`{metrics: {prometheusRule: {extraRules: [{alert: A, exp: up}]}}}`, "extraRules/0': additional properties 'exp' not allowed"},
	"a typo in a relabeling":              {`{metrics: {serviceMonitor: {relabelings: [{sourceLables: [a]}]}}}`, "relabelings/0': additional properties 'sourceLables' not allowed"},
	"a field that another chart has":      {`{replicaCount: 2}`, "'replicaCount' not allowed"},
	"two writers of a file":               {`{replicas: 2}`, "replicas: the ledger in a file has one writer"},
	"fewer pods than none":                {`{replicas: -1}`, "'/replicas': minimum"},
	"a word for a number":                 {`{metrics: {port: http}}`, "'/metrics/port': got string, want integer"},
	"a port that is none":                 {`{probes: {port: 70000}}`, "'/probes/port': maximum: got 70,000, want 65,535"},
	"a word for a switch":                 {`{networkPolicy: {enabled: "no"}}`, "'/networkPolicy/enabled': got string, want boolean"},
	"one namespace, and no list":          {`{trustedNamespaces: argocd}`, "'/trustedNamespaces': got string, want array"},
	"a namespace that is no name":         {`{namespaces: [Team_A]}`, "'/namespaces/0': 'Team_A' does not match pattern"},
	"one that is trusted but not watched": {`{namespaces: [a], trustedNamespaces: [b]}`, "trustedNamespaces: b is not watched"},
	"an address that is no network":       {`{allowNetworks: [10.0.0.1]}`, "'/allowNetworks/0': '10.0.0.1' does not match pattern"},
	"a cluster with a space":              {`{cluster: eu west}`, "'/cluster': 'eu west' does not match pattern"},
	"a digest without its kind":           {`{image: {digest: 0123abcd}}`, "'/image/digest': '0123abcd' does not match pattern"},
	"a repository with a digest":          {`{image: {repository: "a@sha256:b"}}`, "'/image/repository'"},
	"a policy of pulling":                 {`{image: {pullPolicy: always}}`, "'/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"},
	"a volume that many write":            {`{ledger: {volume: {accessMode: ReadWriteMany}}}`, "'/ledger/volume/accessMode': value must be one of"},
	"a size that is none":                 {`{ledger: {volume: {size: 1 GB}}}`, "'/ledger/volume/size': '1 GB' does not match pattern"},
	"a git cache that is a percentage":    {`{gitCache: {size: 10%}}`, "'/gitCache/size'"},
	"a duration without a unit":           {`{sinkGrace: "30"}`, "'/sinkGrace': '30' does not match pattern"},
	"fewer decisions than none":           {`{keepDecisions: -1}`, "'/keepDecisions': minimum"},
	"a level that is none":                {`{log: {level: verbose}}`, "'/log/level'"},
	"a level of no area":                  {`{log: {level: "info,=debug"}}`, "'/log/level'"},
	"an authority from nowhere":           {`{caBundles: [{key: ca.crt}]}`, "'/caBundles/0'"},
	"an authority from two places":        {`{caBundles: [{key: ca.crt, secret: a, configMap: b}]}`, "'/caBundles/0'"},
	"an argument that is none":            {`{extraArgs: [explain]}`, "'/extraArgs/0': 'explain' does not match pattern"},
	"labels that are numbers":             {`{podLabels: {version: 1}}`, "'/podLabels/version': got number, want string"},
	"memory that is none":                 {`{resources: {limits: {memory: lots}}}`, "'/resources/limits/memory'"},
	"affinity of another kind":            {`{affinity: {nodeAffinities: {}}}`, "'/affinity': additional properties 'nodeAffinities' not allowed"},
	"a probe's path":                      {`{readinessProbe: {httpGet: {path: /}}}`, "'/readinessProbe': additional properties 'httpGet' not allowed"},
	"an alert that there is not":          {`{metrics: {prometheusRule: {disabled: [DoraDown]}}}`, "'/metrics/prometheusRule/disabled/0': value must be one of"},
	"a monitor of nothing":                {`{metrics: {enabled: false, serviceMonitor: {enabled: true}}}`, "metrics.serviceMonitor.enabled needs metrics.enabled and service.enabled"},
	"readers without rights to give":      {`{namespaces: [a], metrics: {secure: {enabled: true, readers: [{namespace: a, name: b}]}}}`, "metrics.secure.readers needs a ClusterRole"},
	"readers of what is open to all":      {`{metrics: {secure: {readers: [{namespace: a, name: b}]}}}`, "metrics.secure.readers needs metrics.enabled and metrics.secure.enabled"},
	"a reader that is no account":         {`{metrics: {secure: {readers: [prometheus]}}}`, "'/metrics/secure/readers/0': got string, want object"},
	"alerts on nothing":                   {`{metrics: {enabled: false, prometheusRule: {enabled: true}}}`, "metrics.prometheusRule.enabled needs metrics.enabled"},
	"a type of sink that there is not":    {`{admissionPolicies: {sinkTypes: [Slack]}}`, "'/admissionPolicies/sinkTypes/0': value must be one of"},
	"a host with a scheme":                {`{admissionPolicies: {sinkHosts: ["https://example.com"]}}`, "'/admissionPolicies/sinkHosts/0'"},
	"an action that is none":              {`{admissionPolicies: {actions: [Refuse]}}`, "'/admissionPolicies/actions/0': value must be one of 'Deny', 'Warn', 'Audit'"},
	"a budget of half a pod":              {`{podDisruptionBudget: {minAvailable: half}}`, "'/podDisruptionBudget/minAvailable'"},
	"a ledger's database without a user":  {`{ledger: {postgres: {host: db}}}`, "ledger.postgres.secretRef.name: name the Secret"},
	"a ledger's database with a password": {`{ledger: {postgres: {host: "dora:secret@db"}}}`, "'/ledger/postgres/host': 'dora:secret@db' does not match pattern"},
	"a way to encrypt that there is not":  {`{ledger: {postgres: {sslMode: prefer}}}`, "'/ledger/postgres/sslMode': value must be one of"},
	"a port of root's":                    {`{metrics: {port: 80}}`, "'/metrics/port': minimum: got 80, want 1,024"},
	"one port for two":                    {`{probes: {port: 8080}}`, "probes.port and metrics.port are both 8080"},
	"a port of pprof's and metrics'":      {`{extraArgs: ["--pprof-bind-address=localhost:8080"]}`, "extraArgs: --pprof-bind-address=localhost:8080 has the port of metrics or probes"},
	"pprof at a port that is none":        {`{extraArgs: ["--pprof-bind-address=localhost:99999"]}`, "names a port that the program may not listen on: use one from 1024"},
	"an argument that a value sets":       {`{extraArgs: ["--ledger=/tmp/x"]}`, "extraArgs: --ledger=/tmp/x is set by another value, or is no argument"},
	"a typo in an argument":               {`{extraArgs: ["--zap-develop"]}`, "extraArgs: --zap-develop is set by another value, or is no argument"},
	"a cluster with two dots":             {`{cluster: eu..1}`, "'/cluster': 'eu..1' does not match pattern"},
	"a namespace with a dot":              {`{trustedNamespaces: [team.a]}`, "'/trustedNamespaces/0': 'team.a' does not match pattern"},
	"a name that no Service may have":     {`{fullnameOverride: 1.dora}`, "'/fullnameOverride': '1.dora' does not match pattern"},
	"an address that is none":             {`{allowNetworks: [10.0.0.256/8]}`, "allowNetworks: 10.0.0.256/8 is no network: write it as 10.0.0.0/8 or fd00::/8"},
	"a network of too many bits":          {`{allowNetworks: [10.0.0.0/33]}`, "allowNetworks: 10.0.0.0/33 is no network"},
	"too many parts of a network":         {`{allowNetworks: ["fd00::1::/64"]}`, "allowNetworks: fd00::1::/64 is no network"},
	"events kept too shortly":             {`{keepEvents: 30d}`, "keepEvents: 30d is shorter than the longest window of a DoraTarget: use at least 366d"},
	"units in another order":              {`{sinkGrace: 12h1d}`, "'/sinkGrace': '12h1d' does not match pattern"},
	"a level of an area that is none":     {`{log: {level: "info,leger=debug"}}`, `log.level: there is no area "leger": use application, client`},
	"two levels of an area":               {`{log: {level: "ledger=debug,ledger=info"}}`, "log.level: ledger has two levels: say one"},
	"two levels of everything":            {`{log: {level: "info,debug"}}`, "log.level: everything has two levels: say one"},
	"a git cache larger than its volume":  {`{gitCache: {size: 2Gi}}`, "gitCache.volumeSize: 1536Mi has no room beside gitCache.size, 2Gi"},
	"a git cache of all its volume":       {`{gitCache: {size: 2Gi, volumeSize: 2048Mi}}`, "gitCache.volumeSize: 2048Mi has no room"},
	"a git cache for nothing":             {`{gitCache: {size: 63Mi}}`, "gitCache.size: 63Mi is too little for a copy of a repository: use at least 64Mi"},
	"a budget said twice":                 {`{podDisruptionBudget: {enabled: true, minAvailable: 1, maxUnavailable: 0}}`, "podDisruptionBudget: minAvailable and maxUnavailable are both said"},
	"a claim that would not be used":      {`{ledger: {volume: {enabled: false, existingClaim: ledger}}}`, "ledger.volume.existingClaim is not used without ledger.volume.enabled"},
	"a password, and no server":           {`{ledger: {postgres: {secretRef: {name: dora-ledger}}}}`, "ledger.postgres.host: name the server"},
	"a schema of PostgreSQL's own":        {`{ledger: {postgres: {schema: pg_dora}}}`, "ledger.postgres.schema: PostgreSQL keeps names such as pg_dora"},
	"security of no metrics":              {`{metrics: {enabled: false, secure: {enabled: true}}}`, "metrics.secure.enabled needs metrics.enabled"},
	"a certificate that nothing uses":     {`{metrics: {secure: {certSecret: tls}}}`, "metrics.secure.certSecret is not used without metrics.secure.enabled"},
	"no way to the API server":            {`{networkPolicy: {egressPorts: []}}`, "networkPolicy: nothing may be reached, not even the API server"},
	"a test's image without a tag":        {`{tests: {image: {tag: ""}}}`, "tests.image: name a tag or a digest"},
	"a label that selects":                {`{podLabels: {app.kubernetes.io/instance: mine}}`, "podLabels: by app.kubernetes.io/instance the chart's own objects find each other"},
}

func TestMistakesAreNamed(t *testing.T) {
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			_, err := helm(t, m.values, "template", release, chart, "--values", "-", "--show-only", "templates/deployment.yaml",
				"--show-only", "templates/service_monitor.yaml", "--show-only", "templates/prometheus_rule.yaml")
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(m.want)))
		})
	}
}

func TestPoliciesNeedAServerThatHasThem(t *testing.T) {
	_, err := helm(t, `{admissionPolicies: {enabled: true}}`, "template", release, chart, "--values", "-", "--kube-version", "1.29.9")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("admissionPolicies.enabled needs Kubernetes 1.30 or newer")))
	_, err = helm(t, `{namespaces: [a], admissionPolicies: {enabled: true}}`, "template", release, chart, "--values", "-")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("admissionPolicies.enabled makes objects of the whole cluster")))
	_, err = helm(t, "", "template", release, chart, "--kube-version", "1.29.9")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	_, err = helm(t, "", "template", release, chart, "--kube-version", "1.28.0")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("chart requires kubeVersion: >=1.29.0-0")))
}

type object = map[string]any

func read(t *testing.T, path string) (content object) {
	t.Helper()
	data, err := os.ReadFile(path)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(yaml.Unmarshal(data, &content)).To(Succeed())
	return content
}

// paths are those of all values, at the end of their branches.
func paths(values object, prefix string) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		below, branch := values[key].(object)
		if branch && len(below) > 0 {
			all = append(all, paths(below, prefix+key+".")...)
			continue
		}
		all = append(all, prefix+key)
	}
	return all
}

// documented are the values that the README has, each with what it says.
func documented(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(chart + "/README.md")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `.*` \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		rows[row[1]] = row[2]
	}
	return rows
}

// covers tells whether a path or one above it is among these.
func covers(rows map[string]string, path string) string {
	for row := range rows {
		if path == row || strings.HasPrefix(path, row+".") {
			return row
		}
	}
	return ""
}

func TestEachValueIsInTheSchemaAndOnThePage(t *testing.T) {
	g := NewWithT(t)
	rows, schema := documented(t), read(t, chart+"/values.schema.json")
	used := map[string]bool{}
	for _, path := range paths(read(t, chart+"/values.yaml"), "") {
		row := covers(rows, path)
		g.Expect(row).NotTo(BeEmpty(), "%s has no comment in values.yaml that begins with two dashes, or `make generate` was forgotten", path)
		g.Expect(len(rows[row])).To(BeNumerically(">", 5), row)
		used[row] = true
		node := schema
		for key := range strings.SplitSeq(row, ".") {
			node = resolve(schema, node)
			below, _ := node["properties"].(object)
			g.Expect(below).To(HaveKey(key), "%s is not in the schema", path)
			node = below[key].(object)
		}
	}
	g.Expect(used).To(HaveLen(len(rows)), "the page has values that are not there")
}

func TestEachFieldOfTheSchemaIsAValue(t *testing.T) {
	g := NewWithT(t)
	rows, schema := documented(t), read(t, chart+"/values.schema.json")
	var visit func(node object, prefix string)
	visit = func(node object, prefix string) {
		below, _ := resolve(schema, node)["properties"].(object)
		for key, child := range below {
			path := prefix + key
			if path == "global" || covers(rows, path) != "" {
				continue
			}
			g.Expect(resolve(schema, child.(object))).To(HaveKey("properties"), "%s is in the schema, but no value", path)
			visit(child.(object), path+".")
		}
	}
	visit(schema, "")
}

// What may have any field are further objects, of kinds that nobody knows here, and the values of another chart.
func TestTheSchemaRefusesWhatItDoesNotKnow(t *testing.T) {
	g := NewWithT(t)
	schema := read(t, chart+"/values.schema.json")
	open := 0
	var visit func(node any)
	visit = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				visit(child)
			}
		case object:
			if node["type"] == "object" && node["additionalProperties"] == nil {
				open++
			}
			if _, has := node["properties"]; has && node["type"] == "object" {
				text, err := json.Marshal(node)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(node["additionalProperties"]).To(BeFalse(), string(text))
			}
			for _, child := range node {
				visit(child)
			}
		}
	}
	visit(schema)
	g.Expect(open).To(Equal(2), "global, and further objects")
}

// resolve follows a reference within the schema.
func resolve(schema, node object) object {
	if ref, ok := node["$ref"].(string); ok {
		return schema["$defs"].(object)[strings.TrimPrefix(ref, "#/$defs/")].(object)
	}
	return node
}
