package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// story is one situation: what was seen, and what must come of it. testdata/stories/README.md explains how to read and write one.
type story struct {
	name   string
	file   string
	rows   []string
	policy deploy.Policy
	lines  []line
	// anyOrder: deploy and recovered events of one line may come in any order.
	anyOrder bool
}

// line is one line of a story: what was seen at that time, and what must come of it before the next line.
type line struct {
	number int
	text   string
	steps  []step
	want   []expectation
}

// until is when the last step of the line happened.
func (l *line) until() time.Time { return l.steps[len(l.steps)-1].at }

// step is one thing that happened. A line that names a passage has several.
type step struct {
	at   time.Time
	text string
}

// passage is a sequence of steps with a name, which stories use as one line.
type passage struct {
	words []string
	steps []string
}

// expectation is one line after `=>`.
type expectation struct {
	text    string
	kind    string
	outcome string
	fields  map[string]string
}

// stories reads every story of testdata/stories.
func stories(tb testing.TB) []*story {
	tb.Helper()
	files, err := filepath.Glob("testdata/stories/*.txt")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no stories in testdata/stories (%v)", err)
	}
	passages := readPassages(tb, "testdata/stories/passages.txt")
	var all []*story
	for _, file := range files {
		if filepath.Base(file) != "passages.txt" {
			all = append(all, readStories(tb, file, passages)...)
		}
	}
	return all
}

func textLines(tb testing.TB, file string) []string {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	all := strings.Split(string(data), "\n")
	for i, text := range all {
		if all[i] = strings.TrimSpace(text); strings.HasPrefix(all[i], "#") {
			all[i] = ""
		}
	}
	return all
}

func readPassages(tb testing.TB, file string) []passage {
	tb.Helper()
	var all []passage
	for i, text := range textLines(tb, file) {
		if header, ok := strings.CutPrefix(text, "Passage:"); ok {
			all = append(all, passage{words: strings.Fields(header)})
		} else if text != "" && len(all) == 0 {
			tb.Fatalf("%s:%d: %q is in no passage", file, i+1, text)
		} else if text != "" {
			all[len(all)-1].steps = append(all[len(all)-1].steps, text)
		}
	}
	return all
}

func readStories(tb testing.TB, file string, passages []passage) []*story {
	tb.Helper()
	var all []*story
	for i, text := range textLines(tb, file) {
		if text == "" {
			continue
		}
		name, begins := strings.CutPrefix(text, "Story:")
		if begins {
			s := &story{name: strings.TrimSpace(name), file: filepath.Base(file)}
			s.policy = defaultPolicy()
			all = append(all, s)
			continue
		}
		if len(all) == 0 {
			tb.Fatalf("%s:%d: %q is in no story", file, i+1, text)
		}
		if err := all[len(all)-1].read(text, i+1, passages); err != nil {
			tb.Fatalf("%s:%d: %s\n  %v", file, i+1, text, err)
		}
	}
	return all
}

// defaultPolicy is that of a target that sets nothing.
func defaultPolicy() deploy.Policy {
	return deploy.Policy{
		Environment: "prod", DegradedFor: deploy.DefaultDegradedFor, FailureWindow: deploy.DefaultFailureWindow,
		VerdictTimeout: deploy.DefaultVerdictTimeout, FollowedSince: clock("09:00:00"),
	}
}

func (s *story) read(text string, number int, passages []passage) error {
	if rows, ok := strings.CutPrefix(text, "Row:"); ok {
		s.rows = strings.Fields(rows)
		return nil
	}
	if settings, ok := strings.CutPrefix(text, "Policy:"); ok {
		return s.readPolicy(strings.Fields(settings))
	}
	if want, ok := strings.CutPrefix(text, "=>"); ok {
		return s.readExpectation(strings.TrimSpace(want))
	}
	at, what, _ := strings.Cut(text, " ")
	when, err := parseClock(at)
	if err != nil {
		return err
	}
	if last := len(s.lines) - 1; last >= 0 && when.Before(s.lines[last].until()) {
		return fmt.Errorf("%s is before the line above it", at)
	}
	steps, err := expand(when, strings.TrimSpace(what), passages)
	s.lines = append(s.lines, line{number: number, text: text, steps: steps})
	return err
}

