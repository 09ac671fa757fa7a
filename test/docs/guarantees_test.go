package docs

import (
	"regexp"
	"strings"
	"testing"
)

// promise is a row of a table: what is promised, and the tests that hold it.
var (
	promise = regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]*) \|$`)
	named   = regexp.MustCompile("`([^`]+)`")
)

func TestEachGuaranteeIsHeldByTests(t *testing.T) {
	tests, promises := NewTests(root), 0
	for _, row := range promise.FindAllStringSubmatch(pageOf(t, "docs/guarantees.md").Text, -1) {
		if row[1] == "promise" {
			continue
		}
		promises++
		names := named.FindAllStringSubmatch(row[2], -1)
		if len(names) == 0 || strings.TrimSpace(named.ReplaceAllString(row[2], "")) != "" {
			t.Errorf("no test, or more than tests, holds: %s", row[1])
		}
		for _, name := range names {
			if found, err := tests.Has(name[1]); err != nil || !found {
				t.Errorf("there is no %s (%v), which is to hold: %s", name[1], err, row[1])
			}
		}
	}
	if promises < 30 {
		t.Errorf("found only %d promises", promises)
	}
}

func TestATestThatIsNotThereIsNotFound(t *testing.T) {
	tests := NewTests(root)
	for name, want := range map[string]bool{
		"test/docs.TestATestThatIsNotThereIsNotFound":                         true,
		"test/docs.TestServer/the server admits the objects":                  true,
		"test/crd.It/are admitted":                                            true,
		"test/crd.It/lets no reference of … leave its namespace for a Secret": true,
		"internal/egress.TestNothing":                                         false,
		"test/crd.It/is not there":                                            false,
		"internal/nowhere.TestX":                                              false,
		"test/e2e.TestStories":                                                false, // it does not run with all others
		"internal/egress":                                                     false,
	} {
		if found, err := tests.Has(name); err != nil || found != want {
			t.Errorf("%s: found is %v (%v)", name, found, err)
		}
	}
}
