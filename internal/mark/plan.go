package mark

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// Prefix begins the keys of annotations that say something about an event, whose id follows.
const Prefix = "mark.dora-controller.io/"

// Most is how many annotations of one target are heard. Those whose marks stand come first, so that one too many puts none away.
const Most = 500

// The reasons why an annotation is refused.
const (
	Unreadable   = "MarkUnreadable"
	UnknownEvent = "EventNotFound"
	NotOwned     = "EventOfAnother"
	NoMark       = "EventHasNoMark"
	TooMany      = "TooManyMarks"
)

// Refusal is an annotation that marks nothing, and why.
type Refusal struct{ Key, Reason, Message string }

// Freeze is a span of time whose events belong into no figure. From is in it, To is not.
type Freeze struct {
	Name, Reason string
	From, To     time.Time
}

// Holds tells whether a time is in the freeze.
func (f Freeze) Holds(t time.Time) bool { return !t.Before(f.From) && t.Before(f.To) }

// Marks tells whether the freeze marks an event.
func (f Freeze) Marks(e *dora.Event) bool { return markable(e) && f.Holds(e.OccurredAt) }

// markable: a recovery is the end of a failure, which has the mark. Changes of code are in no figure anyway.
func markable(e *dora.Event) bool { return e.Type == dora.TypeDeploy || e.Type == dora.TypeDegraded }

// Declared is what a target says, and what it says it about.
type Declared struct {
	// Source names the target.
	Source  string
	Said    map[string]string // texts by the ids of events, as IDs tells them
	Freezes []Freeze
	// Events are those that the texts name, as far as the ledger has them and the target counts them, and those in freezes.
	Events []dora.Event
	// Owner says whose word counts for the subject of that uid: empty if it is the target's own, else it names the one whose it is.
	Owner func(uid string) string
	// Standing are the newest marks of the subjects that the target counts, and those that it made itself.
	Standing []Standing
	// Abandoned tells whether the target that made a mark is gone, so that the one whose word counts now withdraws it.
	Abandoned func(source string) bool
	Now       time.Time
}

// Standing is a mark, and the subject of its event.
type Standing struct {
	dora.Mark

	UID string
}

// Plan is what is to be appended.
type Plan struct {
	Marks   []dora.Mark // by the ids of their events
	Refused []Refusal   // by key
	// Said and Frozen count the events that have, once the marks are appended, a mark of an annotation and of a freeze.
	Said, Frozen int
}

// IDs are the ids of events that annotations say something about.
func IDs(annotations map[string]string) map[string]string {
	said := map[string]string{}
	for key, text := range annotations {
		if id, ok := strings.CutPrefix(key, Prefix); ok {
			said[id] = text
		}
	}
	return said
}