func (s *story) readPolicy(settings []string) error {
	p := &s.policy
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		var err error
		switch key {
		case "degradedFor":
			p.DegradedFor, err = time.ParseDuration(value)
		case "failureWindow":
			p.FailureWindow, err = time.ParseDuration(value)
		case "verdictTimeout":
			p.VerdictTimeout, err = time.ParseDuration(value)
		case "changes":
			p.CountConfig = value == "Image,Config"
		case "import":
			p.ImportHistory = value == "true"
		case "include":
			p.Include = strings.Split(value, ",")
		case "exclude":
			p.Exclude = strings.Split(value, ",")
		case "followedSince":
			p.FollowedSince, err = parseClock(value)
		default:
			err = fmt.Errorf("unknown setting %q", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fields that an expectation may name, and those that it must.
var (
	deployFields   = []string{"version", "previous", "at", "running", "started", "observed", "success", "exposed", "unplanned", "basis", "change", "commit", "revisions", "images", "of"}
	deployMust     = []string{"version", "previous", "at"}
	degradedFields = []string{"at", "caused_by", "running", "observed", "of"}
	recoverFields  = []string{"at", "running", "observed", "of"}
)

func (s *story) readExpectation(text string) error {
	if len(s.lines) == 0 {
		return errors.New("nothing was seen yet")
	}
	words := strings.Fields(text)
	e := expectation{text: text, kind: words[0], fields: map[string]string{}}
	may, must := []string(nil), []string(nil)
	rest := words[1:]
	switch {
	case e.kind == "nothing" && len(rest) == 0:
	case (e.kind == "decided" || e.kind == "deploy") && len(rest) > 0:
		e.outcome, rest = rest[0], rest[1:]
		if e.kind == "deploy" {
			may, must = deployFields, deployMust
		}
	case e.kind == "degraded":
		may, must = degradedFields, []string{"at", "caused_by"}
	case e.kind == "recovered":
		may, must = recoverFields, []string{"at"}
	default:
		return errors.New("unknown expectation")
	}
	for _, word := range rest {
		key, value, ok := strings.Cut(word, "=")
		if !ok || value == "" || !slices.Contains(may, key) {
			return fmt.Errorf("unknown word %q", word)
		}
		e.fields[key] = value
	}
	if e.outcome == "rolled_back" {
		must = append(slices.Clone(must), "success")
	}
	for _, key := range must {
		if e.fields[key] == "" {
			return fmt.Errorf("%s= is missing", key)
		}
	}
	last := &s.lines[len(s.lines)-1]
	last.want = append(last.want, e)
	return nil
}

// expand replaces a line that names a passage by its steps. What follows a bar happens with the last of them.
func expand(at time.Time, text string, passages []passage) ([]step, error) {
	named, more, _ := strings.Cut(text, "|")
	words := strings.Fields(named)
	for _, p := range passages {
		values, ok := p.match(words)
		if !ok {
			continue
		}
		var steps []step
		for _, s := range p.steps {
			one, err := fill(s, at, values)
			if err != nil {
				return nil, err
			}
			steps = append(steps, one)
		}
		if more != "" {
			steps[len(steps)-1].text += "|" + more
		}
		return steps, nil
	}
	return []step{{at: at, text: text}}, nil
}

// match compares a line with a passage's name, in which words of capital letters stand for anything.
func (p *passage) match(words []string) (map[string]string, bool) {
	if len(words) != len(p.words) {
		return nil, false
	}
	values := map[string]string{}
	for i, word := range p.words {
		switch {
		case parameter.MatchString(word):
			values[word] = words[i]
		case word != words[i]:
			return nil, false
		}
	}
	return values, true
}

var (
	parameter = regexp.MustCompile(`^[A-Z]+$`)
	inText    = regexp.MustCompile(`[A-Z]+\b`)
	relative  = regexp.MustCompile(`\+\d+\b`)
)

// fill writes the values and the times into one step of a passage, which begins with its time.
func fill(text string, at time.Time, values map[string]string) (step, error) {
	text = inText.ReplaceAllStringFunc(text, func(word string) string {
		if value, ok := values[word]; ok {
			return value
		}
		return word
	})
	if !relative.MatchString(strings.Fields(text)[0]) {
		return step{}, fmt.Errorf("a passage's step begins with +seconds, not %q", text)
	}
	text = relative.ReplaceAllStringFunc(text, func(word string) string {
		seconds, _ := strconv.Atoi(word[1:])
		return at.Add(time.Duration(seconds) * time.Second).Format(clockForm)
	})
	when, what, _ := strings.Cut(text, " ")
	moment, err := parseClock(when)
	return step{at: moment, text: strings.TrimSpace(what)}, err
}

// clockForm writes any moment; stories write `10:00:00` for day 1 and `2/10:00:00` for day 2. Day 0 is the day before.
const clockForm = "2006-01-02T15:04:05Z"

var dayOne = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)

func clock(text string) time.Time {
	at, err := parseClock(text)
	if err != nil {
		panic(err)
	}
	return at
}

func parseClock(text string) (time.Time, error) {
	if at, err := time.Parse(clockForm, text); err == nil {
		return at, nil
	}
	day := 1
	if before, after, ok := strings.Cut(text, "/"); ok {
		n, err := strconv.Atoi(before)
		if err != nil {
			return time.Time{}, fmt.Errorf("%q is no time", text)
		}
		day, text = n, after
	}
	at, err := time.Parse(time.TimeOnly, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time", text)
	}
	return time.Date(dayOne.Year(), dayOne.Month(), dayOne.Day()+day-1, at.Hour(), at.Minute(), at.Second(), 0, time.UTC), nil
}
