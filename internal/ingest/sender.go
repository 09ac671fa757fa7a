package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrNoSecret is that nobody can be verified, since the Secret has not what the driver needs. It is for whoever set the receiver up,
// not for the sender.
var ErrNoSecret = errors.New("the Secret has no value to verify senders by")

// Keys of a Secret that drivers share.
const (
	// KeyToken is a bearer token: Authorization: Bearer TOKEN.
	KeyToken = "token"
	// KeyUsername and KeyPassword are of basic authentication.
	KeyUsername = "username"
	KeyPassword = "password"
	// KeySigningSecret is what the sender signs its requests with.
	KeySigningSecret = "signingSecret"
)

// Value is what a Secret has under a key, without the line break that a file or an editor left at its end; ErrNoSecret if that is nothing.
func Value(secret map[string][]byte, key string) ([]byte, error) {
	value := strings.TrimRight(string(secret[key]), "\r\n")
	if value == "" {
		return nil, fmt.Errorf("%w: put it under the key %s", ErrNoSecret, key)
	}
	return []byte(value), nil
}

// VerifyHMAC returns ErrNotSender unless one of the signatures is the HMAC-SHA256 of the message, which may come in parts.
func VerifyHMAC(key []byte, signatures [][]byte, message ...[]byte) error {
	mac := hmac.New(sha256.New, key)
	for _, part := range message {
		mac.Write(part)
	}
	sum := mac.Sum(nil)
	for _, signature := range signatures {
		if hmac.Equal(sum, signature) {
			return nil
		}
	}
	return ErrNotSender
}

// tolerance is how far a signature's time may be from ours: clocks differ, and networks are slow.
const tolerance = 5 * time.Minute

// VerifyRecent returns ErrNotSender unless a time that was signed, in seconds since 1970, is not long ago and not to come. So what somebody
// recorded cannot be sent again later.
func VerifyRecent(seconds string, now time.Time) error {
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > tolerance {
		return ErrNotSender
	}
	return nil
}

// VerifyCredentials returns ErrNotSender unless a request has the bearer token of a Secret, or its user name and password, whichever the
// Secret has. A Secret with both accepts both.
func VerifyCredentials(r *Request, secret map[string][]byte) error {
	token, noToken := Value(secret, KeyToken)
	user, noUser := Value(secret, KeyUsername)
	password, noPassword := Value(secret, KeyPassword)
	basic := noUser == nil && noPassword == nil
	if noToken != nil && !basic {
		return fmt.Errorf("%w: put a bearer token under the key %s, or %s and %s", ErrNoSecret, KeyToken, KeyUsername, KeyPassword)
	}
	if noToken == nil && Same([]byte(bearer(r.Header)), token) {
		return nil
	}
	givenUser, givenPassword, _ := (&http.Request{Header: r.Header}).BasicAuth()
	rightUser, rightPassword := Same([]byte(givenUser), user), Same([]byte(givenPassword), password)
	if basic && rightUser && rightPassword {
		return nil
	}
	return ErrNotSender
}

// bearer is the token of a request, or nothing.
func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Same compares without telling by its time how much is alike, not even the length. Nothing is the same as nothing.
func Same(given, want []byte) bool {
	a, b := sha256.Sum256(given), sha256.Sum256(want)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && len(want) > 0
}
