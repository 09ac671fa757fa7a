package recording_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/recording"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// texts are all strings of a JSON value, the keys of labels and annotations among them, but no names of fields.
func texts(value any, each func(string)) {
	switch v := value.(type) {
	case string:
		each(v)
	case []any:
		for _, one := range v {
			texts(one, each)
		}
	case map[string]any:
		for _, one := range v {
			texts(one, each)
		}
	}
}

func objects(t *testing.T, data []byte) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(string(data)) {
		var line struct {
			Object map[string]any `json:"object"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line.Object)
	}
	return all
}

// chance is what hex digits can show by chance: the groups of a uid, and numbers.
var chance = regexp.MustCompile(`^([0-9a-f]{4,6}|\d+)$`)

// parts are what stands between the signs of an address, an image or a sentence, and the words of a name.
var (
	parts = regexp.MustCompile(`[^\s/:@"=,()\[\]{}]+`)
	word  = regexp.MustCompile(`[A-Za-z0-9]+`)
)

// private are the names in a recording, whole and in parts: names, addresses, hosts, images, users, SHAs, uids, the words of tags and messages.
func private(t *testing.T, data []byte) []string {
	t.Helper()
	found := map[string]bool{}
	for _, object := range objects(t, data) {
		texts(object, func(text string) {
			if _, err := time.Parse(time.RFC3339, text); err == nil {
				return
			}
			found[text] = true
			for _, part := range slices.Concat(parts.FindAllString(text, -1), word.FindAllString(text, -1)) {
				found[part] = true
			}
		})
	}
	var all []string
	for text := range found {
		if len(text) >= 4 && !chance.MatchString(text) && !public(text) {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}

// public is what the form of the objects brings with it: the names of kinds, groups, fields and states, which are the same for everybody, and
// of the labels and annotations that are read. A resource may be called like one of them.
func public(text string) bool { return strings.Contains(form, text) }

const form = `
	"seen" "type" "object" "ADDED" "MODIFIED" "DELETED"
	"apiVersion" "kind" "metadata" "annotations" "labels" "name" "namespace" "uid" "resourceVersion" "generation" "creationTimestamp" "deletionTimestamp"
	"ownerReferences" "controller" "Application" "Rollout" "ReplicaSet" "Deployment" "Service" "Job" "ConfigMap" "HorizontalPodAutoscaler" "Namespace"
	"apps/v1" "argoproj.io/v1alpha1" "autoscaling" "batch" "AnalysisTemplate"
	"argocd.argoproj.io/tracking-id" "rollout.argoproj.io/revision" "rollout.argoproj.io/revision-history" "rollouts-pod-template-hash"
	"service" "team" "env" "prod"
	"spec" "project" "recorded" "destination" "server" "template" "replicas" "selector" "matchLabels" "containers" "image" "resources" "strategy" "canary" "blueGreen"
	"activeService" "active" "operation" "initiatedBy" "automated" "sync" "dryRun" "autoHealAttemptsCount"
	"status" "health" "lastTransitionTime" "lastUpdateTime" "reconciledAt" "history" "id" "revision" "revisions" "deployStartedAt" "deployedAt"
	"operationState" "phase" "message" "startedAt" "finishedAt" "syncResult" "group" "version" "hookType" "syncPhase" "images" "summary" "hook"
	"currentPodHash" "stableRS" "abort" "abortedAt" "controllerPause" "pauseConditions" "reason" "startTime" "conditions" "observedGeneration" "activeSelector"
	"readyReplicas" "availableReplicas" "fullyLabeledReplicas" "terminatingReplicas"
	"Healthy" "Progressing" "Degraded" "Suspended" "Missing" "Unknown" "Synced" "OutOfSync" "SyncFailed" "Pruned" "Running" "Succeeded" "Failed" "PreSync" "PostSync"
	"Paused" "Available" "Completed" "True" "False" true false "unchanged" "sha256:"
	"AvailableReason" "ReplicaSetUpdated" "NewReplicaSetCreated" "RolloutCompleted" "RolloutHealthy" "RolloutAborted" "RolloutRetry" "RolloutPaused"
	"ReplicaSetNotAvailable" "RolloutResumed" "NewReplicaSetAvailable" "ProgressDeadlineExceeded"
	"successfully synced (all tasks run)" "one or more synchronization tasks completed unsuccessfully" "one or more objects failed to apply" "https://" ".invalid"
`

func TestNoNameOfARecordingIsInTheRedactedOne(t *testing.T) {
	for name, data := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			names := private(t, data)
			for _, want := range []string{name, "argocd", "admin", "registry.example.com", "main", "1a1a1a1"} {
				// What is looked for is what there is to find, but for the words of the form.
				if strings.Contains(string(data), want) && !public(want) && !slices.Contains(names, want) {
					t.Errorf("%q is not looked for", want)
				}
			}
			redacted := string(copied(t, data, recording.Options{Key: keys[len(name)%len(keys)]}))
			for _, text := range names {
				if at := strings.Index(redacted, text); at >= 0 {
					t.Errorf("%q is still there: …%s…", text, redacted[max(0, at-80):min(len(redacted), at+80)])
				}
			}
		})
	}
}

// spoiled puts a secret into every part of an object where one can be, beside what is there.
func spoiled(value any, secret string) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = spoiled(v[i], secret)
		}
	case map[string]any:
		for key := range v {
			if key == "matchLabels" || key == "labels" {
				v[key].(map[string]any)[secret] = secret
			} else {
				v[key] = spoiled(v[key], secret)
			}
		}
		v["other"] = secret
		v[secret] = "x"
		v["env"] = []any{map[string]any{"name": secret, "value": secret}}
		v["helm"] = map[string]any{"values": secret, "parameters": []any{map[string]any{"name": "password", "value": secret}}}
	}
	return value
}

