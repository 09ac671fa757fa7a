package cloudevents

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/dora-controller/dora-controller/internal/sink"
)

// ours are headers that are set already. A signature in one of them would take its place.
var ours = []string{"Authorization", "Connection", "Content-Length", "Content-Type", "Host", "Transfer-Encoding", "User-Agent"}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

var errAddress = errors.New("url is no address such as https://events.example.com/dora")

// check fails if a setting is wrong. It never repeats the address: its path may be a secret.
func (o *Options) check() (*url.URL, error) {
	address, err := url.Parse(o.URL)
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return nil, errAddress
	}
	if address.User != nil {
		return nil, errors.New("url holds credentials: they belong into the Secret")
	}
	if _, other := vocabularies[o.Format]; !other && o.Format != FormatDora {
		return nil, fmt.Errorf("format %q is not known: it is %s, %s or %s", o.Format, FormatDora, FormatCDEvents, FormatCDEvents04)
	}
	if o.Mode != ModeStructured && o.Mode != ModeBinary {
		return nil, fmt.Errorf("mode %q is not known: it is %s or %s", o.Mode, ModeStructured, ModeBinary)
	}
	name := http.CanonicalHeaderKey(o.SignatureHeader)
	if !headerName.MatchString(name) || slices.Contains(ours, name) || strings.HasPrefix(name, attributePrefix) {
		return nil, fmt.Errorf("signatureHeader %q cannot hold the signature: name another header, such as %s", o.SignatureHeader, DefaultSignatureHeader)
	}
	return address, sink.Because(sink.CredentialsMissing, o.checkCredentials())
}

func (o *Options) checkCredentials() error {
	switch {
	case o.Token != "" && (o.Username != "" || o.Password != ""):
		return errors.New("the Secret has both token and username: keep the one that the receiver wants")
	case (o.Username == "") != (o.Password == ""):
		return errors.New("the Secret needs both username and password, or neither")
	case strings.Contains(o.Username, ":"):
		return errors.New("username cannot hold a colon: basic authentication ends it there")
	case strings.ContainsFunc(o.Token, unicode.IsControl):
		return errors.New("token has a character that no header can hold, such as a line break at its end")
	}
	return nil
}

// secretPiece is the length of a piece of an address that is taken for a secret: webhooks have their keys there.
const secretPiece = 12

// secrets are what no answer may repeat.
func (o *Options) secrets(address *url.URL) []string {
	all := []string{o.Token, o.Password, string(o.HMACKey), address.RawQuery}
	pieces := strings.Split(address.Path, "/")
	for _, values := range address.Query() {
		pieces = append(pieces, values...)
	}
	for _, piece := range pieces {
		if len(piece) >= secretPiece {
			all = append(all, piece)
		}
	}
	return all
}
