package doratarget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Neighbours reads what other clusters recorded. A ledger that several of them share does.
type Neighbours interface {
	Clusters(ctx context.Context) ([]string, error)
	Neighbour(ctx context.Context, cluster string) (ledger.Reader, error)
}

// visit is how often it is asked what other clusters have recorded: nobody tells of it.
const visit = time.Minute

// neighbour is another cluster's ledger, and what is known of it from one look to the next.
type neighbour struct {
	ledger.Reader

	cluster string
	index   index

	mu      sync.Mutex
	visited time.Time
	rows    []ledger.Subject
}

// neighbours are those that targets asked for.
type neighbours struct {
	mu sync.Mutex
	of map[string]*neighbour
}

// find gives the neighbour of a name; ledger.ErrNotFound if there is none.
func (n *neighbours) find(ctx context.Context, store Neighbours, cluster string) (*neighbour, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.of[cluster]; known != nil {
		return known, nil
	}
	if store == nil {
		return nil, ledger.ErrNotFound
	}
	reader, err := store.Neighbour(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if n.of == nil {
		n.of = map[string]*neighbour{}
	}
	n.of[cluster] = &neighbour{Reader: reader, cluster: cluster}
	return n.of[cluster], nil
}

// subjects are those that the cluster remembers, as it was told a visit ago at most.
func (n *neighbour) subjects(ctx context.Context, now time.Time) ([]ledger.Subject, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if since := now.Sub(n.visited); since >= 0 && since < visit && n.rows != nil {
		return n.rows, nil
	}
	rows, err := n.Subjects(ctx, ledger.SubjectQuery{Cluster: n.cluster})
	if err != nil {
		return nil, fmt.Errorf("cannot read the subjects of cluster %s: %w", n.cluster, err)
	}
	n.visited, n.rows = now, rows
	return rows, nil
}

// addNeighbours takes in the subjects of other clusters that the target names.
func (r *Reconciler) addNeighbours(ctx context.Context, s *scope) error {
	named, err := r.named(ctx, s.target.Object.Spec.Clusters)
	if err != nil {
		return err
	}
	for _, cluster := range named {
		n, err := r.neighbours.find(ctx, r.Neighbours, cluster)
		if errors.Is(err, ledger.ErrNotFound) {
			s.missingClusters = append(s.missingClusters, cluster)
			continue
		}
		if err != nil {
			return err
		}
		rows, err := n.subjects(ctx, s.now)
		if err != nil {
			return err
		}
		s.addNeighbour(n, rows)
	}
	return nil
}

// named are the other clusters that a target names, in order.
func (r *Reconciler) named(ctx context.Context, spec []dorav1alpha1.ClusterName) ([]string, error) {
	var named []string
	for _, name := range spec {
		if name != dorav1alpha1.EveryCluster {
			named = append(named, string(name))
		} else if r.Neighbours != nil {
			all, err := r.Neighbours.Clusters(ctx)
			if err != nil {
				return nil, err
			}
			named = append(named, all...)
		}
	}
	slices.Sort(named)
	return slices.DeleteFunc(slices.Compact(named), func(name string) bool { return name == r.Cluster }), nil
}

func (s *scope) addNeighbour(n *neighbour, rows []ledger.Subject) {
	at := place{History: n, cluster: n.cluster, index: &n.index}
	for i := range rows {
		row := &rows[i]
		if _, known := s.known[row.UID]; known || !s.target.Selects(row.Kind, row.Namespace, row.Labels) {
			continue
		}
		s.known[row.UID] = *row
		at.uids = append(at.uids, row.UID)
		if !row.DeletedAt.IsZero() {
			continue
		}
		service := fourkeys.Service{Name: row.Service, Environment: row.Environment}
		if since, ok := s.followed[service]; !ok || row.FollowedSince.Before(since) {
			s.followed[service] = row.FollowedSince
		}
		s.teams[service] = cmp.Or(s.teams[service], row.Team)
	}
	slices.Sort(at.uids)
	s.elsewhere = append(s.elsewhere, at)
}

// place is a cluster, and those of its subjects that a target counts.
type place struct {
	History

	cluster string
	index   *index
	uids    []string
}

// members are the subjects that a service is spread over.
func (s *scope) members(service fourkeys.Service) []fourkeys.Member {
	var members []fourkeys.Member
	for _, row := range s.known {
		if row.Service == service.Name && row.Environment == service.Environment {
			members = append(members, fourkeys.Member{Cluster: row.Cluster, Subject: row.Subject, Since: row.FollowedSince, Until: row.DeletedAt})
		}
	}
	slices.SortFunc(members, func(a, b fourkeys.Member) int { return cmp.Compare(a.Subject.UID, b.Subject.UID) })
	return members
}

func sameMember(a, b fourkeys.Member) bool {
	return a.Cluster == b.Cluster && a.Subject == b.Subject && a.Since.Equal(b.Since) && a.Until.Equal(b.Until)
}

// places are the own cluster, then the others of a target.
func (r *Reconciler) places(s *scope) []place {
	return append([]place{{History: r.Events, cluster: r.Cluster, index: &r.index, uids: s.all()}}, s.elsewhere...)
}

// services finds those that the events of a target's subjects name. The revision is that of the own ledger.
func (r *Reconciler) services(ctx context.Context, s *scope) (found map[fourkeys.Service]subjects, revision int64, err error) {
	for i, at := range r.places(s) {
		there, of, err := at.index.services(ctx, at.History, at.uids)
		if err != nil {
			return nil, 0, err
		}
		if i == 0 {
			found, revision = there, of
			continue
		}
		for service, more := range there {
			all := found[service]
			all.uids = slices.Sorted(slices.Values(slices.Concat(all.uids, more.uids)))
			all.changed += more.changed
			found[service] = all
		}
	}
	if s.target.Object.Spec.Spread == dorav1alpha1.SpreadAll {
		for service, of := range found {
			of.members = s.members(service)
			found[service] = of
		}
	}
	return found, revision, nil
}
