package application

import (
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/argocd"
)

var shop = types.NamespacedName{Namespace: "argocd", Name: "shop"}

// at is the Application at one of its versions.
func at(version int, health string, images ...string) *argocd.Application {
	app := &argocd.Application{}
	app.Namespace, app.Name, app.UID, app.ResourceVersion = shop.Namespace, shop.Name, "1", strconv.Itoa(version)
	app.Status.Health.Status, app.Status.Summary.Images = health, images
	return app
}

func versions(steps []step) []uint64 {
	all := []uint64{}
	for _, s := range steps {
		all = append(all, s.version)
	}
	return all
}

func TestAWholeDeploymentBetweenTwoLooksIsSeen(t *testing.T) {
	g := NewWithT(t)
	clock := clocktesting.NewFakeClock(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	s := NewSteps(clock)
	now := at(5, "Healthy", "b")
	for _, app := range []*argocd.Application{at(1, "Healthy", "a"), at(2, "Progressing", "a"), at(3, "Progressing", "a", "b"), at(4, "Progressing", "a", "b"), now} {
		s.saw(app)
		clock.Step(time.Second)
	}
	older := s.before(shop, now)
	g.Expect(versions(older)).To(Equal([]uint64{1, 2, 4}), "version 3 says what 4 says")
	g.Expect(older[2].at).To(Equal(time.Date(2026, 3, 2, 10, 0, 2, 0, time.UTC)), "which was seen first in version 3")

	s.looked(shop, 2)
	g.Expect(versions(s.before(shop, now))).To(Equal([]uint64{4}), "a look that failed begins where it ended")
	s.looked(shop, 5)
	g.Expect(s.before(shop, now)).To(BeEmpty())
}

func TestWhatTheCacheWasAheadOfIsNoStep(t *testing.T) {
	g := NewWithT(t)
	s := NewSteps(clocktesting.NewFakeClock(time.Now()))
	s.saw(at(1, "Healthy"))
	s.looked(shop, 3) // the cache had it before the handlers were told
	s.saw(at(2, "Degraded"))
	s.saw(at(3, "Healthy"))
	s.saw(at(4, "Progressing"))
	g.Expect(versions(s.before(shop, at(5, "Healthy")))).To(Equal([]uint64{4}))
}

func TestTheLastStepsOfAnApplicationThatIsGoneAreLookedAt(t *testing.T) {
	g := NewWithT(t)
	s := NewSteps(clocktesting.NewFakeClock(time.Now()))
	s.saw(at(1, "Progressing"))
	s.saw(at(2, "Healthy"))
	g.Expect(versions(s.before(shop, nil))).To(Equal([]uint64{1, 2}))
	s.forget(shop)
	g.Expect(s.before(shop, nil)).To(BeEmpty())
}

func TestOfTooManyStepsTheOldestAreLetGo(t *testing.T) {
	g := NewWithT(t)
	s := NewSteps(clocktesting.NewFakeClock(time.Now()))
	for i := range 2 * maxSteps {
		s.saw(at(i+1, "Healthy", strconv.Itoa(i)))
	}
	older := s.before(shop, nil)
	g.Expect(older).To(HaveLen(maxSteps))
	g.Expect(older[maxSteps-1].version).To(Equal(uint64(2 * maxSteps)))
}

func TestOfTooManyApplicationsOnlyTheNewestStepIsKept(t *testing.T) {
	g := NewWithT(t)
	s := NewSteps(clocktesting.NewFakeClock(time.Now()))
	key := func(n int) types.NamespacedName {
		return types.NamespacedName{Namespace: shop.Namespace, Name: strconv.Itoa(n)}
	}
	change := func(n, version int) {
		app := at(version, "Healthy", strconv.Itoa(version))
		app.Name = strconv.Itoa(n)
		s.saw(app)
	}
	for n := range maxKept + 1 {
		change(n, 1)
		change(n, 2)
	}
	g.Expect(versions(s.before(key(0), nil))).To(Equal([]uint64{1, 2}))
	g.Expect(versions(s.before(key(maxKept), nil))).To(Equal([]uint64{2}), "there was room for one step besides of each before")
	s.looked(key(0), 2)
	change(maxKept, 3)
	g.Expect(versions(s.before(key(maxKept), nil))).To(Equal([]uint64{2, 3}), "now there is room")
	for n := range maxKept + 1 {
		s.forget(key(n))
	}
	g.Expect(s.kept).To(BeZero())
}

func TestAVersionThatIsNoNumberIsNoStep(t *testing.T) {
	g := NewWithT(t)
	s := NewSteps(clocktesting.NewFakeClock(time.Now()))
	odd := at(1, "Healthy")
	odd.ResourceVersion = "a-word"
	s.saw(odd)
	g.Expect(s.before(shop, nil)).To(BeEmpty())
}

// However changes, the handlers' calls and looks fall between each other: looks never go back in time, and each step is looked at, unless the cache was read
// past it before the handler was told of it.
func TestNoStepIsSkippedAndNoneIsSeenTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSteps(clocktesting.NewFakeClock(time.Now()))
		var all []*argocd.Application // all[i] has version i+1
		var cached, told, last int
		seen, ahead := map[int]bool{}, map[int]bool{}
		look := func() {
			if cached == 0 {
				return
			}
			now := all[cached-1]
			for _, older := range append(s.before(shop, now), step{app: now, version: versionOf(now)}) {
				v := int(older.version)
				if v < last {
					t.Fatalf("version %d was looked at after %d", v, last)
				}
				last, seen[v] = v, true
				s.looked(shop, older.version)
			}
			for v := told + 1; v <= cached; v++ {
				ahead[v] = true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"the cache is updated": func(t *rapid.T) {
				if len(all)-told >= maxSteps {
					t.Skip("what is let go is told by another test")
				}
				all = append(all, at(len(all)+1, rapid.SampledFrom([]string{"Healthy", "Progressing"}).Draw(t, "health"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "image")))
				cached = len(all)
			},
			"a handler is told": func(t *rapid.T) {
				if told == cached {
					t.Skip("it knows all")
				}
				told++
				s.saw(all[told-1])
			},
			"a look": func(*rapid.T) { look() },
		})
		for told < cached {
			told++
			s.saw(all[told-1])
		}
		look()
		for v := 1; v <= cached; v++ {
			if !seen[v] && !ahead[v] && !alikeNeighbour(all, seen, v) {
				t.Fatalf("version %d of %d was never looked at", v, cached)
			}
		}
	})
}

// alikeNeighbour tells whether a version next to this one, with nothing else in between, said the same and was looked at.
func alikeNeighbour(all []*argocd.Application, seen map[int]bool, v int) bool {
	for _, way := range []int{-1, 1} {
		for other := v + way; other >= 1 && other <= len(all) && alike(all[other-1], all[v-1]); other += way {
			if seen[other] {
				return true
			}
		}
	}
	return false
}
