package mark_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/mark"
)

const own = "DoraTarget shop/production"

func event(id string, kind dora.Type, at time.Time) dora.Event {
	return dora.Event{ID: id, Type: kind, OccurredAt: at, Subject: dora.Subject{UID: "uid-of-" + id}}
}

var week = mark.Freeze{Name: "fair", Reason: "the autumn fair", From: noon, To: noon.Add(time.Hour)}

func frozen(id string) dora.Mark {
	return dora.Mark{EventID: id, Verdict: dora.Ignore, Reason: "the autumn fair", By: "freeze fair", At: noon.Add(9 * time.Hour), Source: own}
}

func said(id string, at time.Time) dora.Mark {
	return dora.Mark{EventID: id, Verdict: dora.Failure, Reason: "slow", By: "ada", At: at, Source: own}
}

func standing(marks ...dora.Mark) []mark.Standing {
	var all []mark.Standing
	for _, m := range marks {
		all = append(all, mark.Standing{Mark: m, UID: "uid-of-" + m.EventID})
	}
	return all
}

// declared is what the target of these tests says: nothing, and everything is its own.
func declared(change func(*mark.Declared)) mark.Declared {
	d := mark.Declared{
		Source: own, Now: noon.Add(9 * time.Hour), Owner: func(string) string { return "" },
		Abandoned: func(source string) bool { return source == "DoraTarget shop/gone" },
		Events: []dora.Event{
			event("d1", dora.TypeDeploy, noon), event("d2", dora.TypeDeploy, noon.Add(time.Hour)), event("f1", dora.TypeDegraded, noon.Add(time.Minute)),
			event("r1", dora.TypeRecovered, noon.Add(time.Minute)), event("d0", dora.TypeDeploy, noon.Add(-time.Nanosecond)),
		},
	}
	change(&d)
	return d
}

