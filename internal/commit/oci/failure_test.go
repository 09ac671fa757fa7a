package oci_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/oci"
	"github.com/dora-controller/dora-controller/internal/egress"
)

func TestWhatARegistryRefuses(t *testing.T) {
	other := errors.New("none of the known ones")
	for story, c := range map[string]struct {
		at     func(*http.Request) bool
		status int
		code   string
		want   error
	}{
		"no such tag":                      {isManifest, 404, "MANIFEST_UNKNOWN", commit.ErrNotFound},
		"no such repository":               {isManifest, 404, "NAME_UNKNOWN", commit.ErrNotFound},
		"no such config":                   {isBlob, 404, "BLOB_UNKNOWN", commit.ErrNotFound},
		"not found without more":           {isManifest, 404, "", commit.ErrNotFound},
		"no such repository, or no right":  {isManifest, 401, "UNAUTHORIZED", commit.ErrUnauthorized},
		"no right":                         {isManifest, 403, "DENIED", commit.ErrUnauthorized},
		"no right, disguised as not found": {isManifest, 404, "DENIED", commit.ErrUnauthorized},
		"no right to the config":           {isBlob, 403, "DENIED", commit.ErrUnauthorized},
		"no right without more":            {isManifest, 403, "", commit.ErrUnauthorized},
		"no right to log in":               {isPing, 403, "DENIED", commit.ErrUnauthorized},
		"the registry is broken":           {isManifest, 500, "UNKNOWN", other},
		"the registry is away":             {isManifest, 503, "UNAVAILABLE", other},
		"a proxy's error":                  {isManifest, 502, "", other},
		"a teapot":                         {isManifest, 418, "", other},
		"no content":                       {isManifest, 204, "", other},
		"no registry at all":               {isPing, 404, "", other},
		"no log-in today":                  {isPing, 500, "", other},
	} {
		h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			switch {
			case !c.at(r):
				registry.ServeHTTP(w, r)
			case c.code == "":
				http.Error(w, "<html>", c.status)
			default:
				spec(w, c.status, c.code)
			}
		})
		got, err := h.labels(t, h.push(t, "team/app", "v1", image(t, keyed{revision: sha}, nil)))
		switch {
		case err == nil || got != (commit.Labels{}):
			t.Errorf("%s: %+v, %v", story, got, err)
		case errors.Is(err, commit.ErrNotFound) != errors.Is(c.want, commit.ErrNotFound),
			errors.Is(err, commit.ErrUnauthorized) != errors.Is(c.want, commit.ErrUnauthorized), commit.RetryAfter(err) != 0:
			t.Errorf("%s: %v, want %v", story, err, c.want)
		case len(err.Error()) > 300 || !strings.Contains(err.Error(), h.host()) || strings.Contains(err.Error(), "other words"):
			t.Errorf("%s: an unfit message: %v", story, err)
		}
		if n := len(h.requests()); n > 3 {
			t.Errorf("%s: %d requests", story, n)
		}
	}
}

