package commit_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// world is a resolver, a real repository that it reads through the git driver, and registries that a test makes up.
type world struct {
	*committest.Repo
	t        *testing.T
	resolver *commit.Resolver
	source   commit.Source
	labels   images
	cache    *cache
	opened   *counter
}

type images map[string]commit.Labels

func (i images) Labels(_ context.Context, image string, _ commit.PullSecrets) (commit.Labels, error) {
	labels, ok := i[image]
	if !ok {
		return commit.Labels{}, fmt.Errorf("%w: %s", commit.ErrNotFound, image)
	}
	return labels, nil
}

type cache struct {
	mu   sync.Mutex
	kept map[string][]byte
	hits int
}

func (c *cache) CacheGet(_ context.Context, key string) ([]byte, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.kept[key]
	if ok {
		c.hits++
	}
	return value, ok, nil
}

func (c *cache) CachePut(_ context.Context, key string, value []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept[key] = value
	return nil
}

// counter is a provider that counts what is asked of another.
type counter struct {
	commit.Provider
	at     []commit.Location
	ranges int
	fail   error
}

type counted struct {
	commit.Repository
	c *counter
}

func (c *counter) Open(ctx context.Context, at commit.Location) (commit.Repository, error) {
	c.at = append(c.at, at)
	if c.fail != nil {
		return nil, c.fail
	}
	r, err := c.Provider.Open(ctx, at)
	return counted{r, c}, err
}

func (r counted) Range(ctx context.Context, base, head string, o commit.RangeOptions) (commit.Range, error) {
	r.c.ranges++
	return r.Repository.Range(ctx, base, head, o)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Repo: committest.New(t), t: t, labels: images{}, cache: &cache{kept: map[string][]byte{}}}
	driver, err := git.New(git.Options{Folder: t.TempDir(), LocalRoot: filepath.Dir(w.Dir)})
	if err != nil {
		t.Fatal(err)
	}
	w.opened = &counter{Provider: driver}
	w.resolver = &commit.Resolver{Providers: map[commit.Kind]commit.Provider{commit.Git: w.opened}, Images: w.labels, Cache: w.cache}
	address, err := commit.NormalizeURL("file://" + w.Dir)
	if err != nil {
		t.Fatal(err)
	}
	w.source = commit.Source{Repository: address, Kind: commit.Git}
	return w
}

// tagged is an image of the service.
func tagged(tag string) string { return "registry.example.com/acme/shop:" + tag }

// built is an image of a commit.
func built(sha string) string { return tagged("main-" + sha[:7]) }

// resolve asks about an image, with those that ran before, newest by rank first.
func (w *world) resolve(image string, earlier ...string) commit.Answer {
	w.t.Helper()
	answer, err := w.try(commit.Request{Source: w.source, Version: commit.Version{Image: image}}, earlier...)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer
}

func (w *world) try(req commit.Request, earlier ...string) (commit.Answer, error) {
	for _, image := range earlier {
		req.Earlier = append(req.Earlier, commit.Version{Image: image})
	}
	return w.resolver.Resolve(w.t.Context(), &req)
}

func (w *world) wantReason(got commit.Answer, want commit.Reason) {
	w.t.Helper()
	if got.Reason != want || !got.FirstAt.IsZero() || got.Commits != 0 {
		w.t.Errorf("got %+v, want no lead time: %s", got, want)
	}
}

// wantRange wants what git log tells of base..head.
func (w *world) wantRange(got commit.Answer, base, head string) {
	w.t.Helper()
	want := w.Log(base, head, w.source.RangeOptions)
	if got.Reason != "" || got.Commit != head || got.Base != base || got.Commits != want.Commits || !got.FirstAt.Equal(want.FirstAt) {
		w.t.Errorf("got %+v, want %+v of %s..%s", got, want, base, head)
	}
}

func (w *world) commits(n int) (shas []string) {
	for range n {
		shas = append(shas, w.Commit(committest.Commit{}))
	}
	return shas
}

