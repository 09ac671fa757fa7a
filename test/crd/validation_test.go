package crd_test

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A refusal is a spec that the server must not admit.
type refusal struct {
	why  string
	spec string
	// field is where the server points to, message what it says to the person.
	field, message string
}

const (
	sayKey       = "a label key is letters, digits, '-', '_' and '.', after an optional prefix and '/', such as team or example.com/team"
	sayValue     = "use letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, as in a label value"
	sayNamespace = "a namespace's name is lower-case letters, digits and '-'; to mean all namespaces leave namespaces out"
	sayLabelKeys = "matchLabels keys must be label keys, such as team or example.com/team"
	sayOperator  = "In and NotIn need at least one value; Exists and DoesNotExist take none"
	sayEither    = "set either value or fromLabel, and not both"
	sayGlob      = "an image glob is an image's name in which * stands for any characters and ? for one, such as registry.example.com/acme/* or */envoy"
	sayDecimal   = `write a decimal number in quotes, such as "7" or "0.25"`
	sayPercent   = "write a percentage from 0% to 100%, such as 5% or 2.5%"
	sayImage     = "changes must include Image: a new image is always a deployment"
	sayReceiver  = "receivers are names of DoraReceivers of this namespace"
	sayServices  = "services: the name of a service has 1 to 253 characters"
	saySelect    = "select something: set applications, rollouts or reported (applications: {} selects all of them)"

	sayDegradedFor    = "degradedFor must be a duration between 0s and 30m, such as 60s or 1m30s"
	sayFailureWindow  = "failureWindow must be a duration between 1m and 30d, such as 1h or 1d12h"
	sayVerdictTimeout = "verdictTimeout must be a duration between 1h and 30d, such as 24h or 2d"
	sayFreeze         = "a freeze must end after it begins: to must be later than from"
	sayWindow         = "window must be a duration between 1d and 366d, such as 30d or 90d"
	sayWorsening      = "worsening must be a whole percentage from 1% to 999%, such as 25%; at 100% a time has doubled"
	sayCompared       = "with alerts, window must be 168d at most: it is compared with the window before, and older events may be gone"
	sayStatusInterval = "statusInterval must be a duration between 1s and 1h, such as 10s or 1m30s"

	preset            = "; a threshold that is left out is the preset's"
	sayRateOrder      = "deploymentsPerWeek must not be higher for high than for elite, or for medium than for high" + preset
	sayLeadOrder      = "leadTime must not be longer for elite than for high, or for high than for medium" + preset
	sayFailureOrder   = "changeFailureRate must not be higher for elite than for high, or for high than for medium" + preset
	sayRecoveryOrder  = "recovery must not be longer for elite than for high, or for high than for medium" + preset
	sayDurationFormat = "%s must be a duration of days, hours, minutes and seconds in this order, such as 90m, 24h or 7d"
)

var _ = Describe("Admission", func() {
	for _, spec := range acceptable() {
		It("accepts "+spec, func() {
			Expect(try(target(spec))).To(Succeed())
		})
	}

	for _, r := range refusals() {
		It("refuses "+r.why, func() {
			err := try(target(r.spec))
			Expect(err).To(MatchError(ContainSubstring(r.message)))
			Expect(err).To(MatchError(ContainSubstring(r.field + ":")))
			Expect(err.Error()).NotTo(ContainSubstring("rule error"), "a rule broke instead of answering")
		})
	}

	It("has a refused spec for every rule of the schema", func() {
		expectAllTried(targets, refusals(), 40)
	})
})

// expectAllTried fails if a kind has a rule that no refusal is for. There are more than that many rules.
func expectAllTried(kind string, all []refusal, atLeast int) {
	GinkgoHelper()
	var tried []string
	for _, r := range all {
		tried = append(tried, schemaPath(r.field)+": "+r.message)
	}
	rules := rulesOf(readSchema(kind), "")
	Expect(len(rules)).To(BeNumerically(">", atLeast), "the walk lost its way")
	for _, rule := range rules {
		if strings.HasPrefix(rule, "spec") {
			Expect(slices.Contains(tried, rule)).To(BeTrue(), rule)
		}
	}
}

