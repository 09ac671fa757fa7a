package recording_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/dora-controller/dora-controller/internal/recording"
)

// taken is a recording under way.
type taken struct {
	mu    sync.Mutex
	lines bytes.Buffer
	told  []string
	stop  context.CancelFunc
	ended chan error
}

func (r *taken) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.Write(line)
}

func (r *taken) tell(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, text)
}

// record goes on until the test ends it.
func record(t *testing.T, c *cluster, scope recording.Scope, options recording.Options) *taken {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &taken{stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- recording.Watch(ctx, c.source(r.tell), scope, recording.NewWriter(r, options)) }()
	synctest.Wait()
	return r
}

// end stops it, and returns a word for each line: the type, the name and the version.
func (r *taken) end(t *testing.T) []string {
	t.Helper()
	synctest.Wait()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	return r.words(t)
}

func (r *taken) words(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for text := range strings.Lines(r.lines.String()) {
		var line struct {
			Type   string                    `json:"type"`
			Object unstructured.Unstructured `json:"object"`
			Gap    *recording.Gap            `json:"gap"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line.Gap != nil {
			all = append(all, "GAP "+line.Gap.Kind)
			continue
		}
		all = append(all, fmt.Sprintf("%s %s %s %s", line.Type, line.Object.GetKind(), line.Object.GetName(), line.Object.GetResourceVersion()))
	}
	return all
}

func object(kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(map[bool]string{true: "apps/v1", false: "argoproj.io/v1alpha1"}[kind == "ReplicaSet"])
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetUID(types.UID(kind + "/" + namespace + "/" + name))
	return o
}

// setOf is a ReplicaSet of a Rollout.
func setOf(namespace, rollout, hash string) *unstructured.Unstructured {
	o := object("ReplicaSet", namespace, rollout+"-"+hash)
	o.SetLabels(map[string]string{"rollouts-pod-template-hash": hash})
	o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: rollout, UID: "r", Controller: new(true)}})
	return o
}

// appOf is an Application that manages a Rollout.
func appOf(name, namespace, rollout string) *unstructured.Unstructured {
	o := object("Application", "argocd", name)
	o.Object["status"] = map[string]any{"resources": []any{
		map[string]any{"group": "argoproj.io", "kind": "Rollout", "namespace": namespace, "name": rollout},
		map[string]any{"group": "", "kind": "Service", "namespace": namespace, "name": rollout},
	}}
	return o
}

var everything = []string{"Application", "Rollout"}

func TestARecordingBeginsWithWhatThereIsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(everything...)
		c.set(appOf("web", "prod", "web"))             // 1
		c.set(object("Rollout", "prod", "web"))        // 2
		c.set(setOf("prod", "web", "a"))               // 3
		c.set(object("ReplicaSet", "prod", "nobodys")) // 4
		r := record(t, c, recording.Scope{}, recording.Options{})
		c.set(object("Rollout", "prod", "web")) // 5
		synctest.Wait()
		c.set(setOf("prod", "web", "b")) // 6
		synctest.Wait()
		c.remove("ReplicaSet/prod/web-a") // 7
		NewWithT(t).Expect(r.end(t)).To(Equal([]string{
			"ADDED ReplicaSet web-a 3", "ADDED Rollout web 2", "ADDED Application web 1",
			"MODIFIED Rollout web 5", "ADDED ReplicaSet web-b 6", "DELETED ReplicaSet web-a 7",
		}))
	})
}

func TestOneApplicationIsRecordedWithWhatItManages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(everything...)
		c.set(appOf("web", "prod", "web"))
		c.set(appOf("api", "prod", "api"))
		for _, name := range []string{"web", "api", "later"} {
			c.set(object("Rollout", "prod", name))
			c.set(setOf("prod", name, "a"))
		}
		r := record(t, c, recording.Scope{Applications: []string{"web"}, Namespaces: []string{"argocd"}}, recording.Options{})
		NewWithT(t).Expect(r.words(t)).To(ConsistOf("ADDED Application web 1", "ADDED Rollout web 3", "ADDED ReplicaSet web-a 4"))
		c.set(setOf("prod", "api", "b"))     // 9: another's
		c.set(appOf("web", "prod", "later")) // 10: it manages a further one now
		synctest.Wait()
		c.set(setOf("prod", "later", "b")) // 11
		NewWithT(t).Expect(r.end(t)[3:]).To(ConsistOf(
			"MODIFIED Application web 10", "ADDED Rollout later 7", "ADDED ReplicaSet later-a 8", "ADDED ReplicaSet later-b 11",
		))
	})
}

func TestNamespacesKeepOthersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster("Rollout")
		for _, namespace := range []string{"a", "b", "c"} {
			c.set(object("Rollout", namespace, "web-"+namespace))
		}
		r := record(t, c, recording.Scope{Namespaces: []string{"a", "c"}}, recording.Options{})
		g := NewWithT(t)
		g.Expect(r.end(t)).To(ConsistOf("ADDED Rollout web-a 1", "ADDED Rollout web-c 3"))
		g.Expect(r.told).To(Equal([]string{"this cluster serves no Applications: they are left out"}))
	})
}

func TestWhereThereIsNothingToRecord(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "replicasets"}, "", errors.New("no right to list"))
	for name, test := range map[string]struct {
		kinds []string
		down  error
		scope recording.Scope
		want  string
	}{
		"no Argo":                        {want: "serves neither Applications nor Rollouts"},
		"no Applications, but one named": {kinds: []string{"Rollout"}, scope: recording.Scope{Applications: []string{"web"}}, want: "leave out --application"},
		"no server":                      {kinds: everything, down: errors.New("connection refused"), want: "cannot ask the cluster which kinds it serves: connection refused"},
		"no right":                       {kinds: everything, down: forbidden, want: "no right to list"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(test.kinds...)
			c.down = test.down
			err := recording.Watch(t.Context(), c.source(func(string) {}), test.scope, recording.NewWriter(&bytes.Buffer{}, recording.Options{}))
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

// full is a disk that takes some lines.
type full struct{ left int }

func (f *full) Write(line []byte) (int, error) {
	f.left--
	if f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(line), nil
}

func TestAFullDiskEndsTheRecording(t *testing.T) {
	for lines := range 3 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(everything...)
			c.set(appOf("web", "prod", "web"))
			ended := make(chan error, 1)
			w := recording.NewWriter(&full{lines}, recording.Options{})
			go func() { ended <- recording.Watch(t.Context(), c.source(func(string) {}), recording.Scope{}, w) }()
			synctest.Wait()
			c.set(object("Rollout", "prod", "web"))
			synctest.Wait()
			c.set(object("Rollout", "prod", "web"))
			NewWithT(t).Expect(<-ended).To(MatchError("cannot write the recording: no space left on device"))
			NewWithT(t).Expect(w.Summary().Events).To(Equal(lines))
		})
	}
}

// What happens while the watches are gone is told by the server afterwards, as long as it remembers.
func TestADroppedWatchLosesAndDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(everything...)
		c.set(object("Rollout", "prod", "web"))
		r := record(t, c, recording.Scope{}, recording.Options{})
		c.goes(errors.New("connection refused"))
		c.drop()
		c.set(object("Rollout", "prod", "web"))
		c.set(object("Rollout", "prod", "web"))
		time.Sleep(time.Minute) // of the bubble, which takes no time
		c.goes(nil)
		time.Sleep(time.Minute)
		g := NewWithT(t)
		g.Expect(r.end(t)).To(Equal([]string{"ADDED Rollout web 1", "MODIFIED Rollout web 2", "MODIFIED Rollout web 3"}))
		g.Expect(r.told).To(ContainElements(
			"cannot watch Rollouts: connection refused; it is tried again", "the Rollouts are followed again",
		))
		g.Expect(r.told).To(HaveLen(6), "twice for each kind, however often it was tried")
	})
}

func TestAForgottenVersionIsAGap(t *testing.T) {
	for name, plainly := range map[string]bool{"by an event": false, "by the answer": true} {
		t.Run("told "+name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { forgottenVersion(t, plainly) }) })
	}
}

func forgottenVersion(t *testing.T, plainly bool) {
	t.Helper()
	c := newCluster("Rollout")
	c.plainly = plainly
	for _, name := range []string{"changed", "same", "removed"} {
		c.set(object("Rollout", "prod", name))
	}
	r := record(t, c, recording.Scope{}, recording.Options{})
	c.goes(errors.New("connection refused"))
	c.drop()
	c.set(object("Rollout", "prod", "changed")) // 4
	c.set(object("Rollout", "prod", "changed")) // 5
	c.remove("Rollout/prod/removed")            // 6
	c.set(object("Rollout", "prod", "new"))     // 7
	c.forget()
	c.goes(nil)
	time.Sleep(time.Minute)
	c.set(object("Rollout", "prod", "new")) // 8
	time.Sleep(time.Minute)
	g := NewWithT(t)
	g.Expect(r.end(t)[3:]).To(Equal([]string{
		"GAP Rollout", "MODIFIED Rollout changed 5", "ADDED Rollout new 7", "DELETED Rollout removed 3", "MODIFIED Rollout new 8",
	}))
	g.Expect(r.told).To(ContainElement(MatchRegexp(`no longer knows what happened to the Rollouts since .*: the recording has a gap`)))
}

// A list of many pages can take longer than the server keeps it.
func TestAListThatBeginsAnewForgetsWhatItFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster("Rollout")
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			c.set(object("Rollout", "prod", name))
		}
		c.between = func() { c.removeLocked("Rollout/prod/a") } // 6
		r := record(t, c, recording.Scope{}, recording.Options{})
		NewWithT(t).Expect(r.end(t)).To(Equal([]string{
			"ADDED Rollout a 1", "ADDED Rollout b 2", "ADDED Rollout c 3", "ADDED Rollout d 4", "ADDED Rollout e 5", "DELETED Rollout a 1",
		}))
	})
}

// Every change makes another version, so if all are the same, nothing has happened.
func TestAForgottenVersionIsNoGapIfNothingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster("Rollout")
		c.set(object("Rollout", "prod", "web"))
		c.set(setOf("prod", "web", "a"))
		r := record(t, c, recording.Scope{}, recording.Options{})
		c.goes(errors.New("connection refused"))
		c.drop()
		c.set(setOf("prod", "web", "b")) // 3
		c.forget()
		c.goes(nil)
		time.Sleep(time.Minute)
		NewWithT(t).Expect(r.end(t)[2:]).To(Equal([]string{"GAP ReplicaSet", "ADDED ReplicaSet web-b 3"}))
	})
}

// accidents are what can happen to a recording. Whatever happens, in whatever order: every version that the server told is recorded once and in
// order, none is missing unless a gap is told of before, and in the end the recording knows the cluster as it is.
func TestWhateverHappensTheRecordingIsTrue(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			c := newCluster(everything...)
			c.set(object("Namespace", "", "prod")) // no server is at version 0
			r := record(t, c, recording.Scope{}, recording.Options{})
			for range 60 {
				happen(c, random, seed%2 == 0)
				if random.IntN(4) == 0 {
					time.Sleep(time.Duration(random.IntN(9)) * time.Second)
				}
			}
			c.goes(nil)
			time.Sleep(5 * time.Minute)
			compareWith(t, c, r.end(t))
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// happen does something. A server that forgets makes gaps, in which more is allowed, so half of them never forget.
func happen(c *cluster, random *rand.Rand, forgets bool) {
	name := string(rune('a' + random.IntN(8)))
	switch n := random.IntN(20); {
	case n < 6:
		c.set(object("Rollout", "prod", name))
	case n < 9:
		c.set(object("Application", "argocd", name))
	case n < 12:
		c.set(setOf("prod", "web", name))
	case n < 14:
		c.remove(types.UID("Rollout/prod/" + name))
	case n < 16:
		c.drop()
	case n == 16:
		c.goes(errors.New("connection refused"))
	case n == 17:
		c.goes(apierrors.NewUnauthorized("the token has expired"))
	case n == 18:
		c.goes(nil)
	case forgets:
		c.forget()
	}
}

// compareWith holds a recording against the history of the cluster, kind by kind.
func compareWith(t *testing.T, c *cluster, got []string) {
	t.Helper()
	g := NewWithT(t)
	for _, kind := range []string{"Application", "Rollout", "ReplicaSet"} {
		var want, have []string
		for _, e := range c.history {
			if o, ok := e.Object.(*unstructured.Unstructured); ok && o.GetKind() == kind {
				want = append(want, fmt.Sprintf("%s %s %s %s", e.Type, kind, o.GetName(), o.GetResourceVersion()))
			}
		}
		gap := false
		state, newest := map[string]string{}, map[string]int{}
		for _, line := range got {
			words := strings.Fields(line)
			switch {
			case words[1] != kind:
				continue
			case words[0] == "GAP":
				gap = true
				continue
			case words[0] == string(watch.Deleted):
				delete(state, words[2])
			default:
				g.Expect(versionIn(line)).To(BeNumerically(">", newest[words[2]]), "again: "+line)
				state[words[2]], newest[words[2]] = words[3], versionIn(line)
			}
			have = append(have, line)
		}
		if !gap {
			g.Expect(have).To(Equal(seenAtAll(want, have, c.forgotten)))
		}
		now := map[string]string{}
		for _, o := range c.objects {
			if o.GetKind() == kind {
				now[o.GetName()] = o.GetResourceVersion()
			}
		}
		g.Expect(state).To(Equal(now))
	}
}

func versionIn(line string) int {
	version, _ := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
	return version
}

// seenAtAll leaves out what came and went while nobody looked, and was forgotten: nothing is left from which to tell it.
func seenAtAll(want, have []string, forgotten int) []string {
	var kept, life []string
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		for _, line := range want {
			words := strings.Fields(line)
			if len(words) < 4 || words[2] != name && words[2] != "web-"+name {
				continue
			}
			life = append(life, line)
			if words[0] != string(watch.Deleted) {
				continue
			}
			if versionIn(line) > forgotten || slices.ContainsFunc(life, func(l string) bool { return slices.Contains(have, l) }) {
				kept = append(kept, life...)
			}
			life = nil
		}
		kept, life = append(kept, life...), nil
	}
	return slices.DeleteFunc(want, func(line string) bool { return !slices.Contains(kept, line) })
}

// With --raw the server's own words are kept, without it they are not.
func TestRawKeepsObjectsAsTheyAre(t *testing.T) {
	for want, options := range map[bool]recording.Options{true: {Raw: true}, false: {}} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster("Rollout")
			o := object("Rollout", "prod", "web")
			o.SetAnnotations(map[string]string{"mine": "note"})
			c.set(o)
			r := record(t, c, recording.Scope{}, options)
			r.end(t)
			NewWithT(t).Expect(strings.Contains(r.lines.String(), `"mine":"note"`)).To(Equal(want))
		})
	}
}
