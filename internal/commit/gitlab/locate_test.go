package gitlab

import (
	"errors"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
)

func TestTheServerOfARepository(t *testing.T) {
	for repository, want := range map[string]string{
		"https://gitlab.com/group/project":                  "https://gitlab.com/",
		"https://git.example.com:8443/group/nested/project": "https://git.example.com:8443/",
		"http://127.0.0.1:8080/group/project":               "http://127.0.0.1:8080/",
		"ssh://git@git.example.com:2222/group/project":      "https://git.example.com/",
		"ssh://git@git.example.com/group/project":           "https://git.example.com/",
		"ssh://git@[2001:db8::1]:2222/group/project":        "https://[2001:db8::1]/",
	} {
		server, err := serverOf(repository)
		if err != nil || server.String() != want {
			t.Errorf("%s: got %v and %v, want %s", repository, server, err, want)
		}
	}
	for repository, want := range map[string]error{
		"file:///srv/group/project":  commit.ErrMisconfigured,
		"https://gitlab.com/project": commit.ErrMisconfigured,
	} {
		if _, err := serverOf(repository); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", repository, err, want)
		}
	}
}
