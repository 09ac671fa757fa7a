package kube

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/intake"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Reports says whether the target selects a subject whose deployments are reported.
func (t *Target) Reports(row *ledger.Subject) bool {
	return intake.Deploys(row) && t.selectsReported(row.Namespace, row.Service)
}

// selectsReported says whether the target selects what is reported of a service in that namespace. Targets hear receivers of their own
// namespace alone, trusted or not: whoever may make a receiver elsewhere must not change their figures.
func (t *Target) selectsReported(namespace, service string) bool {
	reported := t.Object.Spec.Reported
	return reported != nil && t.Refused == nil && namespace == t.Object.Namespace &&
		slices.ContainsFunc(texts(reported.Services), func(glob string) bool { return dora.Glob(glob, service) })
}

// Reporting returns the targets that select a subject whose deployments are reported.
func (v View) Reporting(row *ledger.Subject) Selection {
	var selection Selection
	for _, t := range v {
		if t.Reports(row) {
			selection = append(selection, t)
		}
	}
	return selection
}

// Concerned returns the targets whose figures may count what was reported of a subject.
func (v View) Concerned(row *ledger.Subject) Selection {
	var selection Selection
	for _, t := range v {
		if t.Reports(row) || t.Refused == nil && t.Object.Namespace == row.Namespace && t.Object.Spec.Incidents != nil {
			selection = append(selection, t)
		}
	}
	return selection
}

// Listening returns the targets whose figures may depend on what receivers of that namespace hear.
func (v View) Listening(namespace string) Selection {
	var selection Selection
	for _, t := range v {
		if spec := &t.Object.Spec; t.Object.Namespace == namespace && (spec.Incidents != nil || spec.Reported != nil) {
			selection = append(selection, t)
		}
	}
	return selection
}

// Hearing returns the targets that count incidents of receivers in that namespace.
func (v View) Hearing(namespace string) Selection {
	var selection Selection
	for _, t := range v {
		if t.Refused == nil && t.Object.Namespace == namespace && t.Object.Spec.Incidents != nil {
			selection = append(selection, t)
		}
	}
	return selection
}

// Hears says whether incidents of a receiver count for the target.
func (t *Target) Hears(from intake.Sender) bool {
	return t.Refused == nil && from.Namespace == t.Object.Namespace && t.Object.Spec.Incidents.Hears(from.Name)
}

func texts[T ~string](values []T) []string {
	plain := make([]string, len(values))
	for i, value := range values {
		plain[i] = string(value)
	}
	return plain
}

// Remembered reads what is remembered of subjects. Package record's Recorder implements it.
type Remembered interface {
	Lookup(uid string) (ledger.Subject, bool)
	Remembered(wanted func(*ledger.Subject) bool) []ledger.Subject
}

// Audience says who counts what receivers hear: the targets of their namespaces that are not suspended.
type Audience struct {
	Targets *Targets
	Sinks   *Sinks
	Memory  Remembered
}

var _ intake.Audience = (*Audience)(nil)

// Reported implements intake.Audience. Changes of code are in no figure, so it does not matter for them whether Argo shows the service.
func (a *Audience) Reported(ctx context.Context, from intake.Sender, about intake.Service, kind dora.Type) ([]string, error) {
	counting, err := a.targets(ctx, func(t *Target) bool {
		return t.selectsReported(from.Namespace, about.Name) && (kind == dora.TypeChange || !a.InArgo(t, about))
	})
	if err != nil {
		return nil, err
	}
	return a.Sinks.Owed(ctx, counting)
}

// Incidents implements intake.Audience.
func (a *Audience) Incidents(ctx context.Context, from intake.Sender, about intake.Service, severity string) (intake.Counting, error) {
	hearing, err := a.targets(ctx, func(t *Target) bool { return t.Hears(from) })
	if err != nil {
		return intake.Counting{}, err
	}
	about.Name = hearing.call(about.Name)
	following := slices.DeleteFunc(hearing, func(t *Target) bool { return !a.follows(t, about) })
	counting := intake.Counting{Service: about.Name}
	if len(following) > 0 {
		counting.Window, counting.Team = following[0].Timings.FailureWindow, a.teamOf(following[0], about)
		counting.Sees = func(subject dora.Subject) bool {
			row, known := a.Memory.Lookup(subject.UID)
			return known && slices.ContainsFunc(following, func(t *Target) bool { return a.counts(t, &row) })
		}
	}
	severe := slices.DeleteFunc(slices.Clone(following), func(t *Target) bool { return !t.Object.Spec.Incidents.Severe(severity) })
	counting.Sinks, err = a.Sinks.Owed(ctx, severe)
	return counting, err
}

// targets are those that are wanted of all that are not suspended, the oldest first.
func (a *Audience) targets(ctx context.Context, wanted func(*Target) bool) (Selection, error) {
	view, err := a.Targets.View(ctx)
	return slices.DeleteFunc(Selection(view), func(t *Target) bool { return t.Object.Spec.Suspend || !wanted(t) }), err
}

// call is what a service is called here: as the oldest target says that has a name for it.
func (s Selection) call(service string) string {
	for _, t := range s {
		if name, ok := t.Object.Spec.Incidents.Services[service]; ok {
			return string(name)
		}
	}
	return service
}

// follows says whether a target counts deployments of a service.
func (a *Audience) follows(t *Target, about intake.Service) bool {
	rows := a.Memory.Remembered(func(row *ledger.Subject) bool { return isOf(row, about) })
	return slices.ContainsFunc(rows, func(row ledger.Subject) bool { return a.counts(t, &row) })
}

// teamOf is whose a service is, as those of its objects tell that a target counts; those that exist come first.
func (a *Audience) teamOf(t *Target, about intake.Service) string {
	rows := a.Memory.Remembered(func(row *ledger.Subject) bool { return isOf(row, about) && row.Team != "" })
	slices.SortFunc(rows, func(x, y ledger.Subject) int {
		return cmp.Or(x.DeletedAt.Compare(y.DeletedAt), strings.Compare(x.UID, y.UID)) // those that exist have no time
	})
	for i := range rows {
		if a.counts(t, &rows[i]) {
			return rows[i].Team
		}
	}
	return ""
}

// counts says whether a target counts the deployments of a subject.
func (a *Audience) counts(t *Target, row *ledger.Subject) bool {
	if row.Kind == dora.KindReported {
		return t.Reports(row) && !a.InArgo(t, intake.Service{Name: row.Service, Environment: row.Environment})
	}
	return t.Selects(row.Kind, row.Namespace, row.Labels)
}

// InArgo says whether a target follows a service in Argo at this moment.
func (a *Audience) InArgo(t *Target, about intake.Service) bool {
	return len(a.Memory.Remembered(func(row *ledger.Subject) bool {
		return isOf(row, about) && row.DeletedAt.IsZero() && t.Selects(row.Kind, row.Namespace, row.Labels)
	})) > 0
}

func isOf(row *ledger.Subject, about intake.Service) bool {
	return row.Service == about.Name && row.Environment == about.Environment
}
