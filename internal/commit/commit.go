// Package commit finds the commits of a deployment: from the image that changed to the first commit that it brought to
// production. docs/lead-time.md tells the rules to users.
//
// # Guarantees
//
//   - No number is guessed. Where an image tells no commit, a repository does not have it, or what was delivered before is not
//     known, the answer is a Reason and no time.
//   - The answer depends on nothing but the request and the repository's history, so it can be asked for again at any time.
//   - Every answer is bounded in time, memory and disk, whatever a server sends.
//
// # The way of one answer
//
//	image ─▶ tag pattern ─▶ git tag ─▶ image label ─▶ commit ─┐
//	                                                          ├─▶ base..commit ─▶ first commit
//	earlier versions, newest by rank ─▶ first ancestor = base ┘
//
// Resolver holds these rules and knows no server. A driver (packages git, github, gitlab, gitea) opens a Repository; package oci
// reads the labels of an image. Drivers pass the conformance suite of package committest.
package commit

import (
	"context"
	"errors"
	"time"
)

// The errors of drivers that the rules tell apart. Any other error is one that time may mend.
var (
	// ErrNotFound: the repository has no such commit or tag.
	ErrNotFound = errors.New("not found in the repository")
	// ErrAmbiguous: several commits begin with these digits.
	ErrAmbiguous = errors.New("several commits begin with it")
	// ErrNotAncestor: base is no ancestor of head.
	ErrNotAncestor = errors.New("is no ancestor")
	// ErrShallow: the history ends before base, since the repository (or the copy that a server offers) is shallow.
	ErrShallow = errors.New("the repository's history is cut off (a shallow copy)")
	// ErrTooLarge: an answer is larger than what is taken from a server, in bytes or in commits.
	ErrTooLarge = errors.New("too large")
	// ErrNoRepository: there is no repository at that address, or these credentials do not show it.
	ErrNoRepository = errors.New("no such repository, or no right to read it")
	// ErrUnauthorized: the server refused the credentials, or wants some.
	ErrUnauthorized = errors.New("the credentials were refused")
	// ErrSecret: the Secret with the credentials is missing, may not be read, or says something that cannot be used.
	ErrSecret = errors.New("the Secret cannot be used")
	// ErrMisconfigured: it can never be asked as it is set up, such as a local path of a server that speaks an API.
	ErrMisconfigured = errors.New("it cannot be asked as it is set up")
	// ErrUnsupported: the driver cannot answer that, such as a squash lookup without an API.
	ErrUnsupported = errors.New("not supported by this provider")
)

// RetryError is an error after which a server asked to be left alone, such as a rate limit.
type RetryError struct {
	Err error
	// After is how long, from now. Not negative.
	After time.Duration
}

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *RetryError) Unwrap() error { return e.Err }

// RetryAfter is how long a server asked to be left alone; zero if it did not.
func RetryAfter(err error) time.Duration {
	if retry, ok := errors.AsType[*RetryError](err); ok {
		return retry.After
	}
	return 0
}

// Clock names which of a commit's two times counts.
type Clock string

// The times of a commit. A rebase or a cherry-pick keeps the author's and renews the committer's.
const (
	Committer Clock = "committer"
	Author    Clock = "author"
)

// RangeOptions say which commits between two count, and by which time.
type RangeOptions struct {
	// Path limits the range to commits that change something in this folder (or file) of a monorepo. Empty is all. It is
	// cleaned: no leading, trailing or double slashes, no dots.
	Path string
	// Clock is Committer unless it says otherwise.
	Clock Clock
	// Squash takes, for a commit that a pull request was squashed into, the first commit of that pull request.
	Squash bool
}

// Range is what head has and base has not: the commits of `git log --no-merges base..head [-- path]`.
type Range struct {
	// Commits is their number. First and FirstAt are unset if it is 0.
	Commits int
	// First is the full SHA of the earliest by the chosen time; with Squash it may be of a pull request's commit. Of several with the
	// same time any may be named.
	First   string
	FirstAt time.Time // UTC
}

// Repository is one source repository as a driver opened it. It is used by one goroutine at a time. Each call returns soon after its
// context has ended.
type Repository interface {
	// Commit is the full SHA of the commit that a full SHA, or the first 7 digits or more of one, means. Names of branches and tags
	// are not looked at, however much they look like a SHA. It fails with ErrNotFound or ErrAmbiguous.
	Commit(ctx context.Context, sha string) (string, error)
	// Tag is the full SHA of the commit that the tag of exactly that name leads to. It fails with ErrNotFound.
	Tag(ctx context.Context, name string) (string, error)
	// Range tells what head has and base has not; both are full SHAs. It fails with ErrNotAncestor if base is not an ancestor of
	// head (a commit is one of itself), with ErrNotFound if one of them does not exist, and with ErrShallow if the history is cut off
	// before that can be told.
	Range(ctx context.Context, base, head string, o RangeOptions) (Range, error)
	// Close lets go of what the repository holds.
	Close() error
}

// Location is where a repository is, and what its server needs to know.
type Location struct {
	// URL is https://host/path, ssh://[user@]host[:port]/path or file:///path: NormalizeURL's form.
	URL         string
	Credentials Credentials
	// WholeTrees asks for what RangeOptions.Path needs. Drivers that ask a server's API ignore it.
	WholeTrees bool
}

// Provider opens repositories of one kind of server. It may be used by many goroutines at once.
type Provider interface {
	// Open prepares a repository for questions. It may reach the server.
	Open(ctx context.Context, at Location) (Repository, error)
}

// Labels are what an image says about its source, by the OCI annotation keys org.opencontainers.image.*.
type Labels struct {
	Revision string // the commit, as the image's builder wrote it
	Source   string // the address of the repository, likewise
}

// Inspector reads the labels of images. It may be used by many goroutines at once.
type Inspector interface {
	// Labels of an image. It fails with ErrNotFound if the registry does not have the image, and with ErrUnauthorized.
	Labels(ctx context.Context, image string, pull PullSecrets) (Labels, error)
}
