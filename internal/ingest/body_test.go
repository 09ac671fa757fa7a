package ingest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

type message struct {
	Event struct {
		ID    string            `json:"id"`
		Count int               `json:"count"`
		Tags  map[string]string `json:"tags"`
		Notes []struct {
			Text string `json:"text"`
		} `json:"notes"`
	} `json:"event"`
}

// TestDecode: what is wrong is named by our names, and never by what came.
func TestDecode(t *testing.T) {
	for body, want := range map[string]string{
		`{"event":{"id":"a","more":[{"x":1}]},"else":null}`: "",
		`{"event":null}`:               "",
		``:                             "send a body of JSON: it is empty",
		` `:                            "must be one object of JSON, whole and well formed",
		`{"event":{"id":"a"}`:          "must be one object of JSON, whole and well formed",
		`{"event":{"id":"a"}} {}`:      "must be one object of JSON, whole and well formed",
		`[]`:                           "must be an object",
		`"secret"`:                     "must be an object",
		`{"event":{"id":7}}`:           "event.id: must be a text",
		`{"event":{"count":"secret"}}`: "event.count: must be a number within its bounds",
		`{"event":{"count":1e400}}`:    "event.count: must be a number within its bounds",
		`{"event":{"count":9223372036854775808}}`:                   "event.count: must be a number within its bounds",
		`{"event":{"tags":{"secret":[]}}}`:                          "event.tags: must be a text",
		`{"event":{"notes":[{"text":{}}]}}`:                         "event.notes.text: must be a text",
		`{"event":{"notes":{}}}`:                                    "event.notes: must be a list",
		`{"event":{"id":"a","id":"b"}}`:                             "give each field once: one is there twice",
		`{"event":{"tags":{"secret":"a","secret":"b"}}}`:            "give each field once: one is there twice",
		strings.Repeat(`[`, 20_000):                                 "must be one object of JSON, whole and well formed",
		`{"x":` + strings.Repeat(`[`, 20_000) + `}`:                 "must be one object of JSON, whole and well formed",
		`{"EVENT":{"id":"a"},"event":{"ID":"b"}}`:                   "",
		"{\"event\":{\"id\":\"a\xff\"}}":                            "",
		`{"event":{"tags":` + strings.Repeat(`{"a":`, 10_001) + `}`: "must be one object of JSON, whole and well formed",
	} {
		read, err := ingest.Decode[message]([]byte(body))
		if want == "" {
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), body)
			NewWithT(t).Expect(read.Event.ID).NotTo(Equal("b"), "names are written as they are")
			continue
		}
		bad, ok := errors.AsType[*ingest.BadRequestError](err)
		NewWithT(t).Expect(ok).To(BeTrue(), body)
		NewWithT(t).Expect(bad.Error()).To(Equal(want), "%.60s", body)
	}
}

func TestWhen(t *testing.T) {
	g := NewWithT(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                                {},
		"0001-01-01T00:00:00Z":            {},
		"2026-03-01T12:00:00Z":            noon,
		"2026-03-01T13:00:00.000+01:00":   noon,
		"2026-03-01T12:00:00.000000001Z":  noon.Add(1),
		"2026-03-01 12:00:00 UTC":         noon,
		"2000-01-01T00:00:00Z":            time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		"2199-12-31T23:59:59Z":            time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC),
		"1999-12-31T23:59:59Z":            {},
		"2200-01-01T00:00:00Z":            {},
		"yesterday":                       {},
		"2026-03-01":                      {},
		"2026-03-01T12:00:00":             {},
		"9999999999-03-01T12:00:00Z":      {},
		"2026-03-01T12:00:00Z; DROP":      {},
		"2026-13-01T12:00:00Z":            {},
		"2026-03-01T12:00:00.1234567890Z": noon.Add(123456789),
	} {
		at, err := ingest.When("x.at", text, "2006-01-02 15:04:05 MST")
		g.Expect(at).To(Equal(want), text)
		if !want.IsZero() || text == "" || strings.HasPrefix(text, "0001") {
			g.Expect(err).NotTo(HaveOccurred(), text)
			continue
		}
		g.Expect(err).To(MatchError(HavePrefix("x.at: must be a time ")), text)
	}
}

