package doratarget

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// index knows which services the events of each subject name, and at which revision of the ledger these changed last. It is as new as the
// ledger each time that it is asked.
type index struct {
	mu       sync.Mutex
	revision int64 // that the ledger had when it was asked last
	heard    int64 // the greatest that was told
	of       map[string]map[fourkeys.Service]int64
}

// subjects are those whose events name a service, in order, and when these changed last. Of several ledgers that is the sum of when it was
// in each.
type subjects struct {
	uids    []string
	changed int64
	// silent are those among them of which incidents count, and nothing else.
	silent []string
	// members are whom the service is spread over. None if each of them counts for itself.
	members []fourkeys.Member
}

// services finds those that the events of some subjects name. The uids are sorted.
func (x *index) services(ctx context.Context, events History, uids []string) (found map[fourkeys.Service]subjects, revision int64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.update(ctx, events); err != nil {
		return nil, 0, fmt.Errorf("cannot read whose events changed: %w", err)
	}
	found = map[fourkeys.Service]subjects{}
	for _, uid := range uids {
		for service, changed := range x.of[uid] {
			of := found[service]
			found[service] = subjects{uids: append(of.uids, uid), changed: max(of.changed, changed)}
		}
	}
	return found, x.revision, nil
}

func (x *index) update(ctx context.Context, events History) error {
	revision, err := events.Revision(ctx)
	if err != nil || x.of != nil && revision == x.revision {
		return err
	}
	if x.of == nil || revision < x.revision { // an older ledger in the place of the one that was read
		x.heard, x.of = 0, map[string]map[fourkeys.Service]int64{}
	}
	changed, err := events.Histories(ctx, x.heard)
	if err != nil {
		return err
	}
	for _, h := range changed {
		if x.of[h.UID] == nil {
			x.of[h.UID] = map[fourkeys.Service]int64{}
		}
		x.of[h.UID][fourkeys.Service{Name: h.Service, Environment: h.Environment}] = h.Changed
		x.heard = max(x.heard, h.Changed)
	}
	x.revision = revision
	return nil
}

// account is what the events of one service come to for a target: all that its status needs of them. It holds as long as its subjects do not
// change, for every window whose beginning lies between two times, since each holds the same of these events.
type account struct {
	subjects

	from, until time.Time
	// leaves is when the first event leaves the window. Zero if none is in it.
	leaves time.Time

	tally fourkeys.Tally
	// before is the tally over the window before, if figures are compared with it.
	before fourkeys.Tally
	// newest is when the latest event occurred; team is whose it was.
	newest time.Time
	team   string
	// active are the subjects that have an event in the window.
	active []string
	last   *latestDeployment
	// open are the failures whose end is not among the events; ended are those whose beginning is not.
	open  []failure
	ended []string
	// resolved and unknown count the searches for commits that ended, of the deployments in the window.
	resolved int64
	unknown  map[string]int64
}

// failure is the beginning of one.
type failure struct {
	id, event, cause string
	since            time.Time
}

// latestDeployment is the latest one of a kind that counts.
type latestDeployment struct {
	at, seq int64
	what    *dorav1alpha1.LastDeployment
}

func latestOf(row *ledger.Row) *latestDeployment {
	return &latestDeployment{row.Event.OccurredAt.UnixMicro(), row.Seq, lastDeployment(&row.Event)}
}

func (l *latestDeployment) before(at, seq int64) bool {
	return l == nil || cmp.Or(cmp.Compare(l.at, at), cmp.Compare(l.seq, seq)) < 0
}

// holds tells whether an account says what the events say.
func (a *account) holds(now subjects, from time.Time) bool {
	return a != nil && a.changed == now.changed && slices.Equal(a.uids, now.uids) && slices.Equal(a.silent, now.silent) &&
		slices.EqualFunc(a.members, now.members, sameMember) &&
		!from.Before(a.from) && !from.After(a.until)
}

// forever is longer than anything is kept.
const forever = 100 * 365 * 24 * time.Hour

