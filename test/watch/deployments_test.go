package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/dora"
)

type object = map[string]any

// BenchmarkDeployments is how long it takes from the moment at which an Application is seen to be Healthy, by the controller or by a watch of the
// benchmark's own, whichever is the first, to the moment at which the event of its deployment is printed, which is after it is durable: while
// Applications are deployed as fast as the API server takes the patches, three for each.
func BenchmarkDeployments(b *testing.B) {
	c := theCluster(b)
	c.grow(b, scaled(b, 5000))
	told := c.deployAll(b, nil)
	told.report(b, "")
}

// BenchmarkDeploymentsBesideOddOnes is the same, beside some Applications that are huge, malformed, and never at rest.
func BenchmarkDeploymentsBesideOddOnes(b *testing.B) {
	c := theCluster(b)
	c.grow(b, scaled(b, 5000))
	alone := c.deployAll(b, nil)
	alone.report(b, "-alone")
	told := c.deployAll(b, c.odd)
	told.report(b, "")
}

// deployAll deploys some Applications while a controller runs, and something else beside it.
func (c *cluster) deployAll(b *testing.B, beside func(ctx context.Context, b *testing.B)) *latencies {
	b.Helper()
	count := scaled(b, 1000)
	p := c.controller(b)
	p.awaitReady(b)
	p.awaitFollowed(b, c.fleet)
	p.idle(b)
	l := &latencies{seen: map[string]time.Time{}, told: map[string]time.Time{}}
	ctx, stop := context.WithCancel(b.Context())
	var all sync.WaitGroup
	defer func() { stop(); p.end(); all.Wait() }()
	l.watch(ctx, b, c, &all)
	all.Go(func() {
		if err := p.events(l.tell); err != nil {
			b.Error(err)
		}
	})
	if beside != nil {
		all.Go(func() { beside(ctx, b) })
	}
	began := time.Now()
	l.version = fmt.Sprintf("v%d", began.Unix())
	c.sideBySide(b, 0, count, func(ctx context.Context, i int) error { return c.deploy(ctx, i, l.version) })
	l.rate = float64(count) / time.Since(began).Seconds()
	patched := time.Now()
	await(b, "each deployment is told", func() error { return l.complete(count) })
	l.behind = time.Since(patched)
	return l
}

// deploy does to an Application what Argo CD does in a deployment that goes well.
func (c *cluster) deploy(ctx context.Context, i int, version string) error {
	name, started := serviceName(i), time.Now().UTC().Truncate(time.Second)
	image := "registry.example.com/acme/" + name + ":" + version
	at := started.Format(time.RFC3339)
	row := object{
		"group": "apps", "version": "v1", "kind": "Deployment", "namespace": name, "name": name, "status": "Synced", "syncPhase": "Sync",
		"hookPhase": "Running", "message": "deployment.apps/" + name + " configured", "images": []string{image},
	}
	operation := object{"sync": object{"revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146"}}
	state := object{"phase": "Running", "message": "waiting", "startedAt": at, "finishedAt": nil, "operation": operation, "syncResult": nil}
	done := object{
		"phase": "Succeeded", "message": "successfully synced (all tasks run)", "finishedAt": at,
		"syncResult": object{"revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146", "resources": []any{row}},
	}
	entry := object{"id": 11, "revision": "8bef323a383a4d3b595e4605deb4f85f3e3e2146", "deployStartedAt": at, "deployedAt": at}
	for _, status := range []object{
		{"operationState": state, "sync": object{"status": "OutOfSync"}},
		{"operationState": done, "history": []any{entry}, "sync": object{"status": "Synced"}, "health": object{"status": "Progressing", "lastTransitionTime": at}},
		{"health": object{"status": "Healthy", "lastTransitionTime": at}, "summary": object{"images": []string{image}}, "reconciledAt": at},
	} {
		if err := c.merge(ctx, name, object{"status": status}); err != nil {
			return err
		}
	}
	return nil
}

// latencies are when each deployment was seen and told.
type latencies struct {
	version      string
	rate         float64 // deployments a second
	behind       time.Duration
	mu           sync.Mutex
	seen, told   map[string]time.Time // by Application
	twice, wrong []string
}

// watch notes when an Application with the version is shown to be Healthy.
func (l *latencies) watch(ctx context.Context, b *testing.B, c *cluster, all *sync.WaitGroup) {
	b.Helper()
	var now argocd.ApplicationList
	if err := c.client.List(ctx, &now, client.Limit(1)); err != nil {
		b.Fatal(err)
	}
	changes, err := c.client.Watch(ctx, &argocd.ApplicationList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: now.ResourceVersion}})
	if err != nil {
		b.Fatal(err)
	}
	all.Go(func() {
		defer changes.Stop()
		for change := range changes.ResultChan() {
			if app, ok := change.Object.(*argocd.Application); ok {
				l.see(app)
			}
		}
	})
}

