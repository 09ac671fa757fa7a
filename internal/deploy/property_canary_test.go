package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A random day of a canary, alone or under an Application, whose patches and the Rollout's are seen in any order.
func TestADayOfACanaryIsToldAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCanary(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
		for range 3 + c.pick(8) {
			c.happens()
		}
		c.now = c.now.Add(2 * time.Hour)
		c.line(c.script().then("wait"))
		w := newWorld(c.story.policy)
		w.restarting = c.pick(3) == 0
		if told, problems := c.story.play(w); len(problems) > 0 {
			t.Fatalf("%s\n%s", strings.Join(problems, "\n"), told)
		}
	})
}

// canary is a day of a Rollout.
type canary struct {
	*day
	managed  bool
	revision int
	stable   string // hash
	current  string
	version  string // what the current hash runs
	aborted  bool   // the current version was aborted
	failed   bool   // or exceeded its deadline
	paused   bool
}

func newCanary(pick func(n int) int) *canary {
	d := &day{pick: pick, now: clock("10:00:00"), running: "v0", settled: "v0", ranks: []string{"v0"}, blamed: "none"}
	d.story.policy, d.story.anyOrder = defaultPolicy(), true // what the Application and what the Rollout tell comes in any order
	c := &canary{day: d, managed: pick(2) == 0, revision: 1, stable: "v0", current: "v0", version: "v0"}
	rollout := " created 0/08:00:00 | replicaset v0 revision 1 created 0/08:00:01 | pods v0 4/4 | revision 1 | hash v0 | stable v0 | phase Healthy | progressing True since 0/08:00:01" +
		" | completed True since 0/08:00:01 | healthy True since 0/08:00:20 | available True since 0/08:00:20"
	app := "application shop created 0/08:00:00 | sync Synced | health Healthy since 0/08:00:20 | reconciled | images v0 | resources Rollout/web" +
		" | op Succeeded start 0/08:00:00 finish 0/08:00:01 | rows Rollout/web | history entry id 4 start 0/08:00:00 deployed 0/08:00:01 | "
	if c.managed {
		c.line(c.script().then(app + "rollout web of shop" + rollout))
	} else {
		c.line(c.script().then("rollout web" + rollout))
	}
	return c
}

// both adds a second in which the Application and the Rollout are patched, each in its order, seen in any.
func (c *canary) both(s *script, app, rollout []string) *script {
	var patches []string
	if !c.managed {
		app = nil
	}
	for len(app)+len(rollout) > 0 {
		if len(rollout) == 0 || len(app) > 0 && c.pick(2) == 0 {
			patches, app = append(patches, "shop: "+app[0]), app[1:]
		} else {
			patches, rollout = append(patches, "web: "+rollout[0]), rollout[1:]
		}
	}
	return s.then(patches...)
}

func (c *canary) health(s *script, rollout, app string) *script {
	return c.both(s, []string{app}, []string{rollout})
}

func (c *canary) happens() {
	c.now = c.now.Add(time.Duration(120+c.pick(5400)) * time.Second)
	switch {
	case c.aborted:
		[]func(){c.fix, c.giveUp, c.retry}[c.pick(3)]()
	case c.failed:
		[]func(){c.fix, c.goBack, c.late}[c.pick(3)]()
	case c.failing != "":
		c.recover()
	default:
		[]func(){c.fix, c.fix, c.abort, c.miss, c.older, c.regret, c.rehash, c.crash, c.scale}[c.pick(9)]()
	}
}

// turn gives the Rollout another template: an operation brings it, or nobody knows who.
func (c *canary) turn(s *script, hash, version, status string) {
	c.both(s, []string{"request auto | op none", "sync OutOfSync | reconciled"}, nil).wait(1)
	c.both(s, []string{"op Running"}, nil)
	c.revision++
	set := fmt.Sprintf("replicaset %s revision %d", hash, c.revision)
	if !slices.Contains(c.ranks, version) || hash != version {
		set += " image " + version
	}
	named := fmt.Sprintf("revision %d | observed no", c.revision)
	written := "observed yes | hash " + hash + " | abort removed | " + status
	if c.paused {
		written += " | paused False | progressing True"
	}
	c.paused = false
	rows := []string{"history entry", "op Succeeded | request none | rows Rollout/web"}
	switch c.pick(3) {
	case 0:
		c.both(s, rows, []string{set, named, written})
	case 1:
		c.both(s, nil, []string{set, named})
		c.both(s, rows, []string{written})
	default: // Argo Rollouts is slower than Argo CD
		c.both(s, rows, nil)
		c.both(s, nil, []string{set, named, written})
	}
	c.current, c.version = hash, version
}

const underway = "phase Progressing | completed False | healthy False | progressing True"

