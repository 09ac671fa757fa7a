package gitea

import (
	"net/http"
	"net/url"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
)

// Whatever a server answers, what is made of it is an answer that can be, or an error that can be shown.
func FuzzAnswers(f *testing.F) {
	const (
		sha  = "4f5e6d7000000000000000000000000000000000"
		date = `{"date":"2026-03-01T09:00:00Z"}`
		one  = `{"sha":"` + sha + `","parents":[],"commit":{"author":` + date + `,"committer":` + date + `}}`
	)
	f.Add(`200 `+one+"\n"+`200 {"name":"v1","commit":{"sha":"`+sha+`"}}`+"\n"+`200 `+one, "X-Total-Count", "1")
	f.Add(`200 {"sha":"4f5e6d7"}`+"\n"+`404 {"message":"not found"}`+"\n"+`401 {"message":"no $T"}`, "Retry-After", "17")
	f.Add(`500 {"message":"\u001b[31m$T"}`, "X-Hasmore", "true")
	f.Add(`200 [{"sha":"$T","commit":{"author":{"date":"$T"},"committer":{"date":"$T"}}}]`, "", "")
	f.Add(`200 []`+"\n"+`200 [`+one+`]`+"\n"+`200 {"version":"1.22.0"}`, "X-Total-Count", "1")
	f.Fuzz(func(t *testing.T, script, name, value string) {
		server := &url.URL{Scheme: "https", Host: "git.example.com"}
		credentials := commit.Credentials{Token: committest.Token}
		answers := &committest.Scripted{Script: script, Header: http.Header{http.CanonicalHeaderKey(name): {value}}}
		client := &http.Client{Transport: New(Options{}).wrap(answers, server, credentials)}
		api, err := sdk.NewClient(server.String(), sdk.SetHTTPClient(client), sdk.SetGiteaVersion(""))
		if err != nil {
			t.Fatal(err)
		}
		committest.Believable(t, &repository{api: api, host: server.Host, owner: "shop", name: "cart", credentials: credentials})
	})
}
