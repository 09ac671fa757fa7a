package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// allPages are those of this tree.
func allPages(t *testing.T) []Page {
	t.Helper()
	pages, err := Pages(root)
	if err != nil || len(pages) < 20 {
		t.Fatalf("there are %d pages (%v)", len(pages), err)
	}
	return pages
}

func pageOf(t *testing.T, name string) Page {
	t.Helper()
	for _, p := range allPages(t) {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no %s", name)
	return Page{}
}

func TestCommandsAreSplitAsByAShell(t *testing.T) {
	for line, want := range map[string][][]string{
		"make test   # all of it":                     {{"make", "test"}},
		`a --set 'b={c}' "d e" f\ g`:                  {{"a", "--set", "b={c}", "d e", "f g"}},
		"A=1 B=2 make x > out.txt 2>&1":               {{"make", "x"}},
		"a b | c -d && e; f &":                        {{"a", "b"}, {"c", "-d"}, {"e"}, {"f"}},
		"(cd x && y z)":                               {{"cd", "x"}, {"y", "z"}},
		`k -o jsonpath='{range .a[*]}{"\t"}{end}' b`:  {{"k", "-o", `jsonpath={range .a[*]}{"\t"}{end}`, "b"}},
		`k annotate x retry="$(date +%s)" --over # x`: {{"k", "annotate", "x", "retry=$(date +%s)", "--over"}},
		"# nothing": nil,
		"x <in":     {{"x"}},
	} {
		if diff := cmp.Diff(want, simple(line)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestBlocksAreFound(t *testing.T) {
	page := Page{"x.md", "A\n<!-- not run: why -->\n```sh\nb c\\\n d\n```\n1. e\n\n   ```console\n   $ f\n   g\n   ```\n```yaml\n# h.yaml\na: 1\n```\n"}
	want := []Command{{"x.md", []string{"b", "c", "d"}, "why"}, {"x.md", []string{"f"}, ""}}
	if diff := cmp.Diff(want, page.Commands()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"h.yaml": "# h.yaml\na: 1\n"}, page.Files()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
