package generic_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/generic"
	"github.com/dora-controller/dora-controller/internal/ingest/ingesttest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func basic(secret map[string][]byte) string {
	return base64.StdEncoding.EncodeToString(slices.Concat(secret["username"], []byte(":"), secret["password"]))
}

func build(tb testing.TB, m generic.Mapping) *generic.Driver {
	tb.Helper()
	d, err := generic.New(m)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

var began = time.Date(2026, 3, 1, 10, 15, 30, 0, time.UTC)

func suite(tb testing.TB) *ingesttest.Suite {
	tb.Helper()
	const title = "Checkout is down"
	report := func(digest string, i ingest.Incident) []ingest.Report {
		i.ID, i.OpenedAt, i.Severity, i.Title, i.Link = "4711", began, "P1", title, "https://incidents.example.com/4711"
		return []ingest.Report{{Source: "generic", Key: "4711/" + digest, Service: "checkout", Incident: &i}}
	}
	return &ingesttest.Suite{
		Driver: build(tb, generic.Mapping{
			ID:       `body.kind == "incident" ? body.incident.id : null`,
			Service:  `body.component`,
			Opened:   `body.incident.started_at`,
			Resolved: `body.incident.?ended_at`,
			Severity: `"P" + string(body.incident.priority)`,
			Link:     `body.incident.url`,
			Title:    `body.incident.name`,
		}),
		Secret: map[string][]byte{"username": []byte("incidents"), "password": []byte(sinktest.Secret("generic"))},
		Sign: func(r *ingest.Request, secret map[string][]byte) {
			r.Header.Set("Authorization", "Basic "+basic(secret))
		},
		Now: began.Add(time.Hour),
		Samples: []ingesttest.Sample{
			// The keys are the first 32 digits of `sha256sum testdata/FILE`.
			{File: "opened.json", Want: report("0cbd84faab2a3249aeedea9f0560f51e", ingest.Incident{
				Mentions: []string{title, "checkout", "2026-03-01T10:15:30Z", "https://incidents.example.com/4711", "incident", "since 8d3f2c1", "rolled out as 1.4.2"},
			})},
			{File: "resolved.json", Want: report("3453ff6b90de36d02cddf2115b36bf00", ingest.Incident{
				ResolvedAt: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
				Mentions:   []string{title, "checkout", "2026-03-01T11:00:00Z", "2026-03-01T10:15:30Z", "https://incidents.example.com/4711", "incident"},
			})},
			{File: "something_else.json"},
		},
	}
}

func TestGeneric(t *testing.T) { suite(t).Run(t) }

func FuzzRead(f *testing.F) { suite(f).Fuzz(f) }

// FuzzMapping: an expression is refused in one line that names its field, or is evaluated over a body to a report or to what is wrong.
func FuzzMapping(f *testing.F) {
	for _, seed := range []string{`body.a`, `body.?a.?b`, `"x"`, `body.a > 1`, `[1].map(x, x)`, `timestamp(body.a)`, `body.a.matches("(")`, "null", "body.", "1.0/0.0", "-1", "\x00"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, opened, severity string) {
		d, err := generic.New(generic.Mapping{ID: `"a"`, Opened: opened, Severity: severity})
		if err != nil {
			if said := err.Error(); strings.Contains(said, "\n") || !strings.HasPrefix(said, "opened: ") && !strings.HasPrefix(said, "severity: ") {
				t.Errorf("%q", said)
			}
			return
		}
		reports, err := d.Read(&ingest.Request{Body: []byte(`{"a":{"b":"2026-03-01T10:15:30Z"}}`), Now: began})
		if len(reports) > 1 || err != nil && !strings.Contains(err.Error(), ": ") {
			t.Errorf("%d reports, %v", len(reports), err)
		}
		if err == nil && len(reports[0].Incident.Severity) > ingest.MaxName {
			t.Error("what an expression gives is not bounded")
		}
	})
}

func TestMistakes(t *testing.T) {
	for want, m := range map[string]generic.Mapping{
		"id: must be there":     {Opened: "body.at"},
		"opened: must be there": {ID: "body.id"},
		"opened: at line 1, column 1: undeclared reference to 'incident' (in container ''); there is body, as in body.incident.id": {ID: "body.id", Opened: "incident.at"},
		"severity: at line 1, column 9: Syntax error":                         {ID: "body.id", Opened: "body.at", Severity: "body.a +"},
		"id: it gives bool and must give a text":                              {ID: "body.id == 1", Opened: "body.at"},
		"link: it gives int and must give an address":                         {ID: "body.id", Opened: "body.at", Link: "1"},
		"when: it gives bool and must give a time":                            {ID: "body.id", Opened: "body.at", When: "true"},
		"title: it gives map(string, dyn) and must give a text":               {ID: "body.id", Opened: "body.at", Title: "body"},
		"resolved: it gives list(int) and must give a time, or true or false": {ID: "body.id", Resolved: "[1]"},
	} {
		_, err := generic.New(m)
		NewWithT(t).Expect(err).To(MatchError(HavePrefix(want)))
	}
}

