package crd_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
)

const (
	sayPort        = "a sink of type Port needs the settings under port, and no other type has them"
	sayPostgres    = "a sink of type Postgres needs the settings under postgres, and no other type has them"
	sayCloudEvents = "a sink of type CloudEvents needs the settings under cloudEvents, and no other type has them"
	sayBaseURL     = "baseURL is an address such as https://api.port.io, without credentials: they belong into the Secret"
	sayEventsURL   = "url is an address such as https://events.example.com/dora, without credentials: they belong into the Secret"
	sayServer      = "host is the name or address of a server, such as db.example.com, or several separated by commas, without credentials: they belong into the Secret"
	saySchema      = "schema is a name of lower-case letters, digits and '_', such as dora"
	sayHeader      = "signatureHeader is the name of a header, such as X-Hub-Signature-256"
	sayTaken       = "this header is sent anyway: name another signatureHeader, such as X-Hub-Signature-256"
	sayProperty    = " is $identifier, $title, or the identifier of a property"
	sayBlueprint   = `the identifier of a blueprint is letters, digits and the characters @_.+:/\-, such as deployment; - alone leaves it out`
	saySinkName    = "name a DoraSink of this namespace, such as port, or a shared one as namespace/name"
)

var _ = Describe("Admission of a DoraSink", func() {
	for _, spec := range acceptableSinks() {
		It("accepts "+spec, func() {
			Expect(try(dorasink(spec))).To(Succeed())
		})
	}

	for _, r := range sinkRefusals() {
		It("refuses "+r.why, func() {
			err := try(dorasink(r.spec))
			Expect(err).To(MatchError(ContainSubstring(r.message)))
			Expect(err).To(MatchError(ContainSubstring(r.field + ":")))
			Expect(err.Error()).NotTo(ContainSubstring("rule error"), "a rule broke instead of answering")
		})
	}

	It("has a refused spec for every rule of the schema", func() {
		expectAllTried(sinks, sinkRefusals(), 15)
	})

	DescribeTable("is refused without repeating an address that may have a password in it",
		func(spec string) {
			err := try(dorasink(spec))
			Expect(err).To(MatchError(ContainSubstring("spec.")))
			Expect(err.Error()).NotTo(ContainSubstring("hunter2"))
		},
		Entry("of a portal", `{type: Port, port: {secretRef: {name: port}, baseURL: "https://me:hunter2@api.port.io"}}`),
		Entry("of a database", `{type: Postgres, postgres: {secretRef: {name: db}, host: "postgres://me:hunter2@db.example.com"}}`),
		Entry("of a receiver", `{type: CloudEvents, cloudEvents: {url: "https://me:hunter2@events.example.com/dora"}}`),
		Entry("of a receiver, that is too long", `{type: CloudEvents, cloudEvents: {url: "https://me:hunter2@events.example.com/`+strings.Repeat("u", 2048)+`"}}`),
	)

	// The schema and the drivers read addresses, hosts and headers each for themselves.
	It("admits nothing that a driver would refuse", func() {
		for _, spec := range acceptableSinks() {
			sink := &dorav1alpha1.DoraSink{}
			Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(dorasink(spec).Object, sink)).To(Succeed())
			Expect(makeDriver(&sink.Spec)).To(Succeed(), spec)
		}
	})

	It("refuses a sink without a type by that alone", func() {
		err := try(dorasink(`{suspend: true}`))
		Expect(err).To(MatchError(ContainSubstring("spec.type: Required value")))
		Expect(err.Error()).NotTo(ContainSubstring("needs the settings"))
	})
})

// makeDriver makes the driver of a sink with what is read from addresses and the like.
func makeDriver(spec *dorav1alpha1.DoraSinkSpec) error {
	switch spec.Type {
	case dorav1alpha1.SinkPort:
		_, err := port.New(port.Options{BaseURL: cmp.Or(spec.Port.BaseURL, "https://api.port.io"), ClientID: "a", ClientSecret: "b"})
		return err
	case dorav1alpha1.SinkPostgres:
		p := spec.Postgres
		sink, err := postgres.New(postgres.Options{
			Host: cmp.Or(p.Host, "db"), Port: int(p.Port), Database: cmp.Or(p.Database, "dora"), User: "dora", Schema: p.Schema, TLS: postgres.TLS(p.TLS),
		})
		if err == nil {
			sink.Close()
		}
		return err
	case dorav1alpha1.SinkCloudEvents:
		c := spec.CloudEvents
		_, err := cloudevents.New(cloudevents.Options{
			URL: c.URL, Format: c.Format, Mode: c.Mode, HMACKey: []byte("a"), SignatureHeader: c.SignatureHeader,
		})
		return err
	case dorav1alpha1.SinkStdout:
	}
	return nil
}

