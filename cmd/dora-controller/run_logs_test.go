package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// logged are the lines that are written with these flags, when every area says something at every level.
func logged(t *testing.T, flags ...string) []map[string]any {
	t.Helper()
	logs, set := newLogFlags(), pflag.NewFlagSet("run", pflag.ContinueOnError)
	logs.addTo(set)
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	root := logs.logger(&out)
	for _, area := range append([]string{""}, areas...) {
		logger := root
		if area != "" {
			logger = root.WithName(area).WithName("below").WithValues("sink", "a/b")
		}
		logger.V(2).Info("more")
		logger.V(1).Info("debug")
		logger.Info("info")
		logger.Error(errors.New("it broke"), "error")
	}
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, fields)
	}
	return lines
}

// least counts, for each area, what it said: "info error" if two levels came through.
func least(lines []map[string]any) map[string]string {
	told := map[string]string{}
	for _, line := range lines {
		area, _, _ := strings.Cut(strings.TrimPrefix(line["logger"].(string), "dora-controller."), ".")
		told[area] = strings.TrimSpace(told[area] + " " + line["msg"].(string))
	}
	return told
}

func TestEachAreaHasTheLevelThatWasAskedFor(t *testing.T) {
	all := func(told string, but map[string]string) map[string]string {
		want := map[string]string{"dora-controller": told}
		for _, area := range areas {
			want[area] = told
		}
		maps.Copy(want, but)
		return want
	}
	for name, c := range map[string]struct {
		flags []string
		want  map[string]string
	}{
		"info, if nothing is said":        {nil, all("info error", nil)},
		"less of all":                     {[]string{"--log-level=error"}, all("error", nil)},
		"more of one":                     {[]string{"--log-level=ledger=debug"}, all("info error", map[string]string{"ledger": "debug info error"})},
		"less of one":                     {[]string{"--log-level=debug,commits=error"}, all("debug info error", map[string]string{"commits": "error"})},
		"in any order":                    {[]string{"--log-level=commits=error, dispatch=2,error"}, all("error", map[string]string{"dispatch": "more debug info error"})},
		"the last flag holds":             {[]string{"--log-level=ledger=debug", "--log-level=error"}, all("error", nil)},
		"a person who develops wants all": {[]string{"--zap-devel", "--zap-encoder=json", "--log-level=ledger=error"}, all("debug info error", map[string]string{"ledger": "error"})},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, least(logged(t, c.flags...))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestALineHasTheKeysThatArePromised(t *testing.T) {
	seen := map[string]bool{}
	for _, line := range logged(t) {
		for key := range line {
			seen[key] = true
		}
	}
	want := []string{"error", "level", "logger", "msg", "sink", "stacktrace", "ts"}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("the keys are %v, want %v", got, want)
	}
}

// TestTheHelpTellsTheDefaults: a flag that is given what the help calls its default changes nothing.
func TestTheHelpTellsTheDefaults(t *testing.T) {
	theirs := flag.NewFlagSet("theirs", flag.ContinueOnError)
	new(zap.Options).BindFlags(theirs)
	theirs.VisitAll(func(f *flag.Flag) {
		if f.Name != "zap-log-level" && zapUsage[f.Name] == "" {
			t.Errorf("--%s is not explained, and so not there", f.Name)
		}
	})
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	newLogFlags().addTo(set)
	form := regexp.MustCompile(`\d+`) // of a time
	plain := form.ReplaceAllString(raw(t), "0")
	for name := range zapUsage {
		said := regexp.MustCompile(`\(default ([a-z0-9]+)\)$`).FindStringSubmatch(set.Lookup(name).Usage)
		if said == nil {
			said = []string{"", "false"}
		}
		if got := form.ReplaceAllString(raw(t, "--"+name+"="+said[1]), "0"); got != plain {
			t.Errorf("--%s=%s is not the default:\n%s\nit is:\n%s", name, said[1], got, plain)
		}
	}
}

// raw is how an error and what is no error are written.
func raw(t *testing.T, flags ...string) string {
	t.Helper()
	logs, set := newLogFlags(), pflag.NewFlagSet("run", pflag.ContinueOnError)
	logs.addTo(set)
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	logger := logs.logger(&out)
	logger.V(1).Info("debug")
	logger.Info("info")
	logger.Error(errors.New("it broke"), "error")
	return out.String()
}

func TestLevelsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                        `"" is no level: use debug, info, error, or a number from 1, which is debug, to 9`,
		"info,":                   `"" is no level`,
		"warn":                    `"warn" is no level`,
		"panic":                   `"panic" is no level`,
		"0":                       `"0" is no level`,
		"200":                     `"200" is no level`,
		"info,error":              "two levels are for everything: say one",
		"ledger=info,ledger=info": "area ledger has two levels: say one",
		"Ledger=info":             `there is no area "Ledger": use application, `,
		"=info":                   `there is no area ""`,
		"ledger":                  `"ledger" is no level`,
	} {
		if err := new(logLevels).Set(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTheAreasAreDocumented(t *testing.T) {
	page := readPage(t, "docs/logs.md")
	_, table, _ := strings.Cut(page, "\n| area |")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "`"); len(cells) > 2 {
			documented = append(documented, cells[1])
		}
	}
	slices.Sort(documented)
	if !slices.Equal(documented, areas) {
		t.Errorf("docs/logs.md has the areas %v, want %v", documented, areas)
	}
}

func TestWhatLibrariesSayIsALine(t *testing.T) {
	logs := newLogFlags()
	var out bytes.Buffer
	if _, err := (said{logs.logger(&out).WithName("libraries")}).Write([]byte("http: TLS handshake error\n")); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if line["msg"] != "http: TLS handshake error" || line["logger"] != "dora-controller.libraries" {
		t.Errorf("it says %v", line)
	}
}