func TestTheFirstCommitSinceTheVersionBefore(t *testing.T) {
	w := newWorld(t)
	c := w.commits(5)
	w.wantRange(w.resolve(built(c[4]), built(c[1])), c[1], c[4])
}

func TestMergesAreNoChangesOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	base := w.Commit(committest.Commit{})
	w.Switch("feature")
	w.Commit(committest.Commit{File: "a"})
	w.Switch("main")
	w.Commit(committest.Commit{File: "b"})
	head := w.Merge("feature")
	got := w.resolve(built(head), built(base))
	w.wantRange(got, base, head)
	if got.Commits != 2 {
		t.Errorf("%d commits, want the two that are no merge", got.Commits)
	}
}

func TestSupersededAndFailedVersionsAreInsideTheRange(t *testing.T) {
	w := newWorld(t)
	c := w.commits(6) // 2 to 4 failed, so they are not among the earlier ones
	w.wantRange(w.resolve(built(c[5]), built(c[1]), built(c[0])), c[1], c[5])
}

func TestWhatWasDeliveredBeforeARollbackIsNotCountedAgain(t *testing.T) {
	w := newWorld(t)
	c := w.commits(5) // 3 was deployed, rolled back to 1, and 4 is next
	w.wantRange(w.resolve(built(c[4]), built(c[3]), built(c[1])), c[3], c[4])
}

func TestAVersionThatIsNoAncestorIsPassedOver(t *testing.T) {
	w := newWorld(t)
	c := w.commits(2)
	w.Switch("hotfix")
	fix := w.Commit(committest.Commit{File: "fix"})
	w.Switch("main")
	head := w.Commit(committest.Commit{File: "next"})
	w.wantRange(w.resolve(built(head), built(fix), built(c[1]), built(c[0])), c[1], head)
}

func TestWithoutAnAncestorThereIsNoLeadTime(t *testing.T) {
	w := newWorld(t)
	w.commits(1)
	w.Switch("hotfix")
	fix := w.Commit(committest.Commit{File: "fix"})
	w.Switch("main")
	head := w.Commit(committest.Commit{File: "next"})
	got := w.resolve(built(head), built(fix))
	w.wantReason(got, commit.NoAncestor)
	if got.Commit != head {
		t.Errorf("the commit is known all the same, got %s", got.Commit)
	}
	w.wantReason(w.resolve(built(head)), commit.NoAncestor)
}

func TestAfterAForcePushNothingIsGuessed(t *testing.T) {
	w := newWorld(t)
	c := w.commits(2)
	gone := w.Commit(committest.Commit{File: "gone"})
	w.resolve(built(gone), built(c[1])) // the driver's copy has it
	w.Git("reset", "--quiet", "--hard", c[1])
	head := w.Commit(committest.Commit{File: "rewritten"})
	w.wantReason(w.resolve(built(head), built(gone), built(c[0])), commit.BaseUnknown)
}

func TestAVersionOfAnUnknownCommitMayHaveDeliveredAnything(t *testing.T) {
	w := newWorld(t)
	c := w.commits(3)
	w.wantReason(w.resolve(built(c[2]), tagged("hotfix"), built(c[0])), commit.BaseUnknown)
	// One that ran before the ancestor changes nothing.
	w.wantRange(w.resolve(built(c[2]), built(c[1]), tagged("hotfix")), c[1], c[2])
}

func TestTheSameCommitAgainBringsNothing(t *testing.T) {
	w := newWorld(t)
	c := w.commits(2)
	got := w.resolve(tagged("rebuilt-"+c[1][:7]), built(c[1]), built(c[0]))
	w.wantReason(got, commit.NoNewCommits)
	if got.Base != c[1] {
		t.Errorf("counted from %s", got.Base)
	}
}

func TestShallowRepositoriesTellNothing(t *testing.T) {
	w := newWorld(t)
	c := w.commits(5)
	shallow := filepath.Join(filepath.Dir(w.Dir), "shallow.git")
	committest.Git(t, filepath.Dir(w.Dir), nil, "clone", "--quiet", "--bare", "--depth=2", "file://"+w.Dir, shallow)
	w.source.Repository = "file://" + strings.TrimSuffix(shallow, ".git")
	w.wantReason(w.resolve(built(c[4]), c40(c[1])), commit.BaseUnknown) // it is beyond the cut
	w.wantRange(w.resolve(built(c[4]), built(c[3])), c[3], c[4])
}

