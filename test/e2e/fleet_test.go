//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/test/e2e/stand"
)

// TestFleet lets an ApplicationSet deploy two hundred services at once, from one repository, by one commit a version.
func TestFleet(t *testing.T) {
	l := ofItsOwn(t)
	_, err := l.StartApplicationSets(t.Context())
	l.must(t, err)
	f := l.fleet(t, 200)
	f.deploy("v1")
	f.applicationSet()
	f.run("v1")
	f.deploy("v2")
	f.run("v2")
	f.expectEach("deploy succeeded v1 after none", "deploy succeeded v2 after v1")
	l.nothingMoreCame(t)
	f.expectEach(f.told...)
}

// TestTwoArgoCDs lets two installations of Argo CD deploy Applications of the same name, each its own, to different places.
func TestTwoArgoCDs(t *testing.T) {
	l := ofItsOwn(t)
	_, err := l.StartArgoCD(t.Context(), "argocd-two", 1)
	l.must(t, err)
	t.Run("all", func(t *testing.T) {
		for _, one := range twins {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				one.tell(l.service(t, one))
			})
		}
	})
	l.nothingMoreCame(t)
}

// twins have Applications of one name, in the namespaces of two installations.
var twins = []story{
	{name: "of-the-first", with: func(v *service) { v.application = "web" }, tell: threeVersions},
	{name: "of-the-second", with: func(v *service) { v.application, v.argo = "web", "argocd-two" }, tell: func(v *service) {
		v.first("v1")
		v.workload.pods = "never"
		v.next("v2")
		v.degraded()
		v.workload.pods = ""
		v.next("v3")
		v.healthy("v3")
		v.expect(
			"deploy succeeded v1 after none",
			"deploy failed v2 after v1",
			"degraded by v2",
			"deploy succeeded v3 after v1, unplanned",
			"recovered",
		)
	}},
}

// ofItsOwn begins a stand of its own, whatever others use.
func ofItsOwn(t *testing.T) *live {
	t.Helper()
	t.Setenv("E2E_STAND", "")
	return begin(t)
}

// fleet are services that are alike but for their names, followed by one DoraTarget.
type fleet struct {
	*service

	members []string
}

// fleetPatience is how long Argo may take to deploy all of a fleet.
const fleetPatience = 15 * time.Minute

func (l *live) fleet(t *testing.T, size int) *fleet {
	t.Helper()
	f := &fleet{service: l.service(t, story{name: "fleet"})}
	for i := range size {
		f.members = append(f.members, fmt.Sprintf("%s-%03d", f.name, i))
	}
	f.formerly, f.labels["service"] = f.members[:size-1], f.members[size-1] // whose events are asked for
	return f
}

// deploy commits that version of all, at once.
func (f *fleet) deploy(version string) {
	f.Helper()
	if _, known := f.releases[version]; !known {
		f.build(version)
	}
	for _, name := range f.members {
		w := workload{name: name, images: []string{f.image(name, version)}, kind: "Deployment", replicas: 1, deadline: 600}
		f.files[name+"/workload.yaml"] = w.yaml()
	}
	f.commit(version + " of all")
}

func (f *fleet) image(name, version string) string {
	return "registry.example.com/acme/" + name + ":" + f.releases[version].tag
}

// applicationSet makes one that makes an Application of every member.
func (f *fleet) applicationSet() {
	f.Helper()
	var elements []any
	for _, name := range f.members {
		elements = append(elements, map[string]any{"name": name})
	}
	labels := map[string]any{"story": f.labels["story"], "service": "{{name}}", "team": "payments", "env": "prod"}
	set := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
		"metadata": map[string]any{"name": f.name, "namespace": stand.ArgoNamespace},
		"spec": map[string]any{
			"generators": []any{map[string]any{"list": map[string]any{"elements": elements}}},
			"template": map[string]any{
				"metadata": map[string]any{"name": "{{name}}", "labels": labels},
				"spec": map[string]any{
					"project":     "default",
					"source":      map[string]any{"repoURL": f.config.URL, "path": "{{name}}", "targetRevision": "main"},
					"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": f.namespace},
					"syncPolicy":  map[string]any{"automated": map[string]any{"prune": true, "selfHeal": true}},
				},
			},
		},
	}}
	f.check(f.API.Create(f.Context(), set))
	f.notef("ApplicationSet made")
}

// run waits until all run that version, and Argo CD has looked again.
func (f *fleet) run(version string) {
	f.Helper()
	f.eventually("all run "+version, func() error {
		for _, name := range f.members {
			if err := f.member(name, version); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	f.notef("all run %s", version)
}

func (f *fleet) eventually(what string, ask func() error) {
	f.Helper()
	eventually(f.T, fleetPatience, what, func(context.Context) error { return ask() })
}

// member tells whether Argo CD has seen that version of one, alone and healthy.
func (f *fleet) member(name, version string) error {
	app := f.Watch.Application(stand.ArgoNamespace, name)
	if app == nil {
		return errors.New("there is no Application")
	}
	health, _, _ := unstructured.NestedString(app.Object, "status", "health", "status")
	sync, _, _ := unstructured.NestedString(app.Object, "status", "sync", "status")
	images, _, _ := unstructured.NestedStringSlice(app.Object, "status", "summary", "images")
	if health != "Healthy" || sync != "Synced" || len(images) != 1 || images[0] != f.image(name, version) {
		return fmt.Errorf("%s, %s, images %v", health, sync, images)
	}
	return nil
}

// expectEach tells what must have come of every member, and that nothing else came. All sinks and the figures must say the same.
func (f *fleet) expectEach(lines ...string) {
	f.Helper()
	f.told = lines
	var all map[string][]dora.Event
	f.eventually("the events of all are recorded", func() error {
		all = f.byService()
		for _, name := range f.members {
			if err := f.differ(all[name]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	f.eventually("the commits of all are found", func() error {
		all = f.byService()
		for _, name := range f.members {
			if err := f.leadTimes(all[name]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	var events []dora.Event
	written := f.writtenOn()
	for _, name := range f.members {
		f.isOf(name, all[name])
		f.happenedWhenArgoSays(written[name], all[name])
		events = append(events, all[name]...)
	}
	delete(all, "marker") // which tells that nothing more comes
	if want := len(f.members) * len(lines); len(events) != want || len(all) != len(f.members) {
		f.Errorf("%d events of %d services, not %d of %d", len(events), len(all), want, len(f.members))
	}
	f.eventually("the sinks have the events of all", func() error { return f.delivered(events) })
	f.figures(events)
}

// byService are all events of the stand.
func (f *fleet) byService() map[string][]dora.Event {
	f.Helper()
	out, err := f.Command(f.Context(), "events", "--ledger", f.Ledger, "-o", "json")
	f.check(err)
	all := map[string][]dora.Event{}
	for line := range strings.Lines(out) {
		var e dora.Event
		f.check(json.Unmarshal([]byte(line), &e))
		all[e.Service] = append(all[e.Service], e)
	}
	return all
}

// isOf holds a member's events against its own Application and images.
func (f *fleet) isOf(name string, events []dora.Event) {
	f.Helper()
	for _, e := range events {
		app := f.Watch.Application(stand.ArgoNamespace, name)
		if e.Subject.Name != name || e.Subject.UID != string(app.GetUID()) || len(e.Version.Images) != 1 || e.Version.Images[0] != f.image(name, f.named(e.Version)) {
			f.Errorf("%s has an event of %+v with images %v", name, e.Subject, e.Version.Images)
		}
	}
}
