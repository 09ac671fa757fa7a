//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/test/e2e/stand"
)

// What the templates tell. The commit is that of the operation, which is better than the catalogue's own `.app.status.sync.revision`: after a rollback
// that is still the newest commit. Of an Application with several sources, all their commits are told.
const (
	storyLabel = "{{.app.metadata.labels.story}}"
	revision   = `{{$r := .app.status.sync.revision}}{{with .app.status.operationState}}{{with .syncResult}}` +
		`{{with .revision}}{{$r = .}}{{end}}{{with .revisions}}{{$r = join " " .}}{{end}}{{end}}{{end}}{{$r}}`
	deployed = `{"service": "{{.app.metadata.labels.service}}", "team": "{{.app.metadata.labels.team}}", "environment": "{{.app.metadata.labels.env}}", ` +
		`"commit_sha": "` + revision + `", "occurred_at": "%s", "success": %t, "is_rollback": false}`
)

// webhooks are the two ways to be told: what the catalogue's templates say, and the deploy event that guides publish.
func webhooks(url string) map[string]stand.Webhook {
	catalogue := stand.Webhook{URL: url, Calls: map[string]stand.Call{}}
	for _, template := range []string{"app-created", "app-deployed", "app-health-degraded", "app-sync-failed", "app-sync-succeeded"} {
		catalogue.Calls[template] = stand.Call{Path: "/catalogue/" + storyLabel + "/" + template, Body: `{"commit_sha": "` + revision + `"}`}
	}
	deploy := func(at string, success bool) stand.Call {
		return stand.Call{Path: "/events/deploy/" + storyLabel, Body: fmt.Sprintf(deployed, at, success)}
	}
	return map[string]stand.Webhook{"catalogue": catalogue, "deploys": {URL: url, Calls: map[string]stand.Call{
		"app-deployed":        deploy("{{.app.status.operationState.finishedAt}}", true),
		"app-health-degraded": deploy("{{.app.status.health.lastTransitionTime}}", false),
	}}}
}

// subscriptions are the annotations of an Application that wants to be told about.
func subscriptions() map[string]string {
	annotations := map[string]string{}
	for trigger, hooks := range map[string][]string{
		"on-deployed": {"catalogue", "deploys"}, "on-health-degraded": {"catalogue", "deploys"}, "on-sync-failed": {"catalogue"}, "on-sync-succeeded": {"catalogue"},
	} {
		for _, hook := range hooks {
			annotations["notifications.argoproj.io/subscribe."+trigger+"."+hook] = ""
		}
	}
	return annotations
}

// notification is what arrived: by which webhook, about which story, and what it said.
type notification struct {
	webhook, story, template string
	commit                   string
	success                  bool
}