func TestName(t *testing.T) {
	g := NewWithT(t)
	for _, name := range []string{"a", strings.Repeat("a", 200), "Größe 1"} {
		g.Expect(ingest.Name("id", name)).To(Equal(name))
	}
	for _, name := range []string{"", strings.Repeat("a", 201), "a\x00", "a\nb", "a\ufffd", "\u009b", "check\u200bout", "a\u202eb", "\ufeffa"} {
		_, err := ingest.Name("id", name)
		g.Expect(err).To(MatchError("id: must be a text of 1 to 200 bytes in which every character shows"))
	}
}

// TestBounded: nobody's text grows a row without end, breaks a line of a log, or becomes an address that runs something.
func TestBounded(t *testing.T) {
	g := NewWithT(t)
	long := strings.Repeat("ü", 5000)
	many := []string{" one ", "one", "", "\x00", "two\nlines\x1b[0m", long}
	for i := range 100 {
		many = append(many, fmt.Sprint("n", i))
	}
	got := ingest.Bounded(ingest.Report{
		Service: " a\tb ", Environment: long, Team: "\x00",
		Incident: &ingest.Incident{Severity: "P1\n", Title: "up " + long, Link: "https://example.com/a?b=c#d", Mentions: many},
	})
	g.Expect(got.Service).To(Equal("a b"))
	g.Expect(got.Environment).To(Equal(strings.Repeat("ü", 100)))
	g.Expect(got.Team).To(BeEmpty())
	g.Expect(got.Incident.Severity).To(Equal("P1"))
	g.Expect(got.Incident.Title).To(Equal("up " + strings.Repeat("ü", 148)))
	g.Expect(got.Incident.Link).To(Equal("https://example.com/a?b=c#d"))
	g.Expect(got.Incident.Mentions).To(HaveLen(50))
	g.Expect(got.Incident.Mentions[:4]).To(Equal([]string{"one", "two\nlines [0m", strings.Repeat("ü", 2000), "n0"}))
	joined := ingest.Bounded(ingest.Report{
		Service:  "check\u200bout",
		Incident: &ingest.Incident{Title: "\u202edown\u202c: \U0001f469\u200d\U0001f4bb on call", Severity: "P\u00ad1", Mentions: []string{"v1\u200b.2"}},
	})
	g.Expect(joined.Service).To(Equal("checkout"))
	g.Expect(*joined.Incident).To(Equal(ingest.Incident{Title: "down: \U0001f469\U0001f4bb on call", Severity: "P1", Mentions: []string{"v1.2"}}))
	for _, address := range []string{
		"javascript:alert(1)", "//example.com", "/a", "ftp://example.com", "https://", "https:///a", "https://u:p@example.com", "https://u@example.com",
		"https://example.com/\x00", "https://example.com/" + long, "http://[::1", "example.com", " https://example.com", "HTTPS://example.com\n",
	} {
		got := ingest.Bounded(ingest.Report{Incident: &ingest.Incident{Link: address}})
		g.Expect(got.Incident.Link).To(BeEmpty(), address)
	}
}

// TestNoCredentialIsKept: what monitoring quotes of what failed is shown to people, and goes to sinks.
func TestNoCredentialIsKept(t *testing.T) {
	g := NewWithT(t)
	password := sinktest.Secret("database")
	quoted := "login https://bob:" + password + "@db.example.com failed, token=" + password
	got := ingest.Bounded(ingest.Report{Incident: &ingest.Incident{
		Title: quoted, Mentions: []string{quoted + " since v1.2.3"}, Link: "https://example.com/x?team=a&token=" + password + "&panel=2",
	}}).Incident
	g.Expect(sinktest.Leaks(got.Title+got.Link+strings.Join(got.Mentions, ""))).To(BeFalse(), "a secret is kept")
	g.Expect(got.Title).To(Equal("login https://REDACTED@db.example.com failed, token=REDACTED"))
	g.Expect(got.Mentions[0]).To(HaveSuffix(" since v1.2.3"))
	g.Expect(got.Link).To(Equal("https://example.com/x?team=a&panel=2"))
	for address, want := range map[string]string{
		"https://example.com/x?X-Amz-Signature=a1&b=2":             "https://example.com/x?b=2",
		"https://example.com/x?api_key=a1":                         "https://example.com/x",
		"https://example.com/x?b=2&sig=%61#c":                      "https://example.com/x?b=2",
		"https://example.com/x?b=ghp_" + strings.Repeat("a1", 18):  "https://example.com/x",
		"https://example.com/x#access_token=a1":                    "https://example.com/x",
		"https://example.com/ghp_" + strings.Repeat("a1", 18):      "",
		"https://example.com/@ann/graph?g0.expr=up%7Ba%3D%22b%22}": "https://example.com/@ann/graph?g0.expr=up%7Ba%3D%22b%22}",
	} {
		g.Expect(ingest.Bounded(ingest.Report{Incident: &ingest.Incident{Link: address}}).Incident.Link).To(Equal(want), address)
	}
}