func TestWhatIsToBeAppended(t *testing.T) {
	late := noon.Add(9 * time.Hour)
	withdrawn := func(id string) dora.Mark { return dora.Mark{EventID: id, By: own, At: late, Source: own} }
	back := func(by, reason string, at time.Time) dora.Mark {
		return dora.Mark{EventID: "d1", Reason: reason, By: by, At: at, Source: own}
	}
	for name, c := range map[string]struct {
		change func(*mark.Declared)
		want   []dora.Mark
	}{
		"nothing": {func(*mark.Declared) {}, nil},
		"an annotation": {func(d *mark.Declared) {
			d.Said = map[string]string{"d1": "failure by ada at 2026-03-01T12:00:00Z: slow"}
		}, []dora.Mark{said("d1", noon)}},
		"one that tells no name and no time": {
			func(d *mark.Declared) { d.Said = map[string]string{"d1": "failure: slow"} },
			[]dora.Mark{{EventID: "d1", Verdict: dora.Failure, Reason: "slow", By: own, At: late, Source: own}},
		},
		"one of tomorrow is of now": {func(d *mark.Declared) {
			d.Said = map[string]string{"d1": "failure by ada at 2026-03-02T12:00:00Z: slow"}
		}, []dora.Mark{said("d1", late)}},
		"one that stands": {func(d *mark.Declared) {
			d.Said, d.Standing = map[string]string{"d1": "failure by ada: slow"}, standing(said("d1", noon))
		}, nil},
		"one that says something else now": {func(d *mark.Declared) {
			d.Said, d.Standing = map[string]string{"d1": "failure by ada: slower"}, standing(said("d1", noon))
		}, []dora.Mark{{EventID: "d1", Verdict: dora.Failure, Reason: "slower", By: "ada", At: late, Source: own}}},
		"one that was removed": {func(d *mark.Declared) { d.Standing = standing(said("d1", noon)) }, []dora.Mark{back("removal from "+own, "", late)}},
		"one that was taken back": {func(d *mark.Declared) {
			d.Said = map[string]string{"d1": "withdrawn by bob at 2026-03-01T12:00:00Z: it was fast"}
			d.Standing = standing(said("d1", noon))
		}, []dora.Mark{back("bob", "it was fast", noon)}},
		"one that was taken back by nobody who says so, tomorrow": {func(d *mark.Declared) {
			d.Said, d.Standing = map[string]string{"d1": "withdrawn: it was fast"}, standing(said("d1", noon))
		}, []dora.Mark{back(own, "it was fast", late)}},
		"one that was taken back before": {func(d *mark.Declared) { d.Said = map[string]string{"d1": "withdrawn by bob: it was fast"} }, nil},
		"one that was taken back within a freeze, which holds then": {func(d *mark.Declared) {
			d.Said, d.Freezes = map[string]string{"d1": "withdrawn by bob: it was fast"}, []mark.Freeze{week}
			d.Standing = standing(said("d1", noon), frozen("f1"))
		}, []dora.Mark{back("bob", "it was fast", late), frozen("d1")}},
		"a freeze that went after somebody took another mark back": {func(d *mark.Declared) {
			d.Said, d.Standing = map[string]string{"d1": "withdrawn by bob: it was fast"}, standing(frozen("d1"))
		}, []dora.Mark{withdrawn("d1")}},
		"nobody takes back what another says": {func(d *mark.Declared) {
			other := said("d1", noon)
			other.Source = "DoraTarget shop/other"
			d.Said, d.Standing = map[string]string{"d1": "withdrawn by bob: it was fast"}, standing(other)
		}, nil},
		"one that cannot be read any more": {func(d *mark.Declared) {
			d.Said, d.Standing = map[string]string{"d1": "fine"}, standing(said("d1", noon))
		}, []dora.Mark{withdrawn("d1")}},
		"a freeze: what is in it but recoveries": {func(d *mark.Declared) { d.Freezes = []mark.Freeze{week} }, []dora.Mark{frozen("d1"), frozen("f1")}},
		"a freeze that stands": {func(d *mark.Declared) {
			d.Freezes, d.Standing = []mark.Freeze{week}, standing(frozen("d1"), frozen("f1"))
		}, nil},
		"a freeze that was moved": {func(d *mark.Declared) {
			moved := week
			moved.From = noon.Add(time.Second)
			d.Freezes, d.Standing = []mark.Freeze{moved}, standing(frozen("d1"), frozen("f1"))
		}, []dora.Mark{withdrawn("d1")}},
		"a freeze of objects of which another decides": {func(d *mark.Declared) {
			d.Freezes, d.Owner = []mark.Freeze{week}, func(uid string) string { return map[string]string{"uid-of-d1": "DoraTarget a/b"}[uid] }
		}, []dora.Mark{frozen("f1")}},
		"a person within a freeze": {func(d *mark.Declared) {
			d.Said, d.Freezes = map[string]string{"d1": "failure by ada: slow"}, []mark.Freeze{week}
			d.Standing = standing(frozen("d1"), frozen("f1"))
		}, []dora.Mark{said("d1", late)}},
		"a person who was within a freeze": {func(d *mark.Declared) {
			d.Freezes, d.Standing = []mark.Freeze{week}, standing(said("d1", noon), frozen("f1"))
		}, []dora.Mark{frozen("d1")}},
		"the first of two freezes": {func(d *mark.Declared) {
			other := week
			other.Name = "other"
			d.Freezes = []mark.Freeze{week, other}
		}, []dora.Mark{frozen("d1"), frozen("f1")}},
		"a mark of another target is left alone": {func(d *mark.Declared) {
			other := said("d1", noon)
			other.Source = "DoraTarget shop/other"
			d.Standing = standing(other)
		}, nil},
		"that of one that is gone is withdrawn by the one whose word counts": {func(d *mark.Declared) {
			gone, foreign := said("d1", noon), said("d2", noon)
			gone.Source, foreign.Source = "DoraTarget shop/gone", "DoraTarget shop/gone"
			d.Standing = standing(gone, foreign)
			d.Owner = func(uid string) string { return map[string]string{"uid-of-d2": "DoraTarget a/b"}[uid] }
		}, []dora.Mark{withdrawn("d1")}},
		"its own, where its word counts no more": {func(d *mark.Declared) {
			d.Said, d.Standing = map[string]string{"d1": "failure by ada: slow"}, standing(said("d1", noon))
			d.Owner = func(string) string { return "DoraTarget a/b" }
		}, []dora.Mark{withdrawn("d1")}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, mark.Make(declared(c.change)).Marks); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	p := mark.Make(declared(func(d *mark.Declared) {
		d.Said = map[string]string{
			"d1": "ignore: a drill", "d2": "fine", "r1": "ignore: a drill", "none": "ignore: a drill", "f1": "ignore: a drill",
			"gone": "withdrawn: what is taken back may be of any event", "d0": "withdrawn: no drill",
		}
		d.Owner = func(uid string) string { return map[string]string{"uid-of-f1": "DoraTarget a/b"}[uid] }
	}))
	var got []string
	for _, r := range p.Refused {
		got = append(got, r.Key+" "+r.Reason)
	}
	want := []string{
		mark.Prefix + "d2 MarkUnreadable", mark.Prefix + "f1 EventOfAnother", mark.Prefix + "none EventNotFound", mark.Prefix + "r1 EventHasNoMark",
	}
	if d := cmp.Diff(want, got); d != "" || p.Said != 1 {
		t.Errorf("%d are heard (-want +got)\n%s", p.Said, d)
	}
	if !strings.Contains(p.Refused[1].Message, "DoraTarget a/b") {
		t.Errorf("the owner is not named: %s", p.Refused[1].Message)
	}
}

func TestOneMarkTooManyPutsNoneAway(t *testing.T) {
	d := declared(func(d *mark.Declared) {
		d.Events, d.Said = nil, map[string]string{}
		for i := range mark.Most + 1 {
			id := fmt.Sprintf("e%04d", i)
			d.Events, d.Said[id] = append(d.Events, event(id, dora.TypeDeploy, noon)), "failure by ada: slow"
			if i > 0 {
				d.Standing = append(d.Standing, standing(said(id, noon))...)
			}
		}
	})
	for i := range mark.Most { // and what was taken back counts for nothing
		d.Said[fmt.Sprintf("d%04d", i)] = "withdrawn by ada: fast"
	}
	p := mark.Make(d)
	if len(p.Marks) != 0 || len(p.Refused) != 1 || p.Refused[0].Key != mark.Prefix+"e0000" || p.Refused[0].Reason != mark.TooMany || p.Said != mark.Most {
		t.Errorf("%d are appended, %d are heard, refused are %v", len(p.Marks), p.Said, p.Refused)
	}
}

func TestAnnotationsOfOthersSayNothing(t *testing.T) {
	got := mark.IDs(map[string]string{mark.Prefix + "e1": "ignore: a drill", "dora-controller.io/backfill": "now", "mark.example.com/e2": "ignore: x"})
	if d := cmp.Diff(map[string]string{"e1": "ignore: a drill"}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// Whatever stands and whatever is declared: once a plan is carried out there is nothing left to do, wherever it was interrupted; and a mark
// that another living target made is never withdrawn.
func TestAPlanIsCarriedOutOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		p := mark.Make(d)
		for _, m := range p.Marks {
			i := slices.IndexFunc(d.Standing, func(s mark.Standing) bool { return s.EventID == m.EventID })
			if m.Verdict == dora.Withdrawn && (i < 0 || d.Standing[i].Source == "DoraTarget shop/other" || d.Standing[i].Source == "recompute") {
				t.Fatalf("withdrew a mark of another, or none: %v", m)
			}
		}
		done := rapid.IntRange(0, len(p.Marks)).Draw(t, "interrupted after")
		d.Standing = carriedOut(d.Standing, p.Marks[:done])
		rest := mark.Make(d)
		if want := p.Marks[done:]; !cmp.Equal(want, rest.Marks) && len(want)+len(rest.Marks) > 0 {
			t.Fatalf("interrupted after %d (-want +got)\n%s", done, cmp.Diff(want, rest.Marks))
		}
		d.Standing = carriedOut(d.Standing, rest.Marks)
		if left := mark.Make(d).Marks; len(left) > 0 {
			t.Fatalf("still to do: %v", left)
		}
	})
}

