package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A random day of a service, told in the words of the stories: whatever happens, and in whatever order Argo's patches come, the
// events are those of what happened, and no others.
func TestADayIsToldAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDay(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		for range 3 + d.pick(20) {
			d.happens()
		}
		for d.carry != nil {
			d.happens()
		}
		d.now = d.now.Add(2 * time.Hour)
		d.line(d.script().then("wait"))
		w := newWorld(d.story.policy)
		w.restarting = d.pick(3) == 0
		if told, problems := d.story.play(w); len(problems) > 0 {
			t.Fatalf("%s\n%s", strings.Join(problems, "\n"), told)
		}
	})
}

// day writes a story, and knows the truth.
type day struct {
	pick   func(n int) int
	story  story
	now    time.Time
	carry  []string // expectations that the next line may bring
	modern bool     // Argo CD 3.1 and later name applied images in rows

	versions int
	ranks    []string // settled versions, the first settled first
	running  string   // what the last verdict left running
	settled  string
	rework   bool
	failing  string    // the cause of the failure that is open: a tag, or none
	blamed   string    // the newest deployment, while nothing else changed resources
	healthy  time.Time // when it was Healthy
}

func newDay(pick func(n int) int) *day {
	d := &day{pick: pick, now: clock("10:00:00"), modern: pick(2) == 0, running: "v0", settled: "v0", ranks: []string{"v0"}, blamed: "none"}
	d.story.policy = defaultPolicy()
	d.line(d.script().then("application shop created 0/08:00:00 | sync Synced | health Healthy since 0/08:00:20 | reconciled | images v0 | resources Deployment/web" +
		" | op Succeeded start 0/08:00:00 finish 0/08:00:01 | rows Deployment/web | history entry id 4 start 0/08:00:00 deployed 0/08:00:01"))
	return d
}

// script is what happens second by second.
type script struct {
	d       *day
	seconds [][]string
}

func (d *day) script() *script { return &script{d: d} }

// then adds a second in which these patches come, in this order.
func (s *script) then(patches ...string) *script {
	s.seconds = append(s.seconds, patches)
	return s
}

// also adds patches to the last second.
func (s *script) also(patches ...string) *script {
	last := len(s.seconds) - 1
	s.seconds[last] = append(s.seconds[last], patches...)
	return s
}

// wait adds up to so many seconds in which nothing comes.
func (s *script) wait(most int) *script {
	s.seconds = append(s.seconds, make([][]string, s.d.pick(most+1))...)
	return s
}

// last is the time of the last second.
func (s *script) last() time.Time { return s.d.now.Add(time.Duration(len(s.seconds)-1) * time.Second) }

// line adds a script to the story, and what must come of it. Patches of one second may be one, and the controller may restart between them.
func (d *day) line(s *script, want ...string) {
	l := line{}
	var texts []string
	for _, patches := range s.seconds {
		for _, text := range patches {
			last := len(l.steps) - 1
			if last >= 0 && l.steps[last].at.Equal(d.now) && d.pick(3) == 2 {
				l.steps[last].text += " | " + text
				continue
			}
			if last >= 0 && d.pick(8) == 7 {
				l.steps = append(l.steps, step{at: d.now, text: "controller restarts"})
			}
			l.steps = append(l.steps, step{at: d.now, text: text})
		}
		d.now = d.now.Add(time.Second)
	}
	for _, s := range l.steps {
		texts = append(texts, s.at.Format(time.TimeOnly)+" "+s.text)
	}
	l.text = strings.Join(texts, "\n  ")
	d.story.lines = append(d.story.lines, l)
	for _, text := range append(d.carry, want...) {
		if text == "" {
			continue
		}
		if err := d.story.readExpectation(text); err != nil {
			panic(err)
		}
	}
	d.carry = nil
}

func (d *day) happens() {
	if d.carry != nil { // Degraded stands, and the next version comes at once
		[]func(){d.fix, d.comeBack}[d.pick(2)]()
		return
	}
	d.now = d.now.Add(time.Duration(120+d.pick(5400)) * time.Second)
	if d.failing != "" {
		[]func(){d.fix, d.comeBack, d.recover}[d.pick(3)]()
		return
	}
	[]func(){d.fix, d.fix, d.fail, d.hookFails, d.comeBack, d.regret, d.nothing, d.incident, d.blip}[d.pick(9)]()
}

func (d *day) fix() { d.deploys(d.newVersion()) }