// block writes a spec of a type with settings.
func block(kind, field, settings string) string {
	return fmt.Sprintf("{type: %s, %s: {%s}}", kind, field, settings)
}

func portal(settings string) string {
	return block("Port", "port", strings.TrimSuffix("secretRef: {name: port}, "+settings, ", "))
}

func database(settings string) string {
	return block("Postgres", "postgres", strings.TrimSuffix("secretRef: {name: db}, "+settings, ", "))
}

func receiver(settings string) string {
	return block("CloudEvents", "cloudEvents", strings.TrimSuffix(`url: "https://events.example.com/dora", `+settings, ", "))
}

// acceptableSinks stand at, or within, the edge of a rule.
func acceptableSinks() []string {
	specs := []string{
		`{type: Stdout}`, portal(""), database(""), receiver(""),
		`{type: Stdout, default: true, shared: true, suspend: true, backfillSince: "2026-01-01T00:00:00Z"}`,
		`{type: Stdout, backfillSince: "2026-01-01T01:00:00+01:00"}`,
		`{type: Stdout, sends: [Events]}`, `{type: Stdout, sends: [Metrics]}`, `{type: Stdout, sends: [Metrics, Events]}`,
		`{type: Stdout, filter: 'event.environment == "production" && event.team in ["payments", "checkout"]'}`,
		fmt.Sprintf(`{type: Stdout, filter: %s}`, strings.Repeat("f", 2048)),
	}
	for _, settings := range acceptablePorts() {
		specs = append(specs, portal(settings))
	}
	for _, settings := range acceptableDatabases() {
		specs = append(specs, database(settings))
	}
	for _, settings := range acceptableReceivers() {
		specs = append(specs, receiver(settings))
	}
	for _, url := range []string{
		"http://events.internal", "https://events.example.com/", "https://events.example.com:8443/a/b?c=d&e=f%20g", "https://events.example.com?source=dora",
		"https://192.0.2.1/x", "https://[2001:db8::1]:8443/x", "http://my_receiver.events.svc.cluster.local:8080/", "https://Events.Example.com/@team/hook",
		"https://events.example.com/" + strings.Repeat("u", 2021),
	} {
		specs = append(specs, block("CloudEvents", "cloudEvents", fmt.Sprintf("url: %q", url)))
	}
	slices.Sort(specs)
	return specs
}

func acceptablePorts() []string {
	all := []string{
		`region: EU`, `region: US`, `baseURL: "https://api.getport.io"`, `baseURL: "http://port.internal:8080/proxy"`,
		fmt.Sprintf(`baseURL: "https://api.port.io/%s"`, strings.Repeat("u", 492)),
		`serviceBy: $title`, `serviceBy: git_repo`, `teamBy: '$title'`, `teamBy: 'a@b=c\d-1'`, `teamBy: $identifier`,
		fmt.Sprintf(`serviceBy: %s`, strings.Repeat("p", 100)),
		`environments: {}`, `environments: {prod: Production, prod-eu: "Production EU"}`,
		fmt.Sprintf(`environments: {%s}`, list(64, "e%d: x")), fmt.Sprintf(`environments: {e: %s}`, strings.Repeat("é", 100)),
		`metricsEnvironment: prod`, fmt.Sprintf(`metricsEnvironment: %s`, strings.Repeat("e", 63)),
		`deploymentStatus: {}`, `deploymentStatus: {succeeded: Successful}`, fmt.Sprintf(`deploymentStatus: {failed: %s}`, strings.Repeat("f", 100)),
		`blueprints: {}`,
	}
	for _, name := range []string{"-", "_team", "deployment", "dora/Deployment.v1+x:y@z", `a\b`, "déploiement", "...", strings.Repeat("b", 100)} {
		for _, field := range blueprints {
			all = append(all, fmt.Sprintf(`blueprints: {%s: '%s'}`, field, name))
		}
	}
	return all
}

