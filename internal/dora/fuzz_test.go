package dora_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Whatever a tag is, what is read of it stands at its end and looks like a commit.
func FuzzCommitFromTag(f *testing.F) {
	for _, tag := range []string{"main-1a1a1a1", "v1.4.0-12-g1234567", "sha-1234567", "20260822a1", "latest", "", "é-1a1a1a1", strings.Repeat("a", 41)} {
		f.Add(tag)
	}
	sha := regexp.MustCompile(`^[0-9a-f]{7,40}$`)
	f.Fuzz(func(t *testing.T, tag string) {
		got := dora.CommitFromTag(tag)
		if got != "" && (!sha.MatchString(got) || !strings.HasSuffix(tag, got) || !dora.IsSHA(got)) {
			t.Errorf("%q: %q", tag, got)
		}
		if got != "" && dora.CommitFromTag("main-g"+got) != got {
			t.Errorf("%q is a commit in %q, and none behind a g", got, tag)
		}
	})
}

// Whatever a pattern is, it is refused or reads what looks like a commit and stands in the tag.
func FuzzTagPattern(f *testing.F) {
	f.Add(`^main-(?P<sha>[0-9a-f]{7,40})$`, "main-1a1a1a1")
	f.Add(`(?<sha>.*)`, "latest")
	f.Add(`(`, "x")
	f.Add(`(?P<sha>a)?(?P<sha>b)?`, "ab")
	f.Add(`(?i)(?P<sha>[A-F0-9]+)`, "1A1A1A1")
	f.Fuzz(func(t *testing.T, text, tag string) {
		pattern, err := dora.ParseTagPattern(text)
		if err != nil {
			return
		}
		got := pattern.Commit(tag)
		if got != "" && (!dora.IsSHA(got) || !strings.Contains(strings.ToLower(tag), got)) {
			t.Errorf("%q of %q: %q", text, tag, got)
		}
		if pattern.String() != text {
			t.Errorf("%q is written as %q", text, pattern)
		}
	})
}

// An image's reference falls into parts that make it up again, and they are those that container runtimes find.
func FuzzImage(f *testing.F) {
	for _, ref := range []string{
		"nginx", "registry.example.com:5000/shop/cart:1.2.0", "ghcr.io/a/b@sha256:" + strings.Repeat("a", 64),
		"ghcr.io/a/b:v1@sha256:" + strings.Repeat("0", 64), "localhost:5000/a", "a:", "@", ":@:", "a/b:c/d",
	} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		repository, tag, digest := dora.SplitImage(ref)
		whole := repository
		if tag != "" || strings.HasPrefix(ref, repository+":") {
			whole += ":" + tag
		}
		if digest != "" || strings.HasPrefix(ref, whole+"@") {
			whole += "@" + digest
		}
		if whole != ref {
			t.Errorf("%q falls into %q, %q and %q", ref, repository, tag, digest)
		}
		if !dora.GlobImage("*", ref) || !strings.ContainsAny(ref, "*?") && (!dora.GlobImage(ref, ref) || !dora.GlobImage(repository, ref)) {
			t.Errorf("%q is not matched by itself", ref)
		}
		known, err := reference.Parse(ref)
		named, ok := known.(reference.Named)
		if err != nil || !ok {
			return
		}
		want := [3]string{named.Name()}
		if tagged, ok := known.(reference.Tagged); ok {
			want[1] = tagged.Tag()
		}
		if digested, ok := known.(reference.Digested); ok {
			want[2] = digested.Digest().String()
		}
		if got := [3]string{repository, tag, digest}; got != want {
			t.Errorf("%q falls into %q, want %q", ref, got, want)
		}
	})
}

// A glob means the regular expression that it can be written as.
func FuzzGlob(f *testing.F) {
	f.Add("*/envoy", "docker.io/istio/envoy")
	f.Add("a*b*c?", "abbbcbcx")
	f.Add("**?", "")
	f.Add("[a]", "a")
	f.Add("ü?", "ü\xff")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern)+len(text) > 400 {
			return
		}
		said := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(runes(pattern)))
		want := regexp.MustCompile(`(?s)\A` + said + `\z`).MatchString(runes(text))
		if got := dora.Glob(pattern, text); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, text, got, want)
		}
	})
}