// Hash tells annotations that say something about events from others that say something else. It is empty if none says anything.
func Hash(annotations map[string]string) string {
	said := IDs(annotations)
	if len(said) == 0 {
		return ""
	}
	hash := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(said)) {
		fmt.Fprintf(hash, "%q %q\n", id, said[id])
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// Make plans.
func Make(d Declared) Plan {
	p := planner{
		Declared: d, wanted: map[string]dora.Mark{}, back: map[string]dora.Mark{}, events: map[string]*dora.Event{}, standing: map[string]*Standing{},
	}
	for i := range d.Events {
		p.events[d.Events[i].ID] = &d.Events[i]
	}
	for i := range d.Standing {
		p.standing[d.Standing[i].EventID] = &d.Standing[i]
	}
	for id, text := range d.Said {
		if m, err := Parse(text); err == nil && m.Verdict == dora.Withdrawn {
			p.back[id] = m
		}
	}
	p.freeze()
	p.hear()
	p.append()
	return p.Plan
}

type planner struct {
	Declared
	Plan

	events   map[string]*dora.Event
	standing map[string]*Standing
	wanted   map[string]dora.Mark
	back     map[string]dora.Mark // the annotations that take back: they say nothing else, and cannot be refused
}

func (p *planner) freeze() {
	for _, e := range p.events {
		i := slices.IndexFunc(p.Freezes, func(f Freeze) bool { return f.Marks(e) })
		if i < 0 || p.Owner(e.Subject.UID) != "" {
			continue
		}
		f := p.Freezes[i]
		p.wanted[e.ID] = dora.Mark{EventID: e.ID, Verdict: dora.Ignore, Reason: f.Reason, By: byFreeze + f.Name, Source: p.Source}
		p.Frozen++
	}
}

// hear takes in the annotations, those whose marks stand first.
func (p *planner) hear() {
	ids := slices.SortedFunc(maps.Keys(p.Declared.Said), func(a, b string) int {
		return cmp.Or(cmp.Compare(p.stands(b), p.stands(a)), cmp.Compare(a, b))
	})
	ids = slices.DeleteFunc(ids, func(id string) bool { _, back := p.back[id]; return back })
	for i, id := range ids {
		m, refusal := p.read(id)
		if refusal == nil && i >= Most {
			refusal = &Refusal{Reason: TooMany, Message: fmt.Sprintf("a target has at most %d marks", Most)}
		}
		if refusal != nil {
			refusal.Key = Prefix + id
			p.Refused = append(p.Refused, *refusal)
			continue
		}
		if _, frozen := p.wanted[id]; frozen {
			p.Frozen--
		}
		p.wanted[id] = m
		p.Plan.Said++
	}
	slices.SortFunc(p.Refused, func(a, b Refusal) int { return cmp.Compare(a.Key, b.Key) })
}

// stands is 1 of an event that this target has marked.
func (p *planner) stands(id string) int {
	if m := p.standing[id]; m != nil && m.Source == p.Source {
		return 1
	}
	return 0
}

func (p *planner) read(id string) (dora.Mark, *Refusal) {
	m, err := Parse(p.Declared.Said[id])
	e := p.events[id]
	switch {
	case err != nil:
		return m, &Refusal{Reason: Unreadable, Message: err.Error()}
	case e == nil:
		return m, &Refusal{Reason: UnknownEvent, Message: "the ledger has no event of that id that this target counts"}
	case !markable(e):
		return m, &Refusal{Reason: NoMark, Message: fmt.Sprintf("the event is of type %s; mark the deployment, or the beginning of the failure", e.Type)}
	}
	if owner := p.Owner(e.Subject.UID); owner != "" {
		return m, &Refusal{Reason: NotOwned, Message: "the word of the older " + owner + " counts for that object; mark it there"}
	}
	m.EventID, m.By, m.Source = id, cmp.Or(m.By, p.Source), p.Source
	return m, nil
}

// append tells what is wanted and does not stand, and withdraws what stands and is not wanted.
func (p *planner) append() {
	for id, m := range p.wanted {
		now := p.standing[id]
		if now != nil && now.Says(&m) {
			continue
		}
		if _, back := p.back[id]; back && now != nil && p.own(now) { // a freeze holds behind what is taken back
			p.Marks = append(p.Marks, p.withdrawal(now))
		}
		m.At = p.past(m.At)
		p.Marks = append(p.Marks, m)
	}
	for id, m := range p.standing {
		if _, wanted := p.wanted[id]; !wanted && (m.Source == p.Source || p.Abandoned(m.Source) && p.Owner(m.UID) == "") {
			p.Marks = append(p.Marks, p.withdrawal(m))
		}
	}
	slices.SortStableFunc(p.Marks, func(a, b dora.Mark) int { return cmp.Compare(a.EventID, b.EventID) })
}

// byFreeze begins who says so of the marks of freezes.
const byFreeze = "freeze "

// own tells whether an annotation of this target made a mark.
func (p *planner) own(m *Standing) bool {
	return m.Source == p.Source && !strings.HasPrefix(m.By, byFreeze)
}

// withdrawal takes a mark back: by whom and why the annotation says, else by its removal, else by the target, which has changed or hears others.
func (p *planner) withdrawal(m *Standing) dora.Mark {
	w := dora.Mark{EventID: m.EventID, Verdict: dora.Withdrawn, By: p.Source, At: p.Now, Source: p.Source}
	if !p.own(m) {
		return w
	}
	if told, back := p.back[m.EventID]; back {
		w.By, w.At, w.Reason = cmp.Or(told.By, p.Source), p.past(told.At), told.Reason
	} else if _, there := p.Declared.Said[m.EventID]; !there {
		w.By = "removal from " + p.Source
	}
	return w
}

// past is a time that was told, or now if it was not, or is to come.
func (p *planner) past(at time.Time) time.Time {
	if at.IsZero() || at.After(p.Now) {
		return p.Now
	}
	return at
}