func TestCredentials(t *testing.T) {
	token, password := sinktest.Secret("token"), sinktest.Secret("password")
	byToken := map[string][]byte{"token": []byte(token + "\n")}
	byName := map[string][]byte{"username": []byte("argo"), "password": []byte(password)}
	both := map[string][]byte{"token": []byte(token), "username": []byte("argo"), "password": []byte(password)}
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "bearer "+token) }
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	for name, c := range map[string]struct {
		secret map[string][]byte
		sent   func(*http.Request)
		want   error
	}{
		"the token":                           {byToken, bearer, nil},
		"the name and password":               {byName, basic("argo", password), nil},
		"the token of both":                   {both, bearer, nil},
		"the name and password of both":       {both, basic("argo", password), nil},
		"nothing":                             {byToken, func(*http.Request) {}, ingest.ErrNotSender},
		"another token":                       {byToken, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+"x") }, ingest.ErrNotSender},
		"the token with another scheme":       {byToken, func(r *http.Request) { r.Header.Set("Authorization", "Token "+token) }, ingest.ErrNotSender},
		"the token without a scheme":          {byToken, func(r *http.Request) { r.Header.Set("Authorization", token) }, ingest.ErrNotSender},
		"an empty token":                      {byToken, func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, ingest.ErrNotSender},
		"basic where there is only a token":   {byToken, basic("", ""), ingest.ErrNotSender},
		"another password":                    {byName, basic("argo", "x"), ingest.ErrNotSender},
		"another name":                        {byName, basic("x", password), ingest.ErrNotSender},
		"a token where there is only a name":  {byName, bearer, ingest.ErrNotSender},
		"no Secret":                           {nil, bearer, ingest.ErrNoSecret},
		"an empty token in the Secret":        {map[string][]byte{"token": []byte("\n")}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, ingest.ErrNoSecret},
		"a name without a password in it":     {map[string][]byte{"username": []byte("argo")}, basic("argo", ""), ingest.ErrNoSecret},
		"an empty password in the Secret too": {map[string][]byte{"username": []byte("argo"), "password": nil}, basic("argo", ""), ingest.ErrNoSecret},
	} {
		sent := &http.Request{Header: http.Header{}}
		c.sent(sent)
		err := ingest.VerifyCredentials(&ingest.Request{Header: sent.Header}, c.secret)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && sinktest.Leaks(err.Error()) {
			t.Errorf("%s: the error tells a secret", name)
		}
	}
}

// GitLab's CI_REPOSITORY_URL has a job's token in it.
func TestARepositoryIsKeptWithoutCredentials(t *testing.T) {
	for text, want := range map[string]string{
		"https://gitlab-ci-token:glcbt-64_abc@gitlab.example.com/acme/web.git": "https://gitlab.example.com/acme/web.git",
		"https://x-access-token@github.com/acme/web":                           "https://github.com/acme/web",
		"ssh://git@github.com/acme/web.git":                                    "ssh://git@github.com/acme/web.git",
		"git@github.com:acme/web.git":                                          "git@github.com:acme/web.git",
		"acme/web":                                                             "acme/web",
		"":                                                                     "",
		"https://github.com/acme/web?private_token=abcdef0123456789": "https://github.com/acme/web?private_token=REDACTED",
	} {
		NewWithT(t).Expect(ingest.Repository(text)).To(Equal(want), text)
	}
}
