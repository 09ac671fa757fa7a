// Package ingesttest is what every driver of internal/ingest must do, given samples of what its product sends: know its sender and nobody
// else, read the same message as the same reports whenever it comes, and answer anything else with what is wrong, never with a panic, an
// endless text or a word of what came.
package ingesttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// Suite is a driver and what its product sends.
type Suite struct {
	Driver ingest.Driver
	// Secret has what the product and the driver share, of secrets made for tests.
	Secret map[string][]byte
	// Sign adds to a request what a product that has the Secret proves itself by.
	Sign func(r *ingest.Request, secret map[string][]byte)
	// SignsBody: the proof is of that body alone, and not a password that is sent along.
	SignsBody bool
	// Now is when the samples come in.
	Now     time.Time
	Samples []Sample
}

// Sample is one message of a product, made after its documentation.
type Sample struct {
	// File is in testdata.
	File string
	// Header is what is sent along beside the proof, such as the name of the event.
	Header http.Header
	// Want is worked out by hand.
	Want []ingest.Report
}

// Run holds a driver to all of it.
func (s *Suite) Run(t *testing.T) {
	t.Helper()
	t.Run("samples", s.samples)
	t.Run("the same again", s.redelivered)
	t.Run("keys", s.keys)
	t.Run("forged", s.forged)
	t.Run("no secret", s.unconfigured)
	t.Run("cut short", s.truncated)
	t.Run("other types", s.mistyped)
	t.Run("other bodies", s.foreign)
}

// Fuzz holds for whatever comes that it is read as the same again, within bounds, or refused in our words; and that no proof but the right one
// is taken.
func (s *Suite) Fuzz(f *testing.F) {
	f.Helper()
	for _, sample := range s.Samples {
		f.Add(read(f, sample), "")
	}
	f.Fuzz(func(t *testing.T, body []byte, proof string) {
		for _, header := range s.headers() {
			s.reads(t, &ingest.Request{Header: header, Query: url.Values{}, Body: body, Now: s.Now})
		}
		forged, right := s.signed(body, nil), s.signed(body, nil)
		for name := range right.Header {
			forged.Header.Set(name, proof)
		}
		for name := range right.Query {
			forged.Query.Set(name, proof)
		}
		if err := s.Driver.Verify(forged, s.Secret); !errors.Is(err, ingest.ErrNotSender) && !cmp.Equal(forged, right) {
			t.Errorf("a proof of %q is taken: %v", proof, err)
		}
	})
}

// headers are those of all samples, each once.
func (s *Suite) headers() []http.Header {
	var all []http.Header
	for _, sample := range s.Samples {
		if !slices.ContainsFunc(all, func(h http.Header) bool { return cmp.Equal(h, sample.Header) }) {
			all = append(all, sample.Header)
		}
	}
	return all
}

func read(tb testing.TB, sample Sample) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(sample.File)))
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func (s *Suite) signed(body []byte, header http.Header) *ingest.Request {
	r := &ingest.Request{Header: http.Header{}, Query: url.Values{}, Body: body, Now: s.Now}
	if header != nil {
		r.Header = header.Clone()
	}
	s.Sign(r, s.Secret)
	return r
}

func (s *Suite) samples(t *testing.T) {
	for _, sample := range s.Samples {
		r := s.signed(read(t, sample), sample.Header)
		if err := s.Driver.Verify(r, s.Secret); err != nil {
			t.Errorf("%s: its sender is not known: %v", sample.File, err)
		}
		got, err := s.Driver.Read(r)
		if err != nil {
			t.Errorf("%s: %v", sample.File, err)
		}
		if diff := cmp.Diff(sample.Want, got); diff != "" {
			t.Errorf("%s is read otherwise (-want +got):\n%s", sample.File, diff)
		}
	}
}

// redelivered: an hour later, the last sample first.
func (s *Suite) redelivered(t *testing.T) {
	for _, sample := range slices.Backward(s.Samples) {
		r := &ingest.Request{Header: sample.Header, Body: read(t, sample), Now: s.Now.Add(time.Hour)}
		got, err := s.Driver.Read(r)
		if diff := cmp.Diff(sample.Want, got); diff != "" || err != nil {
			t.Errorf("%s is something else the next time, %v (-want +got):\n%s", sample.File, err, diff)
		}
	}
}

