package rollouts

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/dora-controller/dora-controller/internal/deploy"
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
	f.Add([]byte(`{"metadata":{"creationTimestamp":"9999-12-31T23:59:59-12:00"},"status":{"abortedAt":"0000-01-01T00:00:00+12:00"}}`), []byte(`{}`))
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
		err = json.Unmarshal(rawSet, &set)
		if _, undated := set.CreationTimestamp.UTC().MarshalJSON(); err != nil || undated != nil {
			return // the API server validates ReplicaSets, and dates them itself
		}
		want := Observe(ro.DeepCopy(), []appsv1.ReplicaSet{*set.DeepCopy()})
		now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		seen := deploy.Observation{CreatedAt: ro.CreationTimestamp.UTC(), Rollouts: []deploy.Rollout{want}}
		decided := deploy.Decide(deploy.State{}, deploy.Service{}, &seen, &deploy.Policy{Service: "cart", FollowedSince: now.AddDate(-1, 0, 0)}, now)
		for _, kept := range []any{decided.State, decided.Service, decided.Events} {
			if _, err := json.Marshal(kept); err != nil {
				t.Fatalf("what is decided cannot be kept: %v", err)
			}
		}
		wantOwner, _ := Owner(&ro)
		for _, obj := range []any{&ro, &set} {
			if _, err := Trim(obj); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, Observe(&ro, []appsv1.ReplicaSet{set}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		trimmed, trimmedSet := ro.DeepCopy(), set.DeepCopy()
		for _, obj := range []any{&ro, &set} {
			if _, err := Trim(obj); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(&ro, trimmed) || !reflect.DeepEqual(&set, trimmedSet) {
			t.Fatal("trimmed again they differ")
		}
		if owner, _ := Owner(&ro); owner != wantOwner {
			t.Fatalf("got owner %s, want %s", owner, wantOwner)
		}
	})
}
