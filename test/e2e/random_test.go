//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRandom makes stories up. Each seed is a service to which a person who throws dice does things, and who writes down what must come of each. Several
// seeds run at a time; meanwhile the controller, Argo CD, Argo Rollouts and the API server are killed and started again, by the first of the seeds.
//
//	E2E_SEED      the first seed (default 1)
//	E2E_SEEDS     how many, one after the other (default 4)
//	E2E_STEPS     what is done to each service (default 8)
//	E2E_AT_ONCE   how many at a time (default 4)
//
// What was recorded of a service whose story failed is left beside the logs, for `dora-controller replay`, and the command that tells it again is printed.
// E2E_SEEDS=50 E2E_AT_ONCE=10 E2E_STEPS=5 is what a release has to pass; it takes a quarter of an hour.
func TestRandom(t *testing.T) {
	l := begin(t)
	first, seeds, atOnce := number(t, "E2E_SEED", 1), number(t, "E2E_SEEDS", 4), number(t, "E2E_AT_ONCE", 4)
	for from := first; from < first+seeds; from += atOnce {
		t.Run(fmt.Sprintf("seeds %d to %d", from, min(from+atOnce, first+seeds)-1), func(t *testing.T) {
			end := min(from+atOnce, first+seeds)
			l.again = fmt.Sprintf("E2E_SEED=%d E2E_SEEDS=%d E2E_AT_ONCE=%[2]d E2E_STEPS=%d make e2e-random", from, end-from, number(t, "E2E_STEPS", 8))
			over := l.disturb(t, uint64(from))
			t.Run("all", func(t *testing.T) {
				for seed := from; seed < end; seed++ {
					t.Run(strconv.Itoa(seed), func(t *testing.T) {
						t.Parallel()
						l.improvise(t, uint64(seed))
					})
				}
			})
			over()
		})
	}
	l.nothingMoreCame(t)
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number above 0", name, text)
	}
	return n
}

// disturb kills parts of the stand at random moments until it is told that all is over, and starts each again after up to ten seconds.
func (l *live) disturb(t *testing.T, seed uint64) (over func()) {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 0))
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for wait(ctx, time.Duration(5+dice.IntN(20))*time.Second) {
			part := l.Dora // half of the time
			switch dice.IntN(8) {
			case 0, 1:
				part = l.ArgoCD
			case 2:
				part = l.Rollouts
			case 3:
				part = l.APIServer
			}
			away := time.Duration(dice.IntN(10)) * time.Second
			l.Watch.Note(fmt.Sprintf("%s is killed for %s", part.Name, away))
			l.kills.Add(1)
			part.Kill()
			wait(ctx, away)
			if err := part.Start(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
				return
			}
			l.kills.Add(1)
			l.Watch.Note(part.Name + " is back")
		}
	})
	return func() {
		stop()
		done.Wait()
	}
}

// wait waits, and tells whether there is a reason to go on.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// improvise tells one story by its seed.
func (l *live) improvise(t *testing.T, seed uint64) {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 1))
	name := fmt.Sprintf("seed-%d", seed)
	three := func(v *service) { v.workload.replicas = 3 }
	kinds := []struct {
		with  func(*service)
		moves []move
	}{{three, slices.Concat(anyMoves, healedMoves)}, {with(three, byHand), slices.Concat(anyMoves, handMoves)}, {rollout(canaryThatWaits), rolloutMoves}}
	kind := kinds[dice.IntN(len(kinds))]
	// A Deployment that goes back to healthy pods keeps its last deadline for a moment, which Argo CD shows as Degraded for some tenths of a second.
	patient := func(v *service) { v.degradedFor = "2s" }
	v := l.service(t, story{name: name, with: with(kind.with, patient)})
	v.loose = true
	v.workload.deadline = generous
	p := &person{service: v, dice: dice}
	defer func() {
		if t.Failed() {
			p.leaveRecording()
		}
	}()
	p.build("v0")
	p.first("v0")
	p.says("deploy succeeded v0 after none")
	p.settle("v0")
	p.agree(away)
	for range number(t, "E2E_STEPS", 8) {
		p.move(kind.moves)
	}
	p.expectLoosely(p.must...)
}

// generous is the deadline of whatever is meant to succeed: it must not be late because so much is killed.
const generous = 300

// person does things to a service and knows what must come of them.
type person struct {
	*service
	dice *rand.Rand
	// must are the lines so far.
	must []string
	// ranked are the versions in the order in which each was healthy for the first time. settled is the one that is, or was last.
	ranked  []string
	settled string
	// state is fine, broken (another version is out and Degraded) or aborted (the Rollout is, and the settled version serves).
	state string
	// out is the version that is broken, or was aborted.
	out string
	// rework says that the next forward deployment is unplanned.
	rework bool
	// doubt says that the history has an entry that nobody judged, so the version before the next may not be known.
	doubt bool
}

func (p *person) says(lines ...string) { p.must = append(p.must, lines...) }

// settle says that a version is healthy.
func (p *person) settle(version string) {
	p.settled, p.state, p.out, p.doubt = version, "fine", "", false
	if !slices.Contains(p.ranked, version) {
		p.ranked = append(p.ranked, version)
	}
}