func TestAnImageThatIsNotThereIsNotFound(t *testing.T) {
	h := newHub(t, nil)
	h.push(t, "team/app", "v1", image(t, nil, nil))
	gone := "@sha256:" + strings.Repeat("0", 64)
	for _, ref := range []string{"/team/app:v2", "/team/other:v1", "/team/app" + gone, "/team/app:v1" + gone} {
		if _, err := h.labels(t, h.host()+ref); !errors.Is(err, commit.ErrNotFound) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestARateLimitSaysHowLong(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for story, c := range map[string]struct {
		status  int
		headers keyed
		want    time.Duration
	}{
		"in seconds":              {429, keyed{"Retry-After": "90"}, 90 * time.Second},
		"by a date":               {429, keyed{"Retry-After": now.Add(time.Minute).Format(http.TimeFormat)}, time.Minute},
		"by a date that is past":  {429, keyed{"Retry-After": now.Add(-time.Minute).Format(http.TimeFormat)}, 0},
		"for ever":                {429, keyed{"Retry-After": "99999999999999999999"}, 0},
		"for a year":              {429, keyed{"Retry-After": "31536000"}, time.Hour},
		"below zero":              {429, keyed{"Retry-After": "-5"}, 0},
		"not at all":              {429, nil, 0},
		"by Docker Hub's window":  {429, keyed{"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}, time.Hour},
		"by a short window":       {429, keyed{"RateLimit-Limit": "10;w=60"}, time.Minute},
		"by a window of nonsense": {429, keyed{"RateLimit-Limit": "10;w=-60"}, 0},
		"while it is away":        {503, keyed{"Retry-After": "5"}, 5 * time.Second},
	} {
		for where, at := range map[string]func(*http.Request) bool{"at a manifest": isManifest, "at the log-in": isPing, "at the token server": isToken} {
			h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
				if !at(r) {
					tokens{token: "for-everybody"}.front("")(w, r, registry)
					return
				}
				w.Header().Set("Date", now.Format(http.TimeFormat))
				for key, value := range c.headers {
					w.Header().Set(key, value)
				}
				spec(w, c.status, "TOOMANYREQUESTS")
			})
			_, err := h.labels(t, h.push(t, "team/app", "v1", image(t, nil, nil)))
			retry, limited := errors.AsType[*commit.RetryError](err)
			if !limited || retry.After != c.want {
				t.Errorf("%s %s: %v, after %v, want %v", story, where, err, commit.RetryAfter(err), c.want)
			}
		}
	}
}

func TestAContextEndsTheWait(t *testing.T) {
	for where, at := range map[string]func(*http.Request) bool{"log-in": isPing, "token": isToken, "manifest": isManifest, "config": isBlob} {
		ctx, cancel := context.WithCancel(t.Context())
		h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
			if !at(r) {
				tokens{token: "for-everybody"}.front("")(w, r, registry)
				return
			}
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			cancel()
			<-r.Context().Done()
		})
		ref := h.push(t, "team/app", "v1", image(t, nil, nil))
		_, err := inspector(t, oci.Options{CA: h.ca()}).Labels(ctx, ref, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", where, err)
		}
		cancel()
	}
}

func TestARegistryThatCannotBeReached(t *testing.T) {
	trusting := newTLSHub(t, nil)
	for story, c := range map[string]struct {
		image string
		ca    []byte
		want  string
	}{
		"nobody listens":               {"127.0.0.1:1/team/app:v1", nil, "refused"},
		"its certificate is strange":   {trusting.host() + "/team/app:v1", nil, "signed by nobody that is trusted"},
		"its certificate is another's": {"localhost" + trusting.host()[len("127.0.0.1"):] + "/team/app:v1", trusting.ca(), "another host's"},
	} {
		_, err := inspector(t, oci.Options{CA: c.ca}).Labels(t.Context(), c.image, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v, want %s", story, err, c.want)
		}
	}
	if _, err := oci.New(oci.Options{CA: []byte("no certificate")}); err == nil {
		t.Error("a bundle without a certificate is taken")
	}
}

// A registry on this machine is reached only if that is allowed, and only such a one without encryption.
func TestWhatMayBeReached(t *testing.T) {
	h := newHub(t, nil)
	_, port, _ := strings.Cut(h.host(), ":")
	all := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for host, c := range map[string]struct {
		allowed []netip.Prefix
		want    bool
	}{
		"127.0.0.1":       {all, true},
		"localhost":       {all, true},
		"127.0.0.2":       {all, false}, // by another name than its own there is no http
		"10.0.0.1":        {[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, false},
		"169.254.169.254": {[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, false},
	} {
		_, err := inspector(t, oci.Options{Guard: egress.Guard{Allowed: c.allowed}}).Labels(t.Context(), host+":"+port+"/team/app:v1", nil)
		if errors.Is(err, commit.ErrNotFound) != c.want {
			t.Errorf("%s: %v", host, err)
		}
	}
	before := len(h.requests())
	guarded := inspector(t, oci.Options{Guard: egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}})
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		if _, err := guarded.Labels(t.Context(), host+":"+port+"/team/app:v1", nil); err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	if len(h.requests()) != before {
		t.Error("the registry got a request")
	}
}

func isPing(r *http.Request) bool { return r.URL.Path == "/v2/" }

func isToken(r *http.Request) bool { return r.URL.Path == "/token" }
