package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A random day of a service, told in the words of the stories: whatever happens in whatever order Argo's patches come, the events
// are those of what happened, and no others.
func TestADayIsToldAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDay(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		for range 3 + d.pick(10) {
			d.happens()
		}
		d.line([]string{"wait"})
		w := newWorld(d.story.policy)
		w.restarting = d.pick(3) == 0
		told, problems := d.story.play(w)
		if len(problems) > 0 {
			t.Fatalf("%s\n%s", strings.Join(problems, "\n"), told)
		}
	})
}

// day writes a story, and knows the truth.
type day struct {
	pick   func(n int) int
	story  story
	now    time.Time
	modern bool // Argo CD 3.1 and later name applied images in rows

	versions int
	ranks    []string // settled versions, first settled first
	running  string   // what the last verdict left running
	settled  string
	rework   bool
	failing  string    // the cause of the failure that is open: a tag, or none
	blamed   string    // the newest deployment, while nothing else changed resources
	blamedAt time.Time // when it was Healthy
}

func newDay(pick func(n int) int) *day {
	d := &day{pick: pick, now: clock("10:00:00"), modern: pick(2) == 0, running: "v0", settled: "v0", ranks: []string{"v0"}, blamed: "none"}
	d.story.policy = defaultPolicy()
	d.line([]string{"application shop created 0/08:00:00 | sync Synced | health Healthy since 0/08:00:20 | reconciled | images v0 | resources Deployment/web" +
		" | op Succeeded start 0/08:00:00 finish 0/08:00:01 | rows Deployment/web | history entry id 4 start 0/08:00:00 deployed 0/08:00:01"})
	return d
}

// line adds what happens now, second by second, and what must come of it. Two things in one second may be one patch.
func (d *day) line(seconds []string, want ...string) {
	l := line{text: d.now.Format(time.TimeOnly)}
	for _, texts := range seconds {
		for _, text := range strings.Split(texts, "; ") {
			last := len(l.steps) - 1
			switch {
			case text == "":
			case last >= 0 && l.steps[last].at.Equal(d.now) && d.pick(3) == 0:
				l.steps[last].text += " | " + text
			default:
				l.steps = append(l.steps, step{at: d.now, text: text})
				if d.pick(8) == 0 && len(d.story.lines) > 0 {
					l.steps = append(l.steps, step{at: d.now, text: "controller restarts"})
				}
			}
		}
		d.now = d.now.Add(time.Second)
	}
	var all []string
	for _, s := range l.steps {
		all = append(all, s.at.Format(time.TimeOnly)+" "+s.text)
	}
	l.text = strings.Join(all, "\n  ")
	d.story.lines = append(d.story.lines, l)
	for _, text := range want {
		if text == "" {
			continue
		}
		if err := d.story.readExpectation(text); err != nil {
			panic(err)
		}
	}
}

func (d *day) happens() {
	d.now = d.now.Add(time.Duration(120+d.pick(5400)) * time.Second)
	if d.failing != "" {
		[]func(){d.fix, d.fix, d.comeBack, d.recover}[d.pick(4)]()
		return
	}
	[]func(){d.fix, d.fix, d.fail, d.hookFails, d.comeBack, d.nothing, d.nothing, d.incident, d.blip}[d.pick(9)]()
}

func (d *day) newVersion() string {
	d.versions++
	return fmt.Sprintf("v%d", d.versions)
}

// pause is some empty seconds.
func (d *day) pause(most int) []string { return make([]string, d.pick(most+1)) }

// request is how each operation begins, up to Running.
func (d *day) request() []string {
	first := "request auto | op none; sync OutOfSync | reconciled"
	if d.pick(2) == 0 {
		first = "sync OutOfSync | reconciled; request auto | op none"
	}
	return slices.Concat([]string{first}, d.pause(1), []string{"op Running"})
}

// applied is how it ends well; history comes first.
func (d *day) applied(version string) []string {
	row := "Deployment/web"
	if d.modern {
		row += "=" + version
	}
	return slices.Concat(d.pause(2), []string{"history entry; op Succeeded | request none | rows " + row})
}

// rollout is what the pods and the health do after it, up to Progressing. The summary's images and the comparison come when they will.
func (d *day) rollout(version string) []string {
	both, synced := "images "+d.running+" "+version, "sync Synced | health Progressing"
	switch d.pick(3) {
	case 0:
		return []string{synced + "; " + both, "reconciled"}
	case 1:
		return []string{both, synced, "reconciled"}
	default:
		return []string{"health Progressing", synced + " | reconciled", both}
	}
}

// start is an operation up to Progressing, and the time at which it started.
func (d *day) start(version string) (seconds []string, started time.Time) {
	seconds = d.request()
	started = d.now.Add(time.Duration(len(seconds)-1) * time.Second)
	return slices.Concat(seconds, d.applied(version), d.rollout(version)), started
}

// deploys brings a version to Healthy, seen by health or not.
func (d *day) deploys(version string) {
	back := d.earlier(version)
	previous, unplanned := d.settled, fmt.Sprintf(" unplanned=%t", d.rework || d.failing != "")
	outcome := "succeeded"
	if back {
		outcome, previous, unplanned = "rolled_back", d.running, " success=true"
	}
	seconds, at := d.start(version), time.Time{}
	_ = at
	_ = seconds
	d.deployed(version, outcome, previous, unplanned)
}
