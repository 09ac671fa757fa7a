package oci_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/oci"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// Registries keep blobs elsewhere. What gets there is the request and nothing of the credentials.
func TestARedirectToAStorageHostTakesNoCredentialsAlong(t *testing.T) {
	for story, login := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){
		"with a token":    tokens{"robot", "canary-password", "canary-token"}.front(""),
		"with a password": basic("robot", "canary-password"),
	} {
		store := newTLSHub(t, nil)
		h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			login(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if isBlob(r) {
					http.Redirect(w, r, store.URL+r.URL.Path+"?X-Amz-Signature=canary-signature", http.StatusTemporaryRedirect)
					return
				}
				registry.ServeHTTP(w, r)
			}))
		})
		app := image(t, keyed{revision: sha}, nil)
		store.push(t, "team/app", "v1", app)
		got, err := h.labels(t, h.push(t, "team/app", "v1", app), secret(h.host(), "robot", "canary-password"))
		if err != nil || got.Revision != sha {
			t.Errorf("%s: %+v, %v", story, got, err)
		}
		for _, r := range store.requests() {
			if strings.Contains(fmt.Sprint(r.Header), "canary") || r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" && strings.Contains(r.Header.Get("Referer"), "canary") {
				t.Errorf("%s: the storage host got %v", story, r.Header)
			}
		}
		if n := len(store.requests()); n != 1 {
			t.Errorf("%s: %d requests to the storage host", story, n)
		}
	}
}

// A registry chooses where requests go: by a redirect, or by naming its token server. inner is a server that is not allowed.
func TestARegistryCannotSendRequestsInside(t *testing.T) {
	inner, reached := listenOn(t, "127.0.0.2:0")
	plain, reachedPlain := listenOn(t, "127.0.0.1:0")
	_, port, _ := strings.Cut(inner, ":")
	to := func(at func(*http.Request) bool, address string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if at(r) {
				http.Redirect(w, r, address, http.StatusFound)
				return
			}
			registry.ServeHTTP(w, r)
		}
	}
	realm := func(address string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return tokens{"robot", "canary-password", "canary-token"}.front(address)
	}
	for story, c := range map[string]struct {
		front func(http.ResponseWriter, *http.Request, http.Handler)
		plain bool // a refusal with ErrRefused needs a connection that was tried
	}{
		"the log-in is redirected":       {to(isPing, "https://"+inner+"/"), true},
		"a manifest is redirected":       {to(isManifest, "https://"+inner+"/"), true},
		"a config is redirected":         {to(isBlob, "https://"+inner+"/"), true},
		"an odd spelling":                {to(isBlob, "https://[::ffff:127.0.0.2]:"+port+"/"), true},
		"the metadata server":            {to(isBlob, "https://169.254.169.254/latest/meta-data/"), true},
		"from https to http":             {to(isBlob, "http://"+inner+"/"), true},
		"the log-in, from https to http": {to(isPing, "http://"+inner+"/"), true},
		"to http where it is allowed":    {to(isBlob, "http://"+plain+"/"), true},
		"another scheme":                 {to(isBlob, "file:///etc/passwd"), true},
		"a token server inside":          {realm("https://" + inner + "/token"), false},
		"a token server at metadata":     {realm("https://169.254.169.254/token"), false},
		"a token server without https":   {realm("http://" + inner + "/token"), false},
		"a token server by a file":       {realm("file:///token"), false},
		"no token server":                {realm("%zz"), false},
	} {
		h := newTLSHub(t, c.front)
		got, err := h.labels(t, h.push(t, "team/app", "v1", image(t, keyed{revision: sha}, nil)), secret(h.host(), "robot", "canary-password"))
		if err == nil || got != (commit.Labels{}) || c.plain && !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %+v, %v", story, got, err)
		}
		if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "meta-data") {
			t.Errorf("%s: the message tells too much: %v", story, err)
		}
	}
	if reached.Load() || reachedPlain.Load() {
		t.Error("the server inside was reached")
	}
}

