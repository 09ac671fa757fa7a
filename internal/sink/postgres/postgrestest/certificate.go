package postgrestest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// newAuthority makes an authority that signed nothing yet.
func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})}, nil
}

// sign makes a certificate and its key, in PEM form, for a server at an address or for a client.
func (a *authority) sign(name string, address net.IP) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: a.certificate.NotBefore,
		NotAfter: a.certificate.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if address != nil {
		template.IPAddresses, template.ExtKeyUsage = []net.IP{address}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}

// certify gives the server a certificate for Host.
func (s *Server) certify() error {
	issuer, err := newAuthority("the authority of the test's PostgreSQL")
	if err != nil {
		return err
	}
	certificate, key, err := issuer.sign("postgres", net.ParseIP(Host))
	if err != nil {
		return err
	}
	s.issuer, s.CA = issuer, issuer.pem
	for name, content := range map[string][]byte{"ca.crt": issuer.pem, "server.crt": certificate, "server.key": key} {
		if err := s.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// ClientCertificate makes a certificate, with its key, by which a role of the group Certificate signs in.
func (s *Server) ClientCertificate(tb testing.TB, role string) (certificate, key []byte) {
	tb.Helper()
	certificate, key, err := s.issuer.sign(role, nil)
	if err != nil {
		tb.Fatalf("cannot make a client certificate: %v", err)
	}
	return certificate, key
}

// OtherCA is the certificate of an authority that signed nothing of this server.
func OtherCA(tb testing.TB) []byte {
	tb.Helper()
	other, err := newAuthority("another authority")
	if err != nil {
		tb.Fatalf("cannot make an authority: %v", err)
	}
	return other.pem
}