// keys: what has one key is the same, and an incident is told of from beginning to end.
func (s *Suite) keys(t *testing.T) {
	known, opened, resolved := map[string]ingest.Report{}, map[string]bool{}, map[string]bool{}
	for _, sample := range s.Samples {
		for _, report := range sample.Want {
			if before, ok := known[report.Key]; ok && !cmp.Equal(before, report) {
				t.Errorf("%s: %s is the key of two reports", sample.File, report.Key)
			}
			known[report.Key] = report
			if i := report.Incident; i != nil {
				opened[i.ID] = opened[i.ID] || !i.OpenedAt.IsZero()
				resolved[i.ID] = resolved[i.ID] || !i.ResolvedAt.IsZero()
			}
		}
	}
	for id := range opened {
		if opened[id] && resolved[id] {
			return
		}
	}
	if len(opened) > 0 {
		t.Error("no incident of the samples is opened and resolved")
	}
}

// forged: whoever has not the secret.
func (s *Suite) forged(t *testing.T) {
	for _, sample := range s.Samples {
		body := read(t, sample)
		for name, r := range s.forgeries(body, sample.Header) {
			err := s.Driver.Verify(r, s.Secret)
			if !errors.Is(err, ingest.ErrNotSender) {
				t.Errorf("%s, %s: %v, want %v", sample.File, name, err, ingest.ErrNotSender)
			}
			s.tellsNothing(t, err)
		}
	}
}

func (s *Suite) forgeries(body []byte, header http.Header) map[string]*ingest.Request {
	forgeries := map[string]*ingest.Request{
		"without a proof":          {Header: header, Body: body, Now: s.Now},
		"without header and query": {Body: body, Now: s.Now},
	}
	other := map[string][]byte{}
	for key, value := range s.Secret {
		other[key] = append([]byte("other-"), value...)
	}
	with := s.signed(body, header)
	with.Header, with.Query = header.Clone(), url.Values{}
	if with.Header == nil {
		with.Header = http.Header{}
	}
	s.Sign(with, other)
	forgeries["with another secret"] = with
	if s.SignsBody {
		changed := s.signed(body, header)
		changed.Body = append(bytes.Clone(body), ' ')
		forgeries["with another body"] = changed
	}
	right := s.signed(body, header)
	for _, values := range []map[string][]string{right.Header, right.Query} {
		for name := range values {
			if header.Get(name) != "" {
				continue
			}
			for how, change := range changes {
				r := s.signed(body, header)
				if value, ok := r.Header[name]; ok {
					r.Header[name] = []string{change(value[0])}
				}
				if value, ok := r.Query[name]; ok {
					r.Query[name] = []string{change(value[0])}
				}
				forgeries[name+" "+how] = r
			}
		}
	}
	return forgeries
}

var changes = map[string]func(string) string{
	"empty":     func(string) string { return "" },
	"cut":       func(value string) string { return value[:len(value)-1] },
	"prolonged": func(value string) string { return value + "0" },
	"reversed": func(value string) string {
		reversed := []byte(value)
		slices.Reverse(reversed)
		return string(reversed)
	},
	"something else": func(string) string { return "v1=,v1,;=\x00 \xff" },
}

// unconfigured: that nobody can be verified is told apart from a forgery, and a line break at the end of a value is no part of it.
func (s *Suite) unconfigured(t *testing.T) {
	r := s.signed(read(t, s.Samples[0]), s.Samples[0].Header)
	empty, broken, ended := map[string][]byte{}, map[string][]byte{}, map[string][]byte{"more": []byte("x")}
	for key, value := range s.Secret {
		empty[key], broken[key], ended[key] = nil, []byte("\n"), append(bytes.Clone(value), '\n')
	}
	for name, secret := range map[string]map[string][]byte{"none": nil, "one without keys": {}, "empty values": empty, "line breaks": broken} {
		err := s.Driver.Verify(r, secret)
		if !errors.Is(err, ingest.ErrNoSecret) || errors.Is(err, ingest.ErrNotSender) || !strings.Contains(err.Error(), "key") {
			t.Errorf("%s: %v, want %v and the key that is needed", name, err, ingest.ErrNoSecret)
		}
	}
	if err := s.Driver.Verify(r, ended); err != nil {
		t.Errorf("with a line break at its end the secret is another: %v", err)
	}
}

func (s *Suite) truncated(t *testing.T) {
	for _, sample := range s.Samples {
		body := bytes.TrimSpace(read(t, sample))
		for length := range body {
			r := &ingest.Request{Header: sample.Header, Body: body[:length], Now: s.Now}
			if _, bad := errors.AsType[*ingest.BadRequestError](s.reads(t, r)); !bad {
				t.Fatalf("the first %d bytes of %s are taken for a message", length, sample.File)
			}
		}
	}
}