// c40 is an image of a whole SHA.
func c40(sha string) string { return tagged(sha) }

func TestAmbiguousDigits(t *testing.T) {
	w := newWorld(t)
	base := w.Commit(committest.Commit{})
	twins := w.Twins()
	short := twins[0][:7]
	w.wantReason(w.resolve(tagged("sha-"+short), built(base)), commit.CommitAmbiguous)
	// The image's label tells which of them it is.
	w.labels[tagged("sha-"+short)] = commit.Labels{Revision: twins[1]}
	if got := w.resolve(tagged("sha-"+short), built(base)); got.Commit != twins[1] {
		t.Errorf("got %+v, want commit %s", got, twins[1])
	}
	w.wantReason(w.resolve(tagged("main-0000000a")), commit.CommitNotFound)
}

func TestATagOfThatName(t *testing.T) {
	w := newWorld(t)
	c := w.commits(1)
	w.Tag("v1.0.0", "")
	c = append(c, w.Commit(committest.Commit{}))
	w.Tag("v1.1.0", "an annotated one")
	w.Tag("latest", "")
	w.Tag("20261121", "")
	for image, want := range map[string]string{"v1.1.0": c[1], "1.1.0": c[1], "20261121": c[1]} {
		if got := w.resolve(tagged(image), tagged("v1.0.0")); got.Commit != want || got.Base != c[0] {
			t.Errorf("%s: got %+v, want commit %s", image, got, want)
		}
	}
	// Images are pushed to such a tag again and again.
	w.wantReason(w.resolve(tagged("latest"), tagged("v1.0.0")), commit.NoCommitInImage)
	w.wantReason(w.resolve(tagged("2.0.0"), tagged("v1.0.0")), commit.NoCommitInImage)
}

func TestATagWhoseDigitsAreNoCommitMayBeAGitTag(t *testing.T) {
	w := newWorld(t)
	base := w.Commit(committest.Commit{})
	head := w.Commit(committest.Commit{})
	w.Tag("release-decade1", "")
	w.wantRange(w.resolve(tagged("release-decade1"), built(base)), base, head)
}

func TestTheImagesLabelTellsWhereTheTagDoesNot(t *testing.T) {
	w := newWorld(t)
	c := w.commits(2)
	digest := "registry.example.com/acme/shop@sha256:" + strings.Repeat("ab", 32)
	for _, image := range []string{digest, tagged("latest"), tagged("20261121"), tagged("1234567")} {
		w.wantReason(w.resolve(image, built(c[0])), commit.NoCommitInImage)
		w.labels[image] = commit.Labels{Revision: "  " + strings.ToUpper(c[1]) + "\n"}
		w.wantRange(w.resolve(image, built(c[0])), c[0], c[1])
		w.labels[image] = commit.Labels{Revision: "main"}
		w.wantReason(w.resolve(image, built(c[0])), commit.NoCommitInImage)
	}
}

func TestATargetsPatternSaysWhereTheCommitStands(t *testing.T) {
	w := newWorld(t)
	c := w.commits(2)
	image := func(sha string) string { return tagged("main-" + sha[:9] + "-1699999999") }
	w.wantReason(w.resolve(image(c[1]), image(c[0])), commit.NoCommitInImage)
	var err error
	if w.source.Tags, err = dora.ParseTagPattern(`^[a-z]+-(?P<sha>[0-9a-f]+)-[0-9]+$`); err != nil {
		t.Fatal(err)
	}
	w.wantRange(w.resolve(image(c[1]), image(c[0])), c[0], c[1])
}

