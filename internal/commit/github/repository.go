package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	gh "github.com/google/go-github/v92/github"

	"github.com/dora-controller/dora-controller/internal/commit"
)

const (
	maxTagDepth    = 8  // of tags of tags
	maxHiddenPages = 10 // of commits that are looked through for one that a name hides
	asSHA          = "application/vnd.github.sha"
)

var (
	fullSHA  = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	someOfIt = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// repository is one repository, as these credentials see it.
type repository struct {
	place
	*account
	seen bool // something of it was read, so it is there
}

// Close implements commit.Repository. Connections are kept with the account.
func (*repository) Close() error { return nil }

// path is that of a part of the repository in the API.
func (r *repository) path(parts ...string) string {
	return strings.Join(append([]string{"repos", r.owner, r.name}, parts...), "/")
}

// get asks the API. Into is a pointer for JSON, or a *bytes.Buffer for text.
func (r *repository) get(ctx context.Context, path string, into any, options ...gh.RequestOption) (*gh.Response, error) {
	req, err := r.client.NewRequest(ctx, http.MethodGet, path, nil, options...)
	if err != nil {
		return nil, brief{err}
	}
	resp, err := r.client.Do(req, into)
	if err != nil {
		return nil, r.explain(err)
	}
	r.seen = true
	return resp, nil
}

// absent says what a 404 means. GitHub gives it for a thing that a repository does not have, which is missing, and for a repository
// that is not there or not shown.
func (r *repository) absent(ctx context.Context, missing error) error {
	if r.seen {
		return missing
	}
	_, err := r.get(ctx, r.path(), &struct{}{})
	if errors.Is(err, errAbsent) {
		return r.noRepository()
	}
	if err != nil {
		return err
	}
	return missing
}

func (r *repository) noRepository() error {
	hint := "; the credentials may lack the right to read it"
	if r.anonymous {
		hint = "; if it is private, add a token to the Secret"
	}
	return fmt.Errorf("%w: %s/%s%s", commit.ErrNoRepository, r.owner, r.name, hint)
}

// Commit implements commit.Repository.
//
// GitHub's answer for a short SHA that several commits begin with is the one for an unknown SHA, so that is ErrNotFound too. It knows
// the commits of forks as well, which share their objects with the repository.
func (r *repository) Commit(ctx context.Context, sha string) (string, error) {
	sha = strings.ToLower(sha)
	if !someOfIt.MatchString(sha) {
		return "", fmt.Errorf("%w: %q is no SHA of a commit, nor 7 digits or more of one", commit.ErrNotFound, said(sha))
	}
	var found bytes.Buffer
	_, err := r.get(ctx, r.path("commits", sha), &found, func(req *http.Request) { req.Header.Set("Accept", asSHA) })
	if errors.Is(err, errAbsent) {
		err = r.absent(ctx, fmt.Errorf("%w: commit %s", commit.ErrNotFound, sha))
	}
	if err != nil {
		return "", err
	}
	full := strings.TrimSpace(found.String())
	if !fullSHA.MatchString(full) {
		return "", errors.New("GitHub's answer is no SHA of a commit")
	}
	if strings.HasPrefix(full, sha) {
		return full, nil
	}
	return r.hidden(ctx, sha)
}

// hidden finds a commit whose SHA, or beginning of one, is also the name of a branch or tag that leads elsewhere: GitHub takes the name
// first. A full SHA can be asked for as an object. For a short one there is no such question, so the newest commits of the default
// branch are looked through.
func (r *repository) hidden(ctx context.Context, sha string) (string, error) {
	missing := fmt.Errorf("%w: a branch or tag named %s hides the commit; write the full SHA", commit.ErrNotFound, sha)
	if fullSHA.MatchString(sha) {
		var object struct {
			SHA string `json:"sha"`
		}
		_, err := r.get(ctx, r.path("git", "commits", sha), &object)
		if errors.Is(err, errAbsent) || err == nil && object.SHA != sha {
			err = missing
		}
		return object.SHA, err
	}
	for page := 1; page != 0 && page <= maxHiddenPages; {
		var commits []listed
		resp, err := r.get(ctx, r.path("commits")+query(page), &commits)
		if err != nil {
			return "", err
		}
		for _, c := range commits {
			if strings.HasPrefix(c.SHA, sha) && fullSHA.MatchString(c.SHA) {
				return c.SHA, nil
			}
		}
		page = following(resp, page)
	}
	return "", missing
}

// query asks for a page, with further parameters as pairs of name and value.
func query(page int, pairs ...string) string {
	q := url.Values{"per_page": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(page)}}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}

// object is what a tag leads to.
type object struct {
	Type string `json:"type"`
	SHA  string `json:"sha"`
}

// Tag implements commit.Repository.
func (r *repository) Tag(ctx context.Context, name string) (string, error) {
	missing := fmt.Errorf("%w: tag %q", commit.ErrNotFound, said(name))
	if !canBeTag(name) {
		return "", missing
	}
	var ref struct {
		Ref    string `json:"ref"`
		Object object `json:"object"`
	}
	_, err := r.get(ctx, r.path("git", "ref", "tags", escaped(name)), &ref)
	if errors.Is(err, errAbsent) {
		return "", r.absent(ctx, missing)
	}
	if err != nil {
		return "", err
	}
	if ref.Ref != "refs/tags/"+name {
		return "", missing
	}
	return r.peel(ctx, ref.Object)
}

// peel follows annotated tags, which may be tags of tags, to a commit.
func (r *repository) peel(ctx context.Context, at object) (string, error) {
	for range maxTagDepth {
		switch {
		case !fullSHA.MatchString(at.SHA):
			return "", errors.New("GitHub's answer for a tag has no SHA")
		case at.Type == "commit":
			return at.SHA, nil
		case at.Type != "tag":
			return "", fmt.Errorf("%w: the tag leads to a %s, not to a commit", commit.ErrNotFound, said(at.Type))
		}
		var tag struct {
			Object object `json:"object"`
		}
		if _, err := r.get(ctx, r.path("git", "tags", at.SHA), &tag); err != nil {
			return "", err
		}
		at = tag.Object
	}
	return "", fmt.Errorf("%w: a tag of a tag, more than %d deep", commit.ErrTooLarge, maxTagDepth)
}

// canBeTag says whether git allows such a name. Others must not get into a URL, where dots and slashes mean something else.
func canBeTag(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.Contains(part, "..") {
			return false
		}
	}
	return !strings.ContainsAny(name, " ~^:?*[\\\x7f") && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' })
}

// escaped is a name in a URL. Its slashes stay as they are, or GitHub does not know it.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}