// The name of a token server may lead inside too: then the guard sees the address.
func TestATokenServerIsDialledThroughTheGuard(t *testing.T) {
	inner, reached := listenOn(t, "127.0.0.1:0")
	_, port, _ := strings.Cut(inner, ":")
	h := startless(tokens{"robot", "canary-password", "canary-token"}.front("https://localhost:" + port + "/token"))
	outer, err := listen(t, "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	h.Listener.Close()
	h.Listener = outer
	h.StartTLS()
	t.Cleanup(h.Close)
	only := egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	h.push(t, "team/app", "v1", image(t, nil, nil))
	_, err = inspector(t, oci.Options{Guard: only, CA: h.ca()}).Labels(t.Context(), h.host()+"/team/app:v1", [][]byte{secret("*.*.*.*:"+h.host()[len("127.0.0.2:"):], "robot", "canary-password")})
	if err == nil || reached.Load() {
		t.Errorf("%v, reached is %v", err, reached.Load())
	}
}

func TestATokenRequestIsNotRedirectedWithWhatItHolds(t *testing.T) {
	var got atomic.Int32
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	defer elsewhere.Close()
	_, port, _ := strings.Cut(elsewhere.Listener.Addr().String(), ":")
	h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		if r.URL.Path == "/token" {
			http.Redirect(w, r, "https://localhost:"+port+"/token", http.StatusPermanentRedirect)
			return
		}
		tokens{token: "canary-token"}.front("")(w, r, registry)
	})
	_, err := h.labels(t, h.host()+"/team/app:v1", []byte(`{"auths":{"`+h.host()+`":{"identitytoken":"canary-identity"}}}`))
	if !errors.Is(err, egress.ErrRefused) || got.Load() != 0 {
		t.Errorf("%v, %d requests elsewhere", err, got.Load())
	}
}

// A few requests are enough for any answer, whatever a registry says.
func TestARegistryCannotKeepAskingForMore(t *testing.T) {
	neverTaken := func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		if isToken(r) {
			fmt.Fprint(w, `{"token":"never taken"}`)
			return
		}
		tokens{token: "another"}.front("")(w, r, registry)
	}
	for story, c := range map[string]struct {
		front func(http.ResponseWriter, *http.Request, http.Handler)
		most  int
	}{
		"by errors": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { spec(w, 503, "UNAVAILABLE") }, 1},
		"by redirects in a circle": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, r.URL.Path+"?", http.StatusFound)
		}, 6},
		"by all of it together": {func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if hops := len(r.URL.RawQuery); !isToken(r) && hops < 4 {
				http.Redirect(w, r, r.URL.Path+"?"+strings.Repeat("x", hops+1), http.StatusFound)
				return
			}
			neverTaken(w, r, registry)
		}, 20},
		"by tokens that are not taken": {neverTaken, 20},
		"by ending connections":        {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }, 3},
	} {
		h := newTLSHub(t, c.front)
		key := secret(h.host(), "robot", "canary-password")
		if _, err := h.labels(t, h.host()+"/team/app:v1", key, key, key, key); err == nil {
			t.Errorf("%s: no error", story)
		}
		if n := len(h.requests()); n == 0 || n > c.most {
			t.Errorf("%s: %d requests, want at most %d", story, n, c.most)
		}
	}
}

// Each of these answers would go on for a gigabyte.
func TestAnEndlessAnswerIsCutOff(t *testing.T) {
	const most = 64 << 20 // what is read, and what the sockets in between hold
	for story, c := range map[string]struct {
		at     func(*http.Request) bool
		status int
		begin  string
		want   error
	}{
		"log-in":                  {isPing, 200, "{", nil},
		"refused log-in":          {isPing, 500, "{", nil},
		"token":                   {isToken, 200, `{"token":"`, nil},
		"manifest":                {isManifest, 200, `{"annotations":{"a":"`, commit.ErrTooLarge},
		"config":                  {isBlob, 200, `{"config":{"Labels":{"a":"`, commit.ErrTooLarge},
		"explanation of an error": {isManifest, 404, "{", commit.ErrNotFound},
	} {
		t.Run(story, func(t *testing.T) {
			done := make(chan int, 9)
			h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
				if !c.at(r) {
					tokens{token: "for-everybody"}.front("")(w, r, registry)
					return
				}
				w.WriteHeader(c.status)
				done <- endless(w, c.begin)
			})
			ref := h.push(t, "team/app", "v1", image(t, nil, nil))
			_, err := h.labels(t, ref)
			if c.want != nil && !errors.Is(err, c.want) || err == nil && story != "log-in" {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if wrote := <-done; wrote > most {
				t.Errorf("%d bytes were taken", wrote)
			}
		})
	}
}

