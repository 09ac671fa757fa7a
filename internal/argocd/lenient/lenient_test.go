package lenient

import (
	"encoding/json"
	"testing"
	"time"
)

type object struct {
	Metadata Meta           `json:"metadata"`
	Name     string         `json:"name"`
	Number   int64          `json:"number"`
	Flag     bool           `json:"flag"`
	At       Time           `json:"at"`
	Child    *object        `json:"child"`
	Rows     []object       `json:"rows"`
	Words    []string       `json:"words"`
	Map      map[string]int `json:"map"`
}

func TestOneOddFieldLeavesTheOthersAlone(t *testing.T) {
	for name, odd := range map[string]string{
		"text for a number":       `"number":"12"`,
		"a fraction":              `"number":1.5`,
		"a number out of range":   `"number":1e400`,
		"a number for text":       `"words":[1,"b"]`,
		"a number for a flag":     `"flag":1`,
		"text for an object":      `"child":"x"`,
		"a list for an object":    `"metadata":[1]`,
		"an object for a list":    `"rows":{"a":1}`,
		"text among objects":      `"rows":["x",{"name":"kept"}]`,
		"a number for a time":     `"at":12`,
		"an empty time":           `"at":""`,
		"an object for a time":    `"at":{"seconds":1}`,
		"a date for a time":       `"at":"2024-01-01"`,
		"nulls":                   `"number":null,"flag":null,"at":null,"rows":null,"words":null,"metadata":null`,
		"odd values in a map":     `"map":{"a":"x","b":2}`,
		"an odd time in metadata": `"metadata":{"creationTimestamp":"yesterday","generation":"2"}`,
		"keys in capitals":        `"NAME":"other","Number":3`,
		"unknown fields":          `"spec":{"a":[1,2,{"b":null}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var got object
			if err := Decode([]byte(`{`+odd+`,"name":"web"}`), &got); err != nil {
				t.Fatal(err)
			}
			if got.Name != "web" || got.Number != 0 || got.Flag || !got.At.IsZero() {
				t.Errorf("got %+v, want the name alone", got)
			}
		})
	}
}

func TestOnlyWhatIsNoObjectIsAnError(t *testing.T) {
	for _, text := range []string{``, ` `, `null`, `"text"`, `12`, `[]`, `{`, `{"name":}`} {
		if err := Decode([]byte(text), &object{}); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
	if err := Decode([]byte("\n {}"), &object{}); err != nil {
		t.Errorf("an empty object: %v", err)
	}
}

func TestTimesAreUTCAndSurviveJSON(t *testing.T) {
	want := time.Date(2026, 11, 20, 20, 57, 26, 0, time.UTC)
	for _, text := range []string{`"2026-11-20T20:57:26Z"`, `"2026-11-20T21:57:26+01:00"`, `"2026-11-20T20:57:26.789Z"`} {
		var got Time
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if got.UTC() != want {
			t.Errorf("%s: got %s, want %s", text, got.UTC(), want)
		}
	}
	for text, at := range map[string]Time{`"2026-11-20T20:57:26Z"`: At(want), `null`: At(time.Time{})} {
		if got, err := json.Marshal(at); err != nil || string(got) != text {
			t.Errorf("got %s (%v), want %s", got, err, text)
		}
	}
}

func TestMetaBecomesObjectMeta(t *testing.T) {
	var got object
	if err := Decode([]byte(`{"metadata":{"name":"web","namespace":"argocd","uid":"u","resourceVersion":"7","generation":3,
		"creationTimestamp":"2026-11-20T20:57:26Z","deletionTimestamp":"2026-11-21T20:57:26Z",
		"labels":{"team":"payments"},"annotations":{"a":"b"},"finalizers":["f"]}}`), &got); err != nil {
		t.Fatal(err)
	}
	meta := got.Metadata.ObjectMeta()
	if meta.Name != "web" || meta.Namespace != "argocd" || meta.UID != "u" || meta.ResourceVersion != "7" || meta.Generation != 3 {
		t.Errorf("got identity %+v", meta)
	}
	if meta.Labels["team"] != "payments" || meta.Annotations["a"] != "b" || len(meta.Finalizers) != 1 {
		t.Errorf("got attachments %+v", meta)
	}
	if meta.CreationTimestamp.Day() != 20 || meta.DeletionTimestamp == nil || meta.DeletionTimestamp.Day() != 21 {
		t.Errorf("got times %s, %s", meta.CreationTimestamp, meta.DeletionTimestamp)
	}
}

func TestAnObjectThatIsNotDeletedHasNoDeletionTimestamp(t *testing.T) {
	if meta := (Meta{}).ObjectMeta(); meta.DeletionTimestamp != nil {
		t.Errorf("got %s", meta.DeletionTimestamp)
	}
}