func carriedOut(before []mark.Standing, marks []dora.Mark) []mark.Standing {
	now := map[string]mark.Standing{}
	for _, s := range before {
		now[s.EventID] = s
	}
	for _, m := range marks {
		delete(now, m.EventID)
		if m.Verdict != dora.Withdrawn {
			now[m.EventID] = mark.Standing{Mark: m, UID: "uid-of-" + m.EventID}
		}
	}
	return slices.Collect(maps.Values(now))
}

func draw(t *rapid.T) mark.Declared {
	owners := map[string]string{}
	return declared(func(d *mark.Declared) {
		d.Said, d.Owner = map[string]string{}, func(uid string) string { return owners[uid] }
		for _, e := range d.Events {
			owners[e.Subject.UID] = rapid.SampledFrom([]string{"", "", "DoraTarget a/b"}).Draw(t, "owner")
			if rapid.Bool().Draw(t, "is said something of") {
				d.Said[e.ID] = rapid.SampledFrom([]string{"ignore: a drill", "failure by ada: slow", "withdrawn by bob: no", "fine"}).Draw(t, "what")
			}
			if rapid.Bool().Draw(t, "stands") {
				m := said(e.ID, noon)
				m.Source = rapid.SampledFrom([]string{own, "DoraTarget shop/gone", "DoraTarget shop/other", "recompute"}).Draw(t, "source")
				d.Standing = append(d.Standing, standing(m)...)
			}
		}
		if rapid.Bool().Draw(t, "frozen") {
			d.Freezes = []mark.Freeze{week}
		}
	})
}
