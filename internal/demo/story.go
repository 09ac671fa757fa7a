package demo

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json" // keeps whole numbers whole
)

// story is a recording that is told again, under the name of a service.
type story struct {
	recording string
	service   string
	title     string
}

// stories are what the demo tells, all at the same time.
var stories = []story{
	{"d01-success", "checkout", "three releases, one after another"},
	{"d03-argocd-rollback", "payments", "a release that breaks, argocd app rollback, and a fix"},
	{"r02-abort-retry", "search", "a canary that is aborted, then tried again"},
}

// longestLine bounds one watch event.
const longestLine = 4 << 20

// line is one recorded watch event, and when it is to be told.
type line struct {
	at     time.Time
	kind   string // ADDED, MODIFIED or DELETED
	object *unstructured.Unstructured
	// raw is the whole event again, with the times and names under which it is told.
	raw []byte
}

// tell reads the stories from a folder of recordings so that they begin at start, in the order in which to tell them. The commits of a
// source take the place of those in the recordings' image tags.
func tell(folder string, start time.Time, from *source) ([]line, error) {
	var all []line
	for _, s := range stories {
		lines, err := s.read(filepath.Join(folder, s.recording+".jsonl"), start, from.tags[s.service])
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	slices.SortStableFunc(all, func(a, b line) int { return a.at.Compare(b.at) })
	return all, nil
}

// read reads a recording and moves it: the service's name takes the place of the recording's everywhere, and every time
// is shifted by the same number of whole seconds, so that each length of time stays what it was.
func (s *story) read(path string, start time.Time, tags map[string]string) ([]line, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the caller's
	if err != nil {
		return nil, fmt.Errorf("cannot read a recording: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	var lines []line
	shift := time.Duration(0)
	renamed := s.names(tags)
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, longestLine)
	for scan.Scan() {
		var event map[string]any
		if err := json.Unmarshal([]byte(renamed.Replace(scan.Text())), &event); err != nil {
			return nil, fmt.Errorf("cannot read recording %s: %w", path, err)
		}
		if len(lines) == 0 {
			shift = start.Sub(seen(event)).Truncate(time.Second)
		}
		l, err := newLine(shifted(event, shift).(map[string]any)) //nolint:forcetypeassert // a map stays a map
		if err != nil {
			return nil, fmt.Errorf("cannot read recording %s: %w", path, err)
		}
		lines = append(lines, l)
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("cannot read recording %s: %w", path, err)
	}
	spread(lines)
	return lines, nil
}

// names replaces the recording's names.
func (s *story) names(tags map[string]string) *strings.Replacer {
	pairs := []string{s.recording, s.service}
	for recorded, sha := range tags {
		pairs = append(pairs, "-"+recorded, "-"+sha)
	}
	return strings.NewReplacer(pairs...)
}

func newLine(event map[string]any) (line, error) {
	object, _ := event["object"].(map[string]any)
	kind, _ := event["type"].(string)
	raw, err := json.Marshal(event)
	return line{at: seen(event), kind: kind, object: &unstructured.Unstructured{Object: object}, raw: raw}, err
}

func seen(event map[string]any) time.Time {
	text, _ := event["seen"].(string)
	at, _ := time.Parse(time.RFC3339, text)
	return at
}

// shifted copies a JSON value with every time in it moved.
func shifted(value any, by time.Duration) any {
	switch v := value.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.Add(by).Format(time.RFC3339Nano)
		}
	case []any:
		moved := make([]any, len(v))
		for i := range v {
			moved[i] = shifted(v[i], by)
		}
		return moved
	case map[string]any:
		moved := make(map[string]any, len(v))
		for key := range v {
			moved[key] = shifted(v[key], by)
		}
		return moved
	}
	return value
}

// spread tells the lines of one second evenly over that second: recorded times are whole seconds.
func spread(lines []line) {
	for from := 0; from < len(lines); {
		to := from + 1
		for to < len(lines) && lines[to].at.Equal(lines[from].at) {
			to++
		}
		for i := range lines[from:to] {
			lines[from+i].at = lines[from+i].at.Add(time.Duration(i) * time.Second / time.Duration(to-from))
		}
		from = to
	}
}
