package dora_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/uuid"

	"github.com/dora-controller/dora-controller/internal/dora"
)

func TestSplitImageAgreesWithTheReferenceLibrary(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, ref := range []string{
		"registry.example.com/acme/api:main-1a1a1a1", "registry.example.com:5000/acme/api:v1", "registry.example.com:5000/acme/api",
		"registry.example.com/acme/api@" + digest, "registry.example.com/acme/api:v1@" + digest, "localhost:5000/api:1",
		"docker.io/library/nginx:1.27",
	} {
		named, err := reference.Parse(ref)
		if err != nil {
			t.Fatal(err)
		}
		var wantTag, wantDigest string
		if tagged, ok := named.(reference.Tagged); ok {
			wantTag = tagged.Tag()
		}
		if digested, ok := named.(reference.Digested); ok {
			wantDigest = digested.Digest().String()
		}
		repository, tag, digest := dora.SplitImage(ref)
		if repository != named.(reference.Named).Name() || tag != wantTag || digest != wantDigest {
			t.Errorf("%s: got %q %q %q", ref, repository, tag, digest)
		}
	}
}

func TestCommitFromTag(t *testing.T) {
	sha := "0123456789abcdef0123456789abcdef01234567"
	for tag, want := range map[string]string{
		sha:                      sha,
		"main-1a1a1a1":           "1a1a1a1",
		"main_1a1a1a1":           "1a1a1a1",
		"main.1a1a1a1":           "1a1a1a1",
		"sha-1a1a1a1":            "1a1a1a1",
		"sha1a1a1a1":             "1a1a1a1",
		"sha-1234567":            "1234567", // all digits by chance, and marked as a commit
		"v1.4.0-12-g1234567":     "1234567",
		"v1.4.0-12-g1a1a1a1":     "1a1a1a1",
		"1a1a1a1":                "1a1a1a1",
		"20260822":               "", // a date
		"1234567":                "", // a build number
		"main-20260822":          "",
		"20260822a1":             "", // the first of that day
		"main-20260822b":         "",
		"202608221530ab":         "",
		"20263322ab":             "20263322ab", // there is no month 33
		"2026-08-22":             "",
		"v1.4.1":                 "",
		"latest":                 "",
		"":                       "",
		"main-1a1a1":             "", // six digits are too few
		"main-1A1A1A1":           "", // git writes lower case
		"1a1a1a1-amd64":          "",
		sha + "0":                "",
		"deadbeef-20260822":      "",
		"main-deadbee-hotfix":    "",
		"release-1a1a1a1.b2b2b2": "",
	} {
		if got := dora.CommitFromTag(tag); got != want {
			t.Errorf("%q: got %q, want %q", tag, got, want)
		}
	}
}

func TestATagPatternSaysWhereTheCommitStands(t *testing.T) {
	for _, c := range []struct{ pattern, tag, want string }{
		{"", "main-1a1a1a1", "1a1a1a1"},
		{`^[a-z]+-(?P<sha>[0-9a-f]+)-[0-9]+$`, "main-1a1a1a1-1699999999", "1a1a1a1"},
		{`^(?<sha>[0-9a-f]+)-amd64$`, "1a1a1a1-amd64", "1a1a1a1"},
		{`^b(?P<build>[0-9]+)\.(?P<sha>[0-9]+)$`, "b12.1234567", "1234567"}, // digits alone, since the pattern says so
		{`(?P<sha>[0-9A-F]{7})`, "x-1A1A1A1-y", "1a1a1a1"},
		{`^(?P<sha>.*)$`, "latest", ""},
		{`^(?P<sha>.*)$`, "1a1a1a", ""}, // six digits are too few
		{`^v(?P<sha>[0-9a-f]{7})?$`, "v", ""},
		{`^main-(?P<sha>[0-9a-f]+)$`, "dev-1a1a1a1", ""},
	} {
		pattern, err := dora.ParseTagPattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := pattern.Commit(c.tag); got != c.want {
			t.Errorf("%s of %s: got %q, want %q", c.pattern, c.tag, got, c.want)
		}
		if pattern.String() != c.pattern {
			t.Errorf("%s reads as %s", c.pattern, pattern)
		}
	}
}