// canary shows in an error that repeats what came.
const canary = "canary-a1b2c3"

var others = []string{
	`null`, `true`, `-1`, `1e400`, `123456789012345678901234567890`, `0.5`, `""`, `"` + canary + `"`, `"\u0000` + canary + `"`, `"javascript:alert(1)"`,
	`[]`, `["` + canary + `"]`, `{}`, `{"` + canary + `":"` + canary + `"}`, `[[[[[[[[null]]]]]]]]`, `"` + strings.Repeat("ü", 5_000) + `"`,
	`"9999-12-31T23:59:59Z"`, `"-0001-01-01T00:00:00Z"`, "\"\xff\"", strings.Repeat(`[`, 11_000) + strings.Repeat(`]`, 11_000),
}

// mistyped puts something else in each place of each sample.
func (s *Suite) mistyped(t *testing.T) {
	for _, sample := range s.Samples {
		body := read(t, sample)
		var value any
		if err := json.Unmarshal(body, &value); err != nil {
			t.Fatalf("%s: %v", sample.File, err)
		}
		for _, at := range places(value) {
			for _, other := range others {
				s.reads(t, &ingest.Request{Header: sample.Header, Body: replaced(t, value, at, other), Now: s.Now})
			}
		}
	}
}

// places are the paths of all that a value of JSON holds, of lists the first element.
func places(value any) [][]any {
	var all [][]any
	add := func(key, inner any) {
		all = append(all, []any{key})
		for _, path := range places(inner) {
			all = append(all, append([]any{key}, path...))
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			add(key, inner)
		}
	case []any:
		if len(value) > 0 {
			add(0, value[0])
		}
	}
	return all
}

const mark = "(!here!)"

func replaced(t *testing.T, value any, at []any, other string) []byte {
	t.Helper()
	body, err := json.Marshal(marked(value, at))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Replace(body, []byte(`"`+mark+`"`), []byte(other), 1)
}

// marked is the value, marked in one place.
func marked(value any, at []any) any {
	if len(at) == 0 {
		return mark
	}
	switch value := value.(type) {
	case map[string]any:
		changed := maps.Clone(value)
		changed[at[0].(string)] = marked(value[at[0].(string)], at[1:])
		return changed
	case []any:
		changed := slices.Clone(value)
		changed[at[0].(int)] = marked(value[at[0].(int)], at[1:])
		return changed
	}
	return value
}

// foreign is JSON of somebody else, and none at all. Nobody may take it for an incident or a change.
func (s *Suite) foreign(t *testing.T) {
	bodies := append([]string{
		"", " ", "\x00", canary, `{"` + canary + `":1}`, `{"hello":"world"}`, "<xml/>", "a=b&c=d", "\xff\xfe{\x00}\x00", "\xef\xbb\xbf{}", `{}{}`, `{"a":1,"a":2}`,
		strings.Repeat(`{"a":`, 20_000), strings.Repeat(`[`, 1_000_000), `{"status":"firing","alerts":` + strings.Repeat(`[`, 20_000),
	}, others...)
	for _, body := range bodies {
		for _, header := range s.headers() {
			r := &ingest.Request{Header: header, Body: []byte(body), Now: s.Now}
			reports, err := s.Driver.Read(r)
			if len(reports) > 0 {
				t.Errorf("%.40q is taken for %d messages", body, len(reports))
			}
			if body == "" && err == nil {
				t.Error("an empty body is taken")
			}
			s.reads(t, r)
		}
	}
	for _, sample := range s.Samples {
		s.reads(t, &ingest.Request{Header: sample.Header, Body: doubled(read(t, sample)), Now: s.Now})
	}
}

// doubled has each field twice.
func doubled(body []byte) []byte {
	inner := bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("{")), []byte("}"))
	return slices.Concat([]byte("{"), inner, []byte(","), inner, []byte("}"))
}

// reads holds what is true of every request, and returns why it was refused, if it was.
func (s *Suite) reads(t *testing.T, r *ingest.Request) error {
	t.Helper()
	reports, err := s.Driver.Read(r)
	if err != nil {
		s.refused(t, r, err, reports)
		return err
	}
	for _, report := range reports {
		if problem := wrong(report); problem != "" {
			t.Errorf("%.200q is read as a report %s", r.Body, problem)
		}
	}
	again, err := s.Driver.Read(r)
	if diff := cmp.Diff(reports, again); diff != "" || err != nil {
		t.Errorf("%.200q is something else the next time: %v %s", r.Body, err, diff)
	}
	return nil
}

