package argocd

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Whatever an Application holds, it is read, and trimming it changes nothing that is observed.
func FuzzObserveApplication(f *testing.F) {
	seen := map[string]int{}
	recorded(f, func(file string, raw []byte) {
		seen[file]++
		if seen[file]%20 == 0 {
			f.Add(raw)
		}
	})
	f.Add([]byte(`{"status":{"history":[null],"resources":[1],"operationState":{"syncResult":{"resources":["x",null]}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return // what is no JSON never reaches UnmarshalJSON
		}
		var app Application
		err := app.UnmarshalJSON(raw)
		if isObject := bytes.TrimSpace(raw)[0] == '{'; isObject != (err == nil) {
			t.Fatalf("object %v, error %v", isObject, err)
		}
		want := Observe(app.DeepCopy(), "here", nil)
		if _, err := Trim(&app); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, Observe(&app, "here", nil), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		ManagedRollouts(&app)
	})
}