// comeBack brings an earlier version back, or one that was rolled back.
func (d *day) comeBack() {
	others := slices.DeleteFunc(slices.Clone(d.ranks), func(v string) bool { return v == d.running })
	if len(others) == 0 {
		d.fix()
		return
	}
	d.deploys(others[d.pick(len(others))])
}

func (d *day) newVersion() string {
	d.versions++
	return fmt.Sprintf("v%d", d.versions)
}

// begin is how each operation begins.
func (d *day) begin() *script {
	s := d.script()
	if d.pick(2) == 0 {
		s.then("request auto | op none", "sync OutOfSync | reconciled")
	} else {
		s.then("sync OutOfSync | reconciled", "request auto | op none")
	}
	return s.wait(1).then("op Running")
}

// applied is how it ends well; history comes first.
func (d *day) applied(s *script, version string) time.Time {
	row := "Deployment/web"
	if d.modern {
		row += "=" + version
	}
	s.wait(2).then("history entry", "op Succeeded | request none | rows "+row)
	return s.last()
}

// both are the live images while a version goes out: a version that failed is gone at once, the settled one is not.
func (d *day) both(version string) string {
	if version == d.settled {
		return "images " + version
	}
	return "images " + d.settled + " " + version
}

// goesOut is what pods and health do, up to Progressing. The summary and the comparison come when they will.
func (d *day) goesOut(s *script, version string) {
	switch synced := "sync Synced | health Progressing"; d.pick(5) {
	case 0:
		s.then(synced, d.both(version)).then("reconciled")
	case 1:
		s.then(d.both(version)).then(synced + " | reconciled")
	case 2:
		s.then("health Progressing").then("sync Synced | reconciled").wait(2).then(d.both(version))
	case 3: // a comparison in the second in which the operation ended finds it Synced, and health still the old one
		s.also("sync Synced | reconciled", d.both(version)).wait(2).then("health Progressing").then("reconciled")
	default:
		s.then(d.both(version), "reconciled").wait(2).then(synced).then("reconciled")
	}
}

func (d *day) deploys(version string) {
	back := d.earlier(version, d.running)
	previous, more := d.settled, fmt.Sprintf(" unplanned=%t", d.rework || d.failing != "")
	outcome := "succeeded"
	if back {
		outcome, previous, more = "rolled_back", d.running, " success=true"
	}
	s := d.begin()
	moves := d.failing != "" || d.pick(4) > 0
	if d.failing == "" && moves && d.pick(5) == 4 {
		s.abandons()
	}
	at := d.applied(s, version)
	if !moves { // health is not seen to move
		s.then(d.both(version)).wait(2).then("sync Synced | reconciled").wait(3).then("images " + version)
	} else {
		d.goesOut(s, version)
		d.detour(s)
		at = d.turnsHealthy(s, version)
	}
	recovered := ""
	if d.failing != "" {
		recovered = "recovered at=" + at.Format(clockForm)
	}
	d.line(s, fmt.Sprintf("deploy %s version=%s previous=%s at=%s%s", outcome, version, previous, at.Format(clockForm), more), recovered)
	d.settles(version, at)
	d.rework, d.failing = back, ""
}

// abandons: another new version went out first, and gives way before any verdict.
func (s *script) abandons() {
	version := s.d.newVersion()
	s.d.applied(s, version)
	s.d.goesOut(s, version)
	s.wait(9).then("request auto | op none", "sync OutOfSync | reconciled").then("op Running")
}

// regret: a new version is taken back before any verdict.
func (d *day) regret() {
	version := d.newVersion()
	s := d.begin()
	d.applied(s, version)
	d.goesOut(s, version)
	s.wait(20).then("request auto | op none", "sync OutOfSync | reconciled").then("op Running")
	d.applied(s, d.running)
	s.then("sync Synced | reconciled").wait(10).then("images "+d.running, "health Healthy")
	d.line(s, fmt.Sprintf("deploy rolled_back version=%s previous=%s at=%s success=false unplanned=%t", version, d.running, s.last().Format(clockForm), d.rework))
	d.rework, d.blamed = true, "none"
}

// detour is what may happen on the way.
func (d *day) detour(s *script) {
	switch d.pick(6) {
	case 4: // an autoscaler
		s.wait(5).then("health Degraded").wait(55).then("health Progressing")
	case 5: // Argo CD repairs what an operator writes into the spec
		s.wait(5).then("sync OutOfSync").then("request self-heal | op none").then("op Running").wait(1).then("op Succeeded | request none | rows Deployment/web").
			then("sync Synced | reconciled")
	}
}

