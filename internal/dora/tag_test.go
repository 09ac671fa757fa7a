package dora_test

import (
	"regexp"
	"strings"
	"testing"

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
	})
}

// Whatever a pattern is, it is refused or reads what looks like a commit.
func FuzzTagPattern(f *testing.F) {
	f.Add(`^main-(?P<sha>[0-9a-f]{7,40})$`, "main-1a1a1a1")
	f.Add(`(?<sha>.*)`, "latest")
	f.Add(`(`, "x")
	f.Add(`(?P<sha>a)?(?P<sha>b)?`, "ab")
	f.Fuzz(func(t *testing.T, text, tag string) {
		pattern, err := dora.ParseTagPattern(text)
		if err != nil {
			return
		}
		if got := pattern.Commit(tag); got != "" && !dora.IsSHA(got) {
			t.Errorf("%q of %q: %q", text, tag, got)
		}
	})
}
