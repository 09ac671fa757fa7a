package gitea

import (
	"errors"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
)

func TestTheServerAndTheNameOfARepository(t *testing.T) {
	for repository, want := range map[string][3]string{
		"https://codeberg.org/owner/name":               {"https://codeberg.org", "owner", "name"},
		"https://git.example.com:3000/owner/name":       {"https://git.example.com:3000", "owner", "name"},
		"https://example.com/apps/gitea/owner/name":     {"https://example.com/apps/gitea", "owner", "name"},
		"http://127.0.0.1:3000/owner/name":              {"http://127.0.0.1:3000", "owner", "name"},
		"ssh://git@git.example.com:2222/owner/name":     {"https://git.example.com", "owner", "name"},
		"ssh://forgejo@[2001:db8::1]:22222/owner/name":  {"https://[2001:db8::1]", "owner", "name"},
		"https://git.example.com/owner/name%20of%20one": {"https://git.example.com", "owner", "name of one"},
	} {
		server, owner, name, err := locate(repository)
		if err != nil || server.String() != want[0] || owner != want[1] || name != want[2] {
			t.Errorf("%s: got %v, %q, %q and %v, want %q", repository, server, owner, name, err, want)
		}
	}
	for _, repository := range []string{"file:///srv/owner/name", "https://codeberg.org/name"} {
		if _, _, _, err := locate(repository); !errors.Is(err, commit.ErrMisconfigured) {
			t.Errorf("%s: got %v, want ErrMisconfigured", repository, err)
		}
	}
}
