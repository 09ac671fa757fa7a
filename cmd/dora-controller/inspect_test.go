package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/doctor"
)

// certify writes a certificate, without its key.
func certify(t *testing.T, folder string, of *x509.Certificate) {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	of.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	g.Expect(err).NotTo(HaveOccurred())
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	g.Expect(os.WriteFile(filepath.Join(folder, "tls.crt"), text, 0o600)).To(Succeed())
}

// TestInspect: what it prints is what the doctor reads.
func TestInspect(t *testing.T) {
	g, folder := NewWithT(t), t.TempDir()
	ends := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	certify(t, folder, &x509.Certificate{NotAfter: ends, DNSNames: []string{"dora.example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}})
	got := runCommand(t, "", "inspect", "--ledger", filepath.Join(folder, "ledger.db"), "--receivers-cert-dir", folder)
	g.Expect(got.code).To(Equal(exitOK), got.stderr)
	var seen doctor.Inside
	g.Expect(json.Unmarshal([]byte(got.stdout), &seen)).To(Succeed())
	g.Expect(seen.Certificate).To(Equal(&doctor.Certificate{NotAfter: ends, Names: []string{"dora.example.com", "10.0.0.1"}}))
	g.Expect(seen.Volume.Free).To(BeNumerically("<", seen.Volume.Size))

	g.Expect(runCommand(t, "", "inspect", "--ledger", "postgres://db.example.com/dora").stdout).To(Equal("{}\n"))
	for content, want := range map[string]string{
		"no certificate": "it is no certificate in PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "cannot read the certificate",
	} {
		g.Expect(os.WriteFile(filepath.Join(folder, "tls.crt"), []byte(content), 0o600)).To(Succeed())
		got := runCommand(t, "", "inspect", "--ledger", filepath.Join(folder, "ledger.db"), "--receivers-cert-dir", folder)
		g.Expect(got.code).To(Equal(exitFailure))
		g.Expect(got.stderr).To(ContainSubstring(want))
	}
	g.Expect(runCommand(t, "", "inspect", "--ledger", filepath.Join(folder, "none", "ledger.db")).stderr).To(ContainSubstring("cannot stat the file system"))
}