// blueprints are the fields that name one.
var blueprints = []string{"deployment", "service", "team", "incident", "pullRequest"}

func acceptableDatabases() []string {
	return []string{
		`host: db`, `host: db.example.com`, `host: "db-1,db-2.example.com,192.0.2.1"`, `host: "2001:db8::1"`, `host: "::1"`, `host: my_db`,
		`host: "db-1:6432,db-2:6432"`, `host: "[2001:db8::1]:6432,192.0.2.1:5432,db"`, `host: "[::1]"`,
		fmt.Sprintf(`host: %s`, strings.Repeat("h", 1024)),
		`port: 1`, `port: 65535`, `database: Dora-1`, fmt.Sprintf(`database: %s`, strings.Repeat("d", 63)),
		`schema: dora`, `schema: _dora_2`, fmt.Sprintf(`schema: %s`, strings.Repeat("s", 63)),
		`tls: VerifyFull`, `tls: VerifyCA`, `tls: Require`, `tls: Disable`, `migrations: Run`, `migrations: Check`,
	}
}

func acceptableReceivers() []string {
	return []string{
		`format: dora`, `format: cdevents`, `format: cdevents-0.4`, `mode: structured`, `mode: binary`, `secretRef: {name: receiver.v2}`,
		fmt.Sprintf(`secretRef: {name: %s}`, strings.Repeat("s", 253)),
		`signatureHeader: X-Hub-Signature-256`, `signatureHeader: Hosts`, `signatureHeader: Ce`, fmt.Sprintf(`signatureHeader: %s`, strings.Repeat("x", 64)),
	}
}

func sinkRefusals() []refusal {
	all := []refusal{
		{"an unknown type", `{type: Kafka}`, "spec.type", `supported values: "Port", "Postgres", "CloudEvents", "Stdout"`},
		{"a type in lower case", `{type: stdout}`, "spec.type", `supported values: "Port", "Postgres", "CloudEvents", "Stdout"`},
		{"Port without settings", `{type: Port}`, "spec", sayPort},
		{"Port with another's settings", `{type: Port, cloudEvents: {url: "https://events.example.com"}}`, "spec", sayPort},
		{"Stdout with settings of Port", `{type: Stdout, port: {secretRef: {name: a}}}`, "spec", sayPort},
		{"Postgres without settings", `{type: Postgres}`, "spec", sayPostgres},
		{"Port with settings of Postgres besides", `{type: Port, port: {secretRef: {name: a}}, postgres: {secretRef: {name: a}}}`, "spec", sayPostgres},
		{"CloudEvents without settings", `{type: CloudEvents}`, "spec", sayCloudEvents},
		{"Stdout with settings of CloudEvents", `{type: Stdout, cloudEvents: {url: "https://events.example.com"}}`, "spec", sayCloudEvents},
		{"default in words", `{type: Stdout, default: "yes"}`, "spec.default", "must be of type boolean"},
		{"shared in words", `{type: Stdout, shared: all}`, "spec.shared", "must be of type boolean"},
		{"suspend in words", `{type: Stdout, suspend: now}`, "spec.suspend", "must be of type boolean"},
		{"an empty filter", `{type: Stdout, filter: ""}`, "spec.filter", "should be at least 1 chars long"},
		{"a filter that is too long", fmt.Sprintf(`{type: Stdout, filter: %s}`, strings.Repeat("f", 2049)), "spec.filter", "may not be more than 2048"},
		{"a filter that is no text", `{type: Stdout, filter: true}`, "spec.filter", "must be of type string"},
		{"nothing to send", `{type: Stdout, sends: []}`, "spec.sends", "should have at least 1 items"},
		{"the same to send twice", `{type: Stdout, sends: [Events, Events]}`, "spec.sends[1]", "Duplicate value"},
		{"three things to send", `{type: Stdout, sends: [Events, Metrics, Events]}`, "spec.sends", "must have at most 2 items"},
		{"something else to send", `{type: Stdout, sends: [Logs]}`, "spec.sends[0]", `supported values: "Events", "Metrics"`},
		{"a day for a time", `{type: Stdout, backfillSince: "2026-01-01"}`, "spec.backfillSince", "must be of type date-time"},
		{"a time without a zone", `{type: Stdout, backfillSince: "2026-01-01T00:00:00"}`, "spec.backfillSince", "must be of type date-time"},
		{"an unknown field", `{type: Stdout, stdout: {}}`, strict, `unknown field "spec.stdout"`},
		{"credentials in the spec", portal(`clientSecret: x`), strict, `unknown field "spec.port.clientSecret"`},
		{"a password in the spec", database(`password: x`), strict, `unknown field "spec.postgres.password"`},
		{"a token in the spec", receiver(`token: x`), strict, `unknown field "spec.cloudEvents.token"`},
		{"a Secret of another namespace", receiver(`secretRef: {name: a, namespace: b}`), strict, `unknown field "spec.cloudEvents.secretRef.namespace"`},
	}
	for _, some := range [][]refusal{sinkSecretRefusals(), portRefusals(), blueprintRefusals(), databaseRefusals(), receiverRefusals(), addressRefusals()} {
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b refusal) int { return strings.Compare(a.spec, b.spec) })
	return all
}

