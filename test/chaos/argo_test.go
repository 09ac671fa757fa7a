package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/replay"
)

type object = map[string]any

// argo plays Argo CD, and works out what must come of what it writes.
type argo struct {
	t    *testing.T
	api  client.Client
	apps []*application

	mu    sync.Mutex // the undisturbed run sees one thing at a time
	world *replay.World
	must  map[string]dora.Event // by id
	// sentry is deployed to see whether all that was written before has been seen.
	sentry *application
}

// application is one Application. Its time moves on by at least a second with each step, as Argo CD writes no fractions.
type application struct {
	*argo

	mu      sync.Mutex // one step at a time
	object  *unstructured.Unstructured
	name    string
	now     time.Time
	history []any
	// image runs; next goes out, or is out and broken if it is the same; ran are those that were Healthy.
	image, next string
	ran         []string
	number      int
}

func newArgo(t *testing.T, api client.Client, target *dorav1alpha1.DoraTargetSpec, names ...string) *argo {
	t.Helper()
	a := &argo{t: t, api: api, must: map[string]dora.Event{}}
	timings, err := target.Timings()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	a.world = replay.NewWorld(cluster, func(labels map[string]string, name string) deploy.Policy {
		return deploy.Policy{
			Service: target.ServiceOf(name, labels), Team: target.TeamOf(labels), Environment: target.EnvironmentOf(labels),
			DegradedFor: timings.DegradedFor, FailureWindow: timings.FailureWindow, VerdictTimeout: timings.VerdictTimeout,
		}
	})
	for _, name := range names {
		a.apps = append(a.apps, a.newApp(name))
	}
	a.sentry = a.newApp("sentry")
	return a
}

func (a *argo) newApp(name string) *application {
	a.t.Helper()
	o := &application{argo: a, name: name}
	o.object = &unstructured.Unstructured{Object: object{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": object{"namespace": namespace, "name": name},
		"spec": object{
			"project":     "default",
			"destination": object{"server": "https://kubernetes.default.svc", "namespace": "prod-" + name},
			"source":      object{"repoURL": "https://git.example.com/acme/deploy-config.git", "path": name, "targetRevision": "main"},
		},
	}}
	NewWithT(a.t).Expect(a.api.Create(a.t.Context(), o.object)).To(Succeed())
	o.now = o.object.GetCreationTimestamp().UTC()
	o.told("ADDED")
	return o
}

// told has the undisturbed run see what was written.
func (o *application) told(kind string) {
	o.t.Helper()
	o.argo.mu.Lock()
	defer o.argo.mu.Unlock()
	line, err := json.Marshal(object{"seen": time.Now().UTC().Format(time.RFC3339Nano), "type": kind, "object": o.object.Object})
	NewWithT(o.t).Expect(err).NotTo(HaveOccurred())
	err = replay.Read("what was written", bytes.NewReader(line), func(e replay.Event) { o.take(o.world.Apply(e)) })
	NewWithT(o.t).Expect(err).NotTo(HaveOccurred())
}

func (a *argo) take(steps []replay.Step) {
	for _, step := range steps {
		for _, event := range step.Events {
			a.must[event.ID] = event
		}
	}
}

// tick moves Argo's clock on: to now, and by a second at least.
func (o *application) tick() string {
	o.now = o.now.Add(time.Second)
	if now := time.Now().UTC().Truncate(time.Second); now.After(o.now) {
		o.now = now
	}
	return o.now.Format(time.RFC3339)
}

// write writes a status, again until the API server has taken it.
func (o *application) write(ctx context.Context, status object) {
	o.t.Helper()
	patch, err := json.Marshal(object{"status": status})
	NewWithT(o.t).Expect(err).NotTo(HaveOccurred())
	NewWithT(o.t).Eventually(func() error {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return o.api.Patch(limited, o.object, client.RawPatch(types.MergePatchType, patch))
	}).WithContext(ctx).WithTimeout(patience).Should(Succeed(), "the API server takes no status")
	o.told("MODIFIED")
}