// accountOf adds up the events of a service: the failures from long ago, and all from the margin before the window on.
func accountOf(of subjects, rows []ledger.Row, from time.Time, kinds []dora.ChangeKind) *account {
	a := &account{subjects: of, from: from, until: from.Add(forever)}
	events := make([]*dora.Event, len(rows))
	for i := range rows {
		events[i] = &rows[i].Event
		a.take(&rows[i], kinds)
	}
	a.match(events)
	if of.members != nil {
		events = fourkeys.AsOne(events, of.members)
	}
	a.tally = fourkeys.TallyOf(events, fourkeys.Window{From: from, To: past(from, a.newest)}, kinds...)
	slices.Sort(a.active)
	a.active = slices.Clone(slices.Compact(a.active))
	return a
}

// compare adds up the window before as well, which is of that length: from the events of the account, and the deployments that were read beside
// them because they are older.
func (a *account) compare(rows, older []ledger.Row, length time.Duration, kinds []dora.ChangeKind) {
	began := a.from.Add(-length)
	events := make([]*dora.Event, 0, len(rows)+len(older))
	for _, part := range [][]ledger.Row{older, rows} {
		for i := range part {
			e := &part[i].Event
			events = append(events, e)
			at := e.OccurredAt.Truncate(time.Microsecond)
			if !e.OccurredAt.Before(began) && e.OccurredAt.Before(a.from) {
				a.until = earlier(a.until, at.Add(length))
			} else if e.OccurredAt.Before(began) && e.Type == dora.TypeDeploy {
				a.until = earlier(a.until, at.Add(length+margin))
			}
		}
	}
	if a.members != nil {
		events = fourkeys.AsOne(events, a.members)
	}
	a.before = fourkeys.TallyOf(events, fourkeys.Window{From: began, To: a.from}, kinds...)
}

// past is a time after the newest event.
func past(to, newest time.Time) time.Time {
	if newest.Before(to) {
		return to
	}
	return newest.Add(time.Nanosecond)
}

func (a *account) take(row *ledger.Row, kinds []dora.ChangeKind) {
	e := &row.Event
	if !e.OccurredAt.Before(a.newest) {
		a.newest, a.team = e.OccurredAt, e.Team
	}
	if e.Type == dora.TypeDeploy && slices.Contains(kinds, e.Change) && a.last.before(e.OccurredAt.UnixMicro(), row.Seq) {
		a.last = latestOf(row)
	}
	at := e.OccurredAt.Truncate(time.Microsecond) // as the ledger compares
	switch {
	case !e.OccurredAt.Before(a.from):
		a.until = earlier(a.until, at)
		a.leaves = earlier(a.leaves, at)
		a.active = append(a.active, e.Subject.UID)
		a.search(row)
	case e.Type == dora.TypeDeploy:
		a.until = earlier(a.until, at.Add(margin))
	}
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (a *account) search(row *ledger.Row) {
	switch row.Search {
	case ledger.SearchResolved:
		a.resolved++
	case ledger.SearchUnknown:
		if a.unknown == nil {
			a.unknown = map[string]int64{}
		}
		a.unknown[row.Event.LeadTimeUnknown]++
	case ledger.SearchPending:
	}
}

// match finds the failures that have a beginning and no end among the events, or the other way round: a subject whose labels change may
// begin one in another service than it ends it in.
func (a *account) match(events []*dora.Event) {
	began, ended := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		switch e.Type {
		case dora.TypeDegraded:
			began[e.FailureID] = true
		case dora.TypeRecovered:
			ended[e.FailureID] = true
		case dora.TypeDeploy, dora.TypeChange:
		}
	}
	for _, e := range events {
		if e.Type == dora.TypeDegraded && !ended[e.FailureID] && e.Counts() {
			a.open = append(a.open, failure{id: e.FailureID, event: e.ID, cause: e.CausedBy, since: e.OccurredAt})
		}
	}
	for id := range ended {
		if !began[id] {
			a.ended = append(a.ended, id)
		}
	}
}

// book are the accounts of a target, from one look to the next. It is only ever used by one look at a time.
type book struct {
	terms

	accounts map[fourkeys.Service]*account

	// long is the latest deployment of a target that has none in its accounts, as the ledger told it at a revision.
	long struct {
		revision int64
		uids     []string
		last     *latestDeployment
	}
}

// terms are what the accounts of a book are of.
type terms struct {
	target    types.UID
	kinds     []dora.ChangeKind
	spread    dorav1alpha1.Spread
	incidents *dorav1alpha1.Incidents
	// before is how long the window is that figures are compared with; 0 if they are not.
	before time.Duration
}