func TestCommitterAndAuthorTime(t *testing.T) {
	w := newWorld(t)
	base := w.Commit(committest.Commit{})
	long := committest.Epoch.Add(-400 * time.Hour)
	w.Commit(committest.Commit{AuthoredAt: long})
	head := w.Commit(committest.Commit{})
	committed := w.resolve(built(head), built(base))
	w.wantRange(committed, base, head)
	w.source.Clock = commit.Author
	authored := w.resolve(built(head), built(base))
	w.wantRange(authored, base, head)
	if !authored.FirstAt.Equal(long) || committed.FirstAt.Equal(long) {
		t.Errorf("authored %s, committed %s", authored.FirstAt, committed.FirstAt)
	}
}

func TestAPathLimitsTheRange(t *testing.T) {
	w := newWorld(t)
	base := w.Commit(committest.Commit{File: "services/cart/main.go"})
	w.Commit(committest.Commit{File: "services/search/main.go"})
	w.Commit(committest.Commit{File: "services/cart/main.go"})
	head := w.Commit(committest.Commit{File: "services/search/main.go"})
	w.source.Path = "services/cart"
	got := w.resolve(built(head), built(base))
	w.wantRange(got, base, head)
	if got.Commits != 1 {
		t.Errorf("%d commits, want the one below the path", got.Commits)
	}
	w.source.Path = "services/none"
	w.wantReason(w.resolve(built(head), built(base)), commit.NoNewCommits)
}

func TestWhatHasNoLeadTimeInAnyCase(t *testing.T) {
	for _, reason := range []commit.Reason{commit.FirstDeployment, commit.Rollback} {
		w := newWorld(t)
		c := w.commits(2)
		got, err := w.try(commit.Request{Source: w.source, Version: commit.Version{Image: built(c[1])}, Without: reason}, built(c[0]))
		if err != nil {
			t.Fatal(err)
		}
		w.wantReason(got, reason)
		if got.Commit != c[1] {
			t.Errorf("%s: the commit is known all the same, got %q", reason, got.Commit)
		}
		if got, err = w.try(commit.Request{Source: w.source, Version: commit.Version{Image: tagged("latest")}, Without: reason}); err != nil {
			t.Fatal(err)
		}
		w.wantReason(got, reason)
	}
}

func TestTheRepositoryIsNeverGuessed(t *testing.T) {
	w := newWorld(t)
	c := w.commits(2)
	w.source.Repository = ""
	w.wantReason(w.resolve(built(c[1]), built(c[0])), commit.CommitNotFound) // the registry does not have the image
	w.labels[built(c[1])] = commit.Labels{}
	w.wantReason(w.resolve(built(c[1]), built(c[0])), commit.NoRepository)
	w.labels[built(c[1])] = commit.Labels{Source: "file://" + w.Dir}
	w.wantReason(w.resolve(built(c[1]), built(c[0])), commit.NoRepository)
	w.source.Untold = "{labels.team}: the object has no such label"
	got := w.resolve(built(c[1]), built(c[0]))
	w.wantReason(got, commit.NoRepository)
	if !strings.Contains(got.Message, "no such label") {
		t.Errorf("the message is %q", got.Message)
	}
	if len(w.opened.at) > 0 {
		t.Errorf("opened %v", w.opened.at)
	}
}

func TestAnImageTellsItsRepository(t *testing.T) {
	w := newWorld(t)
	c := w.commits(1)
	w.source.Repository = ""
	w.source.Kind = commit.Auto
	w.opened.fail = errors.New("that is far enough")
	w.labels[built(c[0])] = commit.Labels{Source: "https://git.example.com/acme/shop.git"}
	if _, err := w.try(commit.Request{Source: w.source, Version: commit.Version{Image: built(c[0])}}); !errors.Is(err, w.opened.fail) {
		t.Fatal(err)
	}
	if w.opened.at[0].URL != "https://git.example.com/acme/shop" {
		t.Errorf("opened %v", w.opened.at)
	}
	w.source.Hosts = []string{"github.com"}
	w.wantReason(w.resolve(built(c[0])), commit.HostNotAllowed)
}

