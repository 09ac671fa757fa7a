package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bradleyfalzon/ghinstallation/v2"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// transportFunc is an http.RoundTripper.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// accountAuth is how requests with these credentials are authorized: as a GitHub App's installation, with a token, or not at all.
func accountAuth(at place, c commit.Credentials) authorizer {
	if c.AppID != 0 {
		return asInstallation(at, c)
	}
	return withToken(c.APIToken())
}

// withToken sends a personal access token, classic or fine-grained.
func withToken(token string) authorizer {
	return func(next http.RoundTripper) (http.RoundTripper, error) {
		if token == "" {
			return next, nil
		}
		return transportFunc(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("Authorization", "Bearer "+token)
			return next.RoundTrip(req)
		}), nil
	}
}

var errAppKey = errors.New("the GitHub App's key cannot be read: githubAppPrivateKey must be the RSA key in PEM form that GitHub made for the App")

// asApp signs requests with the App's own key, which is good for questions about its installations.
func asApp(c commit.Credentials) authorizer {
	return func(next http.RoundTripper) (http.RoundTripper, error) {
		app, err := ghinstallation.NewAppsTransport(next, c.AppID, c.AppKey)
		if err != nil {
			return nil, errAppKey
		}
		return transportFunc(func(req *http.Request) (*http.Response, error) {
			return app.RoundTrip(req.Clone(req.Context())) // it writes into the request
		}), nil
	}
}

// asInstallation sends the token of the App's installation, which is fetched when there is none or when it is about to expire.
func asInstallation(at place, c commit.Credentials) authorizer {
	return func(next http.RoundTripper) (http.RoundTripper, error) {
		installation, err := ghinstallation.New(next, c.AppID, c.InstallationID, c.AppKey)
		if err != nil {
			return nil, errAppKey
		}
		installation.BaseURL = strings.TrimSuffix(at.api.String(), "/")
		return transportFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := installation.RoundTrip(req)
			if failed, ok := errors.AsType[*ghinstallation.HTTPError](err); ok {
				return withoutToken(failed)
			}
			return resp, err
		}), nil
	}
}

// withoutToken hands on GitHub's answer to the request for a token, as if the question itself had got it: a rate limit or a refused key
// means the same for both. That there is no such installation has to be said in words.
func withoutToken(failed *ghinstallation.HTTPError) (*http.Response, error) {
	switch {
	case failed.Response == nil:
		return nil, failed.RootCause
	case failed.Response.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%w: the GitHub App has no installation %d; check githubAppInstallationID, or leave it out to have it found",
			commit.ErrUnauthorized, failed.InstallationID)
	}
	return failed.Response, nil
}

// installation asks for the installation of the App that can read a repository.
func (p *Provider) installation(ctx context.Context, at place, c commit.Credentials) (int64, error) {
	a, err := p.account(at, c, asApp(c))
	if err != nil {
		return 0, err
	}
	r := &repository{place: at, account: a}
	var found struct {
		ID int64 `json:"id"`
	}
	_, err = r.get(ctx, r.path("installation"), &found)
	if errors.Is(err, errAbsent) {
		return 0, fmt.Errorf("%w: the GitHub App is not installed for %s/%s", commit.ErrNoRepository, at.owner, at.name)
	}
	if err == nil && found.ID <= 0 {
		err = errors.New("the server named no installation of the GitHub App")
	}
	return found.ID, err
}
