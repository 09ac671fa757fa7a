package egress_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/egress"
)

var errTooLarge = errors.New("too large")

func TestAnAnswerIsReadUpToItsLimit(t *testing.T) {
	for size, want := range map[int]error{0: nil, 1: nil, 1000: nil, 1001: errTooLarge, 100_000: errTooLarge} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", size))
		}))
		answer, err := (&http.Client{Transport: egress.Limit(http.DefaultTransport, 1000, errTooLarge)}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if !errors.Is(err, want) || len(body) != min(size, 1000) {
			t.Errorf("%d bytes: read %d and %v, want %v", size, len(body), err, want)
		}
		if _, err := answer.Body.Read(make([]byte, 1)); want != nil && !errors.Is(err, want) {
			t.Errorf("%d bytes: read on after the limit: %v", size, err)
		}
		answer.Body.Close()
		server.Close()
	}
}

func TestASecretGoesToItsServerAlone(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if len(r.Header.Values("Private-Token")) > 0 {
			t.Error("the secret went to another server")
		}
	}))
	defer other.Close()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if got := r.Header.Get("Private-Token"); got != "secret" {
			t.Errorf("%s: got %q, want the secret", r.URL, got)
		}
		if r.URL.Path == "/here" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		http.Redirect(w, r, other.URL, http.StatusFound)
	}))
	defer server.Close()
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: egress.Secret(http.DefaultTransport, to, "Private-Token", "secret"), CheckRedirect: egress.Redirects}
	answer, err := client.Get(server.URL + "/here")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if asked != 2 || answer.Request.URL.Host == to.Host {
		t.Errorf("asked %d times and ended at %s", asked, answer.Request.URL)
	}
}

func TestHowLongAServerAsksToBeLeftAlone(t *testing.T) {
	const date = "Wed, 21 Oct 2026 07:28:00 GMT" // 1792567680
	for _, test := range []struct {
		name string
		set  map[string]string
		want time.Duration
	}{
		{"nothing is said", nil, 0},
		{"seconds", map[string]string{"Retry-After": "17"}, 17 * time.Second},
		{"a date, by the server's clock", map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30 * time.Second},
		{"a date as some write it", map[string]string{"Retry-After": "2026-10-21T07:28:45Z"}, 45 * time.Second},
		{"a date that has passed", map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT"}, 0},
		{"less than nothing", map[string]string{"Retry-After": "-3"}, 0},
		{"nonsense", map[string]string{"Retry-After": "soon"}, 0},
		{"for ever", map[string]string{"Retry-After": "999999999"}, time.Hour},
		{"more than fits", map[string]string{"Retry-After": "99999999999999999999"}, 0},
		{
			"GitLab's quota begins anew",
			map[string]string{"Ratelimit-Limit": "60", "Ratelimit-Remaining": "0", "Ratelimit-Reset": "1792567725"},
			45 * time.Second,
		},
		{
			"GitHub's quota begins anew",
			map[string]string{"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1792567725"},
			45 * time.Second,
		},
		{
			"a quota that begins anew in some seconds",
			map[string]string{"Ratelimit-Limit": "60", "Ratelimit-Remaining": "0", "Ratelimit-Reset": "45"},
			45 * time.Second,
		},
		{
			"what is said outright comes first",
			map[string]string{"Retry-After": "5", "Ratelimit-Limit": "60", "Ratelimit-Remaining": "0", "Ratelimit-Reset": "45"},
			5 * time.Second,
		},
	} {
		h := http.Header{"Date": {date}}
		for name, value := range test.set {
			h.Set(name, value)
		}
		if got := egress.RetryAfter(h); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRatesAreReadWhereTheyAreWhole(t *testing.T) {
	h := http.Header{}
	if _, ok := egress.ReadRate(h); ok {
		t.Error("no headers were read as a rate")
	}
	h.Set("Ratelimit-Limit", "600")
	if _, ok := egress.ReadRate(h); ok {
		t.Error("half of the headers were read as a rate")
	}
	h.Set("Ratelimit-Remaining", "594")
	h.Set("Ratelimit-Reset", "1792567725")
	want := egress.Rate{Limit: 600, Remaining: 594, Reset: time.Date(2026, 10, 21, 7, 28, 45, 0, time.UTC)}
	if got, ok := egress.ReadRate(h); !ok || got != want {
		t.Errorf("got %+v and %v, want %+v", got, ok, want)
	}
}