// Credentials go to the hosts that the target names, and nowhere else.
func TestWhoIsShownTheCredentials(t *testing.T) {
	secret := commit.Credentials{Password: "s3cr3t", CA: []byte("certificates")}
	for name, c := range map[string]struct {
		source commit.Source
		label  string
		shown  bool
	}{
		"the host that the target names":           {commit.Source{Repository: "https://git.example.com/a/b", Hosts: []string{"git.example.com"}}, "", true},
		"not another":                              {commit.Source{Repository: "https://git.example.com/a/b", Hosts: []string{"github.com"}}, "", false},
		"not another port":                         {commit.Source{Repository: "https://git.example.com:8443/a/b", Hosts: []string{"git.example.com"}}, "", false},
		"a host that an image names, if allowed":   {commit.Source{Hosts: []string{"git.example.com"}}, "https://git.example.com/a/b", true},
		"not a host that an image alone names":     {commit.Source{}, "https://evil.example/a/b", false},
		"an annotation's, if allowed":              {commit.Source{Repository: "https://git.example.com/a/b", Foreign: true, Hosts: []string{"git.example.com"}}, "", true},
		"in clear text only if the target says so": {commit.Source{Repository: "http://git.example.com/a/b", Hosts: []string{"git.example.com"}}, "", true},
		"not in clear text because an image does":  {commit.Source{Hosts: []string{"git.example.com"}}, "http://git.example.com/a/b", false},
		"nor because an annotation does":           {commit.Source{Repository: "http://git.example.com/a/b", Foreign: true, Hosts: []string{"git.example.com"}}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opened.fail = errors.New("that is far enough")
			c.source.Kind, c.source.Credentials = commit.Git, secret
			w.labels[tagged("v1")] = commit.Labels{Source: c.label}
			_, _ = w.try(commit.Request{Source: c.source, Version: commit.Version{Image: tagged("v1")}})
			if len(w.opened.at) != 1 {
				t.Fatalf("opened %v", w.opened.at)
			}
			if got := w.opened.at[0].Credentials; (got.Password != "") != c.shown || len(got.CA) == 0 {
				t.Errorf("shown is %v, want %v", got.Password != "", c.shown)
			}
		})
	}
}

func TestWhoIsAsked(t *testing.T) {
	token, app := commit.Credentials{Token: "t"}, commit.Credentials{AppID: 1, AppKey: []byte("k")}
	for name, c := range map[string]struct {
		kind commit.Kind
		host string
		with commit.Credentials
		want commit.Kind
	}{
		"github.com with a token":          {commit.Auto, "github.com", token, commit.GitHub},
		"github.com with an App":           {commit.Auto, "github.com", app, commit.GitHub},
		"github.com without":               {commit.Auto, "github.com", commit.Credentials{}, commit.Git},
		"github.com with an SSH key":       {commit.Auto, "github.com", commit.Credentials{SSHKey: []byte("k")}, commit.Git},
		"gitlab.com with a token":          {commit.Auto, "gitlab.com", token, commit.GitLab},
		"codeberg.org with a token":        {commit.Auto, "codeberg.org", token, commit.Gitea},
		"another host with an App":         {commit.Auto, "git.example.com", app, commit.GitHub},
		"another host with a token":        {commit.Auto, "git.example.com", token, commit.Git},
		"another host that is a GitLab":    {commit.GitLab, "git.example.com", token, commit.GitLab},
		"github.com by git's own protocol": {commit.Git, "github.com", token, commit.Git},
	} {
		t.Run(name, func(t *testing.T) {
			asked := map[commit.Kind]*counter{}
			r := &commit.Resolver{Providers: map[commit.Kind]commit.Provider{}, Images: images{}}
			for _, kind := range []commit.Kind{commit.Git, commit.GitHub, commit.GitLab, commit.Gitea} {
				asked[kind] = &counter{fail: errors.New("that is far enough")}
				r.Providers[kind] = asked[kind]
			}
			_, _ = r.Resolve(t.Context(), &commit.Request{
				Source:  commit.Source{Repository: "https://" + c.host + "/a/b", Hosts: []string{c.host}, Kind: c.kind, Credentials: c.with},
				Version: commit.Version{Image: tagged("v1")},
			})
			for kind, counter := range asked {
				if (len(counter.at) > 0) != (kind == c.want) {
					t.Errorf("%s was asked %d times, want %s", kind, len(counter.at), c.want)
				}
			}
		})
	}
}

