package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func sample(tb testing.TB) *evidence.Evidence {
	tb.Helper()
	tags, err := dora.ParseTagPattern(`^v(?P<sha>[0-9a-f]+)$`)
	if err != nil {
		tb.Fatal(err)
	}
	history := []deploy.HistoryEntry{}
	for i := range 10 { // as many as Argo CD keeps
		at := noon.Add(time.Duration(i) * time.Hour)
		revision := strings.Repeat(strconv.Itoa(i), 40)
		history = append(history, deploy.HistoryEntry{ID: int64(i), StartedAt: at, DeployedAt: at.Add(time.Minute), Revisions: []string{revision}})
	}
	policy := deploy.Policy{Service: "cart", Environment: "production", Tags: tags, Include: []string{"*"}, DegradedFor: time.Minute, FollowedSince: noon}
	return &evidence.Evidence{
		Now: noon, Policy: evidence.MakePolicy(&policy), State: json.RawMessage(`{"known":true}`), Service: json.RawMessage(`{}`),
		Observation: deploy.Observation{
			Cluster: "eu", Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart", UID: "8f14e45f-ceea-467f-a0e6-000000000001"},
			App: &deploy.App{
				Health: deploy.Degraded, HealthSince: noon, History: history, Images: []string{"registry.example.com/shop/cart:v1a2b3c4"},
				Operation: &deploy.Operation{StartedAt: noon, Phase: deploy.Running, Message: "waiting for \"cart\""},
			},
			Rollouts: []deploy.Rollout{{UID: "1", ReplicaSets: []deploy.ReplicaSet{{Hash: "a", Images: []string{"b"}}}}},
		},
	}
}

func TestEvidenceIsReadAsItWasKept(t *testing.T) {
	want := sample(t)
	packed, err := evidence.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := evidence.Decode(packed)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	rules, err := got.Policy.Rules()
	if err != nil || rules.Tags.String() != `^v(?P<sha>[0-9a-f]+)$` || rules.Tags.Commit("v1a2b3c4") != "1a2b3c4" || rules.DegradedFor != time.Minute {
		t.Errorf("the policy is %+v, %v", rules, err)
	}
	text, err := json.Marshal(want)
	if err != nil || len(packed) > len(text)/3 {
		t.Errorf("%d bytes are kept of %d, %v", len(packed), len(text), err)
	}
}

// A byte that is changed makes all that was kept before unreadable, so it takes another form.
func TestTheDictionaryIsPartOfTheForm(t *testing.T) {
	data, err := os.ReadFile("dictionary.json")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	const first = "c51244190e90c0dae6098c54f6444e5a4ac33540f16bbb44ebb23566ad9cd2ca"
	if got := hex.EncodeToString(sum[:]); got != first {
		t.Errorf("the dictionary of form 1 was changed: %s", got)
	}
}

func TestWhatIsNoEvidence(t *testing.T) {
	packed, err := evidence.Encode(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	huge := sample(t)
	huge.Observation.App.Operation.Message = strings.Repeat("a", 9<<20)
	bomb, err := evidence.Encode(huge)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                  {nil, "does not know"},
		"of a later release":       {append([]byte{2}, packed[1:]...), "does not know"},
		"cut off":                  {packed[:len(packed)/2], "cannot unpack"},
		"what unpacks to too much": {bomb, "larger than"},
	} {
		if _, err := evidence.Decode(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that says: %s", name, err, c.want)
		}
	}
}

// No field of what is kept is of a kind that could carry what is secret unseen: they are those that decisions read, and a new one is looked at
// here by whoever adds it.
func TestNoFieldIsForASecret(t *testing.T) {
	var visit func(of reflect.Type, path string)
	visit = func(of reflect.Type, path string) {
		switch of.Kind() { //nolint:exhaustive // those that hold others
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(of.Elem(), path)
		case reflect.Struct:
			for field := range of.Fields() {
				for _, word := range []string{"secret", "token", "password", "credential", "annotation", "label", "env", "header", "url"} {
					name := strings.ToLower(field.Name)
					if strings.Contains(name, word) && name != "environment" {
						t.Errorf("%s.%s", path, field.Name)
					}
				}
				if field.IsExported() && of != reflect.TypeFor[time.Time]() {
					visit(field.Type, path+"."+field.Name)
				}
			}
		default:
		}
	}
	visit(reflect.TypeFor[deploy.Observation](), "Observation")
}

// Whatever is on the disk, it is refused or is evidence that is kept as the same; and a policy in it is one, or an error.
func FuzzDecode(f *testing.F) {
	packed, err := evidence.Encode(sample(f))
	if err != nil {
		f.Fatal(err)
	}
	empty, err := evidence.Encode(&evidence.Evidence{})
	if err != nil {
		f.Fatal(err)
	}
	for _, data := range [][]byte{packed, empty, {}, {1}, {2}, packed[:20]} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := evidence.Decode(data)
		if err != nil {
			return
		}
		_, _ = read.Policy.Rules() // an error is one
		again, err := evidence.Encode(read)
		if err != nil {
			return // a time of year 10000 cannot be written
		}
		second, err := evidence.Decode(again)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		third, err := evidence.Encode(second)
		if err != nil || !bytes.Equal(again, third) {
			t.Errorf("it is kept as something else once it was read: %v", err)
		}
	})
}
