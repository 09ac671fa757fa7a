package security_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// workflow is what these tests read of one.
type workflow struct {
	On          map[string]any    `json:"on"`
	Permissions map[string]string `json:"permissions"`
	Jobs        map[string]struct {
		Needs       any               `json:"needs"`
		Permissions map[string]string `json:"permissions"`
		Uses        string            `json:"uses"`
		Steps       []struct {
			Uses string         `json:"uses"`
			Run  string         `json:"run"`
			With map[string]any `json:"with"`
		} `json:"steps"`
	} `json:"jobs"`
}

// workflows are their texts, by name.
func workflows(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(root + "/.github/workflows/*.y*ml")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %q (%v)", files, err)
	}
	texts := map[string]string{}
	for _, file := range files {
		texts[filepath.Base(file)] = read(t, file)
	}
	return texts
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	uses   = regexp.MustCompile(`(?m)^\s*(?:- )?uses:\s*(.*)$`)
	pinned = regexp.MustCompile(`^([\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$`)
)

// badPins are the actions of a workflow that are not named by the whole hash of a commit, with its version beside it.
func badPins(text string, commits map[string]string) []string {
	var bad []string
	for _, m := range uses.FindAllStringSubmatch(text, -1) {
		pin := pinned.FindStringSubmatch(m[1])
		switch {
		case strings.HasPrefix(m[1], "./"): // a workflow of this commit
		case pin == nil:
			bad = append(bad, m[1])
		case commits[pin[1]] != "" && commits[pin[1]] != m[1]:
			bad = append(bad, m[1]+" and "+commits[pin[1]])
		default:
			commits[pin[1]] = m[1]
		}
	}
	return bad
}

func TestActionsArePinned(t *testing.T) {
	commits := map[string]string{}
	for name, text := range workflows(t) {
		for _, bad := range badPins(text, commits) {
			t.Errorf("%s: %s is not pinned by the hash of a commit, with its version beside it, or by two", name, bad)
		}
	}
	if len(commits) < 5 {
		t.Errorf("found only %q", commits)
	}
	moving := "      - uses: actions/checkout@v7\n      - uses: actions/checkout@3d3c42e\n        uses: a/b@" + strings.Repeat("0", 40) + " # main\n"
	if got := badPins(moving, commits); len(got) != 3 {
		t.Errorf("of three names that can move, these are found: %q", got)
	}
}

// mayWrite are the rights to write that jobs have; everything else is only read.
var mayWrite = map[string][]string{
	"release.yaml image":   {"packages"},
	"release.yaml chart":   {"packages"},
	"release.yaml sign":    {"attestations", "id-token", "packages"},
	"release.yaml publish": {"contents"},
}

func TestWorkflowsHaveFewRights(t *testing.T) {
	for name, text := range workflows(t) {
		var w workflow
		if err := yaml.Unmarshal([]byte(text), &w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s: permissions of all jobs are %v, want {}", name, w.Permissions)
		}
		if _, ok := w.On["pull_request_target"]; ok {
			t.Errorf("%s: pull_request_target runs what a stranger wrote with rights of ours", name)
		}
		for job, j := range w.Jobs {
			var writes []string
			for scope, right := range j.Permissions {
				if right != "read" {
					writes = append(writes, scope)
				}
			}
			slices.Sort(writes)
			if !slices.Equal(writes, mayWrite[name+" "+job]) {
				t.Errorf("%s, job %s may write %q, want %q", name, job, writes, mayWrite[name+" "+job])
			}
			for _, step := range j.Steps {
				if j.Permissions["id-token"] != "" && strings.HasPrefix(step.Uses, "actions/checkout@") {
					t.Errorf("%s, job %s: who may sign has the repository at hand, and might run it", name, job)
				}
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s, job %s: an expression in a script can be a command; hand it over in env", name, job)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s, job %s: checkout leaves its token behind", name, job)
				}
			}
		}
	}
}

func TestTheImageIsBuiltForAUserWithoutRights(t *testing.T) {
	dockerfile, version := read(t, root+"/Dockerfile"), strings.TrimSpace(read(t, root+"/.go-version"))
	for what, pattern := range map[string]string{
		"a static program":                       `(?m)^ENV CGO_ENABLED=0 `,
		"a base without a shell":                 `(?m)^ARG BASE_IMAGE=gcr\.io/distroless/static-debian\d+:nonroot$`,
		"the version of Go that releases have":   `(?m)^ARG GO_IMAGE=golang:` + regexp.QuoteMeta(version) + `-\w+$`,
		"a user by number, and nothing after it": `(?m)^USER [1-9]\d*:[1-9]\d*\nENTRYPOINT .*\nCMD .*\n$`,
		"the list of licences":                   `(?m)^COPY LICENSE THIRD_PARTY_LICENSES\.md /licenses/$`,
		"the texts of licences":                  `(?m)^COPY --from=build /third-party-licences\.txt /licenses/$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(dockerfile) {
			t.Errorf("the image has not %s: %s", what, pattern)
		}
	}
}

// allowed are the licences that whoever uses the binaries can live with. Of MPL-2.0 the source of the very files has to be at hand: it is, unchanged, where
// their modules come from.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "blessing"}

// TestTheListOfLicencesIsComplete holds the list against go.mod; `make verify` holds it against what is linked.
func TestTheListOfLicencesIsComplete(t *testing.T) {
	versions := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t([\w./~-]+) (v\S+)`).FindAllStringSubmatch(read(t, root+"/go.mod"), -1) {
		versions[m[1]] = m[2]
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+) \| (v\d\S*) \| (.*) \|$`).FindAllStringSubmatch(read(t, root+"/THIRD_PARTY_LICENSES.md"), -1) {
		listed[row[1]] = true
		if versions[row[1]] != row[2] {
			t.Errorf("%s %s is listed, and %q is required: run make generate", row[1], row[2], versions[row[1]])
		}
		for licence := range strings.SplitSeq(row[3], ", ") {
			if !slices.Contains(allowed, licence) {
				t.Errorf("%s is under %q, which is not allowed", row[1], licence)
			}
		}
	}
	// What the program cannot do without, so that an empty list is no list.
	for _, module := range []string{"k8s.io/client-go", "modernc.org/sqlite", "github.com/jackc/pgx/v5", "github.com/google/cel-go"} {
		if !listed[module] {
			t.Errorf("%s is linked, and not listed", module)
		}
	}
}
