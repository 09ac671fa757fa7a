package git_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
	"github.com/dora-controller/dora-controller/internal/egress"
)

const basic = "Basic YWRhOnMzY3JldA==" // ada:s3cret

func TestCredentialsOverHTTP(t *testing.T) {
	for name, row := range map[string]struct {
		give commit.Credentials
		want string
	}{
		"a user and a password": {commit.Credentials{Username: "ada", Password: "s3cret"}, basic},
		"a token":               {commit.Credentials{Token: "s3cret"}, "Bearer s3cret"},
		"a password alone":      {commit.Credentials{Password: "s3cret"}, "Basic Z2l0OnMzY3JldA=="},
		"none":                  {commit.Credentials{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := committest.New(t)
			sha := r.Commit(committest.Commit{})
			at := commit.Location{URL: serve(t, only(row.want, backend(t, r))), Credentials: row.give}
			if got, err := opened(t, provider(t, git.Options{}), at).Commit(t.Context(), sha[:7]); got != sha || err != nil {
				t.Errorf("got %q and %v, want %s", got, err, sha)
			}
		})
	}
}

func TestAnswersThatAreErrors(t *testing.T) {
	for name, row := range map[string]struct {
		answer func(http.ResponseWriter)
		want   error
		words  string
	}{
		"wrong credentials": {func(w http.ResponseWriter) { http.Error(w, "s3cret", http.StatusUnauthorized) }, commit.ErrUnauthorized, "look at the Secret"},
		"forbidden":         {func(w http.ResponseWriter) { http.Error(w, "s3cret", http.StatusForbidden) }, commit.ErrUnauthorized, "look at the Secret"},
		"no such thing":     {func(w http.ResponseWriter) { http.Error(w, "s3cret", http.StatusNotFound) }, commit.ErrNoRepository, "no such repository"},
		"a page to log in":  {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>s3cret") }, commit.ErrNoRepository, "not answer as a git server"},
		"list of branches without an end": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			name := strings.Repeat("a", 40) + " refs/heads/branch"
			_, _ = io.WriteString(w, "001e# service=git-upload-pack\n00000044"+name+"\x00 a=b\n")
			for lines := strings.Repeat("003f"+name+"\n", 1000); ; {
				if _, err := io.WriteString(w, lines); err != nil {
					return
				}
			}
		}, commit.ErrTooLarge, "branches and tags"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { row.answer(w) }))
			_, err := provider(t, git.Options{Folder: folder}).Open(t.Context(),
				commit.Location{URL: url, Credentials: commit.Credentials{Username: "ada", Password: "s3cret"}})
			wantError(t, err, row.want, row.words)
			wantEmpty(t, folder)
		})
	}
}

func TestAServerThatIsBusySaysWhenToComeBack(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		http.Error(w, "later", http.StatusTooManyRequests)
	}))
	_, err := provider(t, git.Options{}).Open(t.Context(), commit.Location{URL: url})
	if got := commit.RetryAfter(err); got != 90*time.Second {
		t.Errorf("got %v after %v, want 90 s", got, err)
	}
}

func TestAServerThatWantsGitAtTheEndOfTheName(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	inner := backend(t, r)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.URL.Path, "/repo.git/") {
			http.NotFound(w, req)
			return
		}
		inner.ServeHTTP(w, req)
	}))
	if _, err := opened(t, provider(t, git.Options{}), commit.Location{URL: url}).Commit(t.Context(), sha); err != nil {
		t.Error(err)
	}
}

func TestARedirectWithinAHostTakesTheCredentialsAlong(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	inner := only(basic, backend(t, r))
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/repo/") {
			http.Redirect(w, req, "/repo.git/info/refs?"+req.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		inner.ServeHTTP(w, req)
	}))
	at := commit.Location{URL: url, Credentials: commit.Credentials{Username: "ada", Password: "s3cret"}}
	if _, err := opened(t, provider(t, git.Options{}), at).Commit(t.Context(), sha); err != nil {
		t.Error(err)
	}
}

// The other server has the same host name and another port, which Go's own client takes for the same.
func TestARedirectToAnotherHostLeavesTheCredentialsBehind(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	other := watch(only(basic, backend(t, r)))
	elsewhere := serve(t, other)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, elsewhere+"/info/refs?"+req.URL.RawQuery, http.StatusFound)
	}))
	at := commit.Location{URL: url, Credentials: commit.Credentials{Username: "ada", Password: "s3cret"}}
	_, err := provider(t, git.Options{}).Open(t.Context(), at)
	wantError(t, err, commit.ErrUnauthorized, "after a redirect", "use its address")
	if got := other.headers.Get("Authorization"); got != "" {
		t.Errorf("the other server got %q", got)
	}
}

func TestARedirectToARefusedAddress(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "http://169.254.169.254/repo/info/refs?token=s3cret", http.StatusFound)
	}))
	_, err := provider(t, git.Options{}).Open(t.Context(), commit.Location{URL: url})
	wantError(t, err, egress.ErrRefused, "169.254.169.254")
}

func TestAnAddressThatTheGuardRefuses(t *testing.T) {
	seen := watch(http.NotFoundHandler())
	url := serve(t, seen)
	guard := egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}}
	_, err := provider(t, git.Options{Guard: guard}).Open(t.Context(), commit.Location{URL: url})
	wantError(t, err, egress.ErrRefused)
	if requests, _ := seen.since(); requests != 0 {
		t.Errorf("the server was asked %d times", requests)
	}
}