// strict is what the server says of fields that it does not know.
const strict = "strict decoding error"

func sinkSecretRefusals() []refusal {
	all := []refusal{
		{"a portal without a Secret", block("Port", "port", "region: EU"), "spec.port.secretRef", "Required value"},
		{"a database without a Secret", block("Postgres", "postgres", "host: db"), "spec.postgres.secretRef", "Required value"},
	}
	for field, write := range map[string]string{
		"port":        `{type: Port, port: {secretRef: %s}}`,
		"postgres":    `{type: Postgres, postgres: {secretRef: %s}}`,
		"cloudEvents": `{type: CloudEvents, cloudEvents: {url: "https://events.example.com", secretRef: %s}}`,
	} {
		for _, c := range []refusal{
			{"without a name", `{}`, "", "Required value"},
			{"with an empty name", `{name: ""}`, "", "should be at least 1 chars long"},
			{"in another namespace", `{name: other/secret}`, "", saySecret},
			{"in capitals", `{name: Secret}`, "", saySecret},
			{"with a name that is too long", fmt.Sprintf(`{name: %s}`, strings.Repeat("s", 254)), "", "may not be more than 253"},
		} {
			all = append(all, refusal{field + " with a Secret " + c.why, fmt.Sprintf(write, c.spec), "spec." + field + ".secretRef.name", c.message})
		}
	}
	return all
}

func portRefusals() []refusal {
	all := []refusal{
		{"an unknown region", `region: eu`, "region", `supported values: "EU", "US"`},
		{"a baseURL that is too long", fmt.Sprintf(`baseURL: "https://api.port.io/%s"`, strings.Repeat("u", 493)), "baseURL", "may not be more than 512"},
		{"an environment without a name in the portal", `environments: {prod: ""}`, "environments.prod", "should be at least 1 chars long"},
		{"an environment with a long name in the portal", fmt.Sprintf(`environments: {prod: %s}`, strings.Repeat("p", 101)), "environments.prod", "may not be more than 100"},
		{"too many environments", fmt.Sprintf(`environments: {%s}`, list(65, "e%d: x")), "environments", "must have at most 64 items"},
		{"an empty environment of metrics", `metricsEnvironment: ""`, "metricsEnvironment", "should be at least 1 chars long"},
		{"a long environment of metrics", fmt.Sprintf(`metricsEnvironment: %s`, strings.Repeat("e", 64)), "metricsEnvironment", "may not be more than 63"},
	}
	for _, field := range []string{"succeeded", "failed"} {
		at := "deploymentStatus." + field
		all = append(all,
			refusal{"an empty " + at, fmt.Sprintf(`deploymentStatus: {%s: ""}`, field), at, "should be at least 1 chars long"},
			refusal{"a long " + at, fmt.Sprintf(`deploymentStatus: {%s: %s}`, field, strings.Repeat("s", 101)), at, "may not be more than 100"})
	}
	for _, field := range []string{"serviceBy", "teamBy"} {
		for _, text := range []string{"", "$", "$name", "$identifiers", "$team", "a b", "service.name", "naïve"} {
			all = append(all, refusal{fmt.Sprintf("%s %q", field, text), fmt.Sprintf("%s: %q", field, text), field, field + sayProperty})
		}
		all = append(all, refusal{"a long " + field, fmt.Sprintf("%s: %s", field, strings.Repeat("p", 101)), field, "may not be more than 100"})
	}
	for i, r := range all {
		all[i] = refusal{"a portal with " + r.why, portal(r.spec), "spec.port." + r.field, r.message}
	}
	return all
}

