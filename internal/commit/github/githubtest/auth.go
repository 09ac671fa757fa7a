package githubtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// App makes a GitHub App that is installed for the repository, and returns its credentials with the installation.
func (s *Server) App() commit.Credentials {
	s.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	const id, installation = 99, 1234
	s.set(func() { s.app = &app{id: id, installation: installation, key: &key.PublicKey, installed: true} })
	return commit.Credentials{
		AppID: id, InstallationID: installation,
		AppKey: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	}
}

// Uninstall takes the App away from the repository.
func (s *Server) Uninstall() { s.set(func() { s.app.installed = false }) }

// Suspend suspends the App's installation.
func (s *Server) Suspend() { s.set(func() { s.app.suspended = true }) }

// credentials of a request: none, a token that is good, or the App's own. Anything else is refused.
type credentials int

const (
	anonymous credentials = iota
	token
	ownApp
)

func (s *Server) authenticate(req *http.Request) (credentials, *answer) {
	scheme, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	scheme = strings.ToLower(scheme)
	if secret == "" {
		return anonymous, nil
	}
	if scheme != "bearer" && scheme != "token" {
		return 0, refused(http.StatusUnauthorized, "Bad credentials")
	}
	if strings.Count(secret, ".") == 2 {
		return ownApp, s.checkJWT(secret)
	}
	expires, known := s.tokens[secret]
	if !known || !expires.IsZero() && !time.Now().Before(expires) {
		return 0, refused(http.StatusUnauthorized, "Bad credentials")
	}
	return token, nil
}

func refused(status int, message string) *answer {
	a := refusal(status, message)
	return &a
}

// checkJWT checks what the documentation of "Generating a JSON Web Token" demands: RS256, the App as issuer, issued in the past, and an
// expiry at most 10 minutes ahead. The messages are from recorded answers.
func (s *Server) checkJWT(jwt string) *answer {
	parts := strings.Split(jwt, ".")
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Issuer  any   `json:"iss"`
		Issued  int64 `json:"iat"`
		Expires int64 `json:"exp"`
	}
	if s.app == nil || !decode(parts[0], &header) || !decode(parts[1], &claims) || header.Alg != "RS256" || !s.signed(parts) {
		return refused(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	now := time.Now()
	switch {
	case fmt.Sprint(claims.Issuer) != strconv.FormatInt(s.app.id, 10):
		return refused(http.StatusNotFound, "Integration not found")
	case time.Unix(claims.Issued, 0).After(now):
		return refused(http.StatusUnauthorized, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case !time.Unix(claims.Expires, 0).After(now):
		return refused(http.StatusUnauthorized, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case time.Unix(claims.Expires, 0).After(now.Add(10 * time.Minute)):
		return refused(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	return nil
}

func decode(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}

func (s *Server) signed(parts []string) bool {
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return err == nil && rsa.VerifyPKCS1v15(s.app.key, crypto.SHA256, sum[:], signature) == nil
}

// accessToken answers POST /app/installations/{id}/access_tokens: a token for an hour.
func (s *Server) accessToken(id string) answer {
	if s.app == nil || id != strconv.FormatInt(s.app.installation, 10) || !s.app.installed {
		return notFound()
	}
	if s.app.suspended {
		return refusal(http.StatusForbidden, "This installation has been suspended")
	}
	s.app.issued++
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	secret := fmt.Sprintf("ghs_installation%d", s.app.issued)
	s.tokens[secret] = expires
	return of(http.StatusCreated, map[string]any{
		"token": secret, "expires_at": expires.Format(time.RFC3339), "permissions": map[string]string{"contents": "read", "pull_requests": "read"},
	})
}

// installation answers GET /repos/{owner}/{repo}/installation.
func (s *Server) installation() answer {
	if !s.app.installed {
		return notFound()
	}
	return of(http.StatusOK, map[string]any{"id": s.app.installation, "app_id": s.app.id, "target_type": "Organization"})
}
