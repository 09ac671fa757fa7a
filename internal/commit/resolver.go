package commit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Version is an image that ran, or is to run.
type Version struct {
	// Image is the reference of the image that carries the commit; empty if none does or it is not known.
	Image string
	// Commit is its full SHA where that was found out before.
	Commit string
}

// Request asks for the commits of one deployment.
type Request struct {
	Source  Source
	Version Version
	// Earlier are the versions that ran before, newest by rank first.
	Earlier []Version
	// Without says why there is no lead time in any case; the commit is looked for all the same.
	Without Reason
}

// Answer is what was found. Commit can be known where there is no lead time.
type Answer struct {
	Commit     string // full SHA
	Base       string // full SHA of what the range was counted from
	Repository string // normalized
	Range
	// Reason and Message say why there is no first commit; empty if there is.
	Reason  Reason
	Message string
}

// Cache keeps answers that cannot change. A ledger does.
type Cache interface {
	CacheGet(ctx context.Context, key string) ([]byte, bool, error)
	CachePut(ctx context.Context, key string, value []byte) error
}

// Resolver holds the rules. It may be used by many goroutines at once.
type Resolver struct {
	Providers map[Kind]Provider
	Images    Inspector
	Cache     Cache
}

// tried bounds how many earlier versions are looked at: as many that are all no ancestor mean that something else is wrong.
const tried = 30

// Resolve answers a request. An error is one that time, or somebody's mend, may take away; ReasonOf names it.
func (r *Resolver) Resolve(ctx context.Context, req *Request) (Answer, error) {
	q := &question{Resolver: r, Request: req}
	answer, err := q.answer(ctx)
	if answer.Reason != "" && req.Without != "" {
		answer.Reason, answer.Message = req.Without, ""
	}
	if q.repository != nil {
		err = errors.Join(err, q.repository.Close())
	}
	return answer, err
}

// question is a request that is being answered.
type question struct {
	*Resolver
	*Request

	address    string
	foreign    bool
	kind       Kind
	repository Repository
	// labels are those of images that were asked for.
	labels map[string]Labels
}

func (q *question) answer(ctx context.Context) (Answer, error) {
	if q.Version.Image == "" {
		return no(NoCommitInImage, "no image of this version may carry the commit"), nil
	}
	if answer, found, err := q.locate(ctx); !found || err != nil {
		return answer, err
	}
	a := Answer{Repository: q.address}
	head, err := q.commitOf(ctx, q.Version)
	if err != nil {
		return a.refused(err)
	}
	if head == "" {
		a.Reason, a.Message = NoCommitInImage, "neither the tag, a git tag of that name nor the image's label tells a commit of "+q.Version.Image
		return a, nil
	}
	a.Commit = head
	if a.Reason = q.Without; a.Reason != "" {
		return a, nil
	}
	return q.measure(ctx, a)
}

func no(reason Reason, message string) Answer { return Answer{Reason: reason, Message: message} }

// refused makes an answer of an error, if it is one.
func (a Answer) refused(err error) (Answer, error) {
	if reason := final(err); reason != "" {
		a.Reason, a.Message = reason, err.Error()
		return a, nil
	}
	return Answer{}, err
}

// locate finds and opens the repository.
func (q *question) locate(ctx context.Context) (Answer, bool, error) {
	if q.Source.Untold != "" {
		return no(NoRepository, q.Source.Untold), false, nil
	}
	q.address, q.foreign = q.Source.Repository, q.Source.Foreign || q.Source.Repository == ""
	if q.address == "" {
		labels, err := q.labelsOf(ctx, q.Version.Image)
		if err != nil {
			answer, err := Answer{}.refused(err)
			return answer, false, err
		}
		if q.address = labels.repository(); q.address == "" {
			return no(NoRepository, "the target names no repository, and neither does the image's label org.opencontainers.image.source"), false, nil
		}
	}
	host := HostOf(q.address)
	if q.foreign && host == "" {
		return no(NoRepository, "only spec.source.repository.url can name a local repository"), false, nil
	}
	if q.foreign && len(q.Source.Hosts) > 0 && !slices.Contains(q.Source.Hosts, host) {
		return no(HostNotAllowed, "the repository is on "+host+", which is not among spec.source.hosts"), false, nil
	}
	return Answer{}, true, q.open(ctx, host)
}

