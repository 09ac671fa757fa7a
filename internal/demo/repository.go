package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// release is a version of a service in the recordings, and the commits that it is built from here.
type release struct {
	// tag is the SHA in the recordings' image tags; the last commit's takes its place.
	tag string
	// commits are how long before the demo they were made.
	commits []time.Duration
}

// releases are those of every service. All services live in one repository, each in a folder of its own.
var releases = []release{
	{"1a1a1a1", []time.Duration{200 * time.Hour, 190 * time.Hour}},
	{"2b2b2b2", []time.Duration{51 * time.Hour, 50 * time.Hour, 3 * time.Hour}},
	{"3c3c3c3", []time.Duration{7 * time.Hour, 6 * time.Hour}},
}

// source is a real git repository with the history of the demo's services.
type source struct {
	// url is where the controller finds it.
	url string
	// tags maps, for each service, a SHA in the recordings to the one that takes its place.
	tags map[string]map[string]string
}

// makeSource makes the repository anew, in that folder.
func makeSource(ctx context.Context, folder string, now time.Time) (*source, error) {
	dir, err := filepath.Abs(filepath.Join(folder, "shop.git"))
	if err != nil {
		return nil, fmt.Errorf("cannot make the demo's git repository: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("cannot remove the git repository of an earlier demo: %w", err)
	}
	if _, err := runGit(ctx, "", nil, "init", "--quiet", "--bare", "--initial-branch=main", dir); err != nil {
		return nil, err
	}
	marks := filepath.Join(dir, "marks")
	if _, err := runGit(ctx, dir, historyOf(now), "fast-import", "--quiet", "--export-marks="+marks); err != nil {
		return nil, err
	}
	made, err := os.ReadFile(marks) //nolint:gosec // the path is ours
	if err != nil {
		return nil, fmt.Errorf("cannot read what git made: %w", err)
	}
	return &source{url: "file://" + dir, tags: tagsOf(string(made))}, nil
}

// historyOf is the history as git fast-import reads it: the services' commits, one after another.
func historyOf(now time.Time) []byte {
	var stream bytes.Buffer
	mark := 0
	for _, r := range releases {
		for _, s := range stories {
			for i, ago := range r.commits {
				mark++
				message := fmt.Sprintf("%s: change %d of %s", s.service, i+1, r.tag)
				fmt.Fprintf(&stream, "commit refs/heads/main\nmark :%d\ncommitter Ada <ada@example.com> %d +0000\n", mark, now.Add(-ago).Unix())
				fmt.Fprintf(&stream, "data %d\n%s\nM 100644 inline %s/main.go\ndata %d\n%s\n\n", len(message), message, s.service, len(message), message)
			}
		}
	}
	return stream.Bytes()
}

// tagsOf reads the SHAs by their marks, in the order in which historyOf gave them.
func tagsOf(marks string) map[string]map[string]string {
	shas := map[string]string{}
	for row := range strings.Lines(marks) {
		mark, sha, _ := strings.Cut(strings.TrimSpace(row), " ")
		shas[mark] = sha
	}
	tags := map[string]map[string]string{}
	mark := 0
	for _, r := range releases {
		for _, s := range stories {
			if tags[s.service] == nil {
				tags[s.service] = map[string]string{}
			}
			mark += len(r.commits)
			tags[s.service][r.tag] = short(shas[fmt.Sprintf(":%d", mark)])
		}
	}
	return tags
}

// short is the first seven digits of a SHA, or so many that a letter is among them: digits alone could be a build number.
func short(sha string) string {
	return sha[:min(max(strings.IndexAny(sha, "abcdef")+1, 7), len(sha))]
}

// proof is the command that shows what a service's second release brought.
func (s *source) proof() string {
	service := stories[0].service
	tags := s.tags[service]
	return fmt.Sprintf("$ git -C %s log --no-merges --reverse --format='%%h %%ci %%s' %s..%s -- %s\n",
		strings.TrimPrefix(s.url, "file://"), tags[releases[0].tag], tags[releases[1].tag], service)
}

func runGit(ctx context.Context, dir string, in []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // the arguments are ours
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot make the demo's git repository: git %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return string(out), nil
}