// schemaPath turns the field of an answer into the place in the schema: spec.changes[0] into spec.changes[].
func schemaPath(field string) string {
	return strings.NewReplacer("[0]", "[]", "[team]", "{}").Replace(field)
}

// acceptable lists specs that stand at, or within, the edge of a rule.
func acceptable() []string {
	specs := []string{
		`{applications: {}}`,
		`{rollouts: {}}`,
		`{applications: {matchLabels: {team: payments, env: prod}}, rollouts: {matchLabels: {team: payments}}}`,
		`{applications: {matchLabels: {app.kubernetes.io/part-of: shop_2.0-b, empty: ""}}}`,
		`{applications: {matchExpressions: [{key: env, operator: In, values: [prod]}, {key: a/b, operator: NotIn, values: [""]}]}}`,
		`{applications: {matchExpressions: [{key: env, operator: Exists}, {key: x, operator: DoesNotExist, values: []}]}}`,
		`{applications: {namespaces: [team-a, team-b]}}`,
		`{applications: {}, service: {value: checkout}, team: {fromLabel: example.com/team}, environment: {value: prod}}`,
		`{applications: {}, images: {include: ["registry:5000/acme/*", "*"], exclude: ["*/envoy", "gcr.io/a?c/b_c.d-e", "*:*-debug", "x@sha256:*"]}}`,
		`{applications: {}, changes: [Image]}`,
		`{applications: {}, changes: [Config, Image]}`,
		`{applications: {}, suspend: true}`,
		`{reported: {services: ["*"]}}`,
		`{applications: {}, incidents: {}}`,
		`{rollouts: {}, incidents: {receivers: [pager, a.b-c], severities: [P1, "1 - Critical"], services: {"Checkout API": checkout}, argo: Ignore}, reported: {services: [pay-*]}}`,
		`{applications: {}, freezes: [{name: game-day, from: "2026-11-12T09:00:00Z", to: "2026-11-12T09:00:01Z", reason: a drill}]}`,
		`{applications: {}, freezes: [{name: a, from: "2026-11-12T10:00:00+02:00", to: "2026-11-12T09:00:00Z", reason: "é"}]}`,
		`{applications: {}, alerts: {}}`,
		`{applications: {}, alerts: {worsening: 1%}, window: 168d}`,
		`{applications: {}, alerts: {worsening: 999%}, window: 4032h}`,
		`{applications: {}, bands: {preset: Guide}}`,
		`{applications: {}, bands: {overrides: {}}}`,
	}
	for field, durations := range map[string][]string{
		"degradedFor":    {"0s", "1s", "30m", "29m60s", "0d0h0m90s"},
		"failureWindow":  {"1m", "60s", "30d", "720h", "29d24h"},
		"verdictTimeout": {"1h", "60m", "30d", "1d12h30m15s"},
		"window":         {"1d", "24h", "366d", "8784h"},
		"statusInterval": {"1s", "1h", "60m", "1m30s"},
	} {
		for _, d := range durations {
			specs = append(specs, fmt.Sprintf(`{applications: {}, %s: %s}`, field, d))
		}
	}
	specs = append(specs, acceptableBands()...)
	specs = append(specs, acceptableSources()...)
	specs = append(specs, acceptableSinkNames()...)
	slices.Sort(specs)
	return specs
}

