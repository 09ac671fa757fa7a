package commit

import (
	"context"
	"errors"
	"net"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/egress"
)

// Reason says in a word why there is no lead time, or why it has to be tried again. docs/lead-time.md explains each.
type Reason string

// Reasons that are final: the deployment counts, without lead time.
const (
	// FirstDeployment: nothing ran before it.
	FirstDeployment Reason = "FirstDeployment"
	// Rollback: production went back to what it had.
	Rollback Reason = "Rollback"
	// ConfigChange: its commit is the config repository's.
	ConfigChange Reason = "ConfigChange"
	// NoSource: no target says where commits are found.
	NoSource Reason = "NoSource"
	// NoRepository: neither the target nor the image tells the repository.
	NoRepository Reason = "NoRepository"
	// NoCommitInImage: neither tag, git tag nor label tells the commit.
	NoCommitInImage Reason = "NoCommitInImage"
	// CommitNotFound: the repository does not have the commit that the image tells.
	CommitNotFound Reason = "CommitNotFound"
	// CommitAmbiguous: several commits begin with the digits that the tag tells.
	CommitAmbiguous Reason = "CommitAmbiguous"
	// NoAncestor: no version that ran before is an ancestor.
	NoAncestor Reason = "NoAncestor"
	// BaseUnknown: the commit of a version that ran before is not known, so what it had delivered is not either.
	BaseUnknown Reason = "BaseUnknown"
	// NoNewCommits: the range holds no commit: it was delivered before, or changes nothing below the path.
	NoNewCommits Reason = "NoNewCommits"
	// UnusableTime: the first commit's time is beyond what any clock shows.
	UnusableTime Reason = "UnusableTime"
	// ShallowHistory: the repository's history is cut off.
	ShallowHistory Reason = "ShallowHistory"
	// HistoryTooLarge: the range, or the repository, is larger than what is read.
	HistoryTooLarge Reason = "HistoryTooLarge"
	// SquashNotSupported: the provider knows no pull requests.
	SquashNotSupported Reason = "SquashNotSupported"
	// HostNotAllowed: the repository is on a host that the target does not name.
	HostNotAllowed Reason = "HostNotAllowed"
)

// Reasons that time, or somebody's mend, takes away: it is tried again.
const (
	// Unreachable: no answer, or none that can be used.
	Unreachable Reason = "Unreachable"
	// RateLimited: the server asked to be left alone.
	RateLimited Reason = "RateLimited"
	// CredentialsRefused: the server refused the credentials, or wants some.
	CredentialsRefused Reason = "CredentialsRefused"
	// RepositoryNotFound: no such repository, or not with these credentials.
	RepositoryNotFound Reason = "RepositoryNotFound"
	// AddressNotAllowed: the server's address is not public, and the administrator did not allow it.
	AddressNotAllowed Reason = "AddressNotAllowed"
	// SourceNotUsable: spec.source says something that can never work.
	SourceNotUsable Reason = "SourceNotUsable"
	// SecretNotUsable: the Secret is missing, may not be read, or says something that cannot be used.
	SecretNotUsable Reason = "SecretNotUsable"
)

// Reopenable are the reasons that a mend of a source, or of a repository, can take away, and that are worth looking into again.
func Reopenable() []string {
	var names []string
	for _, reason := range []Reason{
		NoSource, NoRepository, NoCommitInImage, CommitNotFound, CommitAmbiguous, NoAncestor, BaseUnknown, NoNewCommits, UnusableTime,
		ShallowHistory, HistoryTooLarge, SquashNotSupported, HostNotAllowed, dora.NegativeLeadTime,
		Unreachable, RateLimited, CredentialsRefused, RepositoryNotFound, AddressNotAllowed, SourceNotUsable, SecretNotUsable,
	} {
		names = append(names, string(reason))
	}
	return names
}

// ReasonOf is why an attempt failed that is to be made again.
func ReasonOf(err error) Reason {
	_, limited := errors.AsType[*RetryError](err)
	switch {
	case limited:
		return RateLimited
	case errors.Is(err, egress.ErrRefused):
		return AddressNotAllowed
	case errors.Is(err, ErrSecret):
		return SecretNotUsable
	case errors.Is(err, ErrMisconfigured):
		return SourceNotUsable
	case errors.Is(err, ErrUnauthorized):
		return CredentialsRefused
	case errors.Is(err, ErrNoRepository):
		return RepositoryNotFound
	}
	return Unreachable
}

// final is why an error of a driver is an answer, and not a reason to ask again; empty if it is none.
func final(err error) Reason {
	for _, known := range []struct {
		err    error
		reason Reason
	}{
		{ErrShallow, ShallowHistory},
		{ErrTooLarge, HistoryTooLarge},
		{ErrUnsupported, SquashNotSupported},
		{ErrAmbiguous, CommitAmbiguous},
		{ErrNotFound, CommitNotFound},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return ""
}

// Timeout tells whether an error is of an attempt that took too long.
func Timeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}