// starts a canary, up to its first pause or without one. It returns when the attempt started.
func (c *canary) starts(s *script, version string) {
	c.turn(s, version, version, underway)
	c.both(s, []string{"sync Synced | health Progressing"}, []string{"pods " + version + " 1/0 | pods " + c.stable + " 3/3 | available False"})
	c.both(s, []string{"reconciled"}, nil).wait(3)
	if c.pick(4) == 3 {
		c.both(s, []string{"sync OutOfSync", "request self-heal | op none"}, nil)
		c.both(s, []string{"op Running"}, nil)
		c.both(s, []string{"op Succeeded | request none | rows Rollout/web", "sync Synced"}, nil)
		c.both(s, []string{"reconciled"}, nil)
	}
	c.both(s, nil, []string{"pods " + version + " 1/1 | available True"})
	if c.paused = c.pick(3) > 0; c.paused {
		c.health(s, "phase Paused | paused True | progressing Unknown", "health Suspended")
	}
}

// promoted brings the current version to the end, and returns when.
func (c *canary) promoted(s *script) time.Time {
	s.wait(300)
	if c.paused {
		c.health(s, "phase Progressing | paused False | progressing True", "health Progressing").wait(20)
	}
	c.both(s, nil, []string{fmt.Sprintf("pods %s 4/4 | pods %s 0/0 | available True", c.current, c.stable)})
	c.health(s, fmt.Sprintf("stable %s | completed True | healthy True | phase Healthy", c.current), "health Healthy")
	c.stable, c.paused, c.aborted, c.failed = c.current, false, false, false
	return s.last()
}

func (c *canary) fix() { c.deploy(c.newVersion()) }

// older brings an earlier version back over all steps.
func (c *canary) older() {
	others := slices.DeleteFunc(slices.Clone(c.ranks), func(v string) bool { return v == c.running })
	if len(others) == 0 {
		c.fix()
		return
	}
	c.deploy(others[c.pick(len(others))])
}

func (c *canary) deploy(version string) {
	s := c.script()
	previous, more, outcome := c.settled, fmt.Sprintf(" unplanned=%t", c.rework || c.failing != ""), "succeeded"
	back := c.earlier(version, c.running)
	if back {
		outcome, previous, more = "rolled_back", c.running, " success=true"
	}
	if !back && c.pick(6) == 5 { // another version goes out first
		c.starts(s, c.newVersion())
		s.wait(5)
	}
	c.starts(s, version)
	at := c.promoted(s)
	recovered := ""
	if c.failing != "" {
		recovered = "recovered at=" + at.Format(clockForm)
	}
	c.line(s, fmt.Sprintf("deploy %s version=%s previous=%s at=%s%s", outcome, version, previous, at.Format(clockForm), more), recovered)
	c.settles(version, at)
	c.rework, c.failing = back, ""
}

// aborts the current version, and returns when, and when the stable one was whole again.
func (c *canary) aborts(s *script) (at, whole time.Time) {
	s.wait(200)
	c.both(s, nil, []string{"abort asked"})
	c.both(s, nil, []string{"abort done at " + s.last().Add(time.Second).Format(clockForm) + " | phase Degraded | progressing False RolloutAborted"})
	at = s.last()
	c.both(s, []string{"health Degraded"}, []string{fmt.Sprintf("pods %s 4/3 | pods %s 0/0 | available False", c.stable, c.current)}).wait(5)
	c.both(s, nil, []string{"pods " + c.stable + " 4/4 | available True"})
	c.aborted, c.paused, c.blamed = true, false, "any" // the rules do not say
	return at, s.last()
}

func (c *canary) tellAbort(s *script, at, whole time.Time, unplanned bool) {
	c.line(s, fmt.Sprintf("deploy rolled_back version=%s previous=%s at=%s success=false unplanned=%t", c.version, c.settled, at.Format(clockForm), unplanned),
		fmt.Sprintf("degraded at=%s caused_by=%s", at.Format(clockForm), c.version), "recovered at="+whole.Format(clockForm))
	c.rework = true
}

func (c *canary) abort() {
	s, unplanned := c.script(), c.rework
	c.starts(s, c.newVersion())
	at, whole := c.aborts(s)
	c.tellAbort(s, at, whole, unplanned)
}

// retry: the aborted version is tried again; it may be aborted again.
func (c *canary) retry() {
	s := c.script()
	c.health(s, "abort removed | phase Progressing | progressing Unknown RolloutRetry", "health Progressing")
	c.both(s, nil, []string{fmt.Sprintf("pods %s 3/3 | pods %s 1/1 | progressing True | paused False", c.stable, c.current)})
	if c.pick(3) == 2 {
		at, whole := c.aborts(s)
		c.tellAbort(s, at, whole, true)
		return
	}
	at := c.promoted(s)
	c.line(s, fmt.Sprintf("deploy succeeded version=%s previous=%s at=%s unplanned=true", c.version, c.settled, at.Format(clockForm)))
	c.settles(c.version, at)
	c.rework = false
}