func blueprintRefusals() []refusal {
	var all []refusal
	for _, field := range blueprints {
		for text, message := range map[string]string{
			"": "should be at least 1 chars long", strings.Repeat("b", 101): "may not be more than 100",
			".": sayBlueprint, "..": sayBlueprint, "a b": sayBlueprint, "a#b": sayBlueprint, "a,b": sayBlueprint, "a=b": sayBlueprint, "$a": sayBlueprint, "a?b": sayBlueprint,
		} {
			all = append(all, refusal{
				fmt.Sprintf("a blueprint %s %q", field, text), portal(fmt.Sprintf("blueprints: {%s: %q}", field, text)), "spec.port.blueprints." + field, message,
			})
		}
	}
	return all
}

func databaseRefusals() []refusal {
	all := []refusal{
		{"a host that is too long", fmt.Sprintf(`host: %s`, strings.Repeat("h", 1025)), "host", "may not be more than 1024"},
		{"port 0", `port: 0`, "port", "should be greater than or equal to 1"},
		{"port 65536", `port: 65536`, "port", "should be less than or equal to 65535"},
		{"a port that is text", `port: "5432"`, "port", "must be of type integer"},
		{"an empty database", `database: ""`, "database", "should be at least 1 chars long"},
		{"a database with a long name", fmt.Sprintf(`database: %s`, strings.Repeat("d", 64)), "database", "may not be more than 63"},
		{"a schema with a long name", fmt.Sprintf(`schema: %s`, strings.Repeat("s", 64)), "schema", "may not be more than 63"},
		{"a mode of libpq", `tls: verify-full`, "tls", `supported values: "VerifyFull", "VerifyCA", "Require", "Disable"`},
		{"unknown migrations", `migrations: Never`, "migrations", `supported values: "Run", "Check"`},
	}
	for _, text := range []string{"", "Dora", "1dora", "dora-1", "dora.events", "do ra", `"dora"`, "dora;", "döra"} {
		all = append(all, refusal{fmt.Sprintf("schema %q", text), fmt.Sprintf("schema: %q", text), "schema", saySchema})
	}
	for _, text := range []string{
		"", "/var/run/postgresql", "db example", "me:pass@db", "me@db", "postgres://db/dora", "db/dora", ",db", "db,", "a,,b", "-db", ".db", "db?sslmode=disable", "db=x", "@abstract",
		"db:", "db:postgres", "server:5432:5432", "db:123456", "[::1", "[db]", "[::1]5432", "db, db-2", "db;db-2",
	} {
		all = append(all, refusal{fmt.Sprintf("host %q", text), fmt.Sprintf("host: %q", text), "host", sayServer})
	}
	for i, r := range all {
		all[i] = refusal{"a database with " + r.why, database(r.spec), "spec.postgres." + r.field, r.message}
	}
	return all
}

func receiverRefusals() []refusal {
	all := []refusal{
		{"an unknown format", `format: CDEvents`, "format", `supported values: "dora", "cdevents", "cdevents-0.4"`},
		{"an unknown mode", `mode: batch`, "mode", `supported values: "structured", "binary"`},
		{"a long signatureHeader", fmt.Sprintf(`signatureHeader: %s`, strings.Repeat("x", 65)), "signatureHeader", "may not be more than 64"},
	}
	for _, text := range []string{"", "X Signature", "X-Signature:", "X_Signature", "X-Signature\r\nHost", "Xé"} {
		all = append(all, refusal{fmt.Sprintf("signatureHeader %q", text), fmt.Sprintf("signatureHeader: %q", text), "signatureHeader", sayHeader})
	}
	for _, text := range []string{
		"Authorization", "authorization", "Connection", "Content-Length", "CONTENT-TYPE", "Host", "Transfer-Encoding", "User-Agent", "Ce-Id", "ce-signature", "ce-",
	} {
		all = append(all, refusal{fmt.Sprintf("signatureHeader %q", text), fmt.Sprintf("signatureHeader: %q", text), "signatureHeader", sayTaken})
	}
	for i, r := range all {
		all[i] = refusal{"a receiver with " + r.why, receiver(r.spec), "spec.cloudEvents." + r.field, r.message}
	}
	return append(all,
		refusal{"a receiver without an address", block("CloudEvents", "cloudEvents", "mode: binary"), "spec.cloudEvents.url", "Required value"},
		refusal{
			"a receiver with a url that is too long", block("CloudEvents", "cloudEvents", fmt.Sprintf("url: %q", "https://events.example.com/"+strings.Repeat("u", 2022))),
			"spec.cloudEvents.url", "may not be more than 2048",
		})
}