// acceptableBands lists overrides that agree with each other, and with the thresholds of the preset that they leave.
func acceptableBands() []string {
	var specs []string
	for _, bands := range []string{
		`{overrides: {deploymentsPerWeek: {elite: "1"}}}`, // as high as Port's high
		`{overrides: {deploymentsPerWeek: {high: "7"}}}`,
		`{overrides: {deploymentsPerWeek: {medium: "1"}}}`,
		`{overrides: {deploymentsPerWeek: {elite: "0.3", high: "0.2", medium: "0.1"}}}`,
		`{preset: Guide, overrides: {deploymentsPerWeek: {medium: "0.23"}}}`,
		`{preset: Guide, overrides: {deploymentsPerWeek: {high: "0.038"}}}`,
		`{overrides: {leadTime: {elite: 168h}}}`,
		`{overrides: {leadTime: {elite: 7d, high: 7d0h}}}`,
		`{overrides: {leadTime: {high: 720h}}}`,
		`{overrides: {leadTime: {medium: 168h}}}`,
		`{overrides: {leadTime: {elite: 1h, high: 61m, medium: 3661s}}}`,
		`{overrides: {changeFailureRate: {elite: 20%}}}`,
		`{overrides: {changeFailureRate: {high: 5%}}}`,
		`{overrides: {changeFailureRate: {medium: 100%}}}`,
		`{overrides: {changeFailureRate: {elite: 0%, high: 2.5%, medium: 12.25%}}}`,
		`{preset: Guide, overrides: {changeFailureRate: {high: 15%}}}`,
		`{overrides: {recovery: {elite: 24h}}}`,
		`{overrides: {recovery: {high: 720h}}}`,
		`{preset: Guide, overrides: {recovery: {high: 7d}}}`,
	} {
		specs = append(specs, `{applications: {}, bands: `+bands+`}`)
	}
	return specs
}

func refusals() []refusal {
	var all []refusal
	for _, some := range [][]refusal{
		selectorRefusals("applications"), selectorRefusals("rollouts"),
		nameRefusals("service"), nameRefusals("team"), nameRefusals("environment"),
		globRefusals("include"), globRefusals("exclude"),
		durationRefusals(), thresholdRefusals(), orderRefusals(), otherRefusals(), sourceRefusals(),
		sinkNameRefusals(), freezeRefusals(), alertRefusals(),
	} {
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b refusal) int { return strings.Compare(a.spec, b.spec) })
	return all
}

func selectorRefusals(field string) []refusal {
	var all []refusal
	for _, c := range []refusal{
		{"a label key with a blank", `matchLabels: {"a b": x}`, "matchLabels", sayLabelKeys},
		{"a label key that is too long", fmt.Sprintf(`matchLabels: {%s: x}`, strings.Repeat("k", 318)), "matchLabels", sayLabelKeys},
		{"a label value with a blank", `matchLabels: {team: "a b"}`, "matchLabels[team]", sayValue},
		{"a label value that is too long", fmt.Sprintf(`matchLabels: {team: %s}`, strings.Repeat("v", 64)), "matchLabels.team", "may not be more than 63"},
		{"eleven labels", fmt.Sprintf(`matchLabels: {%s}`, list(11, "k%d: v")), "matchLabels", "must have at most 10 items"},
		{"a requirement's key that is none", `matchExpressions: [{key: "-", operator: Exists}]`, "matchExpressions[0].key", sayKey},
		{"a requirement's value that is none", `matchExpressions: [{key: a, operator: In, values: ["-"]}]`, "matchExpressions[0].values[0]", sayValue},
		{"an unknown operator", `matchExpressions: [{key: a, operator: Like}]`, "matchExpressions[0].operator", `"In", "NotIn", "Exists", "DoesNotExist"`},
		{"In without values", `matchExpressions: [{key: a, operator: In}]`, "matchExpressions[0]", sayOperator},
		{"NotIn with an empty list", `matchExpressions: [{key: a, operator: NotIn, values: []}]`, "matchExpressions[0]", sayOperator},
		{"Exists with a value", `matchExpressions: [{key: a, operator: Exists, values: [b]}]`, "matchExpressions[0]", sayOperator},
		{"seventeen requirements", fmt.Sprintf(`matchExpressions: [%s]`, list(17, "{key: k%d, operator: Exists}")), "matchExpressions", "must have at most 16 items"},
		{"a glob of namespaces", `namespaces: ["*"]`, "namespaces[0]", sayNamespace},
		{"no namespace at all", `namespaces: []`, "namespaces", "should have at least 1 items"},
		{"a namespace twice", `namespaces: [a, a]`, "namespaces[1]", "Duplicate value"},
		{"too many namespaces", fmt.Sprintf(`namespaces: [%s]`, list(65, "n%d")), "namespaces", "must have at most 64 items"},
	} {
		all = append(all, refusal{field + " with " + c.why, fmt.Sprintf(`{%s: {%s}}`, field, c.spec), "spec." + field + "." + c.field, c.message})
	}
	return all
}

