package security_test

import (
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// layouts are how many are tried.
const layouts = 10_000

// TestNoTenantSeesAnother is the rule of tenancy on random layouts.
func TestNoTenantSeesAnother(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // each layout is small, and is dropped as a whole
	var events, deliveries, hidden, alone int
	for number := range uint64(layouts) {
		l := draw(number)
		b := newBench(t, l)
		b.tell()
		events += b.expectExactlyWhatTheRuleSays()
		deliveries += len(b.outstanding())
		hidden += b.expectNoWordOfOthers()
		alone += b.expectTheSameWithoutOthers(int(number))
		if t.Failed() {
			t.Fatalf("in layout %d:\n%s", number, l)
		}
	}
	t.Logf("%d events, %d deliveries asked for again, %d words that had to stay hidden, %d tenants looked at without the others",
		events, deliveries, hidden, alone)
	// By arithmetic: some 4.5 objects a layout, two deployments each, a third of them followed. Far less would prove little.
	for what, got := range map[string]int{"events": events, "deliveries": deliveries, "hidden words": hidden, "tenants alone": alone} {
		if got < layouts/3 {
			t.Errorf("only %d %s: the layouts have become too poor to prove anything", got, what)
		}
	}
}

// expectExactlyWhatTheRuleSays compares who is owed and who counts with the rule. It returns the number of events.
func (b *bench) expectExactlyWhatTheRuleSays() int {
	b.t.Helper()
	owed := map[string][]string{} // by event
	for _, row := range b.outstanding() {
		owed[row.Event.ID] = append(owed[row.Event.ID], row.Sink)
	}
	events, counted := 0, map[*thing]bool{}
	for row, err := range b.ledger.Events(b.t.Context(), ledger.EventQuery{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		o := b.uids[row.Event.Subject.UID]
		events, counted[o] = events+1, true
		// A sink that does not exist is owed events when they happen, and asks for none again.
		want := slices.DeleteFunc(b.layout.owed(o), func(key string) bool { return !b.layout.has(key) })
		if got := owed[row.Event.ID]; !slices.Equal(got, want) {
			b.t.Errorf("an event of %s is owed to %q, want %q", o.key(), got, want)
		}
		if !b.layout.followed(o) {
			b.t.Errorf("there is an event of %s, which no target selects", o.key())
		}
	}
	b.expectCounted(counted)
	return events
}

func (l *layout) has(key string) bool {
	return slices.ContainsFunc(l.sinks, func(s *dorav1alpha1.DoraSink) bool { return s.Namespace+"/"+s.Name == key })
}

// expectCounted compares the services of each status with those of the subjects that the target selects.
func (b *bench) expectCounted(counted map[*thing]bool) {
	b.t.Helper()
	there := func(o *thing) bool { return !o.leaves }
	for _, object := range b.objects["DoraTarget"] {
		target := object.(*dorav1alpha1.DoraTarget)
		want, got := []string{}, []string{}
		for _, o := range b.layout.things {
			if target.Spec.Suspend || !b.layout.selects(target, o) {
				continue
			}
			existing := there(o) && b.layout.subject(o, there)
			if existing || counted[o] && (!there(o) || o.kind == dora.KindRollout) {
				want = append(want, o.serviceName())
			}
		}
		slices.Sort(want)
		for _, s := range target.Status.Services {
			got = append(got, s.Service)
		}
		slices.Sort(got)
		if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
			b.t.Errorf("services in the status of %s (-want +got):\n%s", target.Name, diff)
		}
	}
}

// expectNoWordOfOthers looks for the names of things, which their images, messages and revisions hold too, where they must not be. It returns
// how many were looked for.
func (b *bench) expectNoWordOfOthers() int {
	b.t.Helper()
	hidden := 0
	for _, namespace := range b.layout.namespaces {
		shown := strings.Join(b.out[namespace], "\n")
		for _, o := range b.layout.things {
			if b.layout.shows(namespace, o) {
				continue
			}
			hidden++
			if i := strings.Index(shown, o.name); i >= 0 {
				b.t.Errorf("namespace %s is shown a word of %s: …%s…", namespace, o.key(), shown[max(0, i-300):min(len(shown), i+300)])
			}
		}
	}
	return hidden
}

// expectTheSameWithoutOthers takes away all that a namespace may not see, and expects that the namespace is shown the same as before. Services that
// tenants share are judged together (SECURITY.md says what that means), so it asks nothing of such layouts. Of the namespaces that it can ask about it takes
// one, in turn, and returns how many that were.
func (b *bench) expectTheSameWithoutOthers(turn int) int {
	b.t.Helper()
	alone := slices.DeleteFunc(slices.Clone(b.layout.namespaces), func(namespace string) bool {
		return b.layout.sharedServices || b.layout.trusts(namespace) || b.layout.reached(namespace) || len(b.out[namespace]) == 0
	})
	if len(alone) == 0 {
		return 0
	}
	namespace := alone[turn%len(alone)]
	without := newBench(b.t, b.layout.without(namespace))
	without.tell()
	if diff := cmp.Diff(sorted(b.out[namespace]), sorted(without.out[namespace])); diff != "" {
		b.t.Errorf("what namespace %s is shown depends on what it may not see (-with +without the others):\n%s", namespace, diff)
	}
	return 1
}

func sorted(texts []string) []string { return slices.Sorted(slices.Values(texts)) }

// reached: an Application of elsewhere manages a Rollout of this namespace, as the Rollout says or by deploying there, or an Application of here
// one of elsewhere. Then the two are one story.
func (l *layout) reached(namespace string) bool {
	return slices.ContainsFunc(l.things, func(app *thing) bool {
		return slices.ContainsFunc(l.things, func(ro *thing) bool {
			return claims(app, ro) && app.namespace != ro.namespace && (app.namespace == namespace || ro.namespace == namespace)
		})
	})
}

// without is the layout with nothing that an untrusted namespace may not see, but for what administrators put into trusted ones.
func (l *layout) without(namespace string) *layout {
	reduced := &layout{namespaces: l.namespaces, trusted: l.trusted}
	for _, o := range l.things {
		if o.namespace == namespace {
			reduced.things = append(reduced.things, o)
		}
	}
	for _, t := range l.targets {
		if t.Namespace == namespace || l.trusts(t.Namespace) {
			reduced.targets = append(reduced.targets, t)
		}
	}
	for _, s := range l.sinks {
		if s.Namespace == namespace || l.trusts(s.Namespace) {
			reduced.sinks = append(reduced.sinks, s)
		}
	}
	return reduced
}