// A document within the bounds must not become a hundred times its size in memory.
func TestADocumentOfAMillionPartsCostsLittleMemory(t *testing.T) {
	parts := func(head, part, tail string) []byte {
		n := (4<<20 - len(head) - len(tail)) / len(part)
		return append(append([]byte(head), bytes.Repeat([]byte(part), n)...), tail...)
	}
	for story, c := range map[string]struct {
		manifest []byte
		want     error
	}{
		"layers":      {parts(`{"layers":[`, `{},`, `{}]}`), nil},
		"annotations": {parts(`{"annotations":{`, `"":"",`, `"a":""}}`), nil},
		"manifests":   {parts(`{"manifests":[`, `{},`, `{}]}`), commit.ErrTooLarge},
	} {
		h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if isManifest(r) {
				_, _ = w.Write(c.manifest)
				return
			}
			registry.ServeHTTP(w, r)
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := h.labels(t, h.host()+"/team/app:v1")
		runtime.ReadMemStats(&after)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", story, err, c.want)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
			t.Errorf("%s: %d MiB for 4", story, took>>20)
		}
	}
}

func TestWhatHasAnotherDigestIsRefused(t *testing.T) {
	app := image(t, keyed{revision: sha}, nil)
	whole := index(t, nil, part{app, "linux/amd64", nil})
	swapped := func(at string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if !strings.HasSuffix(r.URL.Path, at) {
				registry.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			registry.ServeHTTP(answer, r)
			changed := bytes.ReplaceAll(answer.Body.Bytes(), []byte("linux"), []byte("linuy"))
			_, _ = w.Write(append(changed, '\n'))
		}
	}
	for story, c := range map[string]struct{ at, ref string }{
		"an index":                {whole.digest(), "/team/app@" + whole.digest()},
		"an image":                {app.digest(), "/team/app@" + app.digest()},
		"an image in an index":    {app.digest(), "/team/app:v1"},
		"the config of an image":  {hash(app.config).String(), "/team/app@" + app.digest()},
		"the config, by an index": {hash(app.config).String(), "/team/app:v1"},
	} {
		h := newTLSHub(t, swapped(c.at))
		h.push(t, "team/app", "v1", whole)
		got, err := h.labels(t, h.host()+c.ref)
		if err == nil || !strings.Contains(err.Error(), "digest") || got != (commit.Labels{}) {
			t.Errorf("%s: %+v, %v", story, got, err)
		}
	}
}

func TestDocumentsThatAreNotWhatTheyShouldBe(t *testing.T) {
	valid := "sha256:" + strings.Repeat("0", 64)
	for story, text := range map[string]string{
		"nothing": "", "no JSON": "<html>", "a list": "[]", "a string": `"x"`, "annotations in a list": `{"annotations":[1]}`,
		"manifests that are none":     `{"manifests":[1]}`,
		"manifests cut off":           `{"manifests":[{}`,
		"manifests as an object":      `{"manifests":{"a":1}}`,
		"a config whose digest leads": `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"../../../admin"}}`,
		"a config of no digest":       `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json"}}`,
		"an enormous config":          `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":99999999999,"digest":"` + valid + `"}}`,
		"a size that is none":         `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":"x","digest":"` + valid + `"}}`,
		"a deep nest":                 strings.Repeat(`{"annotations":`, 20000) + strings.Repeat("}", 20000),
	} {
		h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if isManifest(r) {
				_, _ = io.WriteString(w, text)
				return
			}
			registry.ServeHTTP(w, r)
		})
		got, err := h.labels(t, h.host()+"/team/app:v1")
		if err == nil || got != (commit.Labels{}) {
			t.Errorf("%s: %+v, %v", story, got, err)
		}
		for _, r := range h.requests() {
			if isBlob(r) || strings.Contains(r.URL.Path, "admin") {
				t.Errorf("%s: asked for %s", story, r.URL.Path)
			}
		}
	}
}