func alertRefusals() []refusal {
	var all []refusal
	for _, text := range []string{"", "25", "0%", "1000%", "2.5%", "-5%", "25 %"} {
		why := fmt.Sprintf("alerts for a worsening of %q", text)
		message := sayWorsening
		if len(text) > 4 {
			message = "may not be more than 4"
		}
		all = append(all, refusal{why, fmt.Sprintf(`{applications: {}, alerts: {worsening: %q}}`, text), "spec.alerts.worsening", message})
	}
	for _, window := range []string{"168d1s", "366d", "4032h1s"} {
		all = append(all, refusal{"alerts for a window of " + window, `{applications: {}, alerts: {}, window: ` + window + `}`, "spec.window", sayCompared})
	}
	return all
}

func freezeRefusals() []refusal {
	const span = `from: "2026-11-12T09:00:00Z", to: "2026-11-12T10:00:00Z"`
	var all []refusal
	for _, c := range []refusal{
		{"one that ends when it begins", `{name: a, from: "2026-11-12T09:00:00Z", to: "2026-11-12T09:00:00Z", reason: x}`, "[0]", sayFreeze},
		{"one that ends before, in another zone", `{name: a, from: "2026-11-12T09:00:00Z", to: "2026-11-12T10:00:00+02:00", reason: x}`, "[0]", sayFreeze},
		{"a time that is none", `{name: a, from: noon, to: "2026-11-12T09:00:00Z", reason: x}`, "[0].from", "must be of type date-time"},
		{"no end", `{name: a, from: "2026-11-12T09:00:00Z", reason: x}`, "[0].to", "Required value"},
		{"no reason", `{name: a, ` + span + `, reason: ""}`, "[0].reason", "should be at least 1 chars long"},
		{"a reason that is too long", `{name: a, ` + span + `, reason: ` + strings.Repeat("x", 201) + `}`, "[0].reason", "may not be more than 200"},
		{"a name with a blank", `{name: "a b", ` + span + `, reason: x}`, "[0].name", "should match"},
		{"a name twice", `{name: a, ` + span + `, reason: x}, {name: a, ` + span + `, reason: y}`, "[1]", "Duplicate value"},
		{"too many", list(51, `{name: a%d, `+span+`, reason: x}`), "", "must have at most 50 items"},
	} {
		all = append(all, refusal{"freezes with " + c.why, `{applications: {}, freezes: [` + c.spec + `]}`, "spec.freezes" + c.field, c.message})
	}
	return all
}

func nameRefusals(field string) []refusal {
	var all []refusal
	for _, c := range []refusal{
		{"neither value nor label", `{}`, "", sayEither},
		{"both value and label", `{value: a, fromLabel: b}`, "", sayEither},
		{"an empty value", `{value: ""}`, ".value", "should be at least 1 chars long"},
		{"a value that is no label value", `{value: "a b"}`, ".value", sayValue},
		{"a label that is none", `{fromLabel: a//b}`, ".fromLabel", sayKey},
		{"a label with a long name", fmt.Sprintf(`{fromLabel: %s}`, strings.Repeat("k", 64)), ".fromLabel", sayKey},
	} {
		all = append(all, refusal{field + " with " + c.why, fmt.Sprintf(`{applications: {}, %s: %s}`, field, c.spec), "spec." + field + c.field, c.message})
	}
	return all
}