func TestACertificateOfOnesOwn(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	server := httptest.NewUnstartedServer(backend(t, r))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about clients that do not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	url := server.URL + "/repo"
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	at := commit.Location{URL: url, Credentials: commit.Credentials{CA: ca}}
	if _, err := opened(t, provider(t, git.Options{}), at).Commit(t.Context(), sha); err != nil {
		t.Errorf("with it: %v", err)
	}
	if _, err := provider(t, git.Options{}).Open(t.Context(), commit.Location{URL: url}); err == nil {
		t.Error("without it: no error")
	}
}

func TestAServerThatStallsIsLeftWhenTheContextEnds(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	actual := backend(t, r)
	for name, stalls := range map[string]func(*http.Request) bool{
		"at once":                 func(*http.Request) bool { return true },
		"in the middle of a pack": func(req *http.Request) bool { return req.Method == http.MethodPost },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if !stalls(req) {
					actual.ServeHTTP(w, req)
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				if req.Method == http.MethodPost {
					_, _ = io.WriteString(w, "0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x05")
					w.(http.Flusher).Flush()
				}
				cancel()
				<-req.Context().Done()
			}))
			folder := t.TempDir()
			_, err := provider(t, git.Options{Folder: folder}).Open(ctx, commit.Location{URL: url})
			wantError(t, err, context.Canceled)
			wantEmpty(t, folder)
		})
	}
}

// packs serves packs made by hand behind a real list of branches.
func packs(t *testing.T, write func(io.Writer)) string {
	t.Helper()
	r := committest.New(t)
	r.Commit(committest.Commit{})
	actual := backend(t, r)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			actual.ServeHTTP(w, req)
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(w, "0008NAK\n")
		write(w)
	}))
}

func TestAPackWithoutAnEnd(t *testing.T) {
	var sent atomic.Int64
	url := packs(t, func(w io.Writer) {
		_, _ = io.WriteString(w, "PACK\x00\x00\x00\x02\x00\x98\x96\x80") // ten million objects
		for objects := bytes.Repeat(packed(3, []byte("a file")), 1000); ; {
			written, err := w.Write(objects)
			sent.Add(int64(written))
			if err != nil {
				return
			}
		}
	})
	folder := t.TempDir()
	_, err := provider(t, git.Options{Folder: folder, MaxRepositoryBytes: 1 << 20}).Open(t.Context(), commit.Location{URL: url})
	wantError(t, err, commit.ErrTooLarge, "1048576 bytes")
	wantEmpty(t, folder)
	if got := sent.Load(); got > 64<<20 {
		t.Errorf("%d bytes were sent", got)
	}
}

// A pack with a commit that is a difference to nothing: what came is not the whole history, so nothing of it is kept.
func TestAPackThatLacksAParent(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	r.Commit(committest.Commit{})
	actual := backend(t, r)
	tip := packed(1, []byte(committest.Git(t, r.Dir, nil, "cat-file", "commit", "main")+"\n"))
	nothing := "\x71" + strings.Repeat("b", 20) + string(deflated([]byte("x")))
	for name, pack := range map[string]string{"a parent": string(tip) + nothing, "a branch": nothing + nothing} {
		folder := t.TempDir()
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet {
				actual.ServeHTTP(w, req)
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(w, "0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x02"+pack+strings.Repeat("x", 20))
		}))
		_, err := provider(t, git.Options{Folder: folder}).Open(t.Context(), commit.Location{URL: url})
		if err == nil || !strings.Contains(err.Error(), "lacks commits") {
			t.Errorf("without %s: got %v", name, err)
		}
		wantEmpty(t, folder)
	}
}

func TestPacksThatAreDamaged(t *testing.T) {
	start := "PACK\x00\x00\x00\x02\x00\x00\x00\x01"
	for name, row := range map[string]struct {
		pack string
		want error
	}{
		"nothing":                           {"", nil},
		"another format":                    {"PACK\x00\x00\x00\x09\x00\x00\x00\x01", nil},
		"an object that is not there":       {start, nil},
		"an object that is cut off":         {start + string(packed(1, []byte("tree")))[:5], nil},
		"an object longer than it says":     {start + "\x11" + string(packed(1, []byte("tree")))[1:] + strings.Repeat("x", 20), nil},
		"no end":                            {start + string(packed(1, []byte("tree"))), nil},
		"more than an end":                  {start + string(packed(1, []byte("tree"))) + strings.Repeat("x", 30), nil},
		"a difference to nothing":           {start + "\x71" + strings.Repeat("b", 20) + string(packed(1, []byte("x")))[1:] + strings.Repeat("x", 20), nil},
		"a difference to what is before it": {start + "\x61\x7f" + string(packed(1, []byte("x")))[1:] + strings.Repeat("x", 20), nil},
		"a commit of many gigabytes":        {start + "\x9f\xff\xff\xff\xff\x0f" + string(packed(1, []byte("x")))[1:], commit.ErrTooLarge},
		"a difference that makes gigabytes": {"PACK\x00\x00\x00\x02\x00\x00\x00\x02" + bomb(), commit.ErrTooLarge},
		"a commit with countless parents":   {start + string(packed(1, []byte(strings.Repeat("parent "+strings.Repeat("a", 40)+"\n", 41)))), commit.ErrTooLarge},
		"countless objects":                 {"PACK\x00\x00\x00\x02\xff\xff\xff\xff", commit.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			_, err := provider(t, git.Options{Folder: folder, MaxCommits: 10}).Open(t.Context(),
				commit.Location{URL: packs(t, func(w io.Writer) { _, _ = io.WriteString(w, row.pack) })})
			if err == nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			wantEmpty(t, folder)
		})
	}
}
