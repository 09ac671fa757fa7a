package argocd

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// fleet is how many Applications are held at once, each of about largeApp bytes of JSON.
	fleet    = 10_000
	largeApp = 20_000
	// keptMost is what a trimmed one may keep.
	keptMost = 4_000
)

// BenchmarkTrim10000 tells how much memory a fleet takes: as unstructured objects, as decoded by our types, and after Trim.
func BenchmarkTrim10000(b *testing.B) {
	b.Run("unstructured", func(b *testing.B) { holdFleet(b, asUnstructured) })
	b.Run("decoded", func(b *testing.B) { holdFleet(b, asDecoded) })
	b.Run("trimmed", func(b *testing.B) { holdFleet(b, asTrimmed) })
}

func TestAFleetFitsIntoMemory(t *testing.T) {
	const few = 1000
	asTrimmed(t, large(0)) // the decoder's own tables are not the fleet's
	if size := len(large(0)); size < largeApp*9/10 || size > largeApp*11/10 {
		t.Errorf("the example has %d bytes, want about %d", size, largeApp)
	}
	if kept := held(t, few, asTrimmed) / few; kept > keptMost {
		t.Errorf("a trimmed Application keeps %d bytes, want at most %d", kept, keptMost)
	}
}

func holdFleet(b *testing.B, read func(testing.TB, []byte) any) {
	b.Helper()
	for b.Loop() {
		b.ReportMetric(float64(held(b, fleet, read))/fleet, "B/app")
	}
}

// held is how much the heap grows by holding count Applications.
func held(tb testing.TB, count int, read func(testing.TB, []byte) any) int {
	tb.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	objects := make([]any, count)
	for i := range objects {
		objects[i] = read(tb, large(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(objects)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

func asUnstructured(tb testing.TB, raw []byte) any {
	tb.Helper()
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(raw); err != nil {
		tb.Fatal(err)
	}
	return &object
}

func asDecoded(tb testing.TB, raw []byte) any {
	tb.Helper()
	return decode(tb, raw)
}

func asTrimmed(tb testing.TB, raw []byte) any {
	tb.Helper()
	app, err := Trim(decode(tb, raw))
	if err != nil {
		tb.Fatal(err)
	}
	return app
}

type fields = map[string]any

// large is an Application like those of a Helm chart with thirty resources: ten history entries with values in each, what kubectl and the
// API server note in its metadata, and a row for each resource in status.resources and in the operation's result.
func large(i int) []byte {
	name := fmt.Sprintf("service-%05d", i)
	source := fields{
		"repoURL": "https://git.example.com/acme/deploy.git", "path": "charts/" + name, "targetRevision": "main",
		"helm": fields{"values": strings.Repeat("replicas: 3\nresources: {}\n", 14)},
	}
	raw, err := json.Marshal(fields{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
		"metadata": largeMeta(name, source),
		"spec": fields{
			"project": "default", "source": source,
			"destination": fields{"server": "https://kubernetes.default.svc", "namespace": name},
		},
		"status": largeStatus(name, source),
	})
	if err != nil {
		panic(err)
	}
	return raw
}

func largeMeta(name string, source fields) fields {
	applied, err := json.Marshal(source)
	if err != nil {
		panic(err)
	}
	return fields{
		"name": name, "namespace": "argocd", "uid": "c7141116-69d3-45ac-940d-" + name, "resourceVersion": "1234567",
		"creationTimestamp": "2026-11-20T20:57:26Z", "generation": 4711,
		"labels":      fields{"team": "payments", "env": "prod", "service": name},
		"annotations": fields{"kubectl.kubernetes.io/last-applied-configuration": string(applied)},
		"finalizers":  []string{"resources-finalizer.argocd.argoproj.io"},
		"managedFields": []fields{{
			"manager": "argocd-application-controller", "operation": "Update", "apiVersion": "argoproj.io/v1alpha1",
			"fieldsV1": fields{"f:status": fields{"f:health": fields{}, "f:history": fields{}, "f:sync": fields{}, "f:summary": fields{}}},
		}},
	}
}

func largeStatus(name string, source fields) fields {
	const at = "2026-11-20T20:57:26Z"
	revision := fmt.Sprintf("%040x", "of "+name)
	var history, resources, rows []fields
	for id := range 10 {
		history = append(history, fields{
			"id": id, "revision": fmt.Sprintf("%x%s", id, revision[1:]), "source": source,
			"deployStartedAt": at, "deployedAt": at, "initiatedBy": fields{"automated": true},
		})
	}
	for r := range 30 {
		row := fields{"kind": "ConfigMap", "version": "v1", "namespace": name, "name": fmt.Sprintf("%s-%d", name, r)}
		if r%10 == 0 {
			row["group"], row["kind"] = "apps", "Deployment"
		}
		resources = append(resources, with(row, fields{"status": "Synced", "health": fields{"status": "Healthy"}}))
		rows = append(rows, with(row, fields{
			"status": "Synced", "syncPhase": "Sync", "hookPhase": "Running", "message": fmt.Sprintf("configmap/%s-%d configured", name, r),
		}))
	}
	return fields{
		"health": fields{"status": "Healthy", "lastTransitionTime": at}, "reconciledAt": at, "history": history, "resources": resources,
		"sync":    fields{"status": "Synced", "revision": revision, "comparedTo": fields{"source": source}},
		"summary": fields{"images": []string{"registry.example.com/acme/" + name + ":" + revision, "registry.example.com/mesh/envoy:v1.31"}},
		"operationState": fields{
			"phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": at, "finishedAt": at,
			"operation":  fields{"sync": fields{"revision": revision, "prune": true}, "initiatedBy": fields{"automated": true}},
			"syncResult": fields{"revision": revision, "source": source, "resources": rows},
		},
	}
}

func with(row, more fields) fields {
	all := maps.Clone(row)
	maps.Copy(all, more)
	return all
}