func (l *latencies) see(app *argocd.Application) {
	at := time.Now()
	if app.Status.Health.Status != "Healthy" || !l.deploys(app.Status.Summary.Images) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if earlier, known := l.seen[app.Name]; !known || at.Before(earlier) {
		l.seen[app.Name] = at
	}
}

func (l *latencies) deploys(images []string) bool {
	return slices.ContainsFunc(images, func(image string) bool { return strings.HasSuffix(image, ":"+l.version) })
}

func (l *latencies) tell(event dora.Event) {
	at := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	name := event.Subject.Name
	if !strings.HasPrefix(name, "service-") {
		return
	}
	if event.Type != dora.TypeDeploy || event.Outcome != dora.Succeeded || !l.deploys(event.Version.Images) {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %s %s %v", name, event.Type, event.Outcome, event.Version))
		return
	}
	if seen, known := l.seen[name]; !known || event.ObservedAt.Before(seen) {
		l.seen[name] = event.ObservedAt // the controller's watch was the faster one
	}
	if _, again := l.told[name]; again {
		l.twice = append(l.twice, name)
	}
	l.told[name] = at
}

func (l *latencies) complete(want int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.told) < want || len(l.seen) < want {
		return fmt.Errorf("%d seen and %d told of %d; wrong: %v", len(l.seen), len(l.told), want, l.wrong)
	}
	return nil
}

func (l *latencies) report(b *testing.B, suffix string) {
	b.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.twice)+len(l.wrong) > 0 {
		b.Errorf("told twice: %v; told wrongly: %v", l.twice, l.wrong)
	}
	var took []time.Duration
	for name, at := range l.told {
		took = append(took, at.Sub(l.seen[name]))
	}
	slices.Sort(took)
	milliseconds := func(share float64) float64 { return took[int(share*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(l.rate, "deployments/s"+suffix)
	b.ReportMetric(milliseconds(0.5), "ms-p50"+suffix)
	b.ReportMetric(milliseconds(0.99), "ms-p99"+suffix)
	b.ReportMetric(l.behind.Seconds()*1000, "ms-behind"+suffix)
}

// odd are Applications that misbehave as much as the API server lets them, until the context ends: one of 1.4 MB with 10,000 rows that is written again and
// again, one whose fields say what cannot be, and one that flaps.
func (c *cluster) odd(ctx context.Context, b *testing.B) {
	b.Helper()
	var rows []any
	for i := range 10_000 {
		rows = append(rows, object{"kind": "ConfigMap", "version": "v1", "namespace": "huge", "name": fmt.Sprintf("a-configmap-of-the-huge-application-%05d", i), "status": "Synced"})
	}
	var all sync.WaitGroup
	all.Go(func() {
		c.rewrite(ctx, b, "odd-huge", object{"resources": rows}, func(int) object { return object{"reconciledAt": time.Now().UTC().Format(time.RFC3339)} })
	})
	all.Go(func() {
		c.rewrite(ctx, b, "odd-malformed", object{"health": object{"status": "Sideways"}}, func(i int) object {
			state := object{"phase": "", "startedAt": "9999-12-31T23:59:59Z", "finishedAt": "0001-01-01T00:00:00Z", "operation": object{}}
			return object{"operationState": state, "summary": object{"images": []string{"", ":::", fmt.Sprintf("@sha256:%d", i)}}}
		})
	})
	all.Go(func() {
		c.rewrite(ctx, b, "odd-flapping", object{}, func(i int) object {
			return object{"health": object{"status": []string{"Healthy", "Degraded"}[i%2], "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)}}
		})
	})
	all.Wait()
}

// rewrite makes an Application if there is none, and writes its status over and over.
func (c *cluster) rewrite(ctx context.Context, b *testing.B, name string, status object, next func(i int) object) {
	b.Helper()
	app := &unstructured.Unstructured{Object: object{
		"metadata": object{"namespace": argoNamespace, "name": name},
		"spec": object{
			"project": "default", "source": object{"repoURL": "https://git.example.com/acme/deploy.git"},
			"destination": object{"server": "https://kubernetes.default.svc", "namespace": name},
		},
		"status": status,
	}}
	defer func() { _ = c.client.Delete(context.WithoutCancel(ctx), app) }()
	app.SetGroupVersionKind(schema.GroupVersionKind{Group: argocd.GroupVersion.Group, Version: argocd.GroupVersion.Version, Kind: "Application"})
	if err := client.IgnoreAlreadyExists(c.client.Create(ctx, app)); err != nil && ctx.Err() == nil {
		b.Errorf("%s: %v", name, err)
		return
	}
	for i := 0; ctx.Err() == nil; i++ {
		if err := c.merge(ctx, name, object{"status": next(i)}); err != nil && ctx.Err() == nil {
			b.Errorf("%s: %v", name, err)
			return
		}
	}
}
