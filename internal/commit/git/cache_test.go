package git_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
)

// clock is a clock that stands until it is told to go on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: committest.Epoch} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// visits opens a repository, asks, and closes it.
func visit(tb testing.TB, p *git.Provider, at commit.Location, ask func(commit.Repository)) {
	tb.Helper()
	one := open(tb, p, at)
	ask(one)
	if err := one.Close(); err != nil {
		tb.Error(err)
	}
}

func wantCommit(tb testing.TB, sha string) func(commit.Repository) {
	tb.Helper()
	return func(one commit.Repository) {
		tb.Helper()
		if got, err := one.Commit(tb.Context(), sha[:9]); got != sha || err != nil {
			tb.Errorf("got %q and %v, want %s", got, err, sha)
		}
	}
}

func wantNone(tb testing.TB, sha string) func(commit.Repository) {
	tb.Helper()
	return func(one commit.Repository) {
		tb.Helper()
		got, err := one.Commit(tb.Context(), sha)
		wantError(tb, err, commit.ErrNotFound)
		if got != "" {
			tb.Errorf("got %q beside an error", got)
		}
	}
}

func TestTheServerIsAskedNoMoreThanNeeded(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	r.Tag("v1", "")
	w, c := watch(backend(t, r)), newClock()
	at := commit.Location{URL: serve(t, w)}
	p := provider(t, git.Options{Now: c.Now, RefetchAfter: 20 * time.Minute, TrustFor: time.Hour})
	tag := func(one commit.Repository) {
		if got, err := one.Tag(t.Context(), "v1"); got != sha || err != nil {
			t.Errorf("got %q and %v, want %s", got, err, sha)
		}
	}
	unknown := wantNone(t, strings.Repeat("12", 20))
	for _, step := range []struct {
		name string
		pass time.Duration
		ask  func(commit.Repository)
		want int
	}{
		{"the first time: branches and tags, and a pack", 0, wantCommit(t, sha), 2},
		{"a commit that is there", time.Minute, wantCommit(t, sha), 0},
		{"a tag that is there", time.Minute, tag, 0},
		{"a commit that is not there", 0, unknown, 1},
		{"once more, at once", 0, unknown, 0},
		{"once more, later", 2 * time.Minute, unknown, 1},
		{"a tag that may have moved", 21 * time.Minute, tag, 1},
		{"a commit does not move", 30 * time.Minute, wantCommit(t, sha), 0},
		{"credentials that may have been withdrawn", time.Hour + time.Second, wantCommit(t, sha), 1},
	} {
		c.pass(step.pass)
		visit(t, p, at, step.ask)
		if got, _ := w.since(); got != step.want {
			t.Errorf("%s: %d requests, want %d", step.name, got, step.want)
		}
	}
}

func TestOnlyWhatIsNewIsFetched(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	old := r.Grow(3000)
	w := watch(backend(t, r))
	at := commit.Location{URL: serve(t, w)}
	p := provider(t, git.Options{})
	visit(t, p, at, wantCommit(t, old))
	_, whole := w.since()
	sha := r.Grow(10)
	visit(t, p, at, wantCommit(t, sha))
	if _, bytes := w.since(); bytes > 5000 || whole < 200_000 {
		t.Errorf("10 new commits took %d bytes, and 3000 before %d", bytes, whole)
	}
	// A branch that was rewritten leaves nothing but its older commits to begin from.
	r.Git("reset", "--quiet", "--hard", "HEAD~5")
	sha = r.Commit(committest.Commit{Message: "instead"})
	visit(t, p, at, wantCommit(t, sha))
	if _, bytes := w.since(); bytes > 5000 {
		t.Errorf("a rewritten commit took %d bytes", bytes)
	}
}

func TestARepositoryIsSharedAndRightsAreNot(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	inner := backend(t, r)
	w := watch(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if name, _, _ := req.BasicAuth(); name != "ada" && name != "bob" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, req)
	}))
	as := func(name string) commit.Location {
		return commit.Location{Credentials: commit.Credentials{Username: name, Password: "s3cret"}}
	}
	url, p := serve(t, w), provider(t, git.Options{})
	at := func(name string) commit.Location { l := as(name); l.URL = url; return l }
	visit(t, p, at("ada"), wantCommit(t, sha))
	w.since()
	_, err := p.Open(t.Context(), at("eve"))
	wantError(t, err, commit.ErrUnauthorized)
	if requests, _ := w.since(); requests != 1 {
		t.Errorf("eve: %d requests, want 1", requests)
	}
	visit(t, p, at("bob"), wantCommit(t, sha))
	if requests, _ := w.since(); requests != 1 {
		t.Errorf("bob: %d requests, want 1, since the commits are there", requests)
	}
	visit(t, p, at("bob"), wantCommit(t, sha))
	if requests, _ := w.since(); requests != 0 {
		t.Errorf("bob once more: %d requests, want none", requests)
	}
}