func (q *question) open(ctx context.Context, host string) error {
	at := Location{URL: q.address, WholeTrees: q.Source.Path != ""}
	if at.Credentials.CA = q.Source.Credentials.CA; q.trusts(host) {
		at.Credentials = q.Source.Credentials
	}
	q.kind = choose(q.Source.Kind, host, &at.Credentials)
	provider, ok := q.Providers[q.kind]
	if !ok {
		return fmt.Errorf("%w: there is no provider %s", ErrMisconfigured, q.kind)
	}
	var err error
	q.repository, err = provider.Open(ctx, at)
	return err
}

// repository is the address that the labels tell; empty if they tell none.
func (l Labels) repository() string {
	address, err := NormalizeURL(l.Source)
	if err != nil {
		return ""
	}
	return address
}

// trusts says whether the credentials may be sent to a host: to one that the target names, and in clear text only if it wrote so itself.
func (q *question) trusts(host string) bool {
	return slices.Contains(q.Source.Hosts, host) && (!q.foreign || !strings.HasPrefix(q.address, "http:"))
}

// apis are the hosts that are known to have an API. It is asked only with a token: without, all of them soon ask to be left alone.
var apis = map[string]Kind{"github.com": GitHub, "gitlab.com": GitLab, "codeberg.org": Gitea, "gitea.com": Gitea}

func choose(kind Kind, host string, with *Credentials) Kind {
	if kind != Auto && kind != "" {
		return kind
	}
	if with.AppID != 0 {
		return GitHub // nobody else has Apps
	}
	if api, known := apis[host]; known && with.APIToken() != "" {
		return api
	}
	return Git
}

// commitOf is the full SHA of an image's commit: by the tag, else by the git tag of that name, else by the image's label. It is empty if
// none of them tells. A tag whose digits turn out to be no commit may still be the name of a git tag.
func (q *question) commitOf(ctx context.Context, v Version) (string, error) {
	if v.Commit != "" {
		return v.Commit, nil
	}
	_, tag, _ := dora.SplitImage(v.Image)
	var untold error
	for _, ask := range []func(context.Context, string, string) (string, error){q.byPattern, q.byGitTag, q.byLabel} {
		sha, err := ask(ctx, v.Image, tag)
		switch {
		case err == nil && sha != "":
			return sha, nil
		case err != nil && untold != nil: // the tag told a commit, and what it told is the answer
		case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrAmbiguous):
			return "", err
		case err != nil && untold == nil:
			untold = err
		}
	}
	return "", untold
}

func (q *question) byPattern(ctx context.Context, _, tag string) (string, error) {
	short := q.Source.Tags.Commit(tag)
	if short == "" {
		return "", nil
	}
	sha, err := q.repository.Commit(ctx, short)
	if err != nil {
		return "", fmt.Errorf("commit %s of tag %s: %w", short, tag, err)
	}
	return sha, nil
}

// moving are tags that images are pushed to again and again. A git tag of that name says nothing about an image.
var moving = []string{"latest", "stable", "main", "master", "edge", "nightly", "dev", "prod", "production", "release"}

// byGitTag looks for a tag of the image tag's name, and of a version for one with a v before it: builders strip it.
func (q *question) byGitTag(ctx context.Context, _, tag string) (string, error) {
	if tag == "" || slices.Contains(moving, tag) {
		return "", nil
	}
	names := []string{tag}
	if tag[0] >= '0' && tag[0] <= '9' && strings.Contains(tag, ".") {
		names = append(names, "v"+tag)
	}
	for _, name := range names {
		sha, err := q.repository.Tag(ctx, name)
		if !errors.Is(err, ErrNotFound) {
			return sha, err
		}
	}
	return "", nil
}

func (q *question) byLabel(ctx context.Context, image, _ string) (string, error) {
	labels, err := q.labelsOf(ctx, image)
	if errors.Is(err, ErrNotFound) {
		return "", nil // the image is gone from its registry
	}
	if err != nil || !dora.IsSHA(labels.Revision) {
		return "", err
	}
	sha, err := q.repository.Commit(ctx, labels.Revision)
	if err != nil {
		return "", fmt.Errorf("commit %s of the image's label: %w", labels.Revision, err)
	}
	return sha, nil
}

func (q *question) labelsOf(ctx context.Context, image string) (Labels, error) {
	if known, ok := q.labels[image]; ok {
		return known, nil
	}
	labels, err := q.Images.Labels(ctx, image, q.Source.Pull)
	if err != nil {
		return Labels{}, fmt.Errorf("labels of image %s: %w", image, err)
	}
	labels.Revision = strings.ToLower(strings.TrimSpace(labels.Revision))
	if q.labels == nil {
		q.labels = map[string]Labels{}
	}
	q.labels[image] = labels
	return labels, nil
}

