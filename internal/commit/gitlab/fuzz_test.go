package gitlab

import (
	"net/http"
	"net/url"
	"testing"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
)

// Whatever a server answers, what is made of it is an answer that can be, or an error that can be shown.
func FuzzAnswers(f *testing.F) {
	const sha = "4f5e6d7000000000000000000000000000000000"
	f.Add(`200 {"id":"`+sha+`","committed_date":"2026-03-01T09:00:00.000Z","parent_ids":["a"]}`, "Ratelimit-Remaining", "0")
	f.Add(`200 {"id":"4f5e6d7"}`+"\n"+`404 {"message":"404 Commit Not Found"}`+"\n"+`401 {"message":"no $T"}`, "Retry-After", "17")
	f.Add(`200 {"name":"v1","commit":{"id":"`+sha+`"}}`+"\n"+`429 $T`, "Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")
	f.Add(`200 [{"id":"`+sha+`","committed_date":"$T"}]`, "X-Next-Page", "2")
	f.Add(`200 {"id":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}`+"\n"+
		`200 [{"id":"`+sha+`","committed_date":"2026-03-01T09:00:00+23:59","authored_date":"0000-01-01T00:00:00Z"}]`, "", "")
	f.Fuzz(func(t *testing.T, script, name, value string) {
		server := &url.URL{Scheme: "https", Host: "git.example.com", Path: "/"}
		credentials := commit.Credentials{Token: committest.Token}
		answers := &committest.Scripted{Script: script, Header: http.Header{http.CanonicalHeaderKey(name): {value}}}
		client := &http.Client{Transport: New(Options{}).wrap(answers, server, credentials)}
		r, err := connect(server, client)
		if err != nil {
			t.Fatal(err)
		}
		committest.Believable(t, &repository{api: r, host: server.Host, project: "shop/cart", credentials: credentials})
	})
}

func connect(server *url.URL, client *http.Client) (*gl.Client, error) {
	return gl.NewAuthSourceClient(gl.Unauthenticated{}, gl.WithBaseURL(server.String()), gl.WithHTTPClient(client), gl.WithoutRetries(),
		gl.WithCustomLimiter(unlimited{}))
}
