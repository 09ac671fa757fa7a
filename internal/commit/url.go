package commit

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// scp is git's short form of an ssh address: user@host:path.
var scp = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([^/\\:].*|/[^/].*)$`)

var errNoRepositoryURL = errors.New("write it as https://host/path, ssh://git@host/path, git@host:path or file:///path")

// NormalizeURL reads the address of a repository in any form that git takes, and returns the one that Location has: a lower-case host, no
// default port, no trailing slash or ".git", and no credentials. Two addresses of one repository become the same text where that can be
// told without asking the server. An image's source label may be the address of a web page below the repository; it is not shortened.
func NormalizeURL(text string) (string, error) {
	text = strings.TrimSpace(text)
	if m := scp.FindStringSubmatch(text); m != nil && !strings.Contains(text, "://") {
		text = "ssh://" + m[1] + m[2] + "/" + strings.TrimPrefix(m[3], "/")
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("%w", errNoRepositoryURL) // url's error repeats the text, credentials among it
	}
	u.Scheme = strings.TrimPrefix(strings.ToLower(u.Scheme), "git+")
	u.RawQuery, u.Fragment, u.RawPath = "", "", ""
	u.Path = strings.TrimSuffix(path.Clean("/"+u.Path), ".git")
	switch u.Scheme {
	case "https", "http", "ssh":
		return remote(u)
	case "file":
		if u.Host != "" && u.Host != "localhost" || u.Path == "/" {
			return "", errNoRepositoryURL
		}
		return "file://" + u.Path, nil
	}
	return "", errNoRepositoryURL
}

var defaultPorts = map[string]string{"https": "443", "http": "80", "ssh": "22"}

func remote(u *url.URL) (string, error) {
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if host == "" || u.Path == "/" {
		return "", errNoRepositoryURL
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && port != defaultPorts[u.Scheme] {
		host += ":" + port
	}
	clean := url.URL{Scheme: u.Scheme, Host: host, Path: u.Path}
	if u.Scheme == "ssh" {
		clean.User = url.User("git")
		if name := u.User.Username(); name != "" {
			clean.User = url.User(name)
		}
	}
	return clean.String(), nil
}

// HostOf is the host, with its port unless that is the scheme's, of an address that NormalizeURL returned. Empty for a local path.
func HostOf(normalized string) string {
	u, err := url.Parse(normalized)
	if err != nil {
		return ""
	}
	return u.Host
}

// PathOf is the path within its host of an address that NormalizeURL returned, without the leading slash: owner/name.
func PathOf(normalized string) string {
	u, err := url.Parse(normalized)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}
