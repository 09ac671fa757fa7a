package argocd

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dora-controller/dora-controller/internal/deploy"
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
	f.Add([]byte(`{"status":{"reconciledAt":"9999-12-31T23:59:59-12:00","health":{"lastTransitionTime":"0000-01-01T00:00:00+12:00"}}}`))
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
		now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		decided := deploy.Decide(deploy.State{}, deploy.Service{}, &want, &deploy.Policy{Service: "cart", FollowedSince: now.AddDate(-1, 0, 0)}, now)
		for _, kept := range []any{decided.State, decided.Service, decided.Events} {
			if _, err := json.Marshal(kept); err != nil {
				t.Fatalf("what is decided cannot be kept: %v", err)
			}
		}
		if _, err := Trim(&app); err != nil {
			t.Fatal(err)
		}
		trimmed := app.DeepCopy()
		if diff := cmp.Diff(want, Observe(&app, "here", nil), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if _, err := Trim(&app); err != nil || !reflect.DeepEqual(&app, trimmed) {
			t.Fatalf("trimmed again it differs, %v", err)
		}
		for _, name := range ManagedRollouts(&app) {
			if !slices.ContainsFunc(trimmed.Status.Resources, func(r Resource) bool { return r.Name == name.Name && r.Namespace == name.Namespace }) {
				t.Errorf("the Rollout %s is managed, and not listed", name)
			}
		}
	})
}