// addressRefusals are addresses that neither a portal nor a receiver may have.
func addressRefusals() []refusal {
	var all []refusal
	for _, text := range []string{
		"", "example.com", "example.com/x", "//example.com/x", "/x", "ftp://example.com/x", "ws://example.com/x", "file:///x", "HTTPS://example.com/x", "https:/example.com",
		"https:example.com", "https://", "https:///x", "https://:443/x", "https://example.com:https/x", "https://example.com:123456/x", "https://me@example.com/x",
		"https://me:pass@example.com/x", "https://:pass@example.com/x", "https://me%3Apass%40example.com/x", "https://me:pa/ss@example.com#", "https://example.com\\@evil.example.com/x",
		"https://example.com/x#y", "https://example.com#", "https://exa mple.com/x", "https://example.com/a b", " https://example.com/x", "https://example.com/x\n", "https://example.com/\x7f",
		"https://example.com/%zz", "https://[::1/x", "https://-x/", "https://bücher.example/", "https://{host}/x",
	} {
		all = append(all,
			refusal{fmt.Sprintf("a receiver at %q", text), block("CloudEvents", "cloudEvents", fmt.Sprintf("url: %q", text)), "spec.cloudEvents.url", sayEventsURL},
			refusal{fmt.Sprintf("a portal at %q", text), portal(fmt.Sprintf("baseURL: %q", text)), "spec.port.baseURL", sayBaseURL})
	}
	for _, text := range []string{"https://api.port.io?x=y", "https://api.port.io/v1?x"} {
		all = append(all, refusal{fmt.Sprintf("a portal at %q", text), portal(fmt.Sprintf("baseURL: %q", text)), "spec.port.baseURL", sayBaseURL})
	}
	return all
}

// acceptableSinkNames are targets that name sinks.
func acceptableSinkNames() []string {
	specs := []string{fmt.Sprintf(`{applications: {}, sinks: [%s]}`, list(16, "s%d"))}
	for _, name := range []string{"port", "p", "port.v2", "0", "platform/port", strings.Repeat("n", 63) + "/" + strings.Repeat("s", 253)} {
		specs = append(specs, fmt.Sprintf(`{applications: {}, sinks: [%q]}`, name))
	}
	return specs
}

func sinkNameRefusals() []refusal {
	all := []refusal{
		{"no sink at all", `[]`, "", "should have at least 1 items"},
		{"a sink twice", `[port, port]`, "[1]", "Duplicate value"},
		{"too many sinks", fmt.Sprintf(`[%s]`, list(17, "s%d")), "", "must have at most 16 items"},
		{"a sink without a name", `[""]`, "[0]", "should be at least 1 chars long"},
		{"a sink with a long name", fmt.Sprintf(`[%s]`, strings.Repeat("s", 318)), "[0]", "may not be more than 317"},
		{"a sink that is no text", `[7]`, "[0]", "must be of type string"},
	}
	for _, text := range []string{"Port", "a b", "a/b/c", "/a", "a/", "-a", "a-", "a_b", "Team/port", "a.b/port", "-a/port", "a-/port", "*", "team/*", strings.Repeat("n", 64) + "/a"} {
		all = append(all, refusal{fmt.Sprintf("sink %q", text), fmt.Sprintf("[%q]", text), "[0]", saySinkName})
	}
	for i, r := range all {
		all[i] = refusal{"a target with " + r.why, `{applications: {}, sinks: ` + r.spec + `}`, "spec.sinks" + r.field, r.message}
	}
	return all
}