func globRefusals(field string) []refusal {
	var all []refusal
	for _, c := range []refusal{
		{"a blank", `["acme/web "]`, "[0]", sayGlob},
		{"a character class", `["acme/[ab]"]`, "[0]", sayGlob},
		{"an empty glob", `[""]`, "[0]", sayGlob},
		{"a glob that is too long", fmt.Sprintf(`[%s]`, strings.Repeat("a", 256)), "[0]", "may not be more than 255"},
		{"an empty list", `[]`, "", "should have at least 1 items"},
		{"too many globs", fmt.Sprintf(`[%s]`, list(33, "i%d")), "", "must have at most 32 items"},
	} {
		all = append(all, refusal{field + " with " + c.why, fmt.Sprintf(`{applications: {}, images: {%s: %s}}`, field, c.spec), "spec.images." + field + c.field, c.message})
	}
	return all
}

func durationRefusals() []refusal {
	var all []refusal
	for _, c := range []struct {
		field, message string
		outside        []string
	}{
		{"degradedFor", sayDegradedFor, []string{"30m1s", "1d", "99999d99999h99999m99999s"}},
		{"failureWindow", sayFailureWindow, []string{"59s", "0s", "30d1s"}},
		{"verdictTimeout", sayVerdictTimeout, []string{"59m59s", "31d"}},
		{"window", sayWindow, []string{"23h59m", "366d1s"}},
		{"statusInterval", sayStatusInterval, []string{"0s", "1h1s"}},
	} {
		for _, text := range append(c.outside, "", "s", "5", "-1m", "+1m", "1.5h", "1h 30m", "30m1h", "1h1h", "100000s", "1w", "1ms", "∞", "1H") {
			all = append(all, refusal{
				fmt.Sprintf("%s %q", c.field, text), fmt.Sprintf(`{applications: {}, %s: %q}`, c.field, text), "spec." + c.field, c.message,
			})
		}
	}
	return all
}

func thresholdRefusals() []refusal {
	var all []refusal
	for metric, texts := range map[string][]string{
		"deploymentsPerWeek": {"", "7/week", "-1", "1e3", ".5", "1.", "0.00001", "123456", "NaN"},
		"leadTime":           {"", "24", "1h1d", "1.5h", "h"},
		"changeFailureRate":  {"", "5", "101%", "5 %", "-5%", "5.123%", "%"},
		"recovery":           {"", "60", "1m1h", "1w"},
	} {
		for _, level := range []string{"elite", "high", "medium"} {
			message := map[string]string{"deploymentsPerWeek": sayDecimal, "changeFailureRate": sayPercent}[metric]
			if message == "" {
				message = fmt.Sprintf(sayDurationFormat, level)
			}
			for _, text := range texts {
				all = append(all, refusal{
					fmt.Sprintf("%s.%s %q", metric, level, text),
					fmt.Sprintf(`{applications: {}, bands: {overrides: {%s: {%s: %q}}}}`, metric, level, text),
					"spec.bands.overrides." + metric + "." + level, message,
				})
			}
		}
	}
	return all
}

