package deploy_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of stories into docs/scenarios.md")

const (
	scenarios  = "../../docs/scenarios.md"
	tableStart = "<!-- table: written by `go test ./internal/deploy -run Scenarios -update` -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// docs/scenarios.md lists the stories of each situation. It is written from the stories, and every situation has one.
func TestScenariosListsEveryStory(t *testing.T) {
	data, err := os.ReadFile(scenarios)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), tableStart)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", scenarios)
	}
	want := before + tableStart + scenarioTable(t, stories(t)) + tableEnd + after
	if *update {
		if err := os.WriteFile(scenarios, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(data) {
		t.Errorf("%s does not list the stories as they are; run `go test ./internal/deploy -run Scenarios -update`", scenarios)
	}
}

// situations are numbered from 1 to 107; 71a came late.
func situations() []string {
	var all []string
	for n := 1; n <= 107; n++ {
		all = append(all, strconv.Itoa(n))
		if n == 71 {
			all = append(all, "71a")
		}
	}
	return all
}

func scenarioTable(t *testing.T, all []*story) string {
	t.Helper()
	byRow := map[string][]*story{}
	var others []*story
	for _, s := range all {
		for _, row := range s.rows {
			if !slices.Contains(situations(), row) {
				t.Errorf("%s: there is no situation %q", s.name, row)
			}
			byRow[row] = append(byRow[row], s)
		}
		if len(s.rows) == 0 {
			others = append(others, s)
		}
	}
	var text strings.Builder
	text.WriteString("\n| # | story | told in |\n|---|---|---|\n")
	for _, row := range situations() {
		if len(byRow[row]) == 0 {
			t.Errorf("situation %s has no story", row)
		}
		for _, s := range byRow[row] {
			fmt.Fprintf(&text, "| %s | %s | %s |\n", row, s.name, link(s))
		}
	}
	for _, s := range others {
		fmt.Fprintf(&text, "| | %s | %s |\n", s.name, link(s))
	}
	text.WriteString("\n")
	return text.String()
}

func link(s *story) string {
	return fmt.Sprintf("[%s](../internal/deploy/testdata/stories/%s)", strings.TrimSuffix(s.file, ".txt"), s.file)
}