// giveUp: git goes back to what runs after an abort.
func (c *canary) giveUp() {
	s := c.script()
	c.turn(s, c.stable, c.settled, "phase Healthy | completed True | healthy True | progressing True | paused False")
	c.both(s, []string{"sync Synced | health Healthy"}, nil)
	c.both(s, []string{"reconciled"}, nil)
	c.line(s)
	c.aborted = false
}

// miss: the deadline passes.
func (c *canary) miss() {
	s, unplanned := c.script(), c.rework
	c.starts(s, c.newVersion())
	if c.paused {
		c.health(s, "phase Progressing | paused False | progressing True", "health Progressing")
	}
	s.wait(300)
	c.health(s, "phase Degraded | progressing False ProgressDeadlineExceeded", "health Degraded")
	at := s.last().Format(clockForm)
	c.line(s, fmt.Sprintf("deploy failed version=%s previous=%s at=%s unplanned=%t", c.version, c.settled, at, unplanned), fmt.Sprintf("degraded at=%s caused_by=%s", at, c.version))
	c.running, c.failing, c.failed, c.paused, c.rework, c.blamed = c.version, c.version, true, false, true, c.version
	c.healthy = time.Time{}
}

// goBack: the stable version comes back after a failure.
func (c *canary) goBack() {
	s, left := c.script(), c.version
	c.turn(s, c.stable, c.settled, "phase Progressing | completed True | progressing True")
	c.both(s, []string{"sync Synced | health Progressing"}, nil)
	c.both(s, []string{"reconciled"}, nil).wait(5)
	c.health(s, fmt.Sprintf("pods %s 4/4 | pods %s 0/0 | available True | phase Healthy | healthy True", c.stable, left), "health Healthy")
	at := s.last()
	c.line(s, fmt.Sprintf("deploy rolled_back version=%s previous=%s at=%s success=true", c.settled, left, at.Format(clockForm)), "recovered at="+at.Format(clockForm))
	c.settles(c.settled, at)
	c.failing, c.failed = "", false
}

// late: the version that missed its deadline gets through after all.
func (c *canary) late() {
	s := c.script()
	c.health(s, "phase Progressing | progressing True", "health Progressing")
	at := c.promoted(s)
	c.line(s, "recovered at="+at.Format(clockForm))
	c.settles(c.version, at)
	c.failing = ""
}

// regret: git goes back in the middle of a canary.
func (c *canary) regret() {
	s, unplanned := c.script(), c.rework
	c.starts(s, c.newVersion())
	left := c.version
	s.wait(60).then().then().then()
	c.turn(s, c.stable, c.settled, "phase Progressing | completed True")
	c.both(s, []string{"sync Synced | health Progressing"}, nil)
	c.both(s, []string{"reconciled"}, nil).wait(5)
	c.health(s, fmt.Sprintf("pods %s 4/4 | pods %s 0/0 | available True | phase Healthy | healthy True", c.stable, left), "health Healthy")
	c.line(s, fmt.Sprintf("deploy rolled_back version=%s previous=%s at=%s success=false unplanned=%t", left, c.settled, s.last().Format(clockForm), unplanned))
	c.rework, c.blamed = true, "any"
}

// rehash: a new ReplicaSet with the same image.
func (c *canary) rehash() {
	s := c.script()
	c.turn(s, fmt.Sprintf("h%d", c.revision), c.settled, underway)
	c.both(s, []string{"sync Synced | health Progressing"}, nil)
	c.both(s, []string{"reconciled"}, nil)
	c.promoted(s)
	c.line(s)
	if c.managed && c.blamed != "any" {
		c.blamed = "none" // an operation changed resources
	}
}

// crash: the pods of the promoted version die.
func (c *canary) crash() {
	s := c.script()
	c.health(s, "phase Progressing | healthy False | available False | pods "+c.current+" 4/1", "health Progressing").wait(100)
	c.health(s, "phase Degraded | progressing False ProgressDeadlineExceeded", "health Degraded")
	at := s.last()
	c.failing = "none"
	if c.blamed == "any" {
		c.failing = "any"
	} else if c.blamed != "none" && at.Sub(c.healthy) <= time.Hour {
		c.failing, c.rework = c.blamed, true
	}
	c.line(s, fmt.Sprintf("degraded at=%s caused_by=%s", at.Format(clockForm), c.failing))
}

func (c *canary) recover() {
	s := c.script()
	c.health(s, "phase Healthy | progressing True | healthy True | available True | pods "+c.current+" 4/4", "health Healthy")
	c.line(s, "recovered at="+s.last().Format(clockForm))
	c.failing = ""
}

func (c *canary) scale() {
	s := c.script()
	c.health(s, "desired 8 | phase Progressing | healthy False | pods "+c.current+" 8/4", "health Progressing").wait(50)
	c.health(s, "phase Healthy | healthy True | pods "+c.current+" 8/8", "health Healthy").wait(50)
	c.both(s, nil, []string{"desired 4 | pods " + c.current + " 4/4"})
	c.line(s)
}