// TestTimes: each way in which a product may say when.
func TestTimes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		body, opened, when, want string
	}{
		{`{"at":"2026-03-01T11:15:30+01:00"}`, `body.at`, ``, "2026-03-01T10:15:30Z"},
		{`{"at":1772360130}`, `body.at`, ``, "2026-03-01T10:15:30Z"},
		{`{"at":1772360130.25}`, `body.at`, ``, "2026-03-01T10:15:30.25Z"},
		{`{"at":1772360130250}`, `timestamp(body.at / 1000)`, ``, "2026-03-01T10:15:30Z"},
		{`{"at":"2026-03-01T10:15:30Z"}`, `timestamp(body.at) - duration("15s")`, ``, "2026-03-01T10:15:15Z"},
		{`{"state":"open"}`, `body.state == "open"`, ``, "2026-03-01T12:00:00Z"},
		{`{"state":"open","at":1772360130}`, `body.state == "open"`, `body.at`, "2026-03-01T10:15:30Z"},
		{`{"state":"open","at":null}`, `body.state == "open"`, `body.at`, "2026-03-01T12:00:00Z"},
		{`{"state":"closed"}`, `body.state == "open"`, ``, "0001-01-01T00:00:00Z"},
		{`{}`, `body.at`, ``, "0001-01-01T00:00:00Z"},
		{`{}`, `body.?at`, ``, "0001-01-01T00:00:00Z"},
		{`{"at":null}`, `body.?at`, ``, "0001-01-01T00:00:00Z"},
		{`{"at":""}`, `body.at`, ``, "0001-01-01T00:00:00Z"},

		{`{"at":"secret"}`, `body.at`, ``, "opened: must be a time such as 2006-01-02T15:04:05Z07:00"},
		{`{"at":1772360130250}`, `body.at`, ``, "opened: must be a time from the year 2000 on and before 2200"},
		{`{"at":1e300}`, `body.at`, ``, "opened: must be a time from the year 2000 on and before 2200"},
		{`{"at":{}}`, `body.at`, ``, "opened: its expression must give a time, or true or false, over this body"},
		{`{"at":"secret"}`, `timestamp(body.at)`, ``, "opened: its expression cannot be evaluated over this body"},
		{`{"at":1}`, `true`, `body.at + "a"`, "when: its expression cannot be evaluated over this body"},
	} {
		d := build(t, generic.Mapping{ID: `"a"`, Opened: c.opened, When: c.when})
		reports, err := d.Read(&ingest.Request{Body: []byte(c.body), Now: now})
		if err != nil {
			NewWithT(t).Expect(err).To(MatchError(c.want), c.body)
			continue
		}
		NewWithT(t).Expect(reports[0].Incident.OpenedAt.Format(time.RFC3339Nano)).To(Equal(c.want), c.body)
	}
}

// TestNotes: what tells that an incident neither opened nor ended adds to it, and opens nothing.
func TestNotes(t *testing.T) {
	both := generic.Mapping{ID: `"a"`, Opened: `body.o`, Resolved: `body.r`}
	for _, c := range []struct {
		mapping generic.Mapping
		body    string
		want    bool
	}{
		{both, `{"comment":"ack"}`, true},
		{both, `{"o":null,"r":null}`, true},
		{both, `{"o":false,"r":false}`, true},
		{both, `{"o":false,"r":true}`, false},
		{both, `{"o":true,"r":false}`, false},
		{both, `{"o":"2026-03-01T10:15:30Z"}`, false},
		{both, `{"r":"2026-03-01T10:15:30Z"}`, false},
		{generic.Mapping{ID: `"a"`, Opened: `body.o`}, `{}`, true},
		{generic.Mapping{ID: `"a"`, Resolved: `body.r`}, `{}`, false},
	} {
		reports, err := build(t, c.mapping).Read(&ingest.Request{Body: []byte(c.body), Now: began})
		NewWithT(t).Expect(err).NotTo(HaveOccurred(), c.body)
		NewWithT(t).Expect(reports).To(HaveLen(1))
		NewWithT(t).Expect(reports[0].Incident.Note).To(Equal(c.want), c.body)
	}
}

// TestIDs: a message about something else is told from one that is not as the mapping says.
func TestIDs(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"a"}`:                  "a",
		`{"id":-7}`:                   "-7",
		`{"id":12345678901234567}`:    "12345678901234567",
		`{"id":""}`:                   "",
		`{"id":null}`:                 "",
		`{}`:                          "id: its expression names what this body has not: let it give null where a message is about something else",
		`{"id":1.5}`:                  "id: its expression must give a text or a whole number over this body",
		`{"id":["a"]}`:                "id: its expression must give a text or a whole number over this body",
		`{"id":"a\u0000"}`:            "id: must be a text of 1 to 200 bytes in which every character shows",
		`null`:                        "must be an object",
		`{"id":12345678901234567890}`: "id: its expression must give a text or a whole number over this body",
	} {
		reports, err := build(t, generic.Mapping{ID: `body.id`, Opened: `true`}).Read(&ingest.Request{Body: []byte(body), Now: began})
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case len(reports) == 1:
			got = reports[0].Incident.ID
		}
		NewWithT(t).Expect(got).To(Equal(want), body)
	}
}

// TestBounds: an expression that would take for ever is stopped.
func TestBounds(t *testing.T) {
	list := "[" + strings.Repeat("1,", 99) + "1]"
	d := build(t, generic.Mapping{ID: list + ".all(a, " + list + ".all(b, " + list + `.all(c, a + b + c > 0 || body.x == ""))) ? "a" : "b"`, Opened: "true"})
	_, err := d.Read(&ingest.Request{Body: []byte(`{"x":"y"}`), Now: began})
	NewWithT(t).Expect(err).To(MatchError("id: its expression cannot be evaluated over this body"))
}
