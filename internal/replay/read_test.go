package replay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/replay"
)

const testdata = "../../test/replay/testdata"

func object(kind, uid, version string) string {
	return fmt.Sprintf(`{"apiVersion":"argoproj.io/v1alpha1","kind":%q,"metadata":{"uid":%q,"name":"a","resourceVersion":%q}}`, kind, uid, version)
}

// told is an event in a few words.
func told(e *replay.Event) string {
	what := "other"
	switch {
	case e.Application != nil:
		what = "Application " + string(e.Application.UID)
	case e.Rollout != nil:
		what = "Rollout " + string(e.Rollout.UID)
	case e.ReplicaSet != nil:
		what = "ReplicaSet " + string(e.ReplicaSet.UID)
	}
	return string(e.Type) + " " + what
}

func TestReadTakesEveryFormThatHolds(t *testing.T) {
	app, ro, rs := object("Application", "1", "10"), object("Rollout", "2", "11"), object("ReplicaSet", "3", "12")
	for name, test := range map[string]struct {
		input string
		want  []string
	}{
		"a recording":           {`{"seen":"2026-11-20T20:57:26Z","type":"ADDED","object":` + app + "}\n", []string{"ADDED Application 1"}},
		"what kubectl prints":   {`{"type":"ADDED","object":` + app + `}` + "\n" + `{"type":"DELETED","object":` + rs + "}\n", []string{"ADDED Application 1", "DELETED ReplicaSet 3"}},
		"several watches":       {`{"type":"ADDED","object":` + rs + `}{"type":"ADDED","object":` + app + `}{"type":"ADDED","object":` + ro + `}`, []string{"ADDED Application 1", "ADDED Rollout 2", "ADDED ReplicaSet 3"}},
		"indented":              {"{\n  \"type\": \"ADDED\",\n  \"object\": " + app + "\n}\n\n\n", []string{"ADDED Application 1"}},
		"bare objects":          {app + "\n" + object("Application", "1", "20"), []string{"ADDED Application 1", "MODIFIED Application 1"}},
		"a list":                {`{"kind":"List","apiVersion":"v1","items":[` + app + "," + ro + "]}", []string{"ADDED Application 1", "ADDED Rollout 2"}},
		"a list, again":         {`{"kind":"ApplicationList","items":[` + app + "]}\n" + `{"kind":"ApplicationList","items":[` + object("Application", "1", "20") + "]}", []string{"ADDED Application 1", "MODIFIED Application 1"}},
		"an empty list":         {`{"kind":"List","items":[]}`, nil},
		"bookmarks":             {`{"type":"BOOKMARK","object":{"kind":"Application"}}`, nil},
		"kinds nobody follows":  {`{"type":"ADDED","object":` + object("Pod", "9", "1") + "}", []string{"ADDED other"}},
		"nothing":               {"", nil},
		"blanks":                {"\n \r\n\t\n", nil},
		"no newline at the end": {`{"type":"ADDED","object":` + app + "}", []string{"ADDED Application 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			if err := replay.Read("file", strings.NewReader(test.input), func(e replay.Event) { got = append(got, told(&e)) }); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadNamesWhatItCannotRead(t *testing.T) {
	good := `{"type":"ADDED","object":` + object("Application", "1", "1") + "}"
	for name, test := range map[string]struct{ bad, want string }{
		"half a line":              {`{"type":"ADDED","object":{"kind":`, "not JSON"},
		"prose":                    {"error: you may only specify a single resource type", "not JSON"},
		"a number":                 {"42", "not a watch event"},
		"another object":           {`{"action":"START"}`, "neither a watch event"},
		"an unknown type":          {`{"type":"MOVED","object":{}}`, `type is "MOVED"`},
		"no object":                {`{"type":"ADDED"}`, "object is missing"},
		"an object of no kind":     {`{"type":"ADDED","object":{"metadata":{"uid":"1"}}}`, "has no kind"},
		"an object without uid":    {`{"type":"ADDED","object":{"kind":"Application"}}`, "the Application has no metadata.uid"},
		"an error of the server":   {`{"type":"ERROR","object":{"kind":"Status","message":"too old resource version"}}`, "too old resource version"},
		"a list with such items":   {`{"kind":"List","items":[{"kind":"Application"}]}`, "the Application has no metadata.uid"},
		"a ReplicaSet of nonsense": {`{"type":"ADDED","object":{"kind":"ReplicaSet","metadata":{"uid":"1"},"spec":"none"}}`, "the ReplicaSet cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			read := 0
			err := replay.Read("some.jsonl", strings.NewReader(good+"\n\n"+test.bad+"\n"+good+"\n"), func(replay.Event) { read++ })
			if err == nil || !strings.Contains(err.Error(), "some.jsonl:3: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want line 3 named with %q, got %v", test.want, err)
			}
			if read != 2 {
				t.Errorf("want the lines around it to be read, got %d events", read)
			}
		})
	}
}

func TestReadStopsAtAReaderThatFails(t *testing.T) {
	failure := errors.New("connection lost")
	if err := replay.Read("-", iotest.ErrReader(failure), func(replay.Event) { t.Error("there is no event") }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestTimeNeverRunsBackwards(t *testing.T) {
	var input strings.Builder
	for _, seen := range []string{"2026-11-20T20:57:26Z", "2026-11-20T20:57:20Z", "2026-11-20T22:57:27+02:00"} {
		fmt.Fprintf(&input, `{"seen":%q,"type":"ADDED","object":%s}`, seen, object("Application", "1", "1"))
	}
	var got []string
	if err := replay.Read("file", strings.NewReader(input.String()), func(e replay.Event) { got = append(got, e.Seen.Format(time.RFC3339)) }); err != nil {
		t.Fatal(err)
	}
	want := []string{"2026-11-20T20:57:26Z", "2026-11-20T20:57:26Z", "2026-11-20T20:57:27Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Without an arrival time, the newest time that the API server or Argo stamped on an object is when it was seen.
func TestKubectlsEventsAreSeenWhenTheyWereStamped(t *testing.T) {
	input := `{"type":"MODIFIED","object":{"kind":"Application","metadata":{"uid":"1","resourceVersion":"5","creationTimestamp":"2026-01-01T00:00:00Z",
		"annotations":{"expires":"2030-01-01T00:00:00Z"},"managedFields":[{"manager":"argocd","time":"2026-11-20T20:57:30Z"}]},
		"spec":{"until":"2031-01-01T00:00:00Z"},"status":{"reconciledAt":"2026-11-20T20:57:29Z"}}}`
	if err := replay.Read("file", strings.NewReader(input), func(e replay.Event) {
		if got := e.Seen.Format(time.RFC3339); got != "2026-11-20T20:57:30Z" {
			t.Errorf("got %s", got)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// recordings returns the names of all recorded stories.
func recordings(t *testing.T) []string {
	t.Helper()
	expected, err := filepath.Glob(filepath.Join(testdata, "*.expected.jsonl"))
	if err != nil || len(expected) == 0 {
		t.Fatalf("there are no recordings (%v)", err)
	}
	for i := range expected {
		expected[i] = strings.TrimSuffix(expected[i], ".expected.jsonl") + ".jsonl"
	}
	return expected
}

// asKubectl turns a recording into what three kubectl processes would have printed, one after the other.
func asKubectl(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	streams := map[string]*bytes.Buffer{"Rollout": {}, "ReplicaSet": {}, "Application": {}}
	for line := range bytes.Lines(data) {
		var e struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := errors.Join(json.Unmarshal(line, &e), json.Unmarshal(e.Object, &kind)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(streams[kind.Kind], "{\"type\":%q,\"object\":%s}\n", e.Type, e.Object)
	}
	return inSequence(streams)
}

func inSequence(streams map[string]*bytes.Buffer) []byte {
	var all []byte
	for _, kind := range []string{"ReplicaSet", "Rollout", "Application"} {
		all = append(all, streams[kind].Bytes()...)
	}
	return all
}