func TestATagPatternNeedsAGroupNamedSHA(t *testing.T) {
	for pattern, want := range map[string]string{
		`^main-([0-9a-f]+)$`:        "no group named sha",
		`^main-(?P<SHA>[0-9a-f]+)$`: "no group named sha",
		`^main-\(?P<sha>[0-9a-f]+$`: "no group named sha", // the bracket is escaped
		`^main-(?P<sha>[0-9a-f]+`:   "no regular expression",
	} {
		if _, err := dora.ParseTagPattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says: %s", pattern, err, want)
		}
	}
}

func TestLabelNamesTheImageThatChanged(t *testing.T) {
	for name, c := range map[string]struct {
		changed     []string
		tag, commit string
	}{
		"the first that carries a commit": {[]string{"a/envoy:v1.31.0", "b/api:main-2b2b2b2"}, "main-2b2b2b2", "2b2b2b2"},
		"else the first by name":          {[]string{"a/envoy:v1.31.0", "b/api:v2"}, "v1.31.0", ""},
		"a digest where there is no tag":  {[]string{"a/envoy@sha256:abc"}, "sha256:abc", ""},
		"all of them if none is named":    {nil, "v1", ""},
	} {
		v := dora.Version{Images: []string{"z/z:v1"}}
		v.Label(c.changed, func(ref string) string {
			_, tag, _ := dora.SplitImage(ref)
			return dora.CommitFromTag(tag)
		})
		if v.Tag != c.tag || v.Commit != c.commit {
			t.Errorf("%s: got %q %q", name, v.Tag, v.Commit)
		}
	}
}

func TestIDIsAUUIDv5OfItsFacts(t *testing.T) {
	id, err := uuid.Parse(dora.ID("prod", "uid", "2026-01-01T00:00:00Z", "deploy"))
	if err != nil || id.Version() != 5 || id.Variant() != uuid.RFC4122 {
		t.Fatalf("%v is no UUIDv5: %v", id, err)
	}
	space := uuid.NewSHA1(uuid.NameSpaceDNS, []byte("dora-controller.io"))
	if want := uuid.NewSHA1(space, []byte("a\x00b")); dora.ID("a", "b") != want.String() {
		t.Errorf("got %s, want %s", dora.ID("a", "b"), want)
	}
	if dora.ID("a", "b") == dora.ID("ab") {
		t.Error("facts must not run into each other")
	}
}

func TestPreviousIsAnObjectNullOrAbsent(t *testing.T) {
	for want, p := range map[string]dora.Predecessor{
		`"previous":{"images":["a:1"]}`: {Known: true, Version: &dora.Version{Images: []string{"a:1"}}},
		`"previous":null`:               {Known: true},
		``:                              {},
	} {
		data, err := json.Marshal(dora.Event{Type: dora.TypeDeploy, Outcome: dora.Succeeded, Success: new(true), Previous: p})
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && strings.Contains(string(data), "previous") || !strings.Contains(string(data), want) {
			t.Errorf("want %q in %s", want, data)
		}
		var back dora.Event
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if back.Previous.Known != p.Known || (back.Previous.Version == nil) != (p.Version == nil) {
			t.Errorf("%q read back as %+v", want, back.Previous)
		}
	}
}

func TestSuccessOfAnUnknownDeploymentIsNull(t *testing.T) {
	for want, e := range map[string]dora.Event{
		`"success":null`: {Type: dora.TypeDeploy, Outcome: dora.Unknown},
		`"success":true`: {Type: dora.TypeDeploy, Outcome: dora.Succeeded, Success: new(true)},
	} {
		data, err := json.Marshal(e)
		if err != nil || strings.Count(string(data), `"success"`) != 1 || !strings.Contains(string(data), want) {
			t.Errorf("want %s once in %s (%v)", want, data, err)
		}
	}
	if data, err := json.Marshal(dora.Event{Type: dora.TypeDegraded}); err != nil || strings.Contains(string(data), "success") {
		t.Errorf("a failure has no success: %s (%v)", data, err)
	}
}
