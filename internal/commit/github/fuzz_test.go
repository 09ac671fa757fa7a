package github

import (
	"net/http"
	"testing"
	"time"

	gh "github.com/google/go-github/v92/github"

	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// Whatever GitHub answers, what is made of it is an answer that can be, or an error that can be shown.
func FuzzAnswers(f *testing.F) {
	const (
		sha  = "4f5e6d7000000000000000000000000000000000"
		date = `{"date":"2026-03-01T09:00:00Z"}`
		one  = `{"sha":"` + sha + `","commit":{"author":` + date + `,"committer":` + date + `},"parents":[]}`
	)
	f.Add(`200 `+sha+"\n"+`200 {"ref":"refs/tags/v1","object":{"type":"commit","sha":"`+sha+`"}}`, "Etag", `"a"`)
	f.Add(`200 `+sha+"\n"+`200 `+sha+"\n"+`404 {}`+"\n"+`200 {"status":"ahead","total_commits":1,"commits":[`+one+`]}`, "Link", "<https://x/?page=2>; rel=\"next\"")
	f.Add(`403 {"message":"API rate limit exceeded for $T"}`, "X-Ratelimit-Remaining", "0")
	f.Add(`401 {"message":"Bad credentials \u001b[31m $T","documentation_url":"$T"}`, "Www-Authenticate", "$T")
	f.Add(`302 `, "Location", "https://evil.example.com/$T")
	f.Add(`200 {"status":"ahead","total_commits":-1,"commits":[{"sha":"$T"}]}`, "X-Ratelimit-Reset", "9223372036854775807")
	f.Fuzz(func(t *testing.T, script, name, value string) {
		where, err := locate("https://github.com/shop/cart")
		if err != nil {
			t.Fatal(err)
		}
		answers := &committest.Scripted{Script: script, Header: http.Header{http.CanonicalHeaderKey(name): {value}}}
		authorized, err := withToken(committest.Token)(&wire{next: answers, scheme: where.api.Scheme, host: where.api.Host})
		if err != nil {
			t.Fatal(err)
		}
		now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
		limited := &gate{next: authorized, host: where.api.Host, now: now, report: func(string, int, int, time.Time) {}}
		base := where.api.String()
		client, err := gh.NewClient(gh.WithURLs(&base, &base), gh.WithDisableRateLimitCheck(), gh.WithHTTPClient(&http.Client{
			Transport: &conditional{next: limited, answers: newLRU[answer](maxAnswers, nil)}, CheckRedirect: egress.Redirects,
		}))
		if err != nil {
			t.Fatal(err)
		}
		committest.Believable(t, &repository{place: where, account: &account{client: client}})
	})
}
