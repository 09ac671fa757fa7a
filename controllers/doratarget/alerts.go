package doratarget

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// quiet is how long an alert that ended is remembered. What comes back within it is the same, and not told of again: a service that is deployed
// once a day stands at the edge of a band, and would cross it twice a day.
const quiet = 24 * time.Hour

// worse are the alerts of a target after a look, and which of them nobody was told of yet.
type worse struct {
	alerts  []dorav1alpha1.AlertStatus
	omitted int
	news    []dorav1alpha1.AlertStatus
}

// remember decides what stands of what was told, now that this is found to be worse, and what is to be told: what was not told before, and what
// has become worse than what was told. What is found first is told first, and as long as the list is full nothing else is: nobody could tell
// later that it was.
func remember(told, found []dorav1alpha1.AlertStatus, worsening float64, now time.Time) worse {
	var w worse
	known := map[alertKey]bool{}
	for _, t := range told {
		f := find(found, keyOf(&t))
		known[keyOf(&t)] = true
		switch {
		case f != nil && graver(&t, f, worsening):
			t = *f
			t.Since = metav1.NewTime(now)
			w.news = append(w.news, t)
		case f != nil:
			t.Ended = nil
		case t.Ended == nil:
			t.Ended = new(metav1.NewTime(now))
		case now.Sub(t.Ended.Time) >= quiet:
			continue
		}
		w.alerts = append(w.alerts, t)
	}
	for _, f := range found {
		if known[keyOf(&f)] {
			continue
		}
		if !w.room() {
			w.omitted++
			continue
		}
		f.Since = metav1.NewTime(now)
		w.alerts, w.news = append(w.alerts, f), append(w.news, f)
	}
	slices.SortFunc(w.alerts, func(a, b dorav1alpha1.AlertStatus) int { return keyOf(&a).compare(keyOf(&b)) })
	return w
}

// room makes some for one more, if need be by what ended longest ago.
func (w *worse) room() bool {
	if len(w.alerts) < dorav1alpha1.MaxAlerts {
		return true
	}
	oldest := -1
	for i := range w.alerts {
		if ended := w.alerts[i].Ended; ended != nil && (oldest < 0 || ended.Before(w.alerts[oldest].Ended)) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	w.alerts = slices.Delete(w.alerts, oldest, oldest+1)
	return true
}

// graver tells whether what is found is worse than what was told: a still lower band, or a median that is longer by as much again.
func graver(told, found *dorav1alpha1.AlertStatus, worsening float64) bool {
	if told.Reason == dorav1alpha1.AlertServiceFell {
		return fourkeys.Band(found.Band).Below(fourkeys.Band(told.Band))
	}
	return told.P50Seconds != nil && float64(*found.P50Seconds) > float64(*told.P50Seconds)*(1+worsening)
}

// alertKey is what an alert is about: a service, or one median of a team.
type alertKey struct {
	reason                    dorav1alpha1.AlertReason
	environment, name, metric string
}

func keyOf(a *dorav1alpha1.AlertStatus) alertKey {
	if a.Reason == dorav1alpha1.AlertServiceFell {
		return alertKey{a.Reason, a.Environment, a.Service, ""}
	}
	return alertKey{a.Reason, a.Environment, a.Team, string(a.Metric)}
}

func (k alertKey) compare(other alertKey) int {
	return cmp.Or(cmp.Compare(k.reason, other.reason), cmp.Compare(k.environment, other.environment), cmp.Compare(k.name, other.name),
		cmp.Compare(k.metric, other.metric))
}

func find(among []dorav1alpha1.AlertStatus, key alertKey) *dorav1alpha1.AlertStatus {
	for i := range among {
		if keyOf(&among[i]) == key {
			return &among[i]
		}
	}
	return nil
}

// alertsOf are the alerts of a target, as long as all its objects were looked at: before, its figures may lack some.
func alertsOf(object *dorav1alpha1.DoraTarget, s *scope, h *history, t thresholds) worse {
	if object.Spec.Alerts == nil {
		return worse{}
	}
	worsening, err := object.Spec.Alerts.Worsening.Parse()
	if err != nil || s.waiting > 0 || h.length == 0 {
		return worse{alerts: object.Status.Alerts, omitted: int(object.Status.AlertsOmitted)}
	}
	return remember(object.Status.Alerts, found(s, h, t, worsening), worsening, s.now.UTC().Truncate(time.Second))
}

// found is what is worse than it was over the window before: services, worst first, and then medians of teams.
func found(s *scope, h *history, t thresholds, worsening float64) []dorav1alpha1.AlertStatus {
	now, before := h.fleet(), h.before()
	var all []dorav1alpha1.AlertStatus
	for _, f := range now.Falls(*before, t, h.length) {
		all = append(all, dorav1alpha1.AlertStatus{
			Reason: dorav1alpha1.AlertServiceFell, Service: f.Service.Name, Environment: f.Service.Environment, Team: h.teamOf(s, f.Service),
			Metric: dorav1alpha1.Metric(f.Metric), BeforeBand: dorav1alpha1.Band(f.From), Band: dorav1alpha1.Band(f.To),
		})
	}
	services := len(all)
	for of, members := range h.teams(s) {
		for _, m := range fourkeys.Worsened(new(before.Pool(members...)), new(now.Pool(members...)), worsening) {
			all = append(all, dorav1alpha1.AlertStatus{
				Reason: dorav1alpha1.AlertTeamWorsened, Team: of.name, Environment: of.environment,
				Metric: dorav1alpha1.Metric(m.Metric), BeforeP50Seconds: whole(&m.Before), P50Seconds: whole(&m.Now),
			})
		}
	}
	slices.SortFunc(all[services:], func(a, b dorav1alpha1.AlertStatus) int { return keyOf(&a).compare(keyOf(&b)) })
	return all
}

// announce tells of what got worse, after the status has it. Kubernetes merges events that differ in their note alone, so what each is about
// stands in a reference.
func (r *Reconciler) announce(ctx context.Context, object *dorav1alpha1.DoraTarget, news []dorav1alpha1.AlertStatus) {
	for i := range news {
		a := &news[i]
		log.FromContext(ctx).Info("Got worse", "reason", string(a.Reason), "service", a.Service, "team", a.Team, "environment", a.Environment)
		about := &corev1.ObjectReference{
			APIVersion: dorav1alpha1.GroupVersion.String(), Kind: "DoraTarget", Namespace: object.Namespace, Name: object.Name, UID: object.UID,
			FieldPath: "status.alerts{" + strings.Join([]string{a.Environment, a.Team, a.Service, string(a.Metric), string(a.Band)}, "/") + "}",
		}
		r.Notices.Eventf(object, about, corev1.EventTypeWarning, string(a.Reason), "Compared", "%s", a.Text())
	}
}