// secretive is an object as others write theirs: with secrets wherever Argo and Kubernetes let them.
func secretive(object map[string]any, secret string) {
	metadata, _ := object["metadata"].(map[string]any)
	spoiled(object, secret)
	metadata["annotations"] = map[string]any{
		"kubectl.kubernetes.io/last-applied-configuration": secret, "argocd.argoproj.io/refresh": secret, secret: secret,
		"notifications.argoproj.io/subscribe.on-sync-failed.slack": secret, "argocd.argoproj.io/skip-reconcile": secret,
		"rollout.argoproj.io/revision": secret, "rollout.argoproj.io/workload-generation": secret, "rollout.argoproj.io/revision-history": secret,
		"argocd.argoproj.io/tracking-id": secret + ":apps/Deployment:x/y",
	}
	metadata["managedFields"] = []any{map[string]any{"manager": secret}}
	metadata["generateName"], metadata["resourceVersion"] = secret, secret
	status, _ := object["status"].(map[string]any)
	if status == nil {
		return
	}
	status["message"] = secret
	status["conditions"] = []any{
		map[string]any{"type": "Progressing", "status": "True", "reason": "RolloutAborted", "message": `failed: Get "https://u:` + secret + `"`, "lastTransitionTime": "2026-11-20T21:00:00Z"},
		map[string]any{"type": "ComparisonError", "message": secret},
	}
	if state, ok := status["operationState"].(map[string]any); ok {
		state["message"] = "one or more objects failed to apply, reason: " + secret
		if result, ok := state["syncResult"].(map[string]any); ok {
			result["resources"] = []any{
				map[string]any{"group": "apps", "kind": "Deployment", "name": "web", "namespace": "web", "version": "v1", "status": "SyncFailed", "message": secret},
				map[string]any{"group": "", "kind": "Secret", "name": secret, "namespace": "web", "version": "v1", "status": "Pruned", "message": secret + " unchanged"},
			}
		}
	}
	status["resources"] = []any{
		map[string]any{"kind": "Secret", "name": secret, "namespace": "web", "health": map[string]any{"status": "Healthy", "message": secret}},
	}
}

// Without --redact too: what nobody reads is not there, wherever a secret stands in it.
func TestNoSecretGetsIntoARecording(t *testing.T) {
	for name, data := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var lines strings.Builder
			for i, object := range objects(t, data) {
				secretive(object, sinktest.Secret(strconv.Itoa(i)))
				line, err := json.Marshal(map[string]any{"seen": "2026-11-20T21:00:00Z", "type": "MODIFIED", "object": object, "other": sinktest.Secret("line")})
				g.Expect(err).NotTo(HaveOccurred())
				_, _ = lines.Write(append(line, '\n'))
			}
			for words, options := range map[string]recording.Options{"as it is": {}, "redacted": {Key: keys[0]}} {
				got := string(copied(t, []byte(lines.String()), options))
				g.Expect(strings.Count(got, "\n")).To(Equal(strings.Count(string(data), "\n")), words)
				g.Expect(sinktest.Leaks(got)).To(BeFalse(), words)
			}
		})
	}
}

// What a manifest cannot keep out, because it is read, is what --messages asks for.
func TestMessagesAreKeptOnlyWhenAsked(t *testing.T) {
	g := NewWithT(t)
	data := recorded(t)["d08-sync-failed"]
	const message = `field is immutable`
	g.Expect(string(data)).To(ContainSubstring(message))
	g.Expect(string(copied(t, data, recording.Options{}))).NotTo(ContainSubstring(message))
	kept := string(copied(t, data, recording.Options{Messages: true}))
	g.Expect(strings.Count(kept, message)).To(Equal(strings.Count(string(data), message)), "of operations and of rows")
	g.Expect(recording.Options{Messages: true, Key: keys[0]}.Validate()).To(MatchError(ContainSubstring("free text")))
}
