package recording_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/recording"
	"github.com/dora-controller/dora-controller/internal/replay"
	"github.com/dora-controller/dora-controller/internal/rollouts"
)

// keys are some; what holds must not depend on one.
var keys = [][]byte{[]byte("the first key of tests"), []byte("and another, as long as it")}

// recorded are the recordings of this project, by name.
func recorded(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../test/replay/testdata/*.expected.jsonl")
	if err != nil || len(files) < 36 {
		t.Fatalf("want at least 36 recordings, found %d (%v)", len(files), err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(strings.Replace(file, ".expected", "", 1))
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".expected.jsonl")] = data
	}
	return all
}

func copied(t *testing.T, data []byte, options recording.Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := recording.Copy("recording", data, recording.NewWriter(&out, options)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// outcome is all that came of a recording.
type outcome struct {
	events    []dora.Event
	decisions []string
}

// replayed judges by a DoraTarget that names nothing itself.
func replayed(events []replay.Event, policy deploy.Policy) outcome {
	world := replay.NewWorld("test", func(labels map[string]string, name string) deploy.Policy {
		var target dorav1alpha1.DoraTargetSpec
		p := policy
		p.Service, p.Team, p.Environment = target.ServiceOf(name, labels), target.TeamOf(labels), target.EnvironmentOf(labels)
		return p
	})
	var got outcome
	take := func(steps []replay.Step) {
		for _, step := range steps {
			got.events = append(got.events, step.Events...)
			for _, d := range step.Decisions {
				got.decisions = append(got.decisions, fmt.Sprintf("%s %s %s %s", step.At.Format(time.RFC3339Nano), step.Subject.Name, d.Reason, d.Attempt))
			}
		}
	}
	last := time.Time{}
	for _, e := range events {
		last = e.Seen
		take(world.Apply(e))
	}
	take(world.Finish(last.Add(48 * time.Hour)))
	return got
}

func read(t *testing.T, data []byte) []replay.Event {
	t.Helper()
	var events []replay.Event
	if err := replay.Read("recording", bytes.NewReader(data), func(e replay.Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	return events
}

// policies are those under which both must come out alike.
var policies = map[string]deploy.Policy{
	"by default":             {DegradedFor: deploy.DefaultDegradedFor, FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout},
	"without any waiting":    {FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout},
	"with changes of config": {CountConfig: true, FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: time.Hour},
}

// renamer says what has to become of an event: each name its pseudonym, each id one of its own, and nothing else.
type renamer struct {
	*recording.Pseudonyms

	ids map[string]string
	// firstByName: where only configuration changed, no image did, and of several the first by name lends its tag. The first of the
	// pseudonyms can be another one, which is the one thing that redaction changes.
	firstByName bool
}

func (r renamer) event(t *testing.T, e, got *dora.Event) dora.Event {
	t.Helper()
	want := *e
	want.Service, want.Team, want.Environment = r.Name(e.Service), r.Name(e.Team), r.Environment(e.Environment)
	want.Subject.Namespace, want.Subject.Name, want.Subject.UID = r.Name(e.Subject.Namespace), r.Name(e.Subject.Name), r.UID(e.Subject.UID)
	want.Attempt = r.attempt(e.Attempt)
	want.Version, want.Running = r.version(e.Version, got.Version), r.version(e.Running, got.Running)
	want.Previous.Version = r.version(e.Previous.Version, got.Previous.Version)
	want.ID, want.CausedBy, want.FailureID = r.id(t, e.ID, got.ID), r.id(t, e.CausedBy, got.CausedBy), r.id(t, e.FailureID, got.FailureID)
	return want
}

// attempt is a time, or a Rollout's uid and revision.
func (r renamer) attempt(attempt string) string {
	uid, rest, found := strings.Cut(attempt, "/")
	if !found {
		return attempt
	}
	return r.UID(uid) + "/" + rest
}

func (r renamer) version(v, got *dora.Version) *dora.Version {
	if v == nil {
		return nil
	}
	out := *v
	out.Images = renamed(v.Images, r.Image)
	slices.Sort(out.Images) // in an event they stand in the order of their names
	out.ConfigRevisions = renamed(v.ConfigRevisions, r.Tag)
	out.Tag, out.Commit = r.Tag(v.Tag), r.Tag(v.Commit)
	if strings.Contains(v.Tag, ":") {
		out.Tag = r.Digest(v.Tag)
	}
	if r.firstByName && len(out.Images) > 1 && got != nil && slices.ContainsFunc(out.Images, func(ref string) bool { return dora.ImageTag(ref) == got.Tag }) {
		if out.Commit == dora.CommitFromTag(out.Tag) {
			out.Commit = dora.CommitFromTag(got.Tag)
		}
		out.Tag = got.Tag
	}
	return &out
}

func renamed(all []string, rename func(string) string) []string {
	var out []string
	for _, one := range all {
		out = append(out, rename(one))
	}
	return out
}

// id follows from uids, so it is another one, and always the same other one.
func (r renamer) id(t *testing.T, id, got string) string {
	t.Helper()
	before, known := r.ids[id]
	if !known {
		r.ids[id] = got
		return got
	}
	return before
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What the default drops is what no decision reads.
func TestWithoutWhatNobodyReadsTheReplayTellsTheSame(t *testing.T) {
	for name, data := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			all, reduced := read(t, data), read(t, copied(t, data, recording.Options{}))
			for words, policy := range policies {
				want, got := replayed(all, policy), replayed(reduced, policy)
				if diff := cmp.Diff(jsonOf(t, want.events), jsonOf(t, got.events)); diff != "" {
					t.Errorf("%s, events (-all +reduced)\n%s", words, diff)
				}
				if diff := cmp.Diff(want.decisions, got.decisions); diff != "" {
					t.Errorf("%s, decisions (-all +reduced)\n%s", words, diff)
				}
			}
		})
	}
}

func TestRedactedTheReplayTellsTheSameButForTheNames(t *testing.T) {
	for name, data := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			key := keys[len(name)%len(keys)]
			all, redacted := read(t, data), read(t, copied(t, data, recording.Options{Key: key}))
			for words, policy := range policies {
				same(t, words, key, policy.CountConfig, replayed(all, policy), replayed(redacted, policy))
			}
		})
	}
}

func same(t *testing.T, words string, key []byte, firstByName bool, want, got outcome) {
	t.Helper()
	r := renamer{recording.NewPseudonyms(key), map[string]string{"": ""}, firstByName}
	if len(want.events) != len(got.events) {
		t.Fatalf("%s: want %d events, got %d:\n%s", words, len(want.events), len(got.events), jsonOf(t, got.events))
	}
	for i := range want.events {
		e := r.event(t, &want.events[i], &got.events[i])
		if diff := cmp.Diff(jsonOf(t, e), jsonOf(t, got.events[i])); diff != "" {
			t.Errorf("%s, event %d (-want +got)\n%s", words, i+1, diff)
		}
	}
	others := map[string]bool{}
	for id, other := range r.ids {
		if id != "" && (id == other || others[other]) {
			t.Errorf("%s: %s has become %s, which is not its own", words, id, other)
		}
		others[other] = true
	}
	for i, d := range want.decisions {
		parts := strings.Fields(d)
		want.decisions[i] = strings.Join(append([]string{parts[0], r.Name(parts[1]), parts[2]}, renamed(parts[3:], r.attempt)...), " ")
	}
	if diff := cmp.Diff(tidied(want.decisions), tidied(got.decisions)); diff != "" {
		t.Errorf("%s, decisions (-want +got)\n%s", words, diff)
	}
}

func tidied(lines []string) []string { return renamed(lines, strings.TrimSpace) }

// A reader finds by name what belongs together, as in the original.
func TestRedactedNamesBelongTogether(t *testing.T) {
	found := 0
	for name, data := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for _, e := range read(t, copied(t, data, recording.Options{Key: keys[0]})) {
				if set := e.ReplicaSet; set != nil {
					g.Expect(set.Name).To(Equal(set.OwnerReferences[0].Name + "-" + set.Labels["rollouts-pod-template-hash"]))
					found++
				}
				if ro := e.Rollout; ro != nil {
					owner, tracked := rollouts.Owner(ro)
					g.Expect(tracked).To(Equal(name != "r12-standalone"))
					if tracked {
						g.Expect(owner.Name).To(Equal(recording.NewPseudonyms(keys[0]).Name(name)))
					}
				}
			}
		})
	}
	NewWithT(t).Expect(found).To(BeNumerically(">", 100))
}

// Redacting what was redacted, or reduced, or printed by kubectl, is redacting the same.
func TestItIsTheSameWhereverItComesFrom(t *testing.T) {
	for name, data := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(string(copied(t, copied(t, data, recording.Options{}), recording.Options{Key: keys[0]}))).
				To(Equal(string(copied(t, data, recording.Options{Key: keys[0]}))))
			g.Expect(string(copied(t, copied(t, data, recording.Options{}), recording.Options{}))).
				To(Equal(string(copied(t, data, recording.Options{}))))

			printed := seen.ReplaceAll(data, []byte("{"))
			redacted := read(t, copied(t, printed, recording.Options{Key: keys[0]}))
			policy := policies["by default"]
			same(t, "as kubectl prints it", keys[0], false, replayed(read(t, printed), policy), replayed(redacted, policy))
		})
	}
}

// seen is what kubectl does not print.
var seen = regexp.MustCompile(`(?m)^\{"seen":"[^"]*",`)
