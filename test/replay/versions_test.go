package replay_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/dora-controller/dora-controller/internal/replay"
)

// The recordings are of Argo CD 2.14. These tests rewrite them into the shapes that other releases write, and expect the same events.

type object = map[string]any

func at(o any, path ...string) any {
	for _, key := range path {
		m, ok := o.(object)
		if !ok {
			return nil
		}
		o = m[key]
	}
	return o
}

// rewritten replays each recording with every Application changed by edit.
func rewritten(t *testing.T, edit func(name string, app object)) {
	t.Helper()
	for _, name := range recordings(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
				var line object
				if err := dec.Decode(&line); err != nil {
					t.Fatal(err)
				}
				if at(line, "object", "kind") == "Application" {
					edit(filepath.Base(name), line["object"].(object))
				}
				_ = json.NewEncoder(&out).Encode(line)
			}
			var events []replay.Event
			if err := replay.Read(name, &out, func(e replay.Event) { events = append(events, e) }); err != nil {
				t.Fatal(err)
			}
			compare(t, run(replay.NewWorld("test", policy), events), wanted(t, name))
		})
	}
}

func TestHealthOfResourcesNotPersisted(t *testing.T) { // the default since Argo CD 3.0
	rewritten(t, func(_ string, app object) {
		rows, _ := at(app, "status", "resources").([]any)
		for _, r := range rows {
			delete(r.(object), "health")
		}
	})
}

func TestNoTransitionTimes(t *testing.T) { // before Argo CD 2.14
	rewritten(t, func(_ string, app object) {
		if health, ok := at(app, "status", "health").(object); ok {
			delete(health, "lastTransitionTime")
		}
	})
}

func TestAppliedImagesInTheResult(t *testing.T) { // since Argo CD 3.1
	rewritten(t, func(name string, app object) {
		rows, _ := at(app, "status", "operationState", "syncResult", "resources").([]any)
		images := appliedImages(t, name, app)
		for _, r := range rows {
			if row := r.(object); len(images) > 0 && (row["kind"] == "Deployment" || row["kind"] == "Rollout") {
				row["images"] = images
			}
		}
	})
}

// applied lists, for recordings of a Deployment, the tags that each commit to the config repository asked for.
var applied = map[string][][]string{
	"d01-success":         {{"main-1a1a1a1"}, {"main-2b2b2b2"}, {"main-3c3c3c3"}},
	"d02-fix-forward":     {{"main-1a1a1a1"}, {"bad-2b2b2b2"}, {"main-3c3c3c3"}},
	"d03-argocd-rollback": {{"main-1a1a1a1"}, {"bad-2b2b2b2"}, {"main-3c3c3c3"}},
	"d04-git-revert":      {{"main-1a1a1a1"}, {"main-2b2b2b2"}, {"main-1a1a1a1"}},
	"d05-self-heal":       {{"main-1a1a1a1"}},
	"d06-config-only":     {{"main-1a1a1a1"}, {"main-1a1a1a1"}},
	"d08-sync-failed":     {{"main-1a1a1a1"}, {"main-2b2b2b2"}, {"main-3c3c3c3"}},
	"d09-superseded":      {{"main-1a1a1a1"}, {"bad-2b2b2b2"}, {"main-3c3c3c3"}},
	"d10-recreated":       {{"main-1a1a1a1"}, {"main-2b2b2b2"}},
	"d11-hpa-degraded":    {{"main-1a1a1a1"}, {"main-1a1a1a1"}, {"main-2b2b2b2"}},
	"d18-hook-failed":     {{"main-1a1a1a1"}, {"main-2b2b2b2"}, {"main-2b2b2b2"}},
	"d19-selective-sync":  {{"main-1a1a1a1"}, {"main-2b2b2b2"}},
	"d20-back-to-back":    {{"main-1a1a1a1"}, {"main-2b2b2b2"}, {"main-3c3c3c3"}},
	"d21-postsync-failed": {{"main-1a1a1a1"}, {"main-2b2b2b2"}, {"main-3c3c3c3"}},
}

// appliedImages is what the operation that the object shows applied: what the newest commit before it asked for, or, of a
// rollback operation, the first.
func appliedImages(t *testing.T, name string, app object) []any {
	t.Helper()
	tags, started := applied[name], at(app, "status", "operationState", "startedAt")
	if tags == nil || started == nil {
		return nil
	}
	data, err := os.ReadFile("testdata/" + name + ".actions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	asked, commits := -1, 0
	for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
		var action struct {
			Seen   string `json:"seen"`
			Action string `json:"action"`
		}
		if err := dec.Decode(&action); err != nil {
			t.Fatal(err)
		}
		if action.Seen > started.(string) {
			break
		}
		switch action.Action {
		case "config-commit":
			asked = commits
			commits++
		case "argocd-rollback-requested":
			asked = 0
		}
	}
	if asked < 0 {
		return nil
	}
	var images []any
	for _, tag := range tags[asked] {
		images = append(images, "registry.example.com/acme/"+name+":"+tag)
	}
	return images
}
