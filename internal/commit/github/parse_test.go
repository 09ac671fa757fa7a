package github

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/dora-controller/dora-controller/internal/commit"
)

func TestWhereTheAPIIs(t *testing.T) {
	for url, want := range map[string]string{
		"https://github.com/dora/shop":               "https://api.github.com/",
		"https://www.github.com/dora/shop":           "https://api.github.com/",
		"ssh://git@github.com/dora/shop":             "https://api.github.com/",
		"ssh://git@ssh.github.com:443/dora/shop":     "https://api.github.com/",
		"ssh://git@ssh.example.com/dora/shop":        "https://ssh.example.com/api/v3/",
		"https://dora.ghe.com/dora/shop":             "https://api.dora.ghe.com/",
		"https://github.example.com/dora/shop":       "https://github.example.com/api/v3/",
		"https://github.example.com:8443/dora/shop":  "https://github.example.com:8443/api/v3/",
		"ssh://git@github.example.com:122/dora/shop": "https://github.example.com/api/v3/",
		"http://127.0.0.1:8080/dora/shop":            "http://127.0.0.1:8080/api/v3/",
		"https://notgithub.com/dora/shop":            "https://notgithub.com/api/v3/",
		"https://[2001:db8::1]:8443/dora/shop":       "https://[2001:db8::1]:8443/api/v3/",
		"ssh://git@[2001:db8::1]:22/dora/shop":       "https://[2001:db8::1]/api/v3/",
	} {
		got, err := locate(url)
		if err != nil || got.api.String() != want || got.owner != "dora" || got.name != "shop" {
			t.Errorf("%s: got %+v at %v and %v, want %s", url, got, got.api, err, want)
		}
	}
}

func TestTheLeastUsedAnswerIsDropped(t *testing.T) {
	var dropped []string
	l := newLRU(10, func(v string) { dropped = append(dropped, v) })
	l.put("a", "1", 4)
	l.put("b", "2", 4)
	l.get("a")
	l.put("c", "3", 4)
	l.put("huge", "4", 11)
	l.put("a", "5", 2)
	for key, want := range map[string]string{"a": "5", "b": "", "c": "3", "huge": ""} {
		if got, _ := l.get(key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	if got := strings.Join(dropped, " "); got != "2 1" || l.used != 6 {
		t.Errorf("dropped %s, and %d are used; want 2 1, and 6", got, l.used)
	}
}

// FuzzRefusal gives headers and a body that a server chose.
func FuzzRefusal(f *testing.F) {
	f.Add(403, "", "0", "5000", "1772440000", "core", `{"message":"API rate limit exceeded for user ID 1."}`)
	f.Add(429, "60", "", "", "", "", `{"message":"You have exceeded a secondary rate limit."}`)
	f.Add(403, "Mon, 02 Mar 2026 08:03:00 GMT", "1", "2", "9223372036854775807", "search", `{"documentation_url":"x#abuse-rate-limits"}`)
	f.Add(503, "-1", "-1", "-1", "-1", "core", "[")
	f.Fuzz(func(t *testing.T, status int, retryAfter, remaining, limit, reset, resource, body string) {
		h := http.Header{"Date": {"Mon, 02 Mar 2026 08:00:00 GMT"}}
		for key, value := range map[string]string{
			"Retry-After": retryAfter, "X-Ratelimit-Remaining": remaining, "X-Ratelimit-Limit": limit, "X-Ratelimit-Reset": reset, "X-Ratelimit-Resource": resource,
		} {
			h.Set(key, value)
		}
		if rate, ok := ownRate(h); ok && (rate.Remaining < 0 || rate.Limit <= 0) {
			t.Errorf("took %+v for a limit", rate)
		}
		wait, why := verdict(status, h, []byte(body))
		if wait < 0 || wait > time.Hour || wait > 0 && why == "" {
			t.Errorf("waits %v since %q", wait, why)
		}
		if wait == 0 && status == http.StatusTooManyRequests {
			t.Error("does not wait after 429")
		}
		if len([]rune(why)) > 201 || strings.ContainsFunc(why, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the reason is no bounded line: %q", why)
		}
	})
}

// FuzzComparison gives a page of commits that a server chose.
func FuzzComparison(f *testing.F) {
	sha := strings.Repeat("a", 40)
	date := `{"date":"2026-03-01T09:00:00Z"}`
	f.Add([]byte(`{"status":"ahead","total_commits":1,"commits":[{"sha":"` + sha + `","commit":{"author":` + date + `,"committer":` + date + `},"parents":[{"sha":"` + sha + `"}]}]}`))
	f.Add([]byte(`{"status":"diverged"}`))
	f.Add([]byte(`{"status":"ahead","commits":[{"sha":"` + sha + `"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var c comparison
		if json.Unmarshal(body, &c) != nil || c.check(sha, sha) != nil {
			return
		}
		var found commit.Range
		counted := withoutMerges(c.Commits)
		earliest(&found, counted, commit.Author)
		if len(counted) > 0 && (!fullSHA.MatchString(found.First) || found.FirstAt.IsZero() || found.FirstAt.Location() != time.UTC) {
			t.Errorf("took %+v for the first commit", found)
		}
	})
}
