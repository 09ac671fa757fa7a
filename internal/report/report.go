package report

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// Before is how long before a report's time its events should begin: a deployment of the time may have healed, or been blamed, by
// what an earlier one left.
const Before = 30 * 24 * time.Hour

const week = 7 * 24 * time.Hour

// Input is what a report is made of.
type Input struct {
	// Title says what the report is about.
	Title string
	// From and To bound the time; Made is when the report is made.
	From, To, Made time.Time
	// Events may begin Before that, in any order.
	Events []dora.Event
	// Services are those to report; nil means all in the events. Followed says since when each is followed, FollowedSince of the others;
	// zero is before the time.
	Services      []fourkeys.Service
	Followed      map[fourkeys.Service]time.Time
	FollowedSince time.Time
	// Kinds are the kinds of change that count; none means images.
	Kinds      []dora.ChangeKind
	Thresholds fourkeys.Thresholds
	// Notes are said below the figures.
	Notes []string
}

// Report is the five metrics over a time, and what they rest on.
type Report struct {
	Title    string    `json:"title"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Made     time.Time `json:"made"`
	Figures  Figures   `json:"figures"`
	Services []Service `json:"services"`
	// Weeks are from Monday to Monday in UTC; the first and the last may be cut.
	Weeks       []Week       `json:"weeks"`
	Deployments []Deployment `json:"deployments"`
	Failures    []Failure    `json:"failures"`
	Notes       []string     `json:"notes,omitempty"`
}

// Service is the figures of one service in one environment.
type Service struct {
	Service     string  `json:"service"`
	Environment string  `json:"environment"`
	Figures     Figures `json:"figures"`
}

// Week is the figures of one week of all services together.
type Week struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Partial bool      `json:"partial"`
	Figures Figures   `json:"figures"`
}

// Deployment is one deployment of the time.
type Deployment struct {
	Time        time.Time    `json:"time"`
	ID          string       `json:"id"`
	Service     string       `json:"service"`
	Environment string       `json:"environment"`
	Outcome     dora.Outcome `json:"outcome"`
	Version     string       `json:"version,omitempty"`
	Previous    string       `json:"previous,omitempty"`
	Commit      string       `json:"commit,omitempty"`
	// Repository is an address to look at, or empty.
	Repository      string   `json:"repository,omitempty"`
	LeadTimeSeconds *float64 `json:"lead_time_seconds,omitempty"`
	Unplanned       bool     `json:"unplanned,omitempty"`
}

// Failure is a span in which production was degraded; one that is open has no end.
type Failure struct {
	From        time.Time  `json:"from"`
	To          *time.Time `json:"to"`
	Service     string     `json:"service"`
	Environment string     `json:"environment"`
	CausedBy    string     `json:"caused_by,omitempty"`
}

// New makes a report.
func New(in Input) *Report {
	wanted := in.wanted()
	events := slices.DeleteFunc(slices.Clone(in.Events), func(e dora.Event) bool { return !wanted(serviceOf(&e)) || !e.OccurredAt.Before(in.To) })
	r := &Report{Title: in.Title, From: in.From.UTC(), To: in.To.UTC(), Made: in.Made.UTC(), Notes: in.Notes, Services: []Service{}, Weeks: []Week{}}
	fleet := in.fleet(events, in.From, in.To)
	r.Figures = computed(fleet.Whole, in.Thresholds)
	for of, summary := range fleet.Services {
		r.Services = append(r.Services, Service{of.Name, of.Environment, computed(summary, in.Thresholds)})
	}
	slices.SortFunc(r.Services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
	})
	for from := in.From; from.Before(in.To); {
		to := nextMonday(from)
		if to.After(in.To) {
			to = in.To
		}
		figures := computed(in.fleet(events, from, to).Whole, in.Thresholds)
		r.Weeks = append(r.Weeks, Week{from.UTC(), to.UTC(), to.Sub(from) < week, figures})
		from = to
	}
	r.Deployments, r.Failures = deploymentsOf(events, in.From), failuresOf(events, in.From)
	return r
}

// wanted says which services the report is about.
func (in *Input) wanted() func(fourkeys.Service) bool {
	if in.Services == nil {
		return func(fourkeys.Service) bool { return true }
	}
	return func(s fourkeys.Service) bool { return slices.Contains(in.Services, s) }
}

func (in *Input) fleet(events []dora.Event, from, to time.Time) fourkeys.Fleet {
	followed := map[fourkeys.Service]time.Time{}
	for _, s := range in.Services {
		followed[s] = in.FollowedSince
	}
	for s, since := range in.Followed {
		if in.Services == nil || slices.Contains(in.Services, s) {
			followed[s] = since
		}
	}
	later := in.later(events, followed, from, to)
	events = slices.DeleteFunc(slices.Clone(events), func(e dora.Event) bool { return later[serviceOf(&e)] })
	for s := range later {
		delete(followed, s)
	}
	return fourkeys.Aggregate(events, fourkeys.Window{From: from, To: to, FollowedSince: in.FollowedSince}, followed, in.Kinds...)
}

// later are the services whose following began after a time, and of which nothing is known in it: they were not there yet.
func (in *Input) later(events []dora.Event, followed map[fourkeys.Service]time.Time, from, to time.Time) map[fourkeys.Service]bool {
	later := map[fourkeys.Service]bool{}
	for s, since := range followed {
		later[s] = !since.Before(to)
	}
	for i := range events {
		s := serviceOf(&events[i])
		if _, known := followed[s]; !known {
			later[s] = !in.FollowedSince.Before(to)
		}
	}
	for i := range events {
		if at := events[i].OccurredAt; !at.Before(from) && at.Before(to) {
			delete(later, serviceOf(&events[i]))
		}
	}
	maps.DeleteFunc(later, func(_ fourkeys.Service, isLater bool) bool { return !isLater })
	return later
}

func nextMonday(t time.Time) time.Time {
	day := t.UTC().Truncate(24 * time.Hour)
	return day.AddDate(0, 0, 7-(int(day.Weekday())+6)%7)
}

func serviceOf(e *dora.Event) fourkeys.Service {
	return fourkeys.Service{Name: e.Service, Environment: e.Environment}
}

func deploymentsOf(events []dora.Event, from time.Time) []Deployment {
	all := []Deployment{}
	for i := range events {
		e := &events[i]
		if e.Type != dora.TypeDeploy || e.OccurredAt.Before(from) {
			continue
		}
		d := Deployment{
			Time: e.OccurredAt.UTC(), ID: e.ID, Service: e.Service, Environment: e.Environment, Outcome: e.Outcome, Repository: webAddress(e.Repository),
			LeadTimeSeconds: e.LeadTimeSeconds, Unplanned: e.Unplanned != nil && *e.Unplanned,
		}
		if e.Version != nil {
			d.Version, d.Commit = nameOf(e.Version), e.Version.Commit
		}
		if e.Previous.Version != nil {
			d.Previous = nameOf(e.Previous.Version)
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b Deployment) int { return a.Time.Compare(b.Time) })
	return all
}

// nameOf names a version in a word.
func nameOf(v *dora.Version) string {
	if v.Tag == "" && len(v.Images) == 1 {
		return dora.ImageTag(v.Images[0])
	}
	return v.Tag
}

// failuresOf are those that did not end before the time.
func failuresOf(events []dora.Event, from time.Time) []Failure {
	ended := map[string]time.Time{}
	for i := range events {
		if e := &events[i]; e.Type == dora.TypeRecovered {
			ended[e.FailureID] = e.OccurredAt.UTC()
		}
	}
	all := []Failure{}
	for i := range events {
		e := &events[i]
		end, over := ended[e.FailureID]
		if e.Type != dora.TypeDegraded || over && end.Before(from) {
			continue
		}
		f := Failure{From: e.OccurredAt.UTC(), Service: e.Service, Environment: e.Environment, CausedBy: e.CausedBy}
		if over {
			f.To = &end
		}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b Failure) int { return a.From.Compare(b.From) })
	return all
}

// webAddress is the address if a browser can be sent to it without harm: https or http, and no credentials.
func webAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return strings.TrimSuffix(u.String(), ".git")
}