func (d *day) turnsHealthy(s *script, version string) time.Time {
	switch healthy, images := "health Healthy", "images "+version; d.pick(3) {
	case 0:
		s.wait(60).then(images, healthy)
	case 1:
		s.wait(60).then(healthy, images)
	default:
		s.wait(60).then(images).wait(2).then(healthy)
	}
	return s.last()
}

// earlier: a was settled before b first was.
func (d *day) earlier(a, b string) bool {
	ra, rb := slices.Index(d.ranks, a), slices.Index(d.ranks, b)
	return ra >= 0 && (rb < 0 || ra < rb)
}

func (d *day) settles(version string, at time.Time) {
	if !slices.Contains(d.ranks, version) {
		d.ranks = append(d.ranks, version)
	}
	d.running, d.settled, d.blamed, d.healthy = version, version, version, at
}

// fail: the deadline of a new version passes.
func (d *day) fail() {
	version := d.newVersion()
	s := d.begin()
	d.applied(s, version)
	d.goesOut(s, version)
	s.wait(100).then("health Degraded")
	at := s.last().Format(clockForm)
	want := []string{
		fmt.Sprintf("deploy failed version=%s previous=%s at=%s unplanned=%t", version, d.settled, at, d.rework),
		fmt.Sprintf("degraded at=%s caused_by=%s", at, version),
	}
	d.running, d.failing, d.rework, d.blamed, d.healthy = version, version, true, version, time.Time{}
	if d.pick(3) == 0 {
		d.line(s.wait(20))
		d.carry = want
		return
	}
	d.line(s, want...)
}

// recover: what is Degraded is Healthy again by itself.
func (d *day) recover() {
	s := d.script()
	if d.pick(2) == 0 {
		s.then("health Progressing").wait(30)
	}
	s.then("images "+d.running, "health Healthy")
	d.line(s, "recovered at="+s.last().Format(clockForm))
	if d.running != d.settled {
		d.settles(d.running, s.last().Add(-time.Duration(len(s.seconds))*time.Second))
	}
	d.failing = ""
}

// hookFails: a PostSync hook fails although the version is Healthy.
func (d *day) hookFails() {
	version := d.newVersion()
	s := d.begin()
	d.goesOut(s, version)
	healthy := d.turnsHealthy(s, version)
	s.wait(10).then("images " + version + " smoke:v1").wait(10).then("images " + version).wait(2).then("op Failed | request none | rows Deployment/web Job/smoke:hook")
	want := fmt.Sprintf("deploy failed version=%s previous=%s at=%s unplanned=%t", version, d.settled, s.last().Format(clockForm), d.rework)
	d.line(s.then("reconciled"), want)
	d.settles(version, healthy)
	d.rework = true
}

// nothing: what looks like a deployment and is none.
func (d *day) nothing() {
	s := d.script()
	switch d.pick(5) {
	case 0:
		s.then("request user").then("op Running").wait(2).then("history entry", "op Succeeded | request none | rows Deployment/web:unchanged").then("reconciled")
	case 1:
		s = d.begin().wait(2).then("history entry", "op Succeeded | request none | rows Deployment/web ConfigMap/settings").
			then("sync Synced | health Progressing").then("reconciled").wait(20).then("health Healthy")
		d.blamed = "none"
	case 2:
		s.then("sync OutOfSync").then("request self-heal | op none").then("op Running").wait(2).then("op Succeeded | request none | rows Deployment/web").then("sync Synced | reconciled")
		d.blamed = "none"
	case 3:
		s.then("request dry-run").then("op Running").wait(2).then("op Succeeded | request none | rows Deployment/web")
	default:
		s = d.begin().wait(2).then("op Failed | request none | rows Deployment/web:failed").then("reconciled").wait(20).then("sync Synced | reconciled")
	}
	d.line(s)
}

// incident: the running version degrades, and nobody deployed.
func (d *day) incident() {
	s := d.script().then("health Degraded")
	at := s.last()
	d.failing = "none"
	if d.blamed != "none" && at.Sub(d.healthy) <= time.Hour {
		d.failing, d.rework = d.blamed, true
	}
	d.line(s, fmt.Sprintf("degraded at=%s caused_by=%s", at.Format(clockForm), d.failing))
}

func (d *day) blip() {
	d.line(d.script().then("health Degraded").wait(57).then("health Healthy"))
}