// ours is the form of the names of fields.
var ours = regexp.MustCompile(`^[A-Za-z0-9_.]*$`)

func (s *Suite) refused(t *testing.T, r *ingest.Request, err error, reports []ingest.Report) {
	t.Helper()
	bad, ok := errors.AsType[*ingest.BadRequestError](err)
	switch {
	case !ok:
		t.Errorf("%.200q: %v is no BadRequestError", r.Body, err)
	case len(reports) > 0 && !bytes.HasPrefix(bytes.TrimSpace(r.Body), []byte("[")): // of a batch those are read that can be
		t.Errorf("%.200q is refused, and read", r.Body)
	case bad.Mend == "" || len(bad.Mend) > 300 || strings.ContainsAny(bad.Mend, "\n\x00"):
		t.Errorf("%.200q: what is to be mended is not said in a line: %q", r.Body, bad.Mend)
	case !ours.MatchString(bad.Field) || strings.Contains(bad.Error(), canary):
		t.Errorf("%.200q: the error repeats what came: %v", r.Body, bad)
	}
	s.tellsNothing(t, err)
}

// tellsNothing of secrets.
func (s *Suite) tellsNothing(t *testing.T, err error) {
	t.Helper()
	for _, value := range s.Secret {
		if err != nil && strings.Contains(err.Error(), string(value)) {
			t.Error("the error tells a secret")
		}
	}
}

// wrong is what is wrong with a report, or nothing.
func wrong(r ingest.Report) string {
	told := 0
	for _, is := range []bool{r.Deployment != nil, r.Change != nil, r.Incident != nil} {
		if is {
			told++
		}
	}
	switch {
	case told != 1:
		return fmt.Sprintf("of %d things", told)
	case r.Source == "" || r.Source != strings.ToLower(r.Source):
		return "without a source in lower case"
	case r.Key == "" || len(r.Key) > ingest.MaxKey || !shows(r.Key):
		return "whose key cannot be kept"
	case len(r.Service) > ingest.MaxName || len(r.Environment) > ingest.MaxName || len(r.Team) > ingest.MaxName || !shows(r.Service+r.Environment+r.Team):
		return "whose names cannot be kept"
	case !keepable(r.Rest):
		return "whose rest cannot be kept"
	case r.Incident != nil:
		return wrongIncident(r.Incident)
	case r.Change != nil:
		return wrongTime(r.Change.OccurredAt, r.Change.FirstCommitAt)
	}
	return wrongTime(r.Deployment.OccurredAt, r.Deployment.StartedAt, r.Deployment.FirstCommitAt)
}

// keepable tells whether the rest of a report is as ingest.Rest makes it.
func keepable(rest json.RawMessage) bool {
	var fields map[string]json.RawMessage
	if rest != nil && json.Unmarshal(rest, &fields) != nil {
		return false
	}
	again, err := ingest.Rest(fields)
	return err == nil && bytes.Equal(again, rest)
}

func wrongIncident(i *ingest.Incident) string {
	link, err := url.Parse(i.Link)
	switch {
	case i.ID == "" || len(i.ID) > ingest.MaxKey || !shows(i.ID):
		return "whose incident cannot be told from others"
	case len(i.Title) > ingest.MaxTitle || len(i.Severity) > ingest.MaxName || !shows(i.Title+i.Severity):
		return "whose title or severity is not one short line"
	case i.Link != "" && (err != nil || len(i.Link) > ingest.MaxLink || link.Host == "" || link.User != nil || (link.Scheme != "http" && link.Scheme != "https")):
		return "whose link nobody may follow"
	case len(i.Mentions) > ingest.MaxMentions:
		return "with too many mentions"
	case i.Reopened && i.OpenedAt.IsZero():
		return "of an incident that was opened again at no time"
	case i.Note && (!i.OpenedAt.IsZero() || !i.ResolvedAt.IsZero()):
		return "of a note that has times"
	}
	for _, mention := range i.Mentions {
		if mention == "" || len(mention) > ingest.MaxMention || !shows(strings.ReplaceAll(mention, "\n", "")) {
			return "with a mention that cannot be kept"
		}
	}
	return wrongTime(i.OpenedAt, i.ResolvedAt)
}

// shows tells whether all of a text can be seen and stored.
func shows(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 })
}

func wrongTime(times ...time.Time) string {
	for _, at := range times {
		if !at.IsZero() && (at.Year() < 2000 || at.Year() >= 2200 || at.Location() != time.UTC) {
			return "of a time that cannot be: " + at.String()
		}
	}
	return ""
}
