package dora_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	sha1 = "1111111111111111111111111111111111111111"
	sha2 = "2222222222222222222222222222222222222222"
)

// succeeded is a deployment of a version that serves now. Both are one value, as the decisions make them.
func succeeded() dora.Event {
	version := &dora.Version{Images: []string{"example.com/cart:main-1111111"}, Tag: "main-1111111", Commit: "1111111"}
	return dora.Event{Type: dora.TypeDeploy, Outcome: dora.Succeeded, OccurredAt: noon, Version: version, Running: version}
}

func found() dora.CommitFacts {
	return dora.CommitFacts{
		Commit: sha1, FirstCommit: sha2, FirstCommitAt: noon.Add(-90 * time.Minute), Commits: 3, Base: sha2,
		Repository: "https://example.com/cart", ResolvedAt: noon.Add(time.Minute),
	}
}

func TestEnrich(t *testing.T) {
	for name, test := range map[string]struct {
		event func(*dora.Event)
		facts func(*dora.CommitFacts)
		want  string // what the facts add
	}{
		"a success has a lead time": {
			want: `{"commit_count":3,"first_commit_at":"2026-03-01T10:30:00Z","lead_time_seconds":5400}`,
		},
		"a commit in another zone is told in UTC": {
			facts: func(f *dora.CommitFacts) { f.FirstCommitAt = f.FirstCommitAt.In(time.FixedZone("", -5*3600)) },
			want:  `{"commit_count":3,"first_commit_at":"2026-03-01T10:30:00Z","lead_time_seconds":5400}`,
		},
		"a commit made in that moment was delivered at once": {
			facts: func(f *dora.CommitFacts) { f.FirstCommitAt = noon },
			want:  `{"commit_count":3,"first_commit_at":"2026-03-01T12:00:00Z","lead_time_seconds":0}`,
		},
		"a commit younger than its deployment gives no lead time": {
			facts: func(f *dora.CommitFacts) { f.FirstCommitAt = noon.Add(time.Second) },
			want:  `{"commit_count":3,"first_commit_at":"2026-03-01T12:00:01Z","lead_time_unknown":"NegativeLeadTime"}`,
		},
		"a failed attempt has commits and no lead time": {
			event: func(e *dora.Event) { e.Outcome = dora.Failed },
			want:  `{"commit_count":3,"first_commit_at":"2026-03-01T10:30:00Z"}`,
		},
		"of a failed attempt a younger commit is no reason": {
			event: func(e *dora.Event) { e.Outcome = dora.Failed },
			facts: func(f *dora.CommitFacts) { f.FirstCommitAt = noon.Add(time.Second) },
			want:  `{"commit_count":3,"first_commit_at":"2026-03-01T12:00:01Z"}`,
		},
		"a reason stands in place of a lead time": {
			facts: func(f *dora.CommitFacts) {
				f.FirstCommitAt, f.Commits, f.Base, f.Reason, f.Message = time.Time{}, 0, "", "NoBase", "it is the first"
			},
			want: `{"lead_time_unknown":"NoBase"}`,
		},
		"with a reason there is no lead time, whatever else is known": {
			facts: func(f *dora.CommitFacts) { f.Reason = "Rollback" },
			want:  `{"commit_count":3,"first_commit_at":"2026-03-01T10:30:00Z","lead_time_unknown":"Rollback"}`,
		},
		"a range without commits is known to have none": {
			facts: func(f *dora.CommitFacts) { f.FirstCommitAt, f.Commits, f.Reason = time.Time{}, 0, "NoCommits" },
			want:  `{"commit_count":0,"lead_time_unknown":"NoCommits"}`,
		},
		"facts take the place of earlier ones": {
			event: func(e *dora.Event) {
				e.Enrich(dora.CommitFacts{Commit: sha2, FirstCommitAt: noon, Commits: 7})
				e.Enrich(dora.CommitFacts{Reason: "CommitNotFound"})
			},
			want: `{"commit_count":3,"first_commit_at":"2026-03-01T10:30:00Z","lead_time_seconds":5400}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			event, facts := succeeded(), found()
			if test.event != nil {
				test.event(&event)
			}
			if test.facts != nil {
				test.facts(&facts)
			}
			event.Enrich(facts)
			got, err := json.Marshal(struct {
				CommitCount     *int       `json:"commit_count,omitempty"`
				FirstCommitAt   *time.Time `json:"first_commit_at,omitempty"`
				LeadTimeSeconds *float64   `json:"lead_time_seconds,omitempty"`
				LeadTimeUnknown string     `json:"lead_time_unknown,omitempty"`
			}{event.CommitCount, event.FirstCommitAt, event.LeadTimeSeconds, event.LeadTimeUnknown})
			if err != nil || string(got) != test.want {
				t.Errorf("want %s, got %s (%v)", test.want, got, err)
			}
			if event.Version.Commit != sha1 {
				t.Errorf("the commit is %s", event.Version.Commit)
			}
		})
	}
}

func TestEnrichCompletesWhatRunsIfItIsTheVersion(t *testing.T) {
	for name, test := range map[string]struct {
		running *dora.Version
		want    string
	}{
		"the same version":                 {succeeded().Running, sha1},
		"another tag":                      {&dora.Version{Images: succeeded().Version.Images, Tag: "main-0000000", Commit: "0000000"}, "0000000"},
		"the same tag beside other images": {&dora.Version{Images: []string{"a:1", "b:2"}, Tag: "main-1111111", Commit: "1111111"}, "1111111"},
	} {
		t.Run(name, func(t *testing.T) {
			event := succeeded()
			event.Running = test.running
			event.Enrich(found())
			if event.Running.Commit != test.want {
				t.Errorf("want %s, got %s", test.want, event.Running.Commit)
			}
		})
	}
}

func TestEnrichLeavesAlone(t *testing.T) {
	t.Run("who shares a version", func(t *testing.T) {
		first := succeeded()
		second := first
		second.Enrich(found())
		if !reflect.DeepEqual(first, succeeded()) {
			t.Errorf("the other event changed: %+v", first)
		}
	})
	t.Run("events that deploy nothing", func(t *testing.T) {
		degraded := succeeded()
		degraded.Type, degraded.Outcome = dora.TypeDegraded, ""
		before := degraded
		degraded.Enrich(found())
		if !reflect.DeepEqual(degraded, before) {
			t.Errorf("it changed: %+v", degraded)
		}
	})
	t.Run("a commit that is not known better", func(t *testing.T) {
		event := succeeded()
		event.Enrich(dora.CommitFacts{Reason: "CommitNotFound"})
		if event.Version.Commit != "1111111" {
			t.Errorf("the commit is %q", event.Version.Commit)
		}
	})
	t.Run("versions that are not known", func(t *testing.T) {
		event := dora.Event{Type: dora.TypeDeploy, Outcome: dora.Unknown}
		event.Enrich(found())
		if event.Version != nil || event.Running != nil {
			t.Errorf("versions out of nowhere: %+v", event)
		}
	})
}

func TestAnEventShowsTheEvidenceOfItsLeadTime(t *testing.T) {
	e, f := succeeded(), found()
	f.Message = "as git says"
	e.Enrich(f)
	if e.FirstCommit != sha2 || e.BaseCommit != sha2 || e.Version.Commit != sha1 || e.Repository != "https://example.com/cart" || e.LeadTimeMessage != f.Message {
		t.Errorf("got %+v", e)
	}
	e.Enrich(dora.CommitFacts{Reason: "NoRepository"})
	if e.FirstCommit != "" || e.BaseCommit != "" || e.Repository != "" || e.LeadTimeMessage != "" {
		t.Errorf("later facts take the place of earlier ones, got %+v", e)
	}
}
