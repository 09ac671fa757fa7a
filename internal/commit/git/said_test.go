package git_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
)

// line is a pkt-line: four digits that tell its length, then the text.
func line(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

const (
	service = "001e# service=git-upload-pack\n0000"
	// orders are what a terminal obeys, and what makes one line of a log look like two.
	orders = "\x1b[31mred\u009b31m\u202e evil\nlevel=error msg=forged "
)

// wantQuoted wants an error of one line that tells no secret and gives no orders.
func wantQuoted(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, bad := range []string{"canary", "Y2FuYXJ5", "\x1b", "\u009b", "\u202e", "\n"} {
		if strings.Contains(err.Error(), bad) {
			t.Errorf("%q has %q", err, bad)
		}
	}
}

// canaries are credentials, and the header that they become; each begins with "canary" before it is encoded.
func canaries() map[string]commit.Credentials {
	return map[string]commit.Credentials{
		"a token":               {Token: "canary-token"},
		"a user and a password": {Username: "canary", Password: "canary-password"},
	}
}

// secret is what of a request's header is secret.
func secret(req *http.Request) string {
	_, sent, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	return sent
}

func TestBranchesThatRepeatTheCredentials(t *testing.T) {
	for name, answer := range map[string]func(secret string) string{
		"an error":            func(s string) string { return service + line("ERR "+s+orders) },
		"a line of something": func(s string) string { return service + line(s+orders) },
		"no lines at all":     func(s string) string { return s + orders },
		"a name that is none": func(s string) string {
			return service + line(strings.Repeat("z", 40)+" refs/"+s+orders+"\x00ofs-delta")
		},
		"a second name that is none": func(s string) string {
			return service + line(strings.Repeat("a", 40)+" refs/heads/main\x00ofs-delta") + line(s+orders)
		},
	} {
		for kind, c := range canaries() {
			t.Run(name+" and "+kind, func(t *testing.T) {
				url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
					_, _ = io.WriteString(w, answer(secret(req)))
				}))
				_, err := provider(t, git.Options{}).Open(t.Context(), commit.Location{URL: url, Credentials: c})
				wantQuoted(t, err)
			})
		}
	}
}

func TestPacksThatRepeatTheCredentials(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	actual := backend(t, r)
	for name, answer := range map[string]func(secret string) string{
		"a commit that is refused": func(s string) string { return line("ERR upload-pack: not our ref " + s + orders) },
		"another error":            func(s string) string { return line("ERR " + s + orders) },
		"an error beside the pack": func(s string) string { return "0008NAK\n" + line("\x03fatal "+s+orders) },
		"no lines at all":          func(s string) string { return s + orders },
	} {
		for kind, c := range canaries() {
			t.Run(name+" and "+kind, func(t *testing.T) {
				url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.Method == http.MethodGet {
						actual.ServeHTTP(w, req)
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
					_, _ = io.WriteString(w, answer(secret(req)))
				}))
				_, err := provider(t, git.Options{}).Open(t.Context(), commit.Location{URL: url, Credentials: c})
				wantQuoted(t, err)
			})
		}
	}
}

func TestARedirectThatRepeatsTheCredentials(t *testing.T) {
	for where, location := range map[string]string{"nowhere": "ht!tp://%s%%zz", "another path": "/%s/elsewhere"} {
		for kind, c := range canaries() {
			t.Run("to "+where+" and "+kind, func(t *testing.T) {
				url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if strings.HasSuffix(req.URL.Path, "elsewhere") {
						w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
						return
					}
					w.Header().Set("Location", fmt.Sprintf(location, secret(req)))
					w.WriteHeader(http.StatusFound)
				}))
				_, err := provider(t, git.Options{}).Open(t.Context(), commit.Location{URL: url, Credentials: c})
				wantQuoted(t, err)
			})
		}
	}
}
