package deploy_test

import (
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
)

// fact changes one thing about a subject.
func (s *subject) fact(word string, a *args) {
	switch word {
	case "deleting":
		s.obs.Deleting = true
	case "deleted":
		s.obs.Deleting, s.gone = true, true
	case "labels":
		s.relabel(a)
	case "destination":
		s.obs.Destination = a.next("a destination")
	default:
		if s.obs.App != nil {
			s.appFact(s.obs.App, word, a)
		} else {
			rolloutFact(&s.obs.Rollouts[0], word, a)
		}
	}
}

// relabel: `labels service=shop env=prod team=web`.
func (s *subject) relabel(a *args) {
	for _, label := range a.all() {
		switch key, value, _ := strings.Cut(label, "="); key {
		case "service":
			s.policy.Service = value
		case "env":
			s.policy.Environment = value
		case "team":
			s.policy.Team = value
		default:
			a.failf("unknown label %q", key)
		}
	}
}

func (s *subject) appFact(app *deploy.App, word string, a *args) {
	switch word {
	case "health":
		health := deploy.Health(a.next("a health"))
		since := app.HealthSince
		if health != app.Health {
			since = a.now
		}
		app.Health, app.HealthSince = health, a.timeAfter("since", since)
	case "sync":
		status := a.oneOf("Synced", "OutOfSync", "Unknown")
		app.Synced, app.OutOfSync = status == "Synced", status == "OutOfSync"
	case "reconciled":
		app.ReconciledAt = a.timeAfter("at", a.now)
	case "images":
		app.Images = images(a.all())
	case "request":
		app.Requested = request(a.next("who asks"), a)
	case "op":
		operation(app, a)
	case "rows":
		if app.Operation == nil {
			a.failf("there is no operation")
			return
		}
		app.Operation.Rows = rows(a)
	case "revision":
		app.Operation.Revisions = a.all()
	case "history":
		history(app, a)
	case "resources":
		app.Resources = resources(a)
	case "stale":
		app.Stale = true
	case "fresh":
		app.Stale = false
	default:
		a.failf("unknown fact of an Application")
	}
}

// images: `b` is short for registry.example.com/acme/shop:main-bbbbbbb, `worker:b` for that of another repository, `v1.2.3` is a tag of shop.
func images(words []string) []string {
	var refs []string
	for _, word := range words {
		refs = append(refs, image(word))
	}
	return refs
}

func image(word string) string {
	repository, rest := "shop", word
	if i := strings.IndexAny(word, ":@"); i >= 0 && strings.Contains(word[:i], "/") {
		return word
	} else if i > 0 && !strings.HasPrefix(word, "sha256") {
		repository, rest = word[:i], word[i+1:]
	}
	separator := ":"
	if strings.HasPrefix(rest, "sha256") {
		separator = "@"
	}
	return "registry.example.com/acme/" + repository + separator + tag(rest)
}

// tag: one letter stands for a whole tag.
func tag(word string) string {
	if len(word) == 1 && word >= "a" && word <= "z" {
		return "main-" + strings.Repeat(word, 7)
	}
	return word
}

// request: who asked for an operation, and for what.
func request(who string, a *args) *deploy.Request {
	switch who {
	case "none":
		return nil
	case "auto", "user":
		return &deploy.Request{}
	case "self-heal":
		return &deploy.Request{Partial: true, SelfHeal: true}
	case "selective":
		return &deploy.Request{Partial: true}
	case "dry-run":
		return &deploy.Request{DryRun: true}
	}
	a.failf("%q asks for nothing known", who)
	return nil
}

// operation: `op PHASE [KIND] [start T] [finish T]`, or `op none`. A new operation shows the result of the one before until it has its own, unless
// that was removed with `op none`.
func operation(app *deploy.App, a *args) {
	phase := a.next("a phase")
	if phase == "none" {
		app.Operation = nil
		return
	}
	op := deploy.Operation{}
	if app.Operation != nil {
		op = *app.Operation
	}
	op.Phase = deploy.Phase(phase)
	if len(a.words) > 0 && a.words[0] != "start" && a.words[0] != "finish" {
		op.Request = *request(a.next("a kind"), a)
	} else if app.Requested != nil {
		op.Request = *app.Requested
	}
	over := slices.Contains([]string{"Succeeded", "Failed", "Error"}, phase)
	started := op.StartedAt
	if fresh := app.Operation == nil || !app.Operation.FinishedAt.IsZero(); fresh {
		started = a.now
	}
	op.StartedAt = a.timeAfter("start", started)
	op.FinishedAt = time.Time{}
	if over {
		op.FinishedAt = a.now
	}
	op.FinishedAt = a.timeAfter("finish", op.FinishedAt)
	app.Operation = &op
}

// rows: `Kind/name[:how][=image,image]`; it was applied if nothing else is said.
func rows(a *args) []deploy.Row {
	var all []deploy.Row
	for _, word := range a.all() {
		object, pictures, _ := strings.Cut(word, "=")
		object, how, _ := strings.Cut(object, ":")
		kind, name, _ := strings.Cut(object, "/")
		r := deploy.Row{Kind: kind, Namespace: "shop", Name: name, Workload: isWorkload(kind), Applied: true}
		if pictures != "" {
			r.Images = images(strings.Split(pictures, ","))
		}
		switch how {
		case "":
		case "unchanged":
			r.Unchanged = true
		case "failed", "pruned", "waiting":
			r.Applied = false
		case "hook":
			r.Applied, r.Workload = false, false
		default:
			a.failf("unknown result %q", how)
		}
		all = append(all, r)
	}
	return all
}

func isWorkload(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet", "Rollout", "CronJob", "Job"}, kind)
}

// history: `entry [id N] [start T] [deployed T] [image I] [revision R]`, `keeps N` (the limit), or `none`.
func history(app *deploy.App, a *args) {
	switch a.oneOf("entry", "keeps", "none") {
	case "none":
		app.History = nil
	case "keeps":
		app.History = slices.Clone(app.History[max(len(app.History)-a.number(), 0):])
	case "entry":
		h := deploy.HistoryEntry{StartedAt: a.now, DeployedAt: a.now}
		if n := len(app.History); n > 0 {
			h.ID = app.History[n-1].ID + 1
		}
		if a.accept("id") {
			h.ID = int64(a.number())
		}
		if app.Operation != nil {
			h.StartedAt = app.Operation.StartedAt
		}
		h.StartedAt = a.timeAfter("start", h.StartedAt)
		h.DeployedAt = a.timeAfter("deployed", h.DeployedAt)
		for a.accept("image") {
			h.Images = append(h.Images, image(a.next("an image")))
		}
		if a.accept("revisions") {
			h.Revisions = a.all()
		}
		app.History = append(slices.Clip(app.History), h)
	}
}

// resources: `Kind/name[:Health]`.
func resources(a *args) []deploy.Resource {
	var all []deploy.Resource
	for _, word := range a.all() {
		object, health, _ := strings.Cut(word, ":")
		kind, name, _ := strings.Cut(object, "/")
		all = append(all, deploy.Resource{Kind: kind, Namespace: "shop", Name: name, Health: deploy.Health(health)})
	}
	return all
}