// runes makes a character of each byte: globs go by bytes, and expressions by characters.
func runes(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// An event that was read is written as what it was, in one form; what is found out about its commits later changes it once.
func FuzzEvent(f *testing.F) {
	const commit = "4f5e6d7f00d4f5e6d7f00d4f5e6d7f00d4f5e6d7"
	for _, seed := range []string{
		`{"type":"deploy","outcome":"unknown","success":null,"previous":null,"occurred_at":"2026-03-01T12:00:00.123456789+02:00"}`,
		`{"type":"deploy","outcome":"succeeded","success":true,"version":{"images":["a:b"],"tag":"b"},"running":{"images":["a:b"],"tag":"b"}}`,
		`{"type":"recovered","recovery_seconds":61.5,"failure_id":"a","version":{"images":null}}`,
		`{"type":"degraded","previous":{},"commit_count":0}`, `{}`, `null`, `{"occurred_at":"0000-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(seed), commit, int64(1_772_366_400), 3, "")
	}
	f.Add([]byte(`{"type":"deploy","outcome":"succeeded"}`), commit, int64(1<<40), 1, "") // the year 36812
	f.Fuzz(func(t *testing.T, raw []byte, commit string, first int64, commits int, reason string) {
		var e dora.Event
		if json.Unmarshal(raw, &e) != nil {
			return
		}
		written := wrote(t, e)
		var back dora.Event
		if err := json.Unmarshal(written, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(written, wrote(t, back)); diff != "" {
			t.Errorf("%s is read, and written as\n%s", raw, diff)
		}
		if strings.Contains(string(written), `"success":`) != (e.Type == dora.TypeDeploy || e.Success != nil) {
			t.Errorf("whether it succeeded is not told of a deployment, or of something else: %s", written)
		}
		enriched(t, e, dora.CommitFacts{Commit: commit, FirstCommitAt: time.Unix(first, 0), Commits: commits, Reason: reason})
		if after := wrote(t, e); !bytes.Equal(after, written) {
			t.Errorf("what shares a version with it became %s, of %s", after, written)
		}
	})
}

func wrote(t *testing.T, e dora.Event) []byte {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatalf("cannot be written: %v", err)
	}
	return text
}

// enriched completes a copy.
func enriched(t *testing.T, e dora.Event, facts dora.CommitFacts) {
	t.Helper()
	before := wrote(t, e)
	e.Enrich(facts)
	once := wrote(t, e)
	e.Enrich(facts)
	if !bytes.Equal(wrote(t, e), once) {
		t.Errorf("completed again it differs: %s", once)
	}
	if e.Type != dora.TypeDeploy {
		if !bytes.Equal(once, before) {
			t.Errorf("the %s event %s became %s", e.Type, before, once)
		}
		return
	}
	if s := e.LeadTimeSeconds; s != nil && (*s < 0 || e.Outcome != dora.Succeeded || e.LeadTimeUnknown != "") {
		t.Errorf("a lead time of %v of %s", *s, once)
	}
}

// An id is the UUID that any other implementation makes of the same facts, and of others it is another.
func FuzzID(f *testing.F) {
	f.Add("eu-1", "uid-1", "2026-03-01T12:00:00Z", "deploy")
	f.Add("", "", "", "")
	f.Add("a", "b/c", "", "degraded")
	project := uuid.NewSHA1(uuid.NameSpaceDNS, []byte("dora-controller.io"))
	f.Fuzz(func(t *testing.T, cluster, uid, attempt, kind string) {
		got := dora.ID(cluster, uid, attempt, kind)
		if want := uuid.NewSHA1(project, []byte(strings.Join([]string{cluster, uid, attempt, kind}, "\x00"))).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		others := [][]string{{cluster, uid, attempt, kind, ""}, {cluster, uid, attempt + kind}, {cluster + "x", uid, attempt, kind}}
		if uid != cluster {
			others = append(others, []string{uid, cluster, attempt, kind})
		}
		for _, facts := range others {
			if dora.ID(facts...) == got && !strings.Contains(cluster+uid+attempt+kind, "\x00") {
				t.Errorf("%q have the id of %q", facts, []string{cluster, uid, attempt, kind})
			}
		}
	})
}