// Some servers show branches to those alone who may see them. What one was shown, another does not get to know from the copy that they share.
func TestBranchesThatNotEverybodySees(t *testing.T) {
	all, some := committest.New(t), committest.New(t)
	base := all.Commit(committest.Commit{})
	committest.Git(t, some.Dir, nil, "fetch", "--quiet", all.Dir, "main:main")
	committest.Git(t, some.Dir, nil, "config", "uploadpack.allowReachableSHA1InWant", "true")
	all.Switch("hidden")
	secret := all.Commit(committest.Commit{Message: "a mend under embargo"})
	all.Tag("v2", "")
	wide, narrow := watch(backend(t, all)), watch(backend(t, some))
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "Bearer wide" {
			wide.ServeHTTP(w, req)
			return
		}
		narrow.ServeHTTP(w, req)
	}))
	c := newClock()
	p := provider(t, git.Options{Now: c.Now})
	as := func(token string) commit.Location {
		return commit.Location{URL: url, Credentials: commit.Credentials{Token: token}}
	}
	wantHidden := func(one commit.Repository) {
		for _, sha := range []string{secret, secret[:7]} {
			wantNone(t, sha)(one)
		}
		_, err := one.Tag(t.Context(), "v2")
		wantError(t, err, commit.ErrNotFound)
		_, err = one.Range(t.Context(), base, secret, commit.RangeOptions{})
		wantError(t, err, commit.ErrNotFound)
		wantCommit(t, base)(one)
	}
	for range 2 {
		visit(t, p, as("narrow"), wantHidden)
		visit(t, p, as("wide"), wantCommit(t, secret)) // though nobody else found it a moment ago
		visit(t, p, as("narrow"), wantHidden)
		// New commits of all do not bring the others along.
		all.Switch("main")
		all.Commit(committest.Commit{})
		committest.Git(t, some.Dir, nil, "fetch", "--quiet", all.Dir, "main:main")
		c.pass(2 * time.Minute)
		visit(t, p, as("narrow"), wantHidden)
	}
	visit(t, p, as("wide"), wantCommit(t, secret))
	wide.since()
	visit(t, p, as("wide"), wantCommit(t, secret))
	if requests, _ := wide.since(); requests != 0 {
		t.Errorf("%d requests, want none: nobody else was told anything since", requests)
	}
}

func TestManyOpenOneRepositoryAtOnce(t *testing.T) {
	r := committest.New(t)
	sha := r.Commit(committest.Commit{})
	w := watch(backend(t, r))
	at, p := commit.Location{URL: serve(t, w)}, provider(t, git.Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			one, err := p.Open(t.Context(), at)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = one.Close() }()
			if got, err := one.Commit(t.Context(), sha); got != sha || err != nil {
				t.Errorf("got %q and %v", got, err)
			}
		})
	}
	all.Wait()
	if requests, _ := w.since(); requests > 9 {
		t.Errorf("%d requests: want one pack, and each one's question whether it may", requests)
	}
}

func TestWhoeverWaitsForARepositoryLeavesWhenTheContextEnds(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	inner, busy, done := backend(t, r), make(chan struct{}), make(chan struct{})
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		close(busy)
		<-done
		inner.ServeHTTP(w, req)
	}))
	p := provider(t, git.Options{})
	first, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		_, err := p.Open(first, commit.Location{URL: url})
		wantCanceled(t, err)
	})
	<-busy
	second, cancel := context.WithCancel(t.Context())
	all.Go(func() {
		_, err := p.Open(second, commit.Location{URL: url})
		wantCanceled(t, err)
		leave()
	})
	cancel()
	all.Wait()
	close(done)
}

