package oci_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
)

func TestATokenIsHadAsTheDistributionSpecificationSays(t *testing.T) {
	guarded := tokens{"robot", "canary-password", "canary-token"}
	elsewhere := httptest.NewServer(guarded)
	defer elsewhere.Close()
	_, port, _ := strings.Cut(elsewhere.Listener.Addr().String(), ":")
	for story, h := range map[string]*hub{
		"from the registry itself":               newHub(t, guarded.front("")),
		"by https":                               newTLSHub(t, guarded.front("")),
		"from a token server on another address": newHub(t, guarded.front("http://localhost:"+port+"/")),
	} {
		t.Run(story, func(t *testing.T) {
			ref := h.push(t, "team/app", "v1", image(t, keyed{revision: sha}, nil))
			got, err := h.labels(t, ref, secret(h.host(), "robot", "canary-password"))
			if err != nil || got.Revision != sha {
				t.Errorf("with the password: %+v, %v", got, err)
			}
			for story, pull := range map[string][][]byte{
				"with none":                {},
				"with another registry's":  {secret("registry.example.com", "robot", "canary-password")},
				"with another path's":      {secret(h.host()+"/other", "robot", "canary-password")},
				"with another password":    {secret(h.host(), "robot", "canary-old")},
				"with an entry of nothing": {[]byte(`{"auths":{"` + h.host() + `":{}}}`)},
			} {
				got, err := h.labels(t, ref, pull...)
				if !errors.Is(err, commit.ErrUnauthorized) || got != (commit.Labels{}) {
					t.Errorf("%s: %+v, %v", story, got, err)
				}
			}
		})
	}
}

func TestATokenForEverybodyNeedsNoSecret(t *testing.T) {
	h := newTLSHub(t, tokens{token: "for-everybody"}.front(""))
	got, err := h.labels(t, h.push(t, "team/app", "v1", image(t, keyed{revision: sha}, nil)))
	if err != nil || got.Revision != sha {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestARegistryMayWantThePasswordItself(t *testing.T) {
	h := newTLSHub(t, basic("robot", "canary-password"))
	ref := h.push(t, "team/app", "v1", image(t, keyed{revision: sha}, nil))
	old, current := secret(h.host(), "robot", "canary-old"), secret(h.host(), "robot", "canary-password")
	for story, pull := range map[string][][]byte{"one": {current}, "after one that is refused": {old, current}, "before another": {current, old}} {
		if got, err := h.labels(t, ref, pull...); err != nil || got.Revision != sha {
			t.Errorf("%s: %+v, %v", story, got, err)
		}
	}
	for story, pull := range map[string][][]byte{"none": {}, "wrong": {old}, "too many wrong ones": {old, old, old, current}} {
		if _, err := h.labels(t, ref, pull...); !errors.Is(err, commit.ErrUnauthorized) {
			t.Errorf("%s: %v", story, err)
		}
	}
}

// An identity token is exchanged by OAuth2, a registry token is one already.
func TestTokensInAPullSecret(t *testing.T) {
	h := newTLSHub(t, func(w http.ResponseWriter, r *http.Request, registry http.Handler) {
		switch {
		case r.URL.Path == "/token" && r.Method == http.MethodPost &&
			r.FormValue("grant_type") == "refresh_token" && r.FormValue("refresh_token") == "canary-identity":
			fmt.Fprint(w, `{"access_token":"canary-token"}`)
		case r.URL.Path == "/token":
			spec(w, http.StatusUnauthorized, "UNAUTHORIZED")
		default:
			tokens{token: "canary-token"}.front("")(w, r, registry)
		}
	})
	ref := h.push(t, "team/app", "v1", image(t, keyed{revision: sha}, nil))
	for _, field := range []string{`"identitytoken":"canary-identity"`, `"registrytoken":"canary-token"`} {
		if got, err := h.labels(t, ref, []byte(`{"auths":{"`+h.host()+`":{`+field+`}}}`)); err != nil || got.Revision != sha {
			t.Errorf("%s: %+v, %v", field, got, err)
		}
	}
	if _, err := h.labels(t, ref, []byte(`{"auths":{"`+h.host()+`":{"identitytoken":"canary-other"}}}`)); !errors.Is(err, commit.ErrUnauthorized) {
		t.Errorf("another identity token: %v", err)
	}
}

func TestAPullSecretThatCannotBeReadIsNamedAndNotShown(t *testing.T) {
	good := secret("registry.example.com", "robot", "canary-password")
	for story, broken := range map[string]string{
		"no JSON":            `canary-password`,
		"cut off":            `{"auths":{"registry.example.com":{"password":"canary-password`,
		"a list":             `["canary-password"]`,
		"auths is a string":  `{"auths":"canary-password"}`,
		"an entry is one":    `{"auths":{"registry.example.com":"canary-password"}}`,
		"a field is a list":  `{"auths":{"registry.example.com":{"password":["canary-password"]}}}`,
		"auth is not base64": `{"auths":{"registry.example.com":{"auth":"canary-password"}}}`,
		"auth has no colon":  `{"auths":{"registry.example.com":{"auth":"Y2FuYXJ5"}}}`,
		"empty":              ``,
	} {
		h := newHub(t, nil)
		_, err := h.labels(t, h.host()+"/team/app:v1", good, []byte(broken))
		if !errors.Is(err, commit.ErrSecret) || !strings.Contains(err.Error(), "pull secret 2 of 2") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", story, err)
		}
		if n := len(h.requests()); n != 0 {
			t.Errorf("%s: %d requests", story, n)
		}
	}
}