// agree waits until the ledger says what has been said so far. What comes next is then seen from there, so that a verdict that nobody was there
// for is lost only within one move, where the person knows of it.
// What a gap could hide is allowed for only if something was away since then.
func (p *person) agree(kills int64) {
	p.Helper()
	p.told = p.must
	p.awaitRest("the ledger says "+p.must[len(p.must)-1], func() error {
		p.strict = p.undisturbed(kills)
		return p.differ(p.events())
	})
	p.strict = false
}

// leaveRecording writes what replay needs of a story that failed.
func (v *service) leaveRecording() {
	v.Helper()
	file := filepath.Join(v.Folder, v.name+".jsonl")
	if err := os.WriteFile(file, []byte(v.recorded()), 0o600); err != nil {
		v.Log(err)
	}
	if v.again != "" {
		v.Logf("again, with what was killed meanwhile: %s", v.again)
	}
	v.Logf("ask the recording: bin/dora-controller replay --explain --degraded-for %s %s", v.degradedFor, file)
}

// move is something that a person does in one of the states.
type move struct {
	name string
	in   string
	do   func(*person)
}

// move does one that is possible now.
func (p *person) move(moves []move) {
	p.Helper()
	var possible []move
	for _, m := range moves {
		if m.in == p.state {
			possible = append(possible, m)
		}
	}
	m := possible[p.dice.IntN(len(possible))]
	p.notef("%s: %s", p.state, m.name)
	before, kills := p.rework, p.kills.Load()
	if p.doubt {
		kills = away // the doubt is from before
	}
	m.do(p)
	p.agree(kills)
	p.learn(before)
	if p.undisturbed(kills) {
		p.doubt = false
	}
}

// away is a count of kills since which something has been away.
const away = 1

// undisturbed says that nothing was away since so many kills, nor is now.
func (p *person) undisturbed(since int64) bool { return since%2 == 0 && p.kills.Load() == since }

// learn takes over what the ledger says where several things can be said. What nobody saw is not known to have failed, so what comes next is no rework.
func (p *person) learn(before bool) {
	last := len(p.must) - 1
	words := p.words(p.events())
	if len(words) <= last {
		p.must, p.rework, p.doubt = p.must[:last], before, true
		return
	}
	if strings.HasPrefix(words[last], "deploy unknown") {
		p.rework, p.doubt = false, true
	}
	copy(p.must, words)
}

// fresh is a version that is new.
func (p *person) fresh() string {
	name := fmt.Sprintf("v%d", len(p.order))
	p.build(name)
	return name
}

// forward says that a version was deployed over the settled one.
func (p *person) forward(version string) {
	p.says(p.deploy("succeeded", version, p.unplanned()))
	p.settle(version)
}

// deploy is the line of an attempt.
func (p *person) deploy(outcome, version, remarks string) string {
	line := "deploy " + outcome + " " + version + " after "
	if p.doubt {
		return line + p.settled + remarks + " or " + line + "?" + remarks
	}
	return line + p.settled + remarks
}

func (p *person) unplanned() string {
	rework := p.rework
	p.rework = false
	if rework {
		return ", unplanned"
	}
	return ""
}

// unjudged commits what deploys no version. It leaves an entry in the history; if nobody was there to judge it before the next one, it could have been one.
func (p *person) unjudged(message string) {
	p.Helper()
	p.change(message)
	p.healthy(p.settled)
	p.doubt = true
}

// anyMoves are what is done to Deployments, by commits.
var anyMoves = []move{
	{"forward", "fine", func(p *person) {
		version := p.fresh()
		p.next(version)
		p.healthy(version)
		p.forward(version)
	}},
	{"forward again", "fine", func(p *person) {
		version := p.fresh()
		p.workload.readyAfter = "3s"
		p.next(version)
		p.healthy(version)
		p.workload.readyAfter = ""
		p.forward(version)
	}},
	{"bad", "fine", func(p *person) {
		p.out = p.fresh()
		p.workload.pods, p.workload.deadline = "never", 10
		p.next(p.out)
		p.degraded()
		p.workload.deadline = generous // from the next commit on
		p.says(p.deploy("failed", p.out, p.unplanned()), "degraded by "+p.out)
		p.state, p.rework = "broken", true
	}},
	{"back", "fine", func(p *person) {
		if len(p.ranked) < 2 || p.settled == p.ranked[0] {
			return
		}
		old := p.ranked[0]
		p.next(old)
		p.healthy(old)
		p.says("deploy rolled_back " + old + " after " + p.settled + ", " + old + " runs")
		p.settle(old)
		p.rework = true
	}},
	{"config only", "fine", func(p *person) {
		p.workload.env = strconv.Itoa(p.dice.IntN(1000))
		p.unjudged("config only")
	}},
	{"scale", "fine", func(p *person) {
		p.workload.replicas = 2 + p.dice.IntN(3)
		p.unjudged("scale")
	}},
	{"superseded", "fine", func(p *person) {
		never, version := p.fresh(), p.fresh()
		before := p.field("status", "operationState", "startedAt")
		p.workload.pods = "never"
		p.next(never)
		p.ended(before)
		p.workload.pods = ""
		p.next(version)
		p.healthy(version)
		// If nobody was there while it was out, an entry of the history was never judged.
		p.doubt = true
		p.forward(version)
	}},
	{"fix", "broken", func(p *person) {
		version := p.fresh()
		p.workload.pods = ""
		p.next(version)
		p.healthy(version)
		p.forward(version)
		p.says("recovered")
	}},
	{"revert", "broken", func(p *person) {
		broken := p.out
		p.workload.pods = ""
		p.next(p.settled)
		p.healthy(p.settled)
		p.says("deploy rolled_back "+p.settled+" after "+broken+", "+p.settled+" runs", "recovered")
		p.settle(p.settled)
		p.rework = true
	}},
	{"it heals by itself", "broken", func(p *person) {
		p.await("it heals", func() error {
			p.crash(false) // each new pod anew
			if p.field("status", "health", "status") != "Healthy" {
				return errors.New("it has not yet")
			}
			return nil
		})
		p.workload.pods = "" // from the next commit on
		p.says("recovered")
		p.settle(p.out)
	}},
}

