package deploy

import (
	"maps"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// State is what the ledger keeps of one subject between two observations. The zero value is a subject
// that was never seen.
type State struct {
	Known       bool         `json:"known,omitempty"`
	Subject     dora.Subject `json:"subject,omitzero"`
	Service     string       `json:"service,omitempty"`
	Team        string       `json:"team,omitempty"`
	Environment string       `json:"environment,omitempty"`
	Destination string       `json:"destination,omitempty"`
	// FollowedSince is when following began; what ran before is not a deployment.
	FollowedSince time.Time `json:"followed_since,omitzero"`
	// Based says that the baseline was taken.
	Based bool `json:"based,omitempty"`
	// New: the subject was created after following began, and its first attempt is not judged yet.
	New bool `json:"new,omitempty"`
	// Imported: what history tells of the time before FollowedSince was judged as well.
	Imported bool `json:"imported,omitempty"`
	// Inherited: Settled came from an earlier subject of the same service, environment and destination.
	Inherited bool `json:"inherited,omitempty"`

	// PreviousKnown is false while an attempt that was never judged may lie before the next one.
	PreviousKnown bool `json:"previous_known,omitempty"`
	// Settled is the version that last ran Healthy; Current the one the last verdict left running.
	Settled []string `json:"settled,omitempty"`
	Current []string `json:"current,omitempty"`
	// Silent are images that joined without an attempt (CronJobs, injected sidecars); they take no part in a version's rank.
	Silent []string `json:"silent,omitempty"`

	// Ops are the newest operations, oldest first.
	Ops []Op `json:"ops,omitempty"`
	// Pods maps each live image to the start of the operation under which it appeared; zero is before all of them.
	Pods map[string]time.Time `json:"pods,omitempty"`
	// Pending is the attempt whose version can only be told from live images or applied rows.
	Pending *Attempt `json:"pending,omitempty"`
	// Rollouts hold what is known of each visible Rollout, by uid.
	Rollouts map[string]*RolloutState `json:"rollouts,omitempty"`
	// Judged are the newest attempts that got their event.
	Judged []string `json:"judged,omitempty"`

	// HealthCode is the health as last seen; HealthSeen stands in for health.lastTransitionTime where Argo CD has none.
	HealthCode Health    `json:"health_code,omitempty"`
	HealthSeen time.Time `json:"health_seen,omitzero"`
	// HealthAt is the transition time of HealthCode as last seen.
	HealthAt time.Time `json:"health_at,omitzero"`
	// Excused is the Degraded that a Rollout's change or abort explained, ExcusedUntil how long it is still taken for that one afterwards.
	Excused      time.Time `json:"excused,omitzero"`
	ExcusedUntil time.Time `json:"excused_until,omitzero"`
	// DegradedSince is when the settled version turned Degraded, while that does not count yet.
	DegradedSince time.Time `json:"degraded_since,omitzero"`
	Failure       *Failure  `json:"failure,omitempty"`
	// Failures numbers them.
	Failures int         `json:"failures,omitempty"`
	Deploy   *LastDeploy `json:"deploy,omitempty"`
	// LastID is the highest id of a history entry seen, plus one. Ids identify nothing, but a jump shows that entries were dropped.
	LastID int64 `json:"last_id,omitempty"`
	// Gaps counts history entries that could not be told.
	Gaps int `json:"gaps,omitempty"`

	// RecheckAt is when time alone may change the decision.
	RecheckAt time.Time `json:"-"`
	// seen is the fingerprint of the observation and policy that led to this state.
	seen uint64
}

// Op is one operation as far as it is known.
type Op struct {
	Start time.Time `json:"start"`
	// End is zero while it runs.
	End time.Time `json:"end,omitzero"`
	// Deployed is history's deployedAt.
	Deployed time.Time `json:"deployed,omitzero"`
	Failed   bool      `json:"failed,omitempty"`
	Partial  bool      `json:"partial,omitempty"`
	DryRun   bool      `json:"dry_run,omitempty"`
	SelfHeal bool      `json:"self_heal,omitempty"`
	// Asked: its request was read from the top-level operation.
	Asked bool `json:"asked,omitempty"`
	// Listed: history has it, so it was a full sync that succeeded.
	Listed bool `json:"listed,omitempty"`
	// RowsSeen: its own result was read. Applied: a workload of it was applied. Touched: it changed some resource. Plain: it changed a
	// workload other than the visible Rollouts. Several: it changed more than one workload, visible Rollouts among them.
	RowsSeen bool `json:"rows_seen,omitempty"`
	Applied  bool `json:"applied,omitempty"`
	Touched  bool `json:"touched,omitempty"`
	Plain    bool `json:"plain,omitempty"`
	Several  bool `json:"several,omitempty"`
	// Images that its rows, or the source that history lists, say it applied.
	Images []string `json:"images,omitempty"`
	// OutOfSync: the comparison before it found a difference.
	OutOfSync bool `json:"out_of_sync,omitempty"`
	// Moving: it was seen before it was over (running, or its health not Healthy yet).
	Moving bool `json:"moving,omitempty"`
	// Unseen: it ended while nobody looked, and what came of it is not told.
	Unseen bool `json:"unseen,omitempty"`
	// Gap: health was not watched all the way from its end, so a later transition proves nothing about when.
	Gap       bool     `json:"gap,omitempty"`
	Revisions []string `json:"revisions,omitempty"`
	Message   string   `json:"message,omitempty"`
	// Closed: nothing more is expected of it. Idle: it changed no version.
	Closed bool `json:"closed,omitempty"`
	Idle   bool `json:"idle,omitempty"`
}

func (o *Op) ended() bool { return !o.End.IsZero() }

// overwritten: a full sync that ended unseen and that history does not list. What came of it is lost.
func (o *Op) overwritten() bool { return o != nil && o.Unseen && !o.Partial }

// failedApplied: it failed after it applied a workload.
func (o *Op) failedApplied() bool { return o.ended() && o.Failed && o.Applied }

// Attempt is one try to bring a version to production that live images tell of.
type Attempt struct {
	Start  time.Time       `json:"start"`
	Change dora.ChangeKind `json:"change"`
	// Images is the version as last read; the verdict fixes it. Added are those of it that were not running before.
	Images []string `json:"images"`
	Added  []string `json:"added"`
	// PreviousKnown is the subject's when the attempt began.
	PreviousKnown bool `json:"previous_known,omitempty"`
	// FirstSeen is when the version was first seen live.
	FirstSeen time.Time `json:"first_seen"`
	// DegradedSince is when production turned Degraded under it.
	DegradedSince time.Time `json:"degraded_since,omitzero"`
	// Clock runs while its operation is finished and nothing is paused.
	Clock Clock `json:"clock,omitzero"`
	// ProvenInFlight: a newer operation found it still going out.
	ProvenInFlight bool `json:"proven_in_flight,omitempty"`
}

// Clock measures how long an attempt has gone without a verdict. It stands while something is paused.
type Clock struct {
	Started bool `json:"started,omitempty"`
	// Waited is what ran up to Mark, which is zero while the clock stands.
	Waited time.Duration `json:"waited,omitempty"`
	Mark   time.Time     `json:"mark,omitzero"`
}

// RolloutState is what is known of one Rollout.
type RolloutState struct {
	// Stable are the images of the promoted ReplicaSet.
	Stable     []string   `json:"stable,omitempty"`
	StableHash string     `json:"stable_hash,omitempty"`
	Revisions  []Revision `json:"revisions,omitempty"`
}

func (r *RolloutState) current() *Revision {
	if len(r.Revisions) == 0 {
		return nil
	}
	return &r.Revisions[len(r.Revisions)-1]
}

// Revision collects the facts about one revision of a Rollout, as they are seen. Which attempt it belongs
// to, and what came of it, is decided from these facts.
type Revision struct {
	N    int    `json:"n"`
	Hash string `json:"hash"`
	// At is when the Rollout changed to it.
	At     time.Time `json:"at"`
	Images []string  `json:"images,omitempty"`
	// Base is the promoted version it set out to replace.
	Base     []string `json:"base,omitempty"`
	BaseHash string   `json:"base_hash,omitempty"`
	// First: no version was promoted before it. Return: it is the template of BaseHash again.
	First  bool `json:"first,omitempty"`
	Return bool `json:"return,omitempty"`
	Moving bool `json:"moving,omitempty"`
	// Revived: its ReplicaSet served an earlier revision that nobody saw.
	Revived bool `json:"revived,omitempty"`
	// Exposed: it took production traffic.
	Exposed bool    `json:"exposed,omitempty"`
	Aborts  []Abort `json:"aborts,omitempty"`
	// DegradedSince is when it exceeded its deadline; PromotedAt when it became the stable version and healthy.
	DegradedSince time.Time `json:"degraded_since,omitzero"`
	PromotedAt    time.Time `json:"promoted_at,omitzero"`
	// LeftAt is when the Rollout turned to another revision; Returned says to the one before, Proven that no verdict was missed.
	LeftAt     time.Time `json:"left_at,omitzero"`
	Returned   bool      `json:"returned,omitempty"`
	Proven     bool      `json:"proven,omitempty"`
	ReturnedAt time.Time `json:"returned_at,omitzero"`
	// Owner is the attempt it belongs to; empty until that can be told. Drift: no operation brought it.
	Owner string `json:"owner,omitempty"`
	Drift bool   `json:"drift,omitempty"`
	// Failed: its attempt got a failed verdict. Closed: nothing more is expected of it.
	Failed bool `json:"failed,omitempty"`
	Closed bool `json:"closed,omitempty"`
	// Clock as in Attempt.
	Clock Clock `json:"clock,omitzero"`
}

// Abort is one abort of a revision.
type Abort struct {
	At      time.Time `json:"at"`
	Exposed bool      `json:"exposed,omitempty"`
	Judged  bool      `json:"judged,omitempty"`
	Retried bool      `json:"retried,omitempty"`
}

// Failure is a span in which production was degraded.
type Failure struct {
	// UID is the subject's in whose ledger it opened; a recreated subject inherits an open failure.
	UID      string    `json:"uid"`
	Ordinal  int       `json:"ordinal"`
	At       time.Time `json:"at"`
	CausedBy string    `json:"caused_by,omitempty"`
	// Rollout is the uid of the Rollout whose abort opened it; its stable version closes it.
	Rollout string `json:"rollout,omitempty"`
}

// LastDeploy is the newest deployment that reached production.
type LastDeploy struct {
	EventID string `json:"event_id"`
	Start   time.Time
	// HealthyAt is when it reached Healthy; zero if it did not.
	HealthyAt time.Time
}

const (
	keptOps       = 12
	keptRevisions = 8
	keptJudged    = 40
)

func (s *State) clone() State {
	c := *s
	s = &c
	s.Settled, s.Current, s.Silent = slices.Clone(s.Settled), slices.Clone(s.Current), slices.Clone(s.Silent)
	s.Ops, s.Judged, s.Pods = slices.Clone(s.Ops), slices.Clone(s.Judged), maps.Clone(s.Pods)
	s.Pending, s.Failure, s.Deploy = copied(s.Pending), copied(s.Failure), copied(s.Deploy)
	if s.Rollouts != nil {
		rollouts := make(map[string]*RolloutState, len(s.Rollouts))
		for uid, r := range s.Rollouts {
			if r == nil {
				continue // only a damaged ledger has one
			}
			own := *r
			own.Revisions = slices.Clone(r.Revisions)
			for i := range own.Revisions {
				own.Revisions[i].Aborts = slices.Clone(own.Revisions[i].Aborts)
			}
			rollouts[uid] = &own
		}
		s.Rollouts = rollouts
	}
	return c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
