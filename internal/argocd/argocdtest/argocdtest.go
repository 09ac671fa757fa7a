// Package argocdtest makes Applications for tests and measurements that need many, or large ones. They are as the API server stores them, and
// it takes them as they are.
package argocdtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

type fields = map[string]any

// Large is an Application like those of a Helm chart with thirty resources: ten history entries with values in each, what kubectl and the
// API server note in its metadata, and a row for each resource in status.resources and in the operation's result.
func Large(i int) []byte {
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
			"destination": destination(name),
		},
		"status": largeStatus(name, source),
	})
	if err != nil {
		panic(err)
	}
	return raw
}

func destination(name string) fields {
	return fields{"server": "https://kubernetes.default.svc", "namespace": name}
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
		row := fields{"group": "", "kind": "ConfigMap", "version": "v1", "namespace": name, "name": fmt.Sprintf("%s-%d", name, r)}
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
		"sync":    fields{"status": "Synced", "revision": revision, "comparedTo": fields{"source": source, "destination": destination(name)}},
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
