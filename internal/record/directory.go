package record

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// directory is what the ledger remembers of subjects, also of those that are gone: a target counts what they deployed.
type directory struct {
	mu   sync.RWMutex
	rows map[string]ledger.Subject // by uid
	live map[name]map[string]bool  // uids of those that exist
	// managed are the uids of Rollouts that were seen as evidence for an Application, since the process started.
	managed map[string]bool
}

type name struct {
	kind            dora.Kind
	namespace, name string
}

func nameOf(s *dora.Subject) name { return name{s.Kind, s.Namespace, s.Name} }

func newDirectory(rows []ledger.Subject) *directory {
	d := &directory{rows: make(map[string]ledger.Subject, len(rows)), live: map[name]map[string]bool{}, managed: map[string]bool{}}
	for _, row := range rows {
		d.put(row)
	}
	return d
}

func (d *directory) put(row ledger.Subject) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows[row.UID] = row
	n := nameOf(&row.Subject)
	if row.DeletedAt.IsZero() {
		if d.live[n] == nil {
			d.live[n] = map[string]bool{}
		}
		d.live[n][row.UID] = true
		return
	}
	delete(d.live[n], row.UID)
	if len(d.live[n]) == 0 {
		delete(d.live, n)
	}
}

func (d *directory) lookup(uid string) (ledger.Subject, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	row, ok := d.rows[uid]
	return row, ok
}

// manage notes the Rollouts that an Application was seen with.
func (d *directory) manage(obs *deploy.Observation) {
	if obs.Subject.Kind != dora.KindApplication {
		return
	}
	for i := range obs.Rollouts {
		if uid := obs.Rollouts[i].UID; !d.isManaged(uid) {
			d.mu.Lock()
			d.managed[uid] = true
			d.mu.Unlock()
		}
	}
}

func (d *directory) isManaged(uid string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.managed[uid]
}

// same says that the ledger already has this row. A subject that was never judged has none and needs none.
func (d *directory) same(row *ledger.Subject) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	known, ok := d.rows[row.UID]
	if !ok {
		return row.FollowedSince.IsZero()
	}
	return known.Service == row.Service && known.Team == row.Team && known.Environment == row.Environment &&
		known.Gaps == row.Gaps && known.DeletedAt.Equal(row.DeletedAt) && maps.Equal(known.Labels, row.Labels)
}

// Lookup returns what the ledger remembers of the subject with that uid.
func (r *Recorder) Lookup(uid string) (ledger.Subject, bool) { return r.memory.lookup(uid) }

// Learn remembers the row of a subject that nobody observes, which somebody else has written into the ledger.
func (r *Recorder) Learn(row ledger.Subject) { r.memory.put(row) }

// Managed says that a Rollout was seen as evidence for an Application.
func (r *Recorder) Managed(uid string) bool { return r.memory.isManaged(uid) }

// Looked says that a subject is remembered, or was looked at without anything to remember.
func (r *Recorder) Looked(uid string) bool {
	if _, ok := r.memory.lookup(uid); ok {
		return true
	}
	s, ok := r.subjects.peek(uid)
	return ok && s.looked.Load()
}

// Named returns the subjects of that name that are not known to be gone, whatever their uids.
func (r *Recorder) Named(kind dora.Kind, namespace, called string) []dora.Subject {
	r.memory.mu.RLock()
	defer r.memory.mu.RUnlock()
	uids := slices.Sorted(maps.Keys(r.memory.live[name{kind, namespace, called}]))
	found := make([]dora.Subject, 0, len(uids))
	for _, uid := range uids {
		found = append(found, r.memory.rows[uid].Subject)
	}
	return found
}

// Remembered returns the rows that are wanted, by namespace, name and uid.
func (r *Recorder) Remembered(wanted func(*ledger.Subject) bool) []ledger.Subject {
	r.memory.mu.RLock()
	defer r.memory.mu.RUnlock()
	var found []ledger.Subject
	for _, row := range r.memory.rows {
		if wanted(&row) {
			found = append(found, row)
		}
	}
	slices.SortFunc(found, func(a, b ledger.Subject) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return found
}
