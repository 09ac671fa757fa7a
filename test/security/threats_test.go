package security_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/dora-controller/dora-controller/test/docs"
)

var update = flag.Bool("update", false, "write the table of threats into SECURITY.md")

// root is that of the repository.
const root = "../.."

// threat is one entry of threats.yaml.
type threat struct {
	ID    string   `json:"id"`
	Actor string   `json:"actor"`
	Tries string   `json:"tries"`
	Holds string   `json:"holds"`
	Tests []string `json:"tests"`
}

func threats(t *testing.T) []threat {
	t.Helper()
	text, err := os.ReadFile("threats.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []threat
	if err := yaml.UnmarshalStrict(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// flaws are what is wrong with a list, apart from its tests.
func flaws(list []threat) []string {
	var found []string
	seen := map[string]bool{}
	for i, entry := range list {
		if seen[entry.ID] {
			found = append(found, fmt.Sprintf("%s: there is another of that id", entry.ID))
		}
		seen[entry.ID] = true
		for field, text := range map[string]string{"id": entry.ID, "actor": entry.Actor, "tries": entry.Tries, "holds": entry.Holds} {
			if strings.TrimSpace(text) == "" || strings.ContainsAny(text, "|\n") {
				found = append(found, fmt.Sprintf("entry %d, %s: %s is empty, or no cell of a table", i+1, entry.ID, field))
			}
		}
		if len(entry.Tests) == 0 {
			found = append(found, entry.ID+": nothing shows it")
		}
	}
	return found
}

func TestEachThreatIsWhole(t *testing.T) {
	list := threats(t)
	for _, flaw := range flaws(list) {
		t.Error(flaw)
	}
	if len(list) < 25 {
		t.Errorf("there are %d threats, want 25 or more", len(list))
	}
	broken := []threat{{ID: "a", Actor: "x", Tries: "x", Holds: "x", Tests: []string{"x"}}, {ID: "a", Actor: "x", Tries: "", Holds: "x|y"}}
	if got := flaws(broken); len(got) != 4 {
		t.Errorf("of an id that is there twice, an empty cell, one with a bar and no test, only this is found: %q", got)
	}
}

// TestEachTestOfAThreatExists looks for tests in the code, not among those that ran: a test that is named runs with all others, so it passes if they do.
func TestEachTestOfAThreatExists(t *testing.T) {
	tests := docs.NewTests(root)
	for _, entry := range threats(t) {
		for _, name := range entry.Tests {
			if found, err := tests.Has(name); err != nil || !found {
				t.Errorf("%s: there is no %s (%v)", entry.ID, name, err)
			}
		}
	}
}

// The table stands between these lines.
const (
	tableBegins = "<!-- threats: written by `go test ./test/security -run TestTheSecurityPage -update` -->\n"
	tableEnds   = "<!-- end of threats -->\n"
)

func TestTheSecurityPageHasTheThreats(t *testing.T) {
	const page = root + "/SECURITY.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("SECURITY.md has no place for the table: it begins with %q and ends with %q", tableBegins, tableEnds)
	}
	want := before + tableBegins + table(threats(t)) + tableEnds + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatal("SECURITY.md differs from threats.yaml; write it with go test ./test/security -run TestTheSecurityPage -update")
	}
	if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func table(list []threat) string {
	var b strings.Builder
	b.WriteString("\n| threat | who | tries | what holds them | shown by |\n|---|---|---|---|---|\n")
	for _, entry := range list {
		tests := make([]string, len(entry.Tests))
		for i, name := range entry.Tests {
			tests[i] = "`" + name + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", entry.ID, entry.Actor, entry.Tries, entry.Holds, strings.Join(tests, "<br>"))
	}
	b.WriteString("\n")
	return b.String()
}
