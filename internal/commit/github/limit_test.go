package github_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/github"
)

// wantRest wants the error of a limit that lasts for so long.
func wantRest(t *testing.T, err error, after time.Duration, words ...string) {
	t.Helper()
	wantSilence(t, err)
	if got := commit.RetryAfter(err); got != after {
		t.Fatalf("got %v, to be asked again after %v; want %v", err, got, after)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestAUsedUpLimitRestsUntilItsReset(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Token(canary, never)
	c := commit.Credentials{Token: canary}
	f.Limit(1, f.now.Add(10*time.Minute))
	if err := f.ask(t, c); err != nil {
		t.Fatal(err)
	}
	f.Requests()
	wantRest(t, f.ask(t, c), 10*time.Minute, "rate limit is used up", "2026-03-02T08:10:00Z")
	f.now = f.now.Add(4 * time.Minute)
	wantRest(t, f.ask(t, c), 6*time.Minute)
	if got := f.Requests(); len(got) != 0 {
		t.Errorf("asked during the rest: %+v", got)
	}
	f.now = f.now.Add(6 * time.Minute)
	f.Limit(100, f.now.Add(time.Hour))
	if err := f.ask(t, c); err != nil {
		t.Errorf("after the rest: %v", err)
	}
}

func TestALimitThatOthersUsedUpIsFoundByTheRefusal(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Limit(0, f.now.Add(5*time.Minute))
	wantRest(t, f.ask(t, commit.Credentials{}), 5*time.Minute, "a token raises the limit")
	f.Requests()
	wantRest(t, f.ask(t, commit.Credentials{}), 5*time.Minute)
	f.Token(canary, never)
	f.Limit(10, f.now.Add(5*time.Minute))
	if err := f.ask(t, commit.Credentials{Token: canary}); err != nil {
		t.Errorf("other credentials rest too: %v", err)
	}
}

func TestAnAppsLimitIsFoundWhenItsTokenIsRefused(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Secondary(http.StatusTooManyRequests, "30")
	app := f.App()
	wantRest(t, f.ask(t, app), 30*time.Second, "secondary rate limit")
	f.Requests()
	wantRest(t, f.ask(t, app), 30*time.Second)
	if got := f.Requests(); len(got) != 0 {
		t.Errorf("asked during the rest: %+v", got)
	}
}

func TestASecondaryLimitRestsForAsLongAsItSays(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		want       time.Duration
	}{
		"seconds":               {status: 403, retryAfter: "42", want: 42 * time.Second},
		"with the other status": {status: 429, retryAfter: "42", want: 42 * time.Second},
		"a date":                {status: 429, retryAfter: "Mon, 02 Mar 2026 08:03:00 GMT", want: 3 * time.Minute},
		"nothing is a minute":   {status: 403, want: time.Minute},
		"nonsense: the reset":   {status: 403, retryAfter: "soon", want: time.Hour},
		"no time is a minute":   {status: 403, retryAfter: "0", want: time.Minute},
		"the past is a minute":  {status: 403, retryAfter: "Mon, 02 Mar 2020 08:03:00 GMT", want: time.Minute},
		"a year is an hour":     {status: 403, retryAfter: "31536000", want: time.Hour},
		"for ever is an hour":   {status: 403, retryAfter: "99999999999999999999", want: time.Hour},
		"of a server at rest":   {status: 503, retryAfter: "20", want: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, github.Options{})
			f.Secondary(c.status, c.retryAfter)
			wantRest(t, f.ask(t, commit.Credentials{}), c.want)
			f.Requests()
			wantRest(t, f.ask(t, commit.Credentials{}), c.want)
			if got := f.Requests(); len(got) != 0 {
				t.Errorf("asked during the rest: %+v", got)
			}
			f.Secondary(0, "")
			f.now = f.now.Add(c.want)
			if err := f.ask(t, commit.Credentials{}); err != nil {
				t.Errorf("after the rest: %v", err)
			}
		})
	}
}

func TestTheStateOfTheLimitIsTold(t *testing.T) {
	var mu sync.Mutex
	var told []string
	f := newFixture(t, github.Options{OnLimit: func(host string, remaining, limit int, reset time.Time) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(host, " ", remaining, " of ", limit, " until ", reset.Format(time.TimeOnly)))
	}})
	f.Token(canary, never)
	f.Limit(7, f.now.Add(time.Minute))
	for range 2 {
		if err := f.ask(t, commit.Credentials{Token: canary}); err != nil {
			t.Fatal(err)
		}
	}
	// The second answer was "not modified", which does not count.
	want := []string{f.Host() + " 6 of 5000 until 08:01:00", f.Host() + " 6 of 5000 until 08:01:00"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

func TestAServerWithoutLimitsTellsNone(t *testing.T) {
	f := newFixture(t, github.Options{OnLimit: func(string, int, int, time.Time) { t.Error("told of a limit") }})
	f.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(f.head))
		return true
	})
	if err := f.ask(t, commit.Credentials{}); err != nil {
		t.Error(err)
	}
}

func TestWhatWasAskedBeforeCostsNothing(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.repo.Grow(150)
	f.repo.Tag("v1", "annotated")
	head := f.repo.Git("rev-parse", "HEAD")
	f.Token(canary, never)
	askAll := func() (commit.Range, int) {
		r := open(t, f.provider, f.Location(commit.Credentials{Token: canary}))
		if sha, err := r.Tag(t.Context(), "v1"); sha != head || err != nil {
			t.Errorf("tag: got %s and %v", sha, err)
		}
		got, err := r.Range(t.Context(), f.base, head, commit.RangeOptions{Path: "grown"})
		if err != nil {
			t.Error(err)
		}
		counted := 0
		for _, asked := range f.Requests() {
			if asked.Counted {
				counted++
			}
		}
		return got, counted
	}
	first, cost := askAll()
	if want := f.repo.Log(f.base, head, commit.RangeOptions{Path: "grown"}); !cmp.Equal(first, want) || cost < 5 {
		t.Errorf("got %+v for %d, want %+v", first, cost, want)
	}
	if again, cost := askAll(); !cmp.Equal(again, first) || cost != 0 {
		t.Errorf("again: got %+v for %d, want the same for nothing", again, cost)
	}
}

func TestAnswersAreNotSharedBetweenCredentials(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.Private()
	f.Token(canary, never)
	if err := f.ask(t, commit.Credentials{Token: canary}); err != nil {
		t.Fatal(err)
	}
	f.Requests()
	f.Token("another", never)
	if err := f.ask(t, commit.Credentials{Token: "another"}); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.ask(t, commit.Credentials{}), commit.ErrNoRepository)
	wantError(t, f.ask(t, commit.Credentials{Token: canary + "x"}), commit.ErrUnauthorized)
	f.Revoke(canary)
	wantError(t, f.ask(t, commit.Credentials{Token: canary}), commit.ErrUnauthorized)
	for _, r := range f.Requests() {
		if r.Status == http.StatusNotModified {
			t.Errorf("%+v was answered from what others asked", r)
		}
	}
}

func TestAChangedTagIsReadAnew(t *testing.T) {
	f := newFixture(t, github.Options{})
	f.repo.Git("tag", "moving", f.base)
	f.repo.Push()
	r := open(t, f.provider, f.Location(commit.Credentials{}))
	for _, want := range []string{f.base, f.base, f.head, f.head} {
		f.repo.Git("tag", "--force", "moving", want)
		f.repo.Push()
		if sha, err := r.Tag(t.Context(), "moving"); sha != want || err != nil {
			t.Errorf("got %s and %v, want %s", sha, err, want)
		}
	}
}
