package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// receiversAt is the label of the lease that tells where the holder's receivers are: a label, since that is what the library lets a holder write.
const receiversAt = "dora-controller.io/receivers"

// leaseLabels are what the holder of the lease says of itself.
func (o Options) leaseLabels() map[string]string {
	at, ok := o.advertised()
	if !ok {
		return nil
	}
	return map[string]string{receiversAt: asLabel(at)}
}

// advertised is where other replicas reach the receivers of this one.
func (o Options) advertised() (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(o.ReceiversIP)
	_, port, _ := net.SplitHostPort(o.ReceiversAddress)
	at, wrong := netip.ParseAddrPort(net.JoinHostPort(ip.WithZone("").String(), port))
	return at, o.LeaderElect && o.receives() && err == nil && wrong == nil
}

// asLabel writes an address in the characters of a label.
func asLabel(at netip.AddrPort) string {
	return strings.ReplaceAll(at.Addr().StringExpanded(), ":", "_") + "_" + strconv.Itoa(int(at.Port()))
}

func fromLabel(text string) (netip.AddrPort, error) {
	i := max(0, strings.LastIndexByte(text, '_'))
	return netip.ParseAddrPort(net.JoinHostPort(strings.ReplaceAll(text[:i], "_", ":"), strings.TrimPrefix(text[i:], "_")))
}

// leaderAddress tells where the receivers of the process that leads are, by the lease, which is read once a second at most.
type leaderAddress struct {
	leases coordinationv1.LeaseInterface
	name   string

	mu    sync.Mutex
	until time.Time
	at    netip.AddrPort
	err   error
}

const (
	leaseReadEvery  = time.Second
	leaseReadWithin = 2 * time.Second
)

// newLeaderAddress is nil where replicas do not tell where they are.
func newLeaderAddress(mgr manager.Manager, o *Options) (func(context.Context) (netip.AddrPort, error), error) {
	if _, ok := o.advertised(); !ok || o.LeaderElectionNamespace == "" {
		return nil, nil
	}
	api, err := coordinationv1.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("cannot make the client for the lease: %w", err)
	}
	return (&leaderAddress{leases: api.Leases(o.LeaderElectionNamespace), name: o.lease()}).find, nil
}

func (l *leaderAddress) find(ctx context.Context) (netip.AddrPort, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.After(l.until) {
		l.at, l.err = l.read(context.WithoutCancel(ctx))
		l.until = now.Add(leaseReadEvery)
	}
	return l.at, l.err
}

func (l *leaderAddress) read(ctx context.Context) (netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseReadWithin)
	defer cancel()
	lease, err := l.leases.Get(ctx, l.name, metav1.GetOptions{})
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("cannot read the lease: %w", err)
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return netip.AddrPort{}, errors.New("nobody holds the lease")
	}
	return fromLabel(lease.Labels[receiversAt])
}