// A server that repeats all it knows, in every place that could get into an error. The last are of servers that break HTTP itself.
func TestNoErrorRepeatsASecret(t *testing.T) {
	const password = "canary-password"
	known := []string{password, "canary-token", "canary-identity", base64.StdEncoding.EncodeToString([]byte("robot:" + password)), "canary"}
	echo := func(status int, at func(*http.Request) bool, header, value string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if !at(r) {
				tokens{"robot", password, "canary-token"}.front("")(w, r, registry)
				return
			}
			w.Header().Set(header, value)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"errors":[{"code":"canary %s","message":%q,"detail":%q}],"details":"canary"}`, password, known, r.Header)
		}
	}
	breaks := func(at func(*http.Request) bool, answer string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if !at(r) {
				tokens{"robot", password, "canary-token"}.front("")(w, r, registry)
				return
			}
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(connection, answer)
				_ = connection.Close()
			}
		}
	}
	for where, at := range map[string]func(*http.Request) bool{"log-in": isPing, "token": isToken, "manifest": isManifest, "config": isBlob} {
		for story, front := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){
			"an error":                    echo(500, at, "X", "canary"),
			"a refusal":                   echo(401, at, "X", "canary"),
			"a refusal with a challenge":  echo(401, at, "WWW-Authenticate", `Bearer realm="https://canary-password.example.invalid:1/canary",service="canary"`),
			"a challenge without a realm": echo(401, at, "WWW-Authenticate", `Bearer realm2="canary",service="canary"`),
			"a challenge of nonsense":     echo(401, at, "WWW-Authenticate", `canary canary="canary"`),
			"a rate limit":                echo(429, at, "Retry-After", "canary"),
			"not found":                   echo(404, at, "X", "canary"),
			"something else":              echo(200, at, "X", "canary"),
			"a redirect inside":           echo(302, at, "Location", "https://127.0.0.3/canary?canary=canary"),
			"a redirect to nobody":        echo(302, at, "Location", "https://127.0.0.1:1/canary?canary=canary"),
			"a redirect of nonsense":      echo(302, at, "Location", "https://canary%zz"),
			"a redirect to http":          echo(302, at, "Location", "http://canary.invalid/"),
			"a broken status":             breaks(at, "HTTP/1.1 canary-password\r\n\r\n"),
			"a broken header":             breaks(at, "HTTP/1.1 200 OK\r\ncanary-password\r\n\r\n"),
			"no HTTP":                     breaks(at, "canary-password"),
			"a broken chunk":              breaks(at, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary-password\r\n"),
			"a broken encoding":           breaks(at, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 15\r\n\r\ncanary-password"),
			"a short body":                breaks(at, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncanary-password"),
		} {
			h := newTLSHub(t, front)
			h.push(t, "team/app", "v1", image(t, keyed{revision: sha}, nil))
			_, err := h.labels(t, h.host()+"/team/app:v1", secret(h.host(), "robot", password))
			if err == nil && where == "log-in" {
				continue // what is not needed does no harm
			}
			if err == nil {
				t.Errorf("%s, %s: no error", where, story)
				continue
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				for _, secret := range known {
					if strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e), secret) {
						t.Errorf("%s, %s: %#v", where, story, e)
					}
				}
			}
			if len(err.Error()) > 300 {
				t.Errorf("%s, %s: an error of %d bytes", where, story, len(err.Error()))
			}
		}
	}
}

func TestAnAnswerForNobodyIsNotWaitedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := newTLSHub(t, nil)
	_, err := inspector(t, oci.Options{CA: h.ca()}).Labels(ctx, h.host()+"/team/app:v1", nil)
	if !errors.Is(err, context.Canceled) || len(h.requests()) != 0 {
		t.Errorf("%v, %d requests", err, len(h.requests()))
	}
}
