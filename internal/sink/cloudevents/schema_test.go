package cloudevents_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	schemas       = "../../../docs/schema/"
	eventSchema   = "dora-event-v1.json"
	metricsSchema = "dora-metrics-v1.json"
)

// compiled is a published schema, checked against the metaschema, with its formats asserted.
func compiled(tb testing.TB, file string) *jsonschema.Schema {
	tb.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(schemas + file)
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	return schema
}

// conforms fails the test if a value, as JSON, is not what a schema says.
func conforms(tb testing.TB, schema *jsonschema.Schema, value any) {
	tb.Helper()
	data, err := json.Marshal(value)
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	if err := schema.Validate(parsed); err != nil {
		tb.Errorf("%s: %v", data, err)
	}
}

// node is a part of a schema as it stands in its file.
type node struct {
	ID          string          `json:"$id"`
	Ref         string          `json:"$ref"`
	Description string          `json:"description"`
	Type        any             `json:"type"`
	Format      string          `json:"format"`
	Const       string          `json:"const"`
	Enum        []string        `json:"enum"`
	Properties  map[string]node `json:"properties"`
	Required    []string        `json:"required"`
	Items       *node           `json:"items"`
	AnyOf       []node          `json:"anyOf"`
	Defs        map[string]node `json:"$defs"`
}

func read(t *testing.T, file string) node {
	t.Helper()
	data, err := os.ReadFile(schemas + file)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var root node
	NewWithT(t).Expect(json.Unmarshal(data, &root)).To(Succeed())
	return root
}

// matcher compares the fields of Go's structs with the properties of a schema.
type matcher struct {
	*WithT

	root node
}

func (m matcher) resolve(n node) node {
	if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
		m.Expect(m.root.Defs).To(HaveKey(name))
		return m.root.Defs[name]
	}
	return n
}

// object holds that a struct and a schema have the same fields, of the same types, and that those are required that are always written.
func (m matcher) object(goType reflect.Type, n node) {
	m.Expect(n.Type).To(Equal("object"), goType.Name())
	var fields, required []string
	for field := range goType.Fields() {
		name, omit, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		fields = append(fields, name)
		if omit == "" {
			required = append(required, name)
		}
		m.Expect(n.Properties).To(HaveKey(name))
		m.Expect(n.Properties[name].Description).NotTo(BeEmpty(), name)
		m.field(field.Type, n.Properties[name], name)
	}
	m.Expect(slices.Collect(maps.Keys(n.Properties))).To(ConsistOf(fields), "%s has no other fields", goType.Name())
	m.Expect(n.Required).To(ConsistOf(required))
}

func (m matcher) field(goType reflect.Type, n node, name string) {
	if goType == reflect.TypeFor[dora.Predecessor]() { // the one type that writes itself: a version, null, or nothing
		m.Expect(n.AnyOf).To(Equal([]node{{Ref: "#/$defs/version"}, {Type: "null"}}))
		return
	}
	if goType == reflect.TypeFor[json.RawMessage]() { // what others told, as it came
		m.Expect(n.Type).To(Equal("object"))
		return
	}
	n = m.resolve(n)
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	switch goType.Kind() { //nolint:exhaustive // the kinds that the structs have
	case reflect.String:
		m.Expect(n.Type).To(Equal("string"), name)
	case reflect.Int:
		m.Expect(n.Type).To(Equal("integer"), name)
	case reflect.Float64:
		m.Expect(n.Type).To(Equal("number"), name)
	case reflect.Bool:
		m.kind(n, "boolean", name == "success") // null of a deployment that nobody knows the end of
	case reflect.Slice:
		m.kind(n, "array", name == "images") // the one list that is written though there is none
		m.field(goType.Elem(), *n.Items, name)
	case reflect.Struct:
		if goType == reflect.TypeFor[time.Time]() {
			m.Expect(n.Type).To(Equal("string"), name)
			m.Expect(n.Format).To(Equal("date-time"), name)
			return
		}
		m.object(goType, n)
	default:
		m.Expect(goType.Kind()).To(BeZero(), "%s is of a kind that the test does not know", name)
	}
}

