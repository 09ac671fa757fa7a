package commit

import (
	"errors"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scp is git's short form of an ssh address: user@host:path.
var scp = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([^/\\:].*|/[^/].*)$`)

// schemes are no hosts, however short of slashes an address is: https:/host/path.
var schemes = []string{"https", "http", ssh, "git", "file"}

const ssh = "ssh"

// A name that looks like an option of ssh's, or whose letters only look like those of another, is none.
var (
	hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
)

const maxURL = 2048

var (
	errNoRepositoryURL = errors.New("write it as https://host/path, ssh://git@host/path, git@host:path or file:///path")
	errHost            = errors.New("write its host as a name in plain letters (xn--… if need be) or as an IP address, with a port up to 65535")
	errUser            = errors.New("write its user in plain letters, such as git")
	errPath            = errors.New("write its path without backslashes, encoded slashes and characters that cannot be printed")
)

// NormalizeURL reads the address of a repository in any form that git takes, and returns the one that Location has: a lower-case host, no
// default port, no trailing slash or ".git", and no credentials. Two addresses of one repository become the same text where that can be
// told without asking the server, and what it returns it returns again. It refuses what another reader could take for another address.
// An image's source label may be the address of a web page below the repository; it is not shortened.
func NormalizeURL(text string) (string, error) {
	u, err := parse(strings.TrimSpace(text))
	if err != nil || len(text) > maxURL {
		return "", errNoRepositoryURL // url's error repeats the text, credentials among it
	}
	if strings.Contains(strings.ToLower(u.RawPath), "%2f") || strings.ContainsFunc(u.Path, unfit) || !utf8.ValidString(u.Path) {
		return "", errPath
	}
	clean := &url.URL{Scheme: strings.TrimPrefix(strings.ToLower(u.Scheme), "git+"), Path: path.Clean("/" + u.Path)}
	for strings.HasSuffix(clean.Path, ".git") {
		clean.Path = path.Clean(strings.TrimSuffix(clean.Path, ".git"))
	}
	switch clean.Scheme {
	case "https", "http", ssh:
		err = remote(clean, u)
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			err = errNoRepositoryURL
		}
	default:
		err = errNoRepositoryURL
	}
	if err == nil && clean.Path == "/" {
		err = errNoRepositoryURL
	}
	if err != nil {
		return "", err
	}
	return written(clean)
}

// written is an address that can be read again: what has to be escaped may make it too long.
func written(address *url.URL) (string, error) {
	text := address.String()
	if len(text) > maxURL {
		return "", errNoRepositoryURL
	}
	return text, nil
}

// parse reads a URL, or git's short form. That has no escapes, no query and no fragment, so it is not made into a URL's text first.
func parse(text string) (*url.URL, error) {
	m := scp.FindStringSubmatch(text)
	if m == nil || strings.Contains(text, "://") {
		return url.Parse(text)
	}
	if slices.Contains(schemes, strings.ToLower(m[2])) {
		return nil, errNoRepositoryURL
	}
	u := &url.URL{Scheme: ssh, Host: m[2], Path: m[3]}
	if name, found := strings.CutSuffix(m[1], "@"); found {
		u.User = url.User(name)
	}
	return u, nil
}

func unfit(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }

var defaultPorts = map[string]string{"https": "443", "http": "80", ssh: "22"}

// remote sets the host of a clean address, and the user of one by ssh.
func remote(clean, u *url.URL) (err error) {
	clean.Host, err = host(u.Hostname())
	if err != nil {
		return err
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return errHost
		}
		if port = strconv.FormatUint(n, 10); port != defaultPorts[clean.Scheme] {
			clean.Host += ":" + port
		}
	}
	if clean.Scheme != ssh {
		return nil
	}
	name := u.User.Username()
	if name == "" {
		name = "git"
	}
	if !userName.MatchString(name) {
		return errUser
	}
	clean.User = url.User(name)
	return nil
}

func host(text string) (string, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		if ip = ip.Unmap(); ip.Is6() {
			return "[" + ip.String() + "]", nil
		}
		return ip.String(), nil
	}
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	if !hostName.MatchString(name) {
		return "", errHost
	}
	return name, nil
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