// inbox receives notifications and never refuses one.
type inbox struct {
	mu       sync.Mutex
	received []notification
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var said struct {
		Commit  string `json:"commit_sha"`
		Success bool   `json:"success"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &said)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := notification{commit: said.Commit, success: said.Success}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(path) == 3 && path[0] == "catalogue":
		n.webhook, n.story, n.template = "catalogue", path[1], path[2]
	case len(path) == 3 && path[0] == "events":
		n.webhook, n.story = "deploys", path[2]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.received = append(b.received, n)
}

func (b *inbox) all() []notification {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.received)
}

// reader is somebody who makes deployments out of what is received.
type reader struct {
	name string
	// reads is what the reader takes a notification for, if for anything.
	reads func(notification) (success, concerned bool)
	// health tells that a failure is read as one of health, not of a deployment: an incident that no deployment caused is then no false event.
	health bool
}

// taken reads the catalogue's templates by their names.
func taken(templates map[string]bool) func(notification) (bool, bool) {
	return func(n notification) (bool, bool) {
		success, known := templates[n.template]
		return success, known && n.webhook == "catalogue"
	}
}

var readers = []reader{
	{"catalogue", taken(map[string]bool{"app-deployed": true, "app-health-degraded": false, "app-sync-failed": false}), true},
	{"syncs", taken(map[string]bool{"app-sync-succeeded": true, "app-sync-failed": false}), false},
	{"deploy event", func(n notification) (bool, bool) { return n.success, n.webhook == "deploys" }, false},
}

// TestCompare tells all stories with Argo CD's notifications controller beside, and counts what it and the controller told against the truth. The
// table goes to the file that E2E_COMPARE names.
func TestCompare(t *testing.T) {
	l := begin(t)
	b := &inbox{}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	_, err := l.StartNotifications(t.Context(), webhooks(server.URL))
	l.must(t, err)
	told := map[string]*service{}
	var mu sync.Mutex
	t.Run("all", func(t *testing.T) {
		for _, one := range slices.Concat(undisturbed...) {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				v := l.service(t, subscribed(one))
				mu.Lock()
				told[one.name] = v
				mu.Unlock()
				one.tell(v)
			})
		}
	})
	l.allIsSaid(t, b)
	table := compare(t, told, b.all())
	t.Log("\n" + table)
	if file := os.Getenv("E2E_COMPARE"); file != "" {
		l.must(t, os.WriteFile(file, []byte(table), 0o600))
	}
}

// subscribed is the same story with an Application that subscribes.
func subscribed(one story) story {
	with := one.with
	one.with = func(v *service) {
		v.annotations = map[string]string{}
		if with != nil {
			with(v)
		}
		maps.Copy(v.annotations, subscriptions())
	}
	return one
}

// allIsSaid waits until the notifications controller, which has one worker, has come to an Application that is made after everything else.
func (l *live) allIsSaid(t *testing.T, b *inbox) {
	t.Helper()
	name := "last" + l.suffix
	app := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": map[string]any{
		"project": "default", "source": map[string]any{"repoURL": l.Git.URL + "/none/.git", "path": "."},
		"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": "default"},
	}}}
	app.SetNamespace(stand.ArgoNamespace)
	app.SetName(name)
	app.SetLabels(map[string]string{"story": name})
	app.SetAnnotations(map[string]string{"notifications.argoproj.io/subscribe.on-created.catalogue": ""})
	l.must(t, l.API.Create(t.Context(), app))
	eventually(t, patience, "the notifications controller has said all", func(context.Context) error {
		if !slices.ContainsFunc(b.all(), func(n notification) bool { return n.story == name }) {
			return errors.New("it has not come to the last Application")
		}
		return nil
	})
	l.must(t, l.API.Delete(t.Context(), app))
}

// compare makes the table, and a list of all that was said.
func compare(t *testing.T, told map[string]*service, received []notification) string {
	t.Helper()
	head, table, list := strings.Builder{}, strings.Builder{}, strings.Builder{}
	heads := []string{"story", "deployments"}
	for _, r := range readers {
		heads = append(heads, r.name)
	}
	tableRow(&head, append(heads, "dora-controller"))
	tableRow(&head, append([]string{"---"}, slices.Repeat([]string{"--:"}, len(readers)+2)...))
	sums, deployments, stories := make([]sum, len(readers)+1), 0, 0
	for _, one := range slices.Concat(undisturbed...) {
		v := told[one.name]
		if v == nil || v.told == nil {
			t.Errorf("%s has not been told to its end", one.name)
			continue
		}
		fmt.Fprintf(&list, "\n**%s**: %s\n", one.name, strings.Join(v.told, "; "))
		truth := truthOf(v.told)
		cells := []string{one.name, strconv.Itoa(len(truth.deployments))}
		for i, r := range readers {
			cells = append(cells, v.verdict(&list, r.name, truth.seenBy(r), v.saidTo(t, r, received), &sums[i]))
		}
		tableRow(&table, append(cells, v.verdict(&list, "dora-controller", truth, v.saidByUs(t), &sums[len(readers)])))
		if !v.unseen() {
			deployments += len(truth.deployments)
			stories++
		}
	}
	all, exact := []string{"**all**", fmt.Sprintf("**%d**", deployments)}, []string{fmt.Sprintf("exact stories of %d", stories), ""}
	for _, sum := range sums {
		all, exact = append(all, fmt.Sprintf("**%s**", sum.of)), append(exact, strconv.Itoa(sum.exact))
	}
	tableRow(&head, all)
	tableRow(&head, exact)
	return head.String() + table.String() + "\n## All that was said\n" + list.String()
}

// sum is what was counted of several stories, and how many of them were told exactly.
type sum struct {
	of    counted
	exact int
}

func tableRow(b *strings.Builder, cells []string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// seenBy is the truth as that reader takes it.
func (t truth) seenBy(r reader) truth {
	if !r.health {
		t.incidents = 0
	}
	return t
}

// verdict counts what was said of a service, adds it to a sum, and returns a cell of the table.
func (v *service) verdict(list *strings.Builder, name string, truth truth, said []statement, all *sum) string {
	c, verdicts := judge(truth, said)
	fmt.Fprintf(list, "- %s, %d missed: %s\n", name, c.missed, strings.Join(verdicts, "; "))
	if v.unseen() {
		if name != "dora-controller" {
			return "no Application"
		}
		return c.String()
	}
	all.of = all.of.plus(c)
	all.exact += count(c.missed == 0 && c.duplicate == 0 && c.wrong == 0)
	return c.String()
}

// unseen tells that the notifications controller has no Application to look at, which is no fault of its.
func (v *service) unseen() bool { return v.standalone || v.argo != stand.ArgoNamespace }

// saidTo is what a reader makes of the notifications about a service.
func (v *service) saidTo(t *testing.T, r reader, received []notification) []statement {
	t.Helper()
	var said []statement
	for _, n := range received {
		success, concerned := r.reads(n)
		if !concerned || n.story != v.labels["story"] {
			continue
		}
		said = append(said, statement{version: v.versionAt(t, n.commit), success: success, key: n.commit})
	}
	return said
}

// versionAt looks into git for the versions that a commit of the manifests wants, as a diligent reader would: one for each container.
func (v *service) versionAt(t *testing.T, commit string) string {
	t.Helper()
	tags := map[string]string{}
	for _, d := range truthOf(v.told).deployments {
		tags[d.version] = d.version // of another container the tag is the name
	}
	for name, r := range v.releases {
		tags[name] = r.tag
	}
	folder := filepath.Join(v.Folder, "git", strings.TrimSuffix(strings.TrimPrefix(v.config.URL, v.Git.URL+"/"), "/.git"))
	var names []string
	for name, tag := range tags {
		for one := range strings.FieldsSeq(commit) {
			cmd := exec.CommandContext(t.Context(), "git", "-C", folder, "grep", "--quiet", "--fixed-strings", "-e", tag, one)
			if cmd.Run() == nil {
				names = append(names, name)
			}
		}
	}
	if names == nil {
		return "?"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// saidByUs is what the receiver of CloudEvents got about a service. An event that came again with the same id is the same event, as its documentation
// says.
func (v *service) saidByUs(t *testing.T) []statement {
	t.Helper()
	var said []statement
	for _, got := range v.receiver.Received() {
		var e dora.Event
		if !strings.HasSuffix(got.Event.DataSchema(), "dora-event-v1.json") {
			continue
		}
		v.must(t, got.Event.DataAs(&e))
		known := slices.ContainsFunc(said, func(s statement) bool { return s.key == e.ID })
		if known || !slices.Contains(v.names(), e.Service) || e.Type != dora.TypeDeploy || e.Success == nil {
			continue
		}
		said = append(said, statement{v.named(e.Version), *e.Success, e.IsRollback != nil && *e.IsRollback, e.ID})
	}
	return said
}