func wantCanceled(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// copies are the folders of copies in a cache.
func copies(tb testing.TB, folder string) []string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*", "snapshot"))
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

// Each copy takes some 9,000 bytes, so there is room for three of them.
func TestWhatWasNotAskedAboutForLongGoesFirst(t *testing.T) {
	folder, c := t.TempDir(), newClock()
	p := provider(t, git.Options{Folder: folder, MaxBytes: 32_000, Now: c.Now})
	var where []string // the copy of each repository, in the order in which they were opened
	var inUse commit.Repository
	for n := range 5 {
		r := committest.New(t)
		r.Commit(committest.Commit{})
		sha := r.Grow(200)
		c.pass(time.Second)
		one := open(t, p, commit.Location{URL: serve(t, backend(t, r))})
		wantCommit(t, sha)(one)
		for _, path := range copies(t, folder) {
			if !slices.Contains(where, path) {
				where = append(where, path)
			}
		}
		if n == 0 {
			inUse = one
		} else if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	wantCopies := func(want ...int) {
		t.Helper()
		var got []int
		for n, path := range where {
			if slices.Contains(copies(t, folder), path) {
				got = append(got, n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("there are the copies %v, want %v", got, want)
		}
	}
	wantCopies(0, 3, 4)
	if err := inUse.Close(); err != nil {
		t.Error(err)
	}
	provider(t, git.Options{Folder: folder, MaxBytes: 20_000})
	wantCopies(3, 4)
}

func TestACopyThatIsDamagedIsMadeAnew(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{File: "app/a"})
	base := r.Git("rev-parse", "HEAD")
	head := r.Commit(committest.Commit{File: "app/b"})
	for _, wholeTrees := range []bool{false, true} {
		folder := t.TempDir()
		at := commit.Location{URL: serve(t, backend(t, r)), WholeTrees: wholeTrees}
		visit(t, provider(t, git.Options{Folder: folder}), at, wantCommit(t, head))
		path := copies(t, folder)[0]
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		damages := [][]byte{nil, []byte("garbage"), append(slices.Clone(whole), 'x')}
		for n := 0; n < len(whole); n += 7 {
			damages = append(damages, whole[:n], slices.Concat(whole[:n], []byte{whole[n] ^ 0x55}, whole[n+1:]))
		}
		// The server is asked only where the copy is no good, so one that goes unnoticed would give its answer.
		p := provider(t, git.Options{Folder: folder})
		for n, damage := range damages {
			if err := os.WriteFile(path, damage, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := resolve(t.Context(), p, at, base, head, "")
			if err != nil || got.Commits != 1 {
				t.Fatalf("damage %d: got %+v and %v", n, got, err)
			}
		}
	}
}

func TestPacksThatAreLostAreFetchedAnew(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{File: "app/a"})
	head := r.Commit(committest.Commit{File: "app/b"})
	folder := t.TempDir()
	at := commit.Location{URL: serve(t, backend(t, r)), WholeTrees: true}
	for _, pattern := range []string{"none", "*.pack", "*.idx"} {
		lost, err := filepath.Glob(filepath.Join(folder, "*", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range lost {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		got, err := resolve(t.Context(), provider(t, git.Options{Folder: folder}), at, base, head, "app")
		if err != nil || got.Commits != 1 {
			t.Errorf("without %s: got %+v and %v", pattern, got, err)
		}
	}
}

func TestManyPacksBecomeOne(t *testing.T) {
	r := committest.New(t)
	base := r.Commit(committest.Commit{File: "app/a"})
	folder := t.TempDir()
	at, p := commit.Location{URL: serve(t, backend(t, r)), WholeTrees: true}, provider(t, git.Options{Folder: folder})
	most := 0
	for n := range 25 {
		head := r.Commit(committest.Commit{File: "app/b"})
		got, err := resolve(t.Context(), p, at, base, head, "app")
		if err != nil || got.Commits != n+1 {
			t.Fatalf("got %+v and %v, want %d commits", got, err, n+1)
		}
		found, err := filepath.Glob(filepath.Join(folder, "*", "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(found))
		if n == 24 && len(found) > 5 {
			t.Errorf("there are %d packs", len(found))
		}
	}
	if most != 21 {
		t.Errorf("there were up to %d packs, want 21", most)
	}
}

func TestLeftoversOfAKilledProcessAreRemoved(t *testing.T) {
	folder := t.TempDir()
	for _, path := range []string{"tmp-1/pack.pack", "0123/tmp-2", "tmp-3"} {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	provider(t, git.Options{Folder: folder})
	wantEmpty(t, folder)
	if _, err := git.New(git.Options{}); err == nil {
		t.Error("no folder: no error")
	}
}

func TestARepositoryOfTooManyCommits(t *testing.T) {
	r := committest.New(t)
	r.Commit(committest.Commit{})
	r.Grow(100)
	folder := t.TempDir()
	p := provider(t, git.Options{Folder: folder, MaxCommits: 100, LocalRoot: filepath.Dir(r.Dir)})
	for _, url := range []string{serve(t, backend(t, r)), "file://" + r.Dir} {
		_, err := p.Open(t.Context(), commit.Location{URL: url})
		wantError(t, err, commit.ErrTooLarge, "more than 100 commits")
	}
	wantEmpty(t, folder)
}