func TestTheSchemasAreThoseOfTheStructs(t *testing.T) {
	event, metrics := read(t, eventSchema), read(t, metricsSchema)
	matcher{NewWithT(t), event}.object(reflect.TypeFor[dora.Event](), event)
	matcher{NewWithT(t), metrics}.object(reflect.TypeFor[sink.Figures](), metrics)
}

// kind holds that a schema has that type, or also null.
func (m matcher) kind(n node, want string, orNull bool) {
	if orNull {
		m.Expect(n.Type).To(Equal([]any{want, "null"}))
		return
	}
	m.Expect(n.Type).To(Equal(want))
}

func texts[S ~string](all ...S) []string {
	var texts []string
	for _, one := range all {
		texts = append(texts, string(one))
	}
	return texts
}

func TestTheSchemasKnowEveryWord(t *testing.T) {
	g := NewWithT(t)
	event, metrics := read(t, eventSchema).Properties, read(t, metricsSchema)
	g.Expect(event["schema"].Const).To(Equal(dora.Schema))
	g.Expect(event["type"].Enum).To(Equal(texts(dora.TypeDeploy, dora.TypeDegraded, dora.TypeRecovered, dora.TypeChange)))
	g.Expect(event["outcome"].Enum).To(Equal(texts(dora.Succeeded, dora.Failed, dora.RolledBack, dora.Unknown)))
	g.Expect(event["change"].Enum).To(Equal(texts(dora.ChangeImage, dora.ChangeConfig)))
	g.Expect(event["basis"].Enum).To(Equal(texts(dora.BasisLive, dora.BasisHistory, dora.BasisPartialSync, dora.BasisAPI)))
	g.Expect(event["subject"].Properties["kind"].Enum).To(Equal(texts(dora.KindApplication, dora.KindRollout, dora.KindReported)))
	mark := read(t, eventSchema).Defs["mark"].Properties
	g.Expect(mark["verdict"].Enum).To(Equal(texts(dora.NotAFailure, dora.Failure, dora.Ignore)))
	g.Expect(metrics.Properties["schema"].Const).To(Equal(sink.FiguresSchema))
	g.Expect(metrics.Properties["scope"].Enum).To(Equal(texts(sink.ScopeService, sink.ScopeTeam, sink.ScopeTarget)))
	g.Expect(metrics.Defs["band"].Enum).To(Equal(texts(fourkeys.Elite, fourkeys.High, fourkeys.Medium, fourkeys.Low)))
}

func TestEventsNameTheirSchema(t *testing.T) {
	g := NewWithT(t)
	r, s := plain(t, nil)
	g.Expect(s.Send(t.Context(), sinktest.Events()[:1])).NotTo(BeEmpty())
	g.Expect(s.SendFigures(t.Context(), sinktest.Figures()[:1])).NotTo(BeEmpty())
	g.Expect(r.Received()[0].Event.DataSchema()).To(Equal(read(t, eventSchema).ID))
	g.Expect(r.Received()[1].Event.DataSchema()).To(Equal(read(t, metricsSchema).ID))
}

func TestSamplesConformToTheSchemas(t *testing.T) {
	for _, event := range sinktest.Events() {
		conforms(t, compiled(t, eventSchema), event)
		event.Enrich(dora.CommitFacts{
			Commit: "4f5e6d7a", FirstCommit: "0a1b2c3d", FirstCommitAt: event.OccurredAt.Add(-time.Hour), Commits: 2, Base: "1a2b3c4d",
			Repository: "https://git.example.com/shop/cart",
		})
		event.Say(dora.Mark{Verdict: dora.Ignore, Reason: "a drill", By: "ada", At: event.OccurredAt, Source: "DoraTarget shop/production"})
		conforms(t, compiled(t, eventSchema), event)
	}
	for _, figures := range sinktest.Figures() {
		conforms(t, compiled(t, metricsSchema), figures)
	}
}