// orderRefusals break the order of thresholds: within the overrides, and against the preset's that are left.
func orderRefusals() []refusal {
	var all []refusal
	for message, orders := range map[string][]string{
		sayRateOrder: {
			`{overrides: {deploymentsPerWeek: {elite: "0.9999"}}}`, `{overrides: {deploymentsPerWeek: {high: "7.0001"}}}`,
			`{overrides: {deploymentsPerWeek: {high: "0.2499"}}}`, `{overrides: {deploymentsPerWeek: {medium: "1.0001"}}}`,
			`{overrides: {deploymentsPerWeek: {elite: "9", high: "10"}}}`,
			`{preset: Guide, overrides: {deploymentsPerWeek: {medium: "0.25"}}}`,
			`{preset: Guide, overrides: {deploymentsPerWeek: {high: "0.0379"}}}`,
		},
		sayLeadOrder: {
			`{overrides: {leadTime: {elite: 7d1s}}}`, `{overrides: {leadTime: {high: 23h}}}`,
			`{overrides: {leadTime: {high: 31d}}}`, `{overrides: {leadTime: {medium: 167h59m}}}`,
			`{overrides: {leadTime: {elite: 2h, high: 119m}}}`,
		},
		sayFailureOrder: {
			`{overrides: {changeFailureRate: {elite: 20.01%}}}`, `{overrides: {changeFailureRate: {high: 4%}}}`,
			`{overrides: {changeFailureRate: {high: 31%}}}`, `{overrides: {changeFailureRate: {medium: 19%}}}`,
			`{preset: Guide, overrides: {changeFailureRate: {elite: 11%}}}`, `{preset: Guide, overrides: {changeFailureRate: {high: 16%}}}`,
		},
		sayRecoveryOrder: {
			`{overrides: {recovery: {elite: 24h1s}}}`, `{overrides: {recovery: {high: 59m}}}`,
			`{overrides: {recovery: {high: 31d}}}`, `{preset: Guide, overrides: {recovery: {high: 8d}}}`,
		},
	} {
		for _, bands := range orders {
			all = append(all, refusal{"bands " + bands, fmt.Sprintf(`{applications: {}, bands: %s}`, bands), "spec.bands", message})
		}
	}
	return all
}

func otherRefusals() []refusal {
	return []refusal{
		{"a target that selects nothing", `{}`, "spec", saySelect},
		{"an incident's receiver of another namespace", `{applications: {}, incidents: {receivers: [other/pager]}}`, "spec.incidents.receivers[0]", sayReceiver},
		{"an incident's service without a name", `{applications: {}, incidents: {services: {"": checkout}}}`, "spec.incidents.services", sayServices},
		{"incidents of nobody", `{applications: {}, incidents: {receivers: []}}`, "spec.incidents.receivers", "should have at least 1 items"},
		{"Argo's failures counted otherwise", `{applications: {}, incidents: {argo: Sometimes}}`, "spec.incidents.argo", `supported values: "Count", "Ignore"`},
		{"reports of nothing", `{reported: {services: []}}`, "spec.reported.services", "should have at least 1 items"},
		{"changes without Image", `{applications: {}, changes: [Config]}`, "spec.changes", sayImage},
		{"no change at all", `{applications: {}, changes: []}`, "spec.changes", "should have at least 1 items"},
		{"an unknown change", `{applications: {}, changes: [Image, Secret]}`, "spec.changes[1]", `supported values: "Image", "Config"`},
		{"a change twice", `{applications: {}, changes: [Image, Image]}`, "spec.changes[1]", "Duplicate value"},
		{"an unknown preset", `{applications: {}, bands: {preset: DORA}}`, "spec.bands.preset", `supported values: "Port", "Guide"`},
		{"a number that is no text", `{applications: {}, bands: {overrides: {deploymentsPerWeek: {elite: 7}}}}`, "spec.bands.overrides.deploymentsPerWeek.elite", "must be of type string"},
		{"a duration that is a number", `{applications: {}, window: 30}`, "spec.window", "must be of type string"},
		{"a duration that is longer than any", fmt.Sprintf(`{applications: {}, window: %s}`, strings.Repeat("1", 25)), "spec.window", "must be of type string"},
	}
}

// list repeats a pattern with a running number.
func list(n int, pattern string) string {
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(pattern, i))
	}
	return strings.Join(items, ", ")
}