func (t *terms) same(other *terms) bool {
	return t.target == other.target && t.spread == other.spread && t.before == other.before && slices.Equal(t.kinds, other.kinds) &&
		reflect.DeepEqual(t.incidents, other.incidents)
}

// books are those of all targets.
type books struct {
	mu sync.Mutex
	of map[types.NamespacedName]*book
}

// open gives the book of a target. It is a new one unless what is counted is the same as before.
func (b *books) open(target *dorav1alpha1.DoraTarget, kinds []dora.ChangeKind, before time.Duration) *book {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[types.NamespacedName]*book{}
	}
	key, what := client.ObjectKeyFromObject(target), terms{target.UID, kinds, target.Spec.Spread, target.Spec.Incidents, before}
	if known := b.of[key]; known != nil && known.same(&what) {
		return known
	}
	b.of[key] = &book{terms: what, accounts: map[fourkeys.Service]*account{}}
	return b.of[key]
}

// drop frees what a target took that is no longer looked at.
func (b *books) drop(target types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, target)
}

// together bounds how many subjects are read at once: all their events are in memory meanwhile.
const together = 16

// bring makes the accounts of a book say what the ledger says of the services, over a window from that time on. It reads those again that
// do not hold.
func (r *Reconciler) bring(ctx context.Context, b *book, s *scope, services map[fourkeys.Service]subjects, from time.Time) error {
	maps.DeleteFunc(b.accounts, func(service fourkeys.Service, _ *account) bool { return services[service].uids == nil })
	var stale []fourkeys.Service
	for service, of := range services {
		if !b.accounts[service].holds(of, from) {
			stale = append(stale, service)
		}
	}
	for len(stale) > 0 {
		n, uids := 0, []string(nil)
		for ; n < len(stale) && len(uids) < together; n++ {
			uids = append(uids, services[stale[n]].uids...)
		}
		rows, older, err := r.eventsOf(ctx, s, slices.Compact(slices.Sorted(slices.Values(uids))), from, b.before)
		if err != nil {
			return err
		}
		for _, service := range stale[:n] {
			of := services[service]
			own := b.counted(of, rows[service])
			a := accountOf(of, own, from, b.kinds)
			if b.before > 0 {
				a.compare(own, b.counted(of, older[service]), b.before, b.kinds)
			}
			b.accounts[service] = a
		}
		stale = stale[n:]
	}
	return nil
}

// rows are what the ledger has of some services.
type rows map[fourkeys.Service][]ledger.Row

// query is a question to a ledger, and where the answer goes.
type query struct {
	to rows
	ledger.EventQuery
}

// eventsOf reads what figures need of some subjects: their failures from long ago, since one can be open for long, then all that happened
// from the margin before the window on. Older is what the window before needs besides, if it is of any length: what else happened from the
// margin before that.
func (r *Reconciler) eventsOf(ctx context.Context, s *scope, uids []string, from time.Time, before time.Duration) (found, older rows, err error) {
	from = from.Add(-margin)
	found, older = rows{}, rows{}
	for _, at := range r.places(s) {
		own := slices.DeleteFunc(slices.Clone(uids), func(uid string) bool { _, there := slices.BinarySearch(at.uids, uid); return !there })
		if len(own) == 0 {
			continue
		}
		queries := []query{
			{found, ledger.EventQuery{Until: from, Types: []dora.Type{dora.TypeDegraded, dora.TypeRecovered}}},
			{found, ledger.EventQuery{Since: from}},
		}
		if before > 0 {
			queries = append(queries, query{older, ledger.EventQuery{Since: from.Add(-before), Until: from, Types: []dora.Type{dora.TypeDeploy}}})
		}
		for _, q := range queries {
			q.Cluster, q.UIDs = at.cluster, own
			if err := q.to.add(at.Events(ctx, q.EventQuery)); err != nil {
				return nil, nil, err
			}
		}
	}
	return found, older, nil
}

func (r rows) add(events iter.Seq2[ledger.Row, error]) error {
	for row, err := range events {
		if err != nil {
			return fmt.Errorf("cannot read events: %w", err)
		}
		service := serviceOf(&row.Event)
		r[service] = append(r[service], row)
	}
	return nil
}