func TestTheSchemasRefuseWhatIsWrong(t *testing.T) {
	g := NewWithT(t)
	event, metrics := compiled(t, eventSchema), compiled(t, metricsSchema)
	sample := sinktest.Events()[0]
	for why, spoil := range map[string]func(e map[string]any){
		"no id":                   func(e map[string]any) { delete(e, "id") },
		"another form":            func(e map[string]any) { e["schema"] = "dora/v2" },
		"a time that is none":     func(e map[string]any) { e["occurred_at"] = "noon" },
		"no outcome":              func(e map[string]any) { delete(e, "outcome") },
		"no success":              func(e map[string]any) { delete(e, "success") },
		"success of none":         func(e map[string]any) { e["success"] = nil },
		"a failure's outcome":     func(e map[string]any) { e["type"] = "degraded" },
		"a negative lead time":    func(e map[string]any) { e["lead_time_seconds"] = -1 },
		"a version without image": func(e map[string]any) { e["previous"] = map[string]any{"tag": "1"} },
	} {
		data, err := json.Marshal(sample)
		g.Expect(err).NotTo(HaveOccurred())
		var fields map[string]any
		g.Expect(json.Unmarshal(data, &fields)).To(Succeed())
		g.Expect(event.Validate(fields)).To(Succeed())
		spoil(fields)
		g.Expect(event.Validate(fields)).NotTo(Succeed(), why)
	}
	g.Expect(metrics.Validate(map[string]any{"schema": sink.FiguresSchema})).NotTo(Succeed())
}

// The examples of docs/events.md are real, and stand there for those who write receivers.
func TestTheExamplesConform(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../../../docs/events.md")
	g.Expect(err).NotTo(HaveOccurred())
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1)
	g.Expect(len(blocks)).To(BeNumerically(">=", 4))
	for _, block := range blocks {
		conforms(t, compiled(t, eventSchema), json.RawMessage(block[1]))
	}
}

// policy is one that counts as much as there is to count.
func policy(labels map[string]string, name string) deploy.Policy {
	return deploy.Policy{
		Service: name, Team: labels["team"], Environment: "production",
		FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout,
	}
}

// recorded are the events that come of what a real Argo CD and Argo Rollouts reported.
func recorded(t *testing.T) []dora.Event {
	t.Helper()
	g := NewWithT(t)
	files, err := filepath.Glob("../../../test/replay/testdata/*.expected.jsonl")
	g.Expect(err).NotTo(HaveOccurred())
	var all []dora.Event
	for _, file := range files {
		file = strings.TrimSuffix(file, ".expected.jsonl") + ".jsonl"
		f, err := os.Open(file)
		g.Expect(err).NotTo(HaveOccurred())
		world := replay.NewWorld("eu-1", policy)
		g.Expect(replay.Read(file, f, func(e replay.Event) {
			for _, step := range world.Apply(e) {
				all = append(all, step.Events...)
			}
		})).To(Succeed())
		g.Expect(f.Close()).To(Succeed())
	}
	g.Expect(len(all)).To(BeNumerically(">", len(files)), "a recording has more than one event, on the average")
	return all
}

// Everything that a real Argo reported is sent in every format, and is what the schema says.
func TestRecordingsConformAndAreSent(t *testing.T) {
	events := recorded(t)
	schema := compiled(t, eventSchema)
	for _, event := range events {
		conforms(t, schema, event)
	}
	for _, format := range []string{cloudevents.FormatDora, cloudevents.FormatCDEvents, cloudevents.FormatCDEvents04} {
		g := NewWithT(t)
		_, s := plain(t, func(o *cloudevents.Options) { o.Format = format })
		for batch := range slices.Chunk(events, s.Batch()) {
			g.Expect(s.Send(t.Context(), batch)).NotTo(BeEmpty())
		}
	}
}
