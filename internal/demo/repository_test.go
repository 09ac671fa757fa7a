package demo

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTheDemosServicesHaveRealCommits(t *testing.T) {
	from, err := makeSource(t.Context(), t.TempDir(), begin)
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimPrefix(from.url, "file://")
	for _, s := range stories {
		for _, r := range releases {
			sha := from.tags[s.service][r.tag]
			if !regexp.MustCompile(`^[0-9a-f]*[a-f][0-9a-f]*$`).MatchString(sha) || len(sha) < 7 {
				t.Errorf("%s %s: %q could be a build number", s.service, r.tag, sha)
			}
			newest, err := runGit(t.Context(), dir, nil, "log", "-1", "--format=%ct %s", sha, "--", s.service)
			if err != nil {
				t.Fatal(err)
			}
			if want := s.service + ": change"; !strings.Contains(newest, want) || !strings.Contains(newest, r.tag) {
				t.Errorf("%s of %s is built from %q", r.tag, s.service, newest)
			}
		}
	}
	count, err := runGit(t.Context(), dir, nil, "rev-list", "--count", "main")
	if err != nil || strings.TrimSpace(count) != "21" {
		t.Errorf("%s commits, %v; three services with seven each", count, err)
	}
	if _, err := makeSource(t.Context(), strings.TrimSuffix(dir, "/shop.git"), begin.Add(time.Hour)); err != nil {
		t.Errorf("a second demo in the same place: %v", err)
	}
}

func TestAShortSHAHasALetter(t *testing.T) {
	for sha, want := range map[string]string{
		"abc1234567" + strings.Repeat("0", 30): "abc1234",
		"1234567890" + strings.Repeat("f", 30): "1234567890f",
		strings.Repeat("7", 40):                strings.Repeat("7", 7), // so unlikely that it may fail
	} {
		if got := short(sha); got != want {
			t.Errorf("%s: got %s, want %s", sha, got, want)
		}
	}
}
