package deploy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Service is what all subjects of one service in one environment share: ranks, open failures, and the
// versions that a recreated subject inherits.
type Service struct {
	// Ranks tell when each version was first settled, oldest first.
	Ranks []Rank `json:"ranks,omitempty"`
	// Rework is set after a failed or aborted attempt, a rollback, or a failure that a deployment caused,
	// until the next forward deployment succeeds.
	Rework bool `json:"rework,omitempty"`
	// Failures are the open and the newest closed ones of all subjects.
	Failures []Span `json:"failures,omitempty"`
	// Homes are the settled versions by subject.
	Homes map[string]Home `json:"homes,omitempty"`
}

// Rank is when a version was first settled, or first seen running before another.
type Rank struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}

// Span is one failure of one subject.
type Span struct {
	UID  string    `json:"uid"`
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
}

// Home is where a subject runs its settled version.
type Home struct {
	Name        string   `json:"name"`
	Destination string   `json:"destination"`
	Images      []string `json:"images"`
	// Gone: the subject was deleted. Failure is the one that was open then.
	Gone    bool     `json:"gone,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
}

const (
	keptRanks = 1000
	keptSpans = 20
	keptHomes = 200
)

func (s *Service) clone() Service {
	return Service{
		Ranks: slices.Clone(s.Ranks), Rework: s.Rework, Failures: slices.Clone(s.Failures), Homes: maps.Clone(s.Homes),
	}
}

// rankKey identifies a version among the ranks of a service.
func rankKey(images, silent []string) string {
	kept := make([]string, 0, len(images))
	for _, ref := range images {
		if !slices.Contains(silent, ref) {
			kept = append(kept, ref)
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return dora.ID(kept...)
}

func (s *Service) rank(key string) (int, bool) {
	i := slices.IndexFunc(s.Ranks, func(r Rank) bool { return r.Version == key })
	return i, i >= 0
}

// settle gives a version its rank, unless it has one.
func (s *Service) settle(key string, at time.Time) {
	if _, ok := s.rank(key); ok || key == "" {
		return
	}
	s.Ranks = append(s.Ranks, Rank{Version: key, At: at})
	slices.SortStableFunc(s.Ranks, func(a, b Rank) int { return a.At.Compare(b.At) })
	if len(s.Ranks) > keptRanks {
		s.Ranks = s.Ranks[len(s.Ranks)-keptRanks:]
	}
}

// earlier says that version a was settled before version b first was.
func (s *Service) earlier(a, b string) bool {
	ra, ok := s.rank(a)
	if !ok || a == b || b == "" {
		return false
	}
	rb, ok := s.rank(b)
	return !ok || ra < rb
}

// failing says that a failure of the service covered that moment.
func (s *Service) failing(at time.Time) bool {
	return slices.ContainsFunc(s.Failures, func(f Span) bool {
		return !f.From.After(at) && (f.To.IsZero() || f.To.After(at))
	})
}

func (s *Service) openFailure(uid string, at time.Time) {
	s.Failures = append(s.Failures, Span{UID: uid, From: at})
	if len(s.Failures) > keptSpans {
		s.Failures = s.Failures[len(s.Failures)-keptSpans:]
	}
}

func (s *Service) closeFailure(uid string, at time.Time) {
	for i := range s.Failures {
		if s.Failures[i].UID == uid && s.Failures[i].To.IsZero() {
			s.Failures[i].To = at
		}
	}
}

// inherit finds the settled version of an earlier subject in the same place: of the same name, else of one that is gone.
func (s *Service) inherit(subject dora.Subject, destination string) (Home, bool) {
	name := homeName(subject)
	var gone Home
	for _, uid := range slices.Sorted(maps.Keys(s.Homes)) {
		h := s.Homes[uid]
		if uid == subject.UID || h.Destination != destination {
			continue
		}
		if h.Name == name {
			return h, true
		}
		if h.Gone {
			gone = h
		}
	}
	return gone, gone.Gone
}

// sharedHome says that another subject in the same place runs exactly these images: a rename in the making.
func (s *Service) sharedHome(uid, destination string, images []string) bool {
	for other, h := range s.Homes {
		if other != uid && h.Destination == destination && slices.Equal(h.Images, images) {
			return true
		}
	}
	return false
}

func (s *Service) settleHome(subject dora.Subject, destination string, images []string) {
	if s.Homes == nil {
		s.Homes = map[string]Home{}
	}
	name := homeName(subject)
	for uid, h := range s.Homes {
		if uid != subject.UID && h.Destination == destination && (h.Gone || h.Name == name) {
			delete(s.Homes, uid)
		}
	}
	if len(s.Homes) >= keptHomes {
		s.dropGoneHome()
	}
	s.Homes[subject.UID] = Home{Name: name, Destination: destination, Images: images}
}

func (s *Service) dropGoneHome() {
	for _, uid := range slices.Sorted(maps.Keys(s.Homes)) {
		if s.Homes[uid].Gone {
			delete(s.Homes, uid)
			return
		}
	}
}

func (s *Service) leaveHome(uid string, open *Failure) {
	if h, ok := s.Homes[uid]; ok {
		h.Gone, h.Failure = true, open
		s.Homes[uid] = h
	}
}

func homeName(s dora.Subject) string {
	return strings.Join([]string{string(s.Kind), s.Namespace, s.Name}, "/")
}