func TestARangeIsAskedForOnce(t *testing.T) {
	w := newWorld(t)
	c := w.commits(3)
	w.Switch("hotfix")
	fix := w.Commit(committest.Commit{File: "fix"})
	first := w.resolve(built(c[2]), built(fix), built(c[0]))
	if w.opened.ranges != 2 {
		t.Errorf("%d ranges asked for, want the one of the hotfix and the one of the base", w.opened.ranges)
	}
	again := w.resolve(built(c[2]), built(fix), built(c[0]))
	if w.opened.ranges != 2 || w.cache.hits != 2 || again != first {
		t.Errorf("%d ranges asked for, %d known; got %+v, then %+v", w.opened.ranges, w.cache.hits, first, again)
	}
	w.source.Clock = commit.Author
	w.resolve(built(c[2]), built(c[0]))
	w.source.Path = "file"
	w.resolve(built(c[2]), built(c[0]))
	if w.opened.ranges != 4 {
		t.Errorf("%d ranges asked for; another time and another path are other questions", w.opened.ranges)
	}
}

func TestWhatTimeMendsIsAnError(t *testing.T) {
	for err, want := range map[error]commit.Reason{
		errors.New("connection refused"):                                commit.Unreachable,
		context.DeadlineExceeded:                                        commit.Unreachable,
		&commit.RetryError{Err: errors.New("limit"), After: time.Hour}:  commit.RateLimited,
		fmt.Errorf("cannot connect: %w", egress.ErrRefused):             commit.AddressNotAllowed,
		fmt.Errorf("github: %w", commit.ErrUnauthorized):                commit.CredentialsRefused,
		fmt.Errorf("github: %w", commit.ErrNoRepository):                commit.RepositoryNotFound,
		fmt.Errorf("%w: there is no Secret shop/git", commit.ErrSecret): commit.SecretNotUsable,
	} {
		w := newWorld(t)
		w.opened.fail = err
		_, got := w.try(commit.Request{Source: w.source, Version: commit.Version{Image: tagged("v1")}})
		if got == nil || commit.ReasonOf(got) != want {
			t.Errorf("%v: %v, want %s", err, got, want)
		}
	}
	if after := commit.RetryAfter(fmt.Errorf("github: %w", &commit.RetryError{Err: errors.New("limit"), After: time.Hour})); after != time.Hour {
		t.Errorf("to be left alone for %s", after)
	}
}

func TestACommitBeyondAllClocksGivesNoTime(t *testing.T) {
	w := newWorld(t)
	base := w.Commit(committest.Commit{})
	tree := committest.Git(t, w.Dir, nil, "rev-parse", base+"^{tree}")
	head := w.Object("commit", fmt.Appendf(nil, "tree %s\nparent %s\nauthor A <a@example.com> 316516204800 +0000\n"+
		"committer A <a@example.com> 316516204800 +0000\n\nin the year 12000\n", tree, base))
	committest.Git(t, w.Dir, nil, "update-ref", "refs/heads/far", head)
	w.wantReason(w.resolve(built(head), built(base)), commit.UnusableTime)
}

// What the tag tells is the answer, whatever becomes of the image's label.
func TestARegistryThatCannotBeAskedHidesNothing(t *testing.T) {
	w := newWorld(t)
	base := w.Commit(committest.Commit{})
	w.resolver.Images = unreachable{}
	w.wantReason(w.resolve(tagged("main-0123abc"), built(base)), commit.CommitNotFound)
	if _, err := w.try(commit.Request{Source: w.source, Version: commit.Version{Image: tagged("latest")}}); err == nil {
		t.Error("where the tag tells nothing the label is needed, so it is to be asked for again")
	}
}

type unreachable struct{}

func (unreachable) Labels(context.Context, string, commit.PullSecrets) (commit.Labels, error) {
	return commit.Labels{}, errors.New("no such host")
}
