package receive

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// The bounds of what anybody may cost who can reach the port.
const (
	connections  = 1024
	headerWithin = 5 * time.Second
	bodyWithin   = 15 * time.Second
	answerWithin = 30 * time.Second
	idleFor      = time.Minute
	headerBytes  = 16 << 10

	// bodyBytes is the largest body, and heldBytes what all that are being read may take together, beside the first piece of each.
	bodyBytes = 2 << 20
	heldBytes = 16 << 20

	takeWithin  = 10 * time.Second
	stopsWithin = 10 * time.Second
)

// Options are what an administrator decides, and what tests replace.
type Options struct {
	// Address is host:port. Certificates is the folder of tls.crt and tls.key, which are read again when they change; without it requests
	// come in clear text.
	Address, Certificates string
	Log                   logr.Logger
	Now                   func() time.Time
	// Leader tells where the receivers of the process that leads are. What comes while the server is not open is passed on to there; nil if nobody can tell.
	Leader func(context.Context) (netip.AddrPort, error)
}

// Server takes requests for the receivers of a desk. It listens as long as it runs; what comes while it is not open is passed on to the
// process that leads, or told to come again.
type Server struct {
	options Options
	held    *semaphore.Weighted
	counts  *prometheus.CounterVec
	passed  *prometheus.CounterVec
	open    atomic.Pointer[opened]
	forward atomic.Pointer[forwarder]
	bound   chan net.Addr

	strangers *rate.Limiter // of those that name no receiver
}

// opened is what a server works with while the process leads.
type opened struct {
	desk   *Desk
	ledger Ledger
}

// NewServer makes a server that is not open.
func NewServer(options Options) *Server {
	return &Server{
		options: options, held: semaphore.NewWeighted(heldBytes), counts: newCounts(), passed: newPassed(),
		bound: make(chan net.Addr, 1), strangers: newStrangers(),
	}
}

// Open lets requests in for the receivers of a desk, and Close keeps them out again. Those that are in are finished.
func (s *Server) Open(desk *Desk, ledger Ledger) { s.open.Store(&opened{desk: desk, ledger: ledger}) }

// Close is the opposite of Open.
func (s *Server) Close() { s.open.Store(nil) }

// Bound is sent the address once the server listens.
func (s *Server) Bound() <-chan net.Addr { return s.bound }

// NeedLeaderElection implements manager.LeaderElectionRunnable: who asks a process that stands by is answered, too.
func (*Server) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable: it listens until the context ends, and then finishes what is under way.
func (s *Server) Start(ctx context.Context) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("cannot listen for senders: %w; change --receivers-bind-address", err)
	}
	s.bound <- listener.Addr()
	s.options.Log.Info("Listening for senders", "address", listener.Addr().String())
	return s.serve(ctx, netutil.LimitListener(listener, connections))
}

func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerWithin, ReadTimeout: bodyWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor,
		MaxHeaderBytes: headerBytes,
		ErrorLog:       nil, // Go's own log, which goes where the libraries' does
		// HTTP/2 lets a client that is not known yet make a server work for requests that it takes back.
		Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	group, ctx := errgroup.WithContext(ctx)
	var certificate func() (*tls.Certificate, error)
	if s.options.Certificates != "" {
		watcher, err := certwatcher.New(filepath.Join(s.options.Certificates, "tls.crt"), filepath.Join(s.options.Certificates, "tls.key"))
		if err != nil {
			return errors.Join(fmt.Errorf("--receivers-cert-dir: cannot read the certificate: %w", err), listener.Close())
		}
		group.Go(func() error { return watcher.Start(ctx) })
		certificate = func() (*tls.Certificate, error) { return watcher.GetCertificate(nil) }
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: watcher.GetCertificate, NextProtos: []string{"http/1.1"},
		})
	}
	if s.options.Leader != nil {
		s.forward.Store(newForwarder(s.options.Leader, certificate))
	}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("cannot listen for senders any longer: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopsWithin)
		defer cancel()
		if err := server.Shutdown(finish); err != nil {
			return server.Close() // what is still under way was promised nothing
		}
		return nil
	})
	return group.Wait()
}
