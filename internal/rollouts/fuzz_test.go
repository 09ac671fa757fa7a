package rollouts

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
)

// Whatever a Rollout and a ReplicaSet hold, they are read, and trimming them changes nothing that is observed.
func FuzzObserveRollout(f *testing.F) {
	seen := map[string]int{}
	recorded(f, "r*", func(l look) {
		seen[l.file]++
		if seen[l.file]%40 != 0 {
			return
		}
		for _, set := range l.sets {
			raw, err := json.Marshal(set)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(l.raw, raw)
		}
	})
	f.Add([]byte(`{"status":{"conditions":[null,1],"canary":{"weights":[]}}}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, raw, rawSet []byte) {
		if !json.Valid(raw) {
			return // what is no JSON never reaches UnmarshalJSON
		}
		var ro Rollout
		err := ro.UnmarshalJSON(raw)
		if isObject := bytes.TrimSpace(raw)[0] == '{'; isObject != (err == nil) {
			t.Fatalf("object %v, error %v", isObject, err)
		}
		var set appsv1.ReplicaSet
		if json.Unmarshal(rawSet, &set) != nil {
			return // the API server validates ReplicaSets
		}
		want := Observe(ro.DeepCopy(), []appsv1.ReplicaSet{*set.DeepCopy()})
		wantOwner, _ := Owner(&ro)
		for _, obj := range []any{&ro, &set} {
			if _, err := Trim(obj); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, Observe(&ro, []appsv1.ReplicaSet{set}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		if owner, _ := Owner(&ro); owner != wantOwner {
			t.Fatalf("got owner %s, want %s", owner, wantOwner)
		}
	})
}
