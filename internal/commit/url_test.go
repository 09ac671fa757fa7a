package commit_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// The forms are those of git-clone's manual, section "Git URLs".
func TestTheAddressesOfARepository(t *testing.T) {
	for text, want := range map[string]string{
		"https://github.com/owner/name":           "https://github.com/owner/name",
		"https://github.com/owner/name.git":       "https://github.com/owner/name",
		"https://github.com/owner/name/":          "https://github.com/owner/name",
		"https://github.com/owner/name.git/":      "https://github.com/owner/name",
		" https://github.com/owner/name\n":        "https://github.com/owner/name",
		"HTTPS://GitHub.com./Owner/Name":          "https://github.com/Owner/Name",
		"git+https://github.com/owner/name.git":   "https://github.com/owner/name",
		"https://github.com:443/owner/name":       "https://github.com/owner/name",
		"https://github.com:0443/owner/name":      "https://github.com/owner/name",
		"https://github.com:/owner/name":          "https://github.com/owner/name",
		"https://github.com:8443/owner/name":      "https://github.com:8443/owner/name",
		"http://git.example.com:80/name":          "http://git.example.com/name",
		"https://git.example.com/a//b/./c/../d":   "https://git.example.com/a/b/d",
		"https://git.example.com/../a":            "https://git.example.com/a",
		"https://git.example.com/a%20b":           "https://git.example.com/a%20b",
		"https://git.example.com/a b":             "https://git.example.com/a%20b",
		"https://git.example.com/~user/name":      "https://git.example.com/~user/name",
		"https://git.example.com/name.git.git":    "https://git.example.com/name",
		"https://git.example.com/name/.git":       "https://git.example.com/name",
		"https://user:canary@git.example.com/x":   "https://git.example.com/x",
		"https://canary@git.example.com/x":        "https://git.example.com/x",
		"https://git.example.com/x?token=canary":  "https://git.example.com/x",
		"https://git.example.com/x#canary":        "https://git.example.com/x",
		"https://github.com/owner/name/tree/main": "https://github.com/owner/name/tree/main",
		"https://10.0.0.1/x":                      "https://10.0.0.1/x",
		"https://[2001:DB8:0::1]:443/x":           "https://[2001:db8::1]/x",
		"https://[::ffff:10.0.0.1]/x":             "https://10.0.0.1/x",
		"https://xn--e1afmkfd.example/x":          "https://xn--e1afmkfd.example/x",

		"ssh://git@github.com/owner/name.git":    "ssh://git@github.com/owner/name",
		"ssh://github.com/owner/name":            "ssh://git@github.com/owner/name",
		"ssh://git:canary@github.com/owner/name": "ssh://git@github.com/owner/name",
		"ssh://git@github.com:22/owner/name":     "ssh://git@github.com/owner/name",
		"ssh://git@github.com:2222/owner/name":   "ssh://git@github.com:2222/owner/name",
		"git+ssh://git@github.com/owner/name":    "ssh://git@github.com/owner/name",
		"ssh://deploy@git.example.com/name":      "ssh://deploy@git.example.com/name",
		"git@github.com:owner/name.git":          "ssh://git@github.com/owner/name",
		"github.com:owner/name":                  "ssh://git@github.com/owner/name",
		"deploy@git.example.com:/srv/name":       "ssh://deploy@git.example.com/srv/name",
		"git@[2001:db8::1]:owner/name":           "ssh://git@[2001:db8::1]/owner/name",
		"git@git.example.com:a%20b":              "ssh://git@git.example.com/a%2520b",
		"git@git.example.com:a?b#c":              "ssh://git@git.example.com/a%3Fb%23c",

		"file:///srv/git/name.git":        "file:///srv/git/name",
		"file://localhost/srv/git/name":   "file:///srv/git/name",
		"file:///srv/git/name/.git":       "file:///srv/git/name",
		"file:///srv/git/name%20of%23all": "file:///srv/git/name%20of%23all",
		"file:///srv/../etc/name":         "file:///etc/name",
	} {
		got, err := commit.NormalizeURL(text)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestWhatIsNoAddressOfARepository(t *testing.T) {
	for story, text := range map[string]string{
		"nothing": "", "a word": "name", "a path": "/srv/git/canary", "a relative path": "../canary", "no scheme": "github.com/owner/canary",
		"no path": "https://github.com", "a path of nothing": "https://github.com/.git", "a path that leads out": "https://github.com/..",
		"no host": "https:///canary", "only a port": "https://:443/canary", "too few slashes": "https:/github.com/canary", "no slashes": "https:github.com/canary",
		"a protocol without encryption or log-in": "git://github.com/owner/canary", "a command": "ext::sh -c canary", "a script": "javascript://alert(1)/canary",
		"the file of another host": "file://host/canary", "the root": "file:///", "a folder above the root": "file:///..",
		"two schemes": "git+git+https://github.com/canary", "a windows path": `C:\canary`,
		"an option of ssh as a host":          "ssh://-oProxyCommand=canary/name",
		"an option of ssh as a short host":    "-oProxyCommand=canary:name",
		"an option of ssh as a user":          "ssh://-oProxyCommand=canary@github.com/name",
		"a user with a space":                 "ssh://canary%20x@github.com/name",
		"a host with escapes":                 "https://git%68ub.com/canary",
		"a host with a backslash":             `https://github.com\@evil.example/canary`,
		"a host that only looks like another": "https://ɡithub.com/canary",
		"wide letters":                        "https://ｇithub.com/canary",
		"a host with an empty end":            "https://github.com../canary",
		"a host with a zone":                  "https://[fe80::1%25eth0]/canary",
		"a host that is too long":             "https://" + strings.Repeat("a", 254) + "/canary",
		"a port that is none":                 "https://github.com:https/canary",
		"a port that is too great":            "https://github.com:65536/canary",
		"port zero":                           "https://github.com:0/canary",
		"two ports":                           "https://github.com:80:90/canary",
		"an encoded slash":                    "https://github.com/owner%2Fcanary/name",
		"an encoded backslash":                "https://github.com/owner%5ccanary",
		"an encoded line break":               "https://github.com/owner%0acanary",
		"a zero byte":                         "file:///srv/canary%00x",
		"a line break":                        "https://github.com/owner\ncanary",
		"text that runs backwards":            "https://github.com/owner\u202ecanary",
		"no UTF-8":                            "https://github.com/canary%ff",
		"half an escape":                      "https://github.com/canary%",
		"an endless one":                      "https://github.com/" + strings.Repeat("canary", 1000),
		"a password in a broken one":          "https://user:canary@git hub.com/x",
	} {
		got, err := commit.NormalizeURL(text)
		if err == nil || got != "" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %q, %v", story, got, err)
		}
	}
}

func TestThePartsOfAnAddress(t *testing.T) {
	for text, want := range map[string][2]string{
		"https://github.com/owner/name":      {"github.com", "owner/name"},
		"https://git.example.com:8443/a/b/c": {"git.example.com:8443", "a/b/c"},
		"ssh://git@git.example.com:2222/a/b": {"git.example.com:2222", "a/b"},
		"ssh://git@[2001:db8::1]/a":          {"[2001:db8::1]", "a"},
		"https://git.example.com/a%20b":      {"git.example.com", "a b"},
		"file:///srv/git/name":               {"", "srv/git/name"},
		"":                                   {"", ""},
		"%":                                  {"", ""},
	} {
		if got := [2]string{commit.HostOf(text), commit.PathOf(text)}; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// What comes out is read alike by everybody: it stays as it is, it has no secrets, and its host is the one that would be dialled.
func FuzzNormalizeURL(f *testing.F) {
	for _, text := range []string{
		"https://user:canary@GitHub.com:443/owner/name.git/", "git@github.com:owner/name.git", "ssh://git@[2001:db8::1]:2222/a", "file:///srv/a%20b",
		"git+ssh://h/a/../b", "https://h/a%2fb", "h:a?b#c", "https:/h/a", "ssh://-oX@h/a",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := commit.NormalizeURL(text)
		if err != nil {
			if got != "" || strings.Contains(text, "canary") && strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: %q, %v", text, got, err)
			}
			return
		}
		if again, err := commit.NormalizeURL(got); err != nil || again != got {
			t.Errorf("%q becomes %q, and that %q, %v", text, got, again, err)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		_, password := u.User.Password()
		if password || u.User != nil && u.Scheme != "ssh" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || strings.HasSuffix(u.Path, "/") {
			t.Errorf("%q keeps too much: %q", text, got)
		}
		if (u.Host == "") != (u.Scheme == "file") || strings.HasPrefix(u.Hostname(), "-") || strings.ToLower(u.Host) != u.Host || commit.HostOf(got) != u.Host {
			t.Errorf("%q has the host %q", got, u.Host)
		}
		for _, r := range got {
			if r <= ' ' || r >= 0x7f {
				t.Errorf("%q has the character %q", got, r)
			}
		}
	})
}
