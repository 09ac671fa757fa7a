package receive

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Certificate is what senders are shown of who answers them.
type Certificate struct {
	NotAfter time.Time `json:"not_after"`
	// Names are the names and addresses of hosts that it is for.
	Names []string `json:"names"`
}

var errNoCertificate = errors.New("it is no certificate in PEM: put one there, with those of its authorities after it")

// ReadCertificate reads the certificate of a folder that Options.Certificates names; its key is left alone.
func ReadCertificate(folder string) (Certificate, error) {
	path := filepath.Join(folder, "tls.crt")
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own setting
	if err != nil {
		return Certificate{}, fmt.Errorf("cannot read the certificate of receivers: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return Certificate{}, fmt.Errorf("cannot read the certificate of receivers in %s: %w", path, errNoCertificate)
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Certificate{}, fmt.Errorf("cannot read the certificate of receivers in %s: %w", path, err)
	}
	c := Certificate{NotAfter: parsed.NotAfter.UTC(), Names: append([]string{}, parsed.DNSNames...)}
	for _, address := range parsed.IPAddresses {
		c.Names = append(c.Names, address.String())
	}
	return c, nil
}