// measure finds the newest earlier version that is an ancestor, and what came since. A version between them whose commit is not known may
// have delivered any of it.
func (q *question) measure(ctx context.Context, a Answer) (Answer, error) {
	for i, earlier := range q.Earlier {
		if i == tried {
			break
		}
		base, err := q.commitOf(ctx, earlier)
		if err != nil || base == "" {
			return a.base(earlier, err)
		}
		a.Range, err = q.rangeOf(ctx, base, a.Commit)
		if errors.Is(err, ErrNotAncestor) {
			continue
		}
		if errors.Is(err, ErrNotFound) {
			return a.base(earlier, err)
		}
		if err != nil {
			return a.refused(err)
		}
		a.Base = base
		if year := a.FirstAt.Year(); year < 0 || year > 9999 {
			a.Message = fmt.Sprintf("commit %s is of the year %d", a.First, year)
			a.Reason, a.Range = UnusableTime, Range{}
			return a, nil
		}
		if a.Commits == 0 {
			a.Reason, a.Message = NoNewCommits, "every commit of it had been delivered before, or changes nothing below the path"
		}
		return a, nil
	}
	a.Reason, a.Message = NoAncestor, "no version that ran before is an ancestor of it"
	if n := len(q.Earlier); n > 0 {
		a.Message = fmt.Sprintf("none of the %d versions that ran last before is an ancestor of it", min(n, tried))
	}
	return a, nil
}

// base is the answer where an earlier version's commit is not known.
func (a Answer) base(earlier Version, err error) (Answer, error) {
	if err != nil && final(err) == "" {
		return Answer{}, err
	}
	a.Reason, a.Message = BaseUnknown, "the commit of the earlier version "+earlier.Image+" is not known"
	if earlier.Image == "" {
		a.Message = "what ran just before is not known, or had no such image"
	}
	if err != nil {
		a.Message += ": " + err.Error()
	}
	return a, nil
}

// cached is a Range, or that there is none, as it is kept.
type cached struct {
	Commits     int       `json:"commits"`
	First       string    `json:"first,omitempty"`
	FirstAt     time.Time `json:"first_at,omitzero"`
	NotAncestor bool      `json:"not_ancestor,omitempty"`
}

// rangeOf asks the repository for what it has not told before. Two full SHAs mean the same for ever, so the answer does; of each provider, since
// they need not agree on folders.
func (q *question) rangeOf(ctx context.Context, base, head string) (Range, error) {
	if base == head {
		return Range{}, nil
	}
	key := q.key(base, head)
	if kept, ok := q.recall(ctx, key); ok && !q.Source.Squash {
		return kept.told()
	}
	found, err := q.repository.Range(ctx, base, head, q.Source.RangeOptions)
	notAncestor := errors.Is(err, ErrNotAncestor)
	if err != nil && !notAncestor {
		return Range{}, err
	}
	if !q.Source.Squash { // a pull request may come to light later, and with other rights
		q.remember(ctx, key, cached{found.Commits, found.First, found.FirstAt, notAncestor})
	}
	return found, err
}

func (c *cached) told() (Range, error) {
	if c.NotAncestor {
		return Range{}, ErrNotAncestor
	}
	return Range{Commits: c.Commits, First: c.First, FirstAt: c.FirstAt}, nil
}

// key names the question. The repository was opened with the credentials at hand before, so nobody learns from the cache what he may not
// read.
func (q *question) key(base, head string) string {
	o := q.Source.RangeOptions
	clock := o.Clock
	if clock == "" {
		clock = Committer
	}
	return strings.Join([]string{"range", string(q.kind), q.address, base, head, string(clock), o.Path}, "\x00")
}

func (q *question) recall(ctx context.Context, key string) (*cached, bool) {
	if q.Cache == nil {
		return nil, false
	}
	data, ok, err := q.Cache.CacheGet(ctx, key)
	if err != nil || !ok {
		return nil, false // the repository knows as well
	}
	kept := &cached{}
	return kept, json.Unmarshal(data, kept) == nil
}

func (q *question) remember(ctx context.Context, key string, value cached) {
	if q.Cache == nil {
		return
	}
	if data, err := json.Marshal(value); err == nil {
		_ = q.Cache.CachePut(ctx, key, data) // it will be asked for again
	}
}
