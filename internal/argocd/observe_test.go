package argocd

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// withStatus is an Application with this status, written as YAML's JSON.
func withStatus(tb testing.TB, status string) *deploy.App {
	tb.Helper()
	return Observe(decode(tb, fmt.Appendf(nil, `{"status":{%s}}`, status)), "", nil).App
}

func withResult(tb testing.TB, rows string) []deploy.Row {
	tb.Helper()
	return withStatus(tb, `"operationState":{"syncResult":{"resources":[`+rows+`]}}`).Operation.Rows
}

func TestRows(t *testing.T) {
	for name, c := range map[string]struct {
		row  string
		want deploy.Row
	}{
		"an applied workload": {
			`"group":"apps","kind":"Deployment","namespace":"prod","name":"web","status":"Synced","syncPhase":"Sync","message":"deployment.apps/web configured"`,
			deploy.Row{Kind: "Deployment", Namespace: "prod", Name: "web", Workload: true, Applied: true},
		},
		"images, since Argo CD 3.1": {
			`"group":"apps","kind":"Deployment","status":"Synced","syncPhase":"Sync","images":["web:v2","","envoy:v1"]`,
			deploy.Row{Kind: "Deployment", Workload: true, Applied: true, Images: []string{"web:v2", "envoy:v1"}},
		},
		"a client-side apply that changed nothing": {
			`"group":"apps","kind":"StatefulSet","status":"Synced","syncPhase":"Sync","message":"statefulset.apps/db unchanged"`,
			deploy.Row{Kind: "StatefulSet", Workload: true, Applied: true, Unchanged: true},
		},
		"a server-side apply never tells": {
			`"group":"apps","kind":"DaemonSet","status":"Synced","syncPhase":"Sync","message":"daemonset.apps/agent serverside-applied"`,
			deploy.Row{Kind: "DaemonSet", Workload: true, Applied: true},
		},
		"an old version that names no phase": {
			`"group":"argoproj.io","kind":"Rollout","status":"Synced"`,
			deploy.Row{Kind: "Rollout", Workload: true, Applied: true},
		},
		"a refused apply": {
			`"group":"apps","kind":"Deployment","status":"SyncFailed","syncPhase":"Sync"`,
			deploy.Row{Kind: "Deployment", Workload: true},
		},
		"a pruned workload": {
			`"group":"apps","kind":"Deployment","status":"Pruned","syncPhase":"Sync"`,
			deploy.Row{Kind: "Deployment", Workload: true},
		},
		"a workload applied before the sync phase": {
			`"group":"apps","kind":"Deployment","status":"Synced","syncPhase":"PreSync"`,
			deploy.Row{Kind: "Deployment", Workload: true},
		},
		"a Job like any other resource":  {`"group":"batch","kind":"Job","status":"Synced","syncPhase":"Sync"`, deploy.Row{Kind: "Job", Workload: true, Applied: true}},
		"a Job that is a hook":           {`"group":"batch","kind":"Job","status":"Synced","syncPhase":"Sync","hookType":"Sync"`, deploy.Row{Kind: "Job"}},
		"a CronJob":                      {`"group":"batch","kind":"CronJob","status":"Synced","syncPhase":"Sync"`, deploy.Row{Kind: "CronJob", Workload: true, Applied: true}},
		"a Pod":                          {`"kind":"Pod","status":"Synced","syncPhase":"Sync"`, deploy.Row{Kind: "Pod", Workload: true, Applied: true}},
		"a kind of the same name":        {`"group":"example.com","kind":"Deployment","status":"Synced","syncPhase":"Sync"`, deploy.Row{Kind: "Deployment", Applied: true}},
		"a resource that runs no pods":   {`"kind":"ConfigMap","status":"Synced","syncPhase":"Sync"`, deploy.Row{Kind: "ConfigMap", Applied: true}},
		"a word that Argo CD adds later": {`"group":"apps","kind":"Deployment","status":"Adopted","syncPhase":"Sync"`, deploy.Row{Kind: "Deployment", Workload: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := withResult(t, `{`+c.row+`}`); len(got) != 1 || !reflect.DeepEqual(got[0], c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestRowsThatNoDecisionReadsAreLeftOut(t *testing.T) {
	const (
		workload  = `{"group":"apps","kind":"Deployment","name":"web"}`
		changed   = `{"kind":"ConfigMap","name":"c","status":"Synced","message":"configmap/c created"}`
		unchanged = `{"kind":"ConfigMap","name":"u","status":"Synced","message":"configmap/u unchanged"}`
		hook      = `{"group":"batch","kind":"Job","name":"h","hookType":"PreSync"}`
	)
	many := func(row string, n int) string { return strings.TrimSuffix(strings.Repeat(row+",", n), ",") }
	for name, c := range map[string]struct {
		rows string
		want string
	}{
		"workloads stay, changed or not":  {workload + "," + hook + "," + unchanged, "web"},
		"others stay if changed":          {unchanged + "," + changed + "," + workload + "," + hook, "c web"},
		"one of the changed is enough":    {many(changed, 20) + "," + workload, "c web"},
		"a result is never lost entirely": {many(unchanged, 20), "u"},
		"not even one of hooks":           {hook, "h"},
		"no result is no row":             {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			for _, row := range withResult(t, c.rows) {
				names = append(names, row.Name)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	for name, c := range map[string]struct {
		operation string
		want      deploy.Request
	}{
		"a full sync":                   {`{"sync":{"revision":"r"},"initiatedBy":{"automated":true}}`, deploy.Request{}},
		"a dry run":                     {`{"sync":{"dryRun":true}}`, deploy.Request{DryRun: true}},
		"a selective sync":              {`{"sync":{"resources":[{"kind":"Deployment","name":"web"}]},"initiatedBy":{"username":"admin"}}`, deploy.Request{Partial: true}},
		"a self-heal":                   {`{"sync":{"autoHealAttemptsCount":1,"resources":[{"kind":"Deployment"}]},"initiatedBy":{"automated":true}}`, deploy.Request{Partial: true, SelfHeal: true}},
		"a self-heal before 2.14":       {`{"sync":{"resources":[{"kind":"Deployment"}]},"initiatedBy":{"automated":true}}`, deploy.Request{Partial: true, SelfHeal: true}},
		"a self-heal of all":            {`{"sync":{"autoHealAttemptsCount":3}}`, deploy.Request{SelfHeal: true}},
		"an empty selection is no part": {`{"sync":{"resources":[]}}`, deploy.Request{}},
		"no sync":                       {`{"info":[]}`, deploy.Request{}},
	} {
		t.Run(name, func(t *testing.T) {
			app := Observe(decode(t, fmt.Appendf(nil, `{"operation":%s,"status":{"operationState":{"operation":%[1]s}}}`, c.operation)), "", nil).App
			if app.Requested == nil || *app.Requested != c.want {
				t.Errorf("got requested %+v, want %+v", app.Requested, c.want)
			}
			if app.Operation == nil || app.Operation.Request != c.want {
				t.Errorf("got operation %+v, want %+v", app.Operation, c.want)
			}
		})
	}
	if app := withStatus(t, ``); app.Requested != nil || app.Operation != nil {
		t.Errorf("got %+v, %+v of an Application without an operation", app.Requested, app.Operation)
	}
}

func TestPhasesAndHealthAreHandedOn(t *testing.T) {
	for _, word := range []string{"Running", "Succeeded", "Healthy", "Degraded", "Hibernating", ""} {
		app := withStatus(t, fmt.Sprintf(`"health":{"status":%q},"operationState":{"phase":%[1]q}`, word))
		if app.Health != deploy.Health(word) || app.Operation.Phase != deploy.Phase(word) {
			t.Errorf("%q: got health %q, phase %q", word, app.Health, app.Operation.Phase)
		}
	}
}

func TestSyncStatusMayBeNeither(t *testing.T) {
	for word, want := range map[string][2]bool{"Synced": {true, false}, "OutOfSync": {false, true}, "Unknown": {}, "": {}} {
		app := withStatus(t, fmt.Sprintf(`"sync":{"status":%q}`, word))
		if got := [2]bool{app.Synced, app.OutOfSync}; got != want {
			t.Errorf("%q: got %v, want %v", word, got, want)
		}
	}
}

func TestStaleStatus(t *testing.T) {
	const large = `"conditions":[{"type":"SyncError","message":"x"},{"type":%q,"message":"Application status exceeds the Kubernetes resource size limit"}]`
	for name, c := range map[string]struct {
		object string
		want   bool
	}{
		"a status too large to store":        {`{"status":{` + fmt.Sprintf(large, "UnknownError") + `}}`, true},
		"another condition about size":       {`{"status":{` + fmt.Sprintf(large, "ComparisonError") + `}}`, false},
		"another unknown error":              {`{"status":{"conditions":[{"type":"UnknownError","message":"x"}]}}`, false},
		"reconciliation is switched off":     {`{"metadata":{"annotations":{"argocd.argoproj.io/skip-reconcile":"true"}}}`, true},
		"reconciliation is not switched off": {`{"metadata":{"annotations":{"argocd.argoproj.io/skip-reconcile":"false"}}}`, false},
		"a value that is none":               {`{"metadata":{"annotations":{"argocd.argoproj.io/skip-reconcile":"maybe"}}}`, false},
		"nothing said":                       {`{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			app := decode(t, []byte(c.object))
			if got := Observe(app, "", nil).App.Stale; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if _, err := Trim(app); err != nil || Observe(app, "", nil).App.Stale != c.want {
				t.Errorf("trimmed: got %v (%v), want %v", !c.want, err, c.want)
			}
		})
	}
}

func TestResources(t *testing.T) {
	app := withStatus(t, `"resources":[
		{"group":"apps","kind":"Deployment","namespace":"prod","name":"web"},
		{"group":"autoscaling","kind":"HorizontalPodAutoscaler","name":"web","health":{"status":"Degraded"}},
		{"group":"autoscaling","kind":"HorizontalPodAutoscaler","name":"fine","health":{"status":"Healthy"}},
		{"kind":"ConfigMap","name":"settings"},
		{"group":"batch","kind":"Job","name":"hook","hook":true,"health":{"status":"Degraded"}}]`)
	want := []deploy.Resource{
		{Kind: "Deployment", Namespace: "prod", Name: "web"},
		{Kind: "HorizontalPodAutoscaler", Name: "web", Health: deploy.Degraded},
	}
	if !slices.Equal(app.Resources, want) {
		t.Errorf("got %+v, want %+v", app.Resources, want)
	}
}

func TestManagedRolloutsAreArgos(t *testing.T) {
	app := decode(t, []byte(`{"status":{"resources":[
		{"group":"argoproj.io","kind":"Rollout","namespace":"prod","name":"web"},
		{"group":"example.com","kind":"Rollout","namespace":"prod","name":"other"},
		{"group":"argoproj.io","kind":"Rollout","namespace":"prod","name":"hook","hook":true},
		{"group":"argoproj.io","kind":"AnalysisTemplate","namespace":"prod","name":"gate"}]}}`))
	want := []types.NamespacedName{{Namespace: "prod", Name: "web"}}
	if got := ManagedRollouts(app); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRevisionsAreOneForEachSource(t *testing.T) {
	for name, c := range map[string]struct {
		fields string
		want   []string
	}{
		"one source":      {`"revision":"r1"`, []string{"r1"}},
		"several sources": {`"revision":"","revisions":["r1","1.4.2"]`, []string{"r1", "1.4.2"}},
		"not told":        {`"revision":""`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			app := withStatus(t, fmt.Sprintf(`"history":[{%s}],"operationState":{"syncResult":{%[1]s}}`, c.fields))
			if !slices.Equal(app.History[0].Revisions, c.want) || !slices.Equal(app.Operation.Revisions, c.want) {
				t.Errorf("got history %q, operation %q, want %q", app.History[0].Revisions, app.Operation.Revisions, c.want)
			}
		})
	}
}

func TestDestinations(t *testing.T) {
	for want, d := range map[string]Destination{
		"https://kubernetes.default.svc/prod": {Server: "https://kubernetes.default.svc", Namespace: "prod"},
		"in-cluster/prod":                     {Name: "in-cluster", Namespace: "prod"},
		"/":                                   {},
	} {
		if got := d.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRolloutsAreHandedOn(t *testing.T) {
	given := []deploy.Rollout{{Name: "web"}}
	if got := Observe(&Application{}, "here", given); !reflect.DeepEqual(got.Rollouts, given) || got.Cluster != "here" {
		t.Errorf("got %+v", got)
	}
}

// What is seen is kept as evidence, so a credential that Argo CD quotes is taken out before anything else, also where a message is cut.
func TestMessagesAreRedacted(t *testing.T) {
	secret := sinktest.Secret("argocd")
	for name, message := range map[string]string{
		"an address":          "failed to fetch https://bob:" + secret + "@git.example.com/acme/shop.git: repository not found",
		"a header and a word": "answered 403 to Authorization: Bearer " + secret + ", token=" + secret,
		"at the cut":          strings.Repeat("a ", messageBytes/2-8) + "https://bob:" + secret + "@git.example.com/acme/shop.git",
	} {
		app := decode(t, fmt.Appendf(nil, `{"status":{"operationState":{"phase":"Failed","message":%q}}}`, message))
		seen := Observe(app, "", nil).App.Operation.Message
		if sinktest.Leaks(seen) || len(seen) < 20 {
			t.Errorf("%s: %q", name, seen)
		}
		trimmed, err := Trim(app)
		if err != nil {
			t.Fatal(err)
		}
		if kept := trimmed.(*Application); sinktest.Leaks(kept.Status.OperationState.Message) || Observe(kept, "", nil).App.Operation.Message != seen {
			t.Errorf("%s, trimmed: %q", name, kept.Status.OperationState.Message)
		}
	}
}
