package deploy

import (
	"fmt"
	"slices"
)

// The names of decisions. Those of events are the events' outcomes or types.
const (
	ReasonBaseline      Reason = "Baseline"            // rule 1
	ReasonRebased       Reason = "Rebased"             // rule 11: labels changed
	ReasonRecreated     Reason = "Recreated"           // rule 11: a recreated or renamed subject runs what its predecessor ran
	ReasonDryRun        Reason = "DryRun"              // the operation changed nothing by order
	ReasonNothing       Reason = "NothingApplied"      // the operation failed before a workload was applied
	ReasonSameImages    Reason = "SameImages"          // a re-sync, restart, scale or re-hash: nothing changed
	ReasonConfigOnly    Reason = "ConfigOnly"          // rule 5: configuration changed and is not counted
	ReasonSelfHeal      Reason = "SelfHeal"            // Argo CD repaired drift
	ReasonDrift         Reason = "Drift"               // rule 6: a change that no operation brought, undone before a verdict
	ReasonSuperseded    Reason = "Superseded"          // a newer version replaced it before any verdict
	ReasonReturned      Reason = "ReturnedAfterAbort"  // the template went back to what already ran
	ReasonSilentImage   Reason = "SilentImage"         // rule 4: an image that no operation brought
	ReasonGap           Reason = "ObservationGap"      // rule 10: a history entry whose images cannot be told
	ReasonBlip          Reason = "ShortDegraded"       // rule 7: Degraded for less than degradedFor
	ReasonSettledLate   Reason = "SettledAfterFailure" // a failed version reached Healthy by itself
	ReasonMissedAttempt Reason = "MissedAttempt"       // an attempt ended while nobody looked
	ReasonNotImported   Reason = "NotImported"         // an entry from before following whose images cannot be told
	ReasonBeforeFollow  Reason = "BeforeFollowing"     // it happened before following began
)

// importedFromHistory is the reason of an event: the target asked to import what history tells of the time before following.
const importedFromHistory = "ImportedFromHistory"

// decide records a decision that led to no event.
func (d *decider) decidef(reason Reason, attempt, format string, args ...any) {
	d.decisions = append(d.decisions, Decision{Reason: reason, Attempt: attempt, Message: fmt.Sprintf(format, args...)})
}

// judged says that this attempt has its event, or is known to get none.
func (d *decider) judged(attempt string) bool { return slices.Contains(d.s.Judged, attempt) }
