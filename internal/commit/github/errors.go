package github

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	gh "github.com/google/go-github/v92/github"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// errAbsent is GitHub's 404: the repository, or what was asked for in it, is not there or not shown.
var errAbsent = errors.New("GitHub does not have it, or does not show it")

// said makes a server's text fit for an error. Credentials were taken out by wire.
func said(text string) string {
	if line := (commit.Credentials{}).Quote(text); line != "" {
		return line
	}
	return "no reason was given"
}

// brief is an error with a text of one bounded line.
type brief struct{ err error }

func (b brief) Error() string { return "GitHub's API: " + said(b.err.Error()) }

func (b brief) Unwrap() error { return b.err }

// explain turns an error of the client into one of package commit where the rules tell it apart. No address gets into the text, since a
// server may have chosen it.
func (a *account) explain(err error) error {
	if err == nil {
		return nil
	}
	if refusal, ok := errors.AsType[*gh.ErrorResponse](err); ok {
		return a.refusal(refusal.Response, said(refusal.Message))
	}
	if refusal, ok := errors.AsType[*gh.TwoFactorAuthError](err); ok {
		return a.refusal(refusal.Response, said(refusal.Message))
	}
	if lost, ok := errors.AsType[*gh.RedirectionError](err); ok {
		return fmt.Errorf("GitHub answered %d, a redirect, without an address", lost.StatusCode)
	}
	if retry, ok := errors.AsType[*commit.RetryError](err); ok {
		return retry
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return brief{err}
}

func (a *account) refusal(resp *http.Response, message string) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: GitHub says %q; %s", commit.ErrUnauthorized, message, a.advice())
	case http.StatusForbidden:
		return fmt.Errorf("%w: GitHub says %q; %s", commit.ErrUnauthorized, message, permissionAdvice(resp))
	case http.StatusNotFound:
		return fmt.Errorf("%w: GitHub says %q", errAbsent, message)
	case http.StatusUnavailableForLegalReasons:
		return fmt.Errorf("%w: GitHub says %q", commit.ErrNoRepository, message)
	case http.StatusConflict, http.StatusUnprocessableEntity:
		// "Git Repository is empty." and "No commit found for SHA: ...". Other refusals with these codes are about something else.
		if strings.Contains(message, "empty") || strings.HasPrefix(message, "No commit found") {
			return fmt.Errorf("%w: GitHub says %q", commit.ErrNotFound, message)
		}
	}
	return fmt.Errorf("GitHub answered %d: %s", resp.StatusCode, message)
}

func (a *account) advice() string {
	if a.anonymous {
		return "add a token to the Secret"
	}
	return "the token or the App's key is wrong, expired or revoked: replace it in the Secret"
}

func permissionAdvice(resp *http.Response) string {
	if resp.Header.Get("X-Github-Sso") != "" {
		return "authorize the token for the organization's single sign-on"
	}
	return "the credentials need read access to the repository's contents, and to its pull requests where squashed commits are looked up"
}