// healedMoves are what is done besides where Argo CD syncs and heals by itself.
var healedMoves = []move{
	{"drift", "fine", func(p *person) {
		p.await("drift is made", func() error {
			return p.Kubectl(p.Context(), nil, "scale", "--namespace="+p.namespace, "deployment/"+p.workload.name, "--replicas=7")
		})
		p.refresh()
		p.await("drift is healed", func() error {
			if p.field("status", "sync", "status") != "Synced" {
				return errors.New("it is not Synced")
			}
			return p.runs(p.settled)
		})
	}},
}

// handMoves are what is done besides where a person syncs.
var handMoves = []move{
	{"sync again", "fine", func(p *person) {
		p.sync()
		p.healthy(p.settled)
		p.doubt = true
	}},
	{"argocd app rollback", "fine", func(p *person) {
		if p.settled != p.ranked[0] {
			p.rolledBack(p.settled)
		}
	}},
	{"argocd app rollback of a broken one", "broken", func(p *person) {
		p.workload.pods = "" // from the next commit on
		p.rolledBack(p.out)
		p.says("recovered")
	}},
}

// rolledBack rolls back to the oldest entry of the history.
func (p *person) rolledBack(from string) {
	p.Helper()
	oldest := p.ranked[0]
	p.rollBack(0)
	p.want(oldest)
	p.healthy(oldest)
	p.says("deploy rolled_back " + oldest + " after " + from + ", " + oldest + " runs")
	p.settle(oldest)
	p.rework = true
}

// rolloutMoves are what is done to Rollouts.
var rolloutMoves = []move{
	{"forward", "fine", func(p *person) { p.promoted(p.fresh()) }},
	{"forward again", "fine", func(p *person) { p.promoted(p.fresh()) }},
	{"abort", "fine", func(p *person) {
		p.out = p.fresh()
		p.next(p.out)
		p.rolloutAwait("Paused")
		p.argoRollouts("abort")
		p.rolloutAwait("Degraded")
		p.stableServesAlone()
		p.says(p.deploy("rolled_back", p.out, p.unplanned()+", exposed, "+p.settled+" runs"), "degraded by "+p.out, "recovered")
		p.state, p.rework = "aborted", true
	}},
	{"revert in mid-canary", "fine", func(p *person) {
		version := p.fresh()
		p.next(version)
		p.rolloutAwait("Paused")
		p.next(p.settled)
		p.healthy(p.settled)
		// If nobody was there while it was out, nothing proves how it ended; if it came and went, nothing tells that it was there.
		remarks := p.unplanned()
		p.says(p.deploy("rolled_back", version, remarks+", exposed, "+p.settled+" runs") + " or " + p.deploy("unknown", version, remarks) + " or nothing")
		p.rework = true
	}},
	{"superseded", "fine", func(p *person) {
		never := p.fresh()
		p.next(never)
		p.rolloutAwait("Paused")
		p.doubt = true
		p.promoted(p.fresh())
	}},
	{"restart", "fine", func(p *person) {
		p.argoRollouts("restart")
		p.rolloutAwait("Healthy")
		p.healthy(p.settled)
	}},
	{"scale", "fine", func(p *person) {
		p.workload.replicas = 3 + p.dice.IntN(4)
		p.unjudged("scale")
	}},
	{"retry and promote", "aborted", func(p *person) {
		p.argoRollouts("retry")
		p.rolloutAwait("Paused")
		p.argoRollouts("promote")
		p.healthy(p.out)
		p.forward(p.out)
	}},
	{"fix", "aborted", func(p *person) { p.promoted(p.fresh()) }},
	{"revert in git", "aborted", func(p *person) {
		p.want(p.settled)
		p.unjudged("revert")
		p.state, p.out = "fine", ""
	}},
}

// promoted deploys a version through its canary.
func (p *person) promoted(version string) {
	p.Helper()
	p.next(version)
	p.rolloutAwait("Paused")
	p.argoRollouts("promote")
	p.healthy(version)
	p.forward(version)
}