// step is what happens to it next: a version goes out, or what went out becomes Healthy or does not.
func (o *application) step(ctx context.Context, dice *rand.Rand) string {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	goesOut := o.next != "" && o.next != o.image
	switch {
	case !goesOut && len(o.ran) > 1 && dice.IntN(4) == 0:
		o.sync(ctx, o.ran[len(o.ran)-2])
		return o.name + " goes back to " + o.next
	case !goesOut:
		o.sync(ctx, o.fresh())
		return o.name + " gets " + o.next
	case dice.IntN(3) > 0:
		o.becomes(ctx, "Healthy")
		return o.name + " is Healthy"
	default:
		o.becomes(ctx, "Degraded")
		return o.name + " is Degraded"
	}
}

// fresh is a new image.
func (o *application) fresh() string {
	o.number++
	return fmt.Sprintf("registry.example.com/%s:main-%07x", o.name, 0xa000000+o.number)
}

// sync applies an image.
func (o *application) sync(ctx context.Context, image string) {
	o.t.Helper()
	o.next = image
	o.write(ctx, o.synced("Progressing", images(o.image, o.next)))
}

// atOnce deploys in one step.
func (o *application) atOnce(ctx context.Context) {
	o.t.Helper()
	o.next = o.fresh()
	status := o.synced("Healthy", images(o.next))
	status["health"] = object{"status": "Healthy", "lastTransitionTime": o.tick()}
	status["reconciledAt"] = o.tick()
	o.write(ctx, status)
	o.image, o.next = o.next, ""
}

func (o *application) synced(health string, live []any) object {
	const revision = "8bef323a383a4d3b595e4605deb4f85f3e3e2146"
	started, finished := o.tick(), o.tick()
	o.history = append(o.history, object{
		"id": o.number, "revision": revision, "deployStartedAt": started, "deployedAt": finished,
		"source": object{"repoURL": "https://git.example.com/acme/deploy-config.git"},
	})
	o.history = o.history[max(0, len(o.history)-10):] // as many as Argo CD keeps
	workload := object{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "prod", "name": "web", "status": "Synced"}
	row := maps.Clone(workload)
	maps.Copy(row, object{"syncPhase": "Sync", "hookPhase": "Running", "message": "deployment.apps/web configured"})
	return object{
		"operationState": object{
			"phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": started, "finishedAt": finished,
			"operation":  object{"sync": object{"revision": revision}},
			"syncResult": object{"revision": revision, "resources": []any{row}},
		},
		"history":      o.history,
		"sync":         object{"status": "Synced", "revision": revision},
		"health":       object{"status": health, "lastTransitionTime": finished},
		"summary":      object{"images": live},
		"reconciledAt": finished,
		"resources":    []any{workload},
	}
}

func (o *application) becomes(ctx context.Context, health string) {
	o.t.Helper()
	at := o.tick()
	o.write(ctx, object{
		"health": object{"status": health, "lastTransitionTime": at}, "summary": object{"images": images(o.next)}, "reconciledAt": o.tick(),
	})
	if o.image = o.next; health == "Healthy" {
		o.next, o.ran = "", append(o.ran, o.image)
	}
}

func images(all ...string) []any {
	list := []any{}
	for _, image := range all {
		if image != "" {
			list = append(list, image)
		}
	}
	return list
}

// telling is all of an event but when it was looked at.
func telling(t *testing.T, e dora.Event) string {
	t.Helper()
	e.ObservedAt = time.Time{}
	text, err := json.Marshal(e)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// expected are the events of the undisturbed run up to now: Argo's clock may be ahead by seconds, and what it says comes due.
func (a *argo) expected() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.take(a.world.Finish(time.Now()))
	all := []string{}
	for _, e := range a.must {
		all = append(all, telling(a.t, e))
	}
	slices.Sort(all)
	return all
}
