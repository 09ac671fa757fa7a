package bootstrap

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// Whatever blueprints a portal has, what is added is what is missing, once, nothing that is there is taken away, and what is printed of it is fit for
// a terminal.
func FuzzCompare(f *testing.F) {
	names := DefaultNames()
	options := DefaultOptions()
	wanted, err := choices(names, &options).blueprints()
	if err != nil {
		f.Fatal(err)
	}
	for _, want := range wanted {
		whole, err := json.Marshal(want)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(whole)
	}
	f.Add([]byte(`{"schema":{"properties":{"deploymentStatus":{"type":"string","enum":["ok","\u001b[31m",7,null]},"x":1},"required":["x"]},"relations":{"service":{"target":"a\nb","many":true}}}`))
	f.Add([]byte(`{"calculationProperties":{"deploymentStatus":{}},"mirrorProperties":{"environment":null},"relations":{"owner":{"required":true}},"schema":{"required":"all"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var have blueprint
		if json.Unmarshal(raw, &have) != nil {
			return
		}
		for _, want := range wanted {
			first := compare(&have, want, &options)
			if second := compare(&have, want, &options); !reflect.DeepEqual(first, second) {
				t.Fatalf("%+v, and then %+v", first, second)
			}
			after := patched(&have, first.patch(&have, want))
			if left := compare(after, want, &options); !left.complete() {
				t.Errorf("of %s the properties %v and relations %v are still missing", want.Identifier, left.properties, left.relations)
			}
			for name, kept := range have.Schema.Properties {
				if string(after.Schema.Properties[name]) != string(kept) {
					t.Errorf("the property %q of %s became %s", name, want.Identifier, after.Schema.Properties[name])
				}
			}
			printed(t, Step{Kind: Blueprint, Name: want.Identifier, Action: Patch, Additions: first.additions(want), Notes: first.notes, Conflicts: first.conflicts})
		}
	})
}

// patched is a blueprint as Port keeps it after it was sent that.
func patched(have *blueprint, p patch) *blueprint {
	after := *have
	if p.Schema != nil {
		after.Schema = *p.Schema
	}
	if p.Relations != nil {
		after.Relations = p.Relations
	}
	return &after
}

func printed(t *testing.T, step Step) {
	t.Helper()
	text := new(strings.Builder)
	if err := Print(text, []Step{step}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if want := 2 + len(step.Additions) + len(step.Notes) + len(step.Conflicts); len(lines) != want {
		t.Errorf("%d lines, want %d:\n%s", len(lines), want, text)
	}
	for _, line := range lines {
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("a terminal would obey %q", line)
		}
	}
}
