package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// metrics says how metrics are served: to everybody in clear text; or over TLS, to those who the API server says may get /metrics.
func (o Options) metrics() metricsserver.Options {
	if !o.MetricsSecure {
		return metricsserver.Options{BindAddress: o.MetricsAddress}
	}
	return metricsserver.Options{
		BindAddress: o.MetricsAddress, SecureServing: true, CertDir: o.MetricsCertificate,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
		// HTTP/2 lets a client that was not asked who it is yet make a server work for requests that it takes back.
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
	}
}

func (o Options) validateMetrics() error {
	switch {
	case o.MetricsSecure && o.MetricsAddress == "0":
		return errors.New("--metrics-secure has nothing to secure with --metrics-bind-address=0: leave one of them out")
	case o.MetricsCertificate == "":
		return nil
	case !o.MetricsSecure:
		return fmt.Errorf("--metrics-cert-dir=%s is not used without --metrics-secure: give both, or neither", o.MetricsCertificate)
	}
	// Without these files controller-runtime would make a certificate of its own, and nobody would notice.
	for _, name := range []string{"tls.crt", "tls.key"} {
		if _, err := os.Stat(filepath.Join(o.MetricsCertificate, name)); err != nil {
			return fmt.Errorf("--metrics-cert-dir: %w: name a folder that has tls.crt and tls.key", err)
		}
	}
	return nil
}

// validatePprof: a profile shows what is in memory, credentials included, so it is for those who may enter the pod.
func (o Options) validatePprof() error {
	if o.PprofAddress == "" || o.PprofAddress == "0" {
		return nil
	}
	host, _, err := net.SplitHostPort(o.PprofAddress)
	if err != nil {
		return fmt.Errorf("--pprof-bind-address=%q is no address: write localhost and a port, such as localhost:6060, or 0 to switch it off", o.PprofAddress)
	}
	if address, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !address.IsLoopback()) {
		return fmt.Errorf("--pprof-bind-address=%q can be reached from outside, and has no authentication: "+
			"write localhost and a port, such as localhost:6060, and use kubectl port-forward", o.PprofAddress)
	}
	return nil
}
