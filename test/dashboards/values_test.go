package dashboards

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
)

// choices are what somebody may choose: all, one value of each variable, several, and something that is not there.
func choices() map[string]map[string][]string {
	return map[string]map[string][]string{
		"all":     {},
		"one":     {"environment": {"production"}, "team": {"shop"}, "service": {"checkout"}, "kinds": {"image"}, "preset": {"Guide"}},
		"several": {"environment": {"production", "staging"}, "team": {"shop", "find"}, "service": {"cart", "search"}},
		"nothing": {"environment": {"o'hare"}, "team": {"o'hare"}, "service": {"o'hare"}},
	}
}

// shown is what a panel shows for a choice.
type shown struct {
	dashboard, panel, choice string
	rows                     string
}

// expected was worked out by hand from what fleet describes. Times are in seconds.
var expected = []shown{
	// 6 + 2 deployments in 3 × 30 + 15.5 + 2 = 107.5 days of services: 8 × 7 ÷ 107.5. Lead times are 2, 2, 6, 12, 18, 48⅓ and 96 h. 3 of 7 + 2
	// attempts failed; 2, 20 and 30 min; 3 of 5 + 2 successes are unplanned.
	{"overview.json", "The five metrics", "all", `0.52093 | 43200 | 0.333333 | 1200 | 0.428571`},
	{"overview.json", "The five metrics", "one", `1.4 | 64800 | 0.428571 | 1200 | 0.6`},
	// cart, and search in both environments: 2 × 7 ÷ (30 + 30 + 15.5).
	{"overview.json", "The five metrics", "several", `0.18543 | 7200 | 0 | – | 0`},
	{"overview.json", "The five metrics", "nothing", ``},
	{"service.json", "The five metrics", "all", `0.52093 | 43200 | 0.333333 | 1200 | 0.428571`},
	{"service.json", "The five metrics", "one", `1.4 | 64800 | 0.428571 | 1200 | 0.6`},
	// Services, deployments, lead times and rejected, failed of attempts, recoveries, aborts, open, unplanned, unexposed, returned, unknown, incidents.
	{"overview.json", "What they are taken over", "all", `5 | 8 | 7 | 0 | 3 | 9 | 3 | 1 | 0 | 3 | 1 | 1 | 2 | 2`},
	{"service.json", "What they are taken over", "several", `3 | 2 | 2 | 0 | 0 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 0`},
	// Checkout has 1.4 a week, search 0.47 and cart 0; of the two others nobody knows enough.
	{"overview.json", "Services by band", "all", `
Overall | 0 | 0 | 1 | 2 | 2
Deployment frequency | 0 | 1 | 1 | 1 | 2
Lead time | 2 | 0 | 0 | 0 | 3
Change failure rate | 1 | 0 | 0 | 1 | 3
Recovery time | 1 | 0 | 0 | 0 | 4`},
	// By Guide, 1.4 a week is High too, and 42.9 % Low.
	{"overview.json", "Services by band", "one", `
Overall | 0 | 0 | 0 | 1 | 0
Deployment frequency | 0 | 1 | 0 | 0 | 0
Lead time | 1 | 0 | 0 | 0 | 0
Change failure rate | 0 | 0 | 0 | 1 | 0
Recovery time | 1 | 0 | 0 | 0 | 0`},
	// Checkout fails a change in each of its first three weeks: Low. Search is High when it deploys, and Low when it does not, as cart is always,
	// and staging from its first whole week on. The last window is a day long, in which nobody deployed.
	{"overview.json", "Services by overall band, per week", "all", `
2026-10-26 00:00 | 0 | 0 | 0 | 3 | 0
2026-11-02 00:00 | 0 | 0 | 0 | 3 | 0
2026-11-09 00:00 | 0 | 1 | 0 | 2 | 1
2026-11-16 00:00 | 0 | 1 | 0 | 3 | 0
2026-11-23 00:00 | 0 | 1 | 0 | 3 | 1
2026-11-30 00:00 | 0 | 0 | 0 | 5 | 0`},
	// 3 in 3 weeks of services, 2 in 21.5 days, 2 in 4 weeks, 1 in 29 days, none.
	{"overview.json", "Deployment frequency", "all", `
2026-10-26 00:00 | 0
2026-11-02 00:00 | 1
2026-11-09 00:00 | 0.651163
2026-11-16 00:00 | 0.5
2026-11-23 00:00 | 0.241379
2026-11-30 00:00 | 0`},
	// 6, 12 and 18 h: 12, and 12 + 0.8 × 6. 2 and 48⅓ h: 25⅙, and 2 + 0.9 × 46⅓. 2 and 96 h: 49, and 2 + 0.9 × 94.
	{"overview.json", "Lead time for changes", "all", `
2026-10-26 00:00 | – | –
2026-11-02 00:00 | 43200 | 60480
2026-11-09 00:00 | 90600 | 157320
2026-11-16 00:00 | 176400 | 311760
2026-11-23 00:00 | – | –
2026-11-30 00:00 | – | –`},
	{"service.json", "Lead time per week", "one", `
2026-10-26 00:00 | – | –
2026-11-02 00:00 | 43200 | 60480
2026-11-09 00:00 | 174000 | 174000
2026-11-16 00:00 | 345600 | 345600
2026-11-23 00:00 | – | –
2026-11-30 00:00 | – | –`},
	{"overview.json", "Change failure rate and rework", "all", `
2026-10-26 00:00 | – | –
2026-11-02 00:00 | 0.333333 | 0.333333
2026-11-09 00:00 | 0.5 | 0
2026-11-16 00:00 | 0.333333 | 0.5
2026-11-23 00:00 | 0 | 1
2026-11-30 00:00 | – | –`},
	{"overview.json", "Failed deployment recovery time", "all", `
2026-10-26 00:00 | – | –
2026-11-02 00:00 | 1800 | 1800
2026-11-09 00:00 | 1200 | 1200
2026-11-16 00:00 | 120 | 120
2026-11-23 00:00 | – | –
2026-11-30 00:00 | – | –`},
	// p90 of checkout is 48⅓ + 0.6 × 47⅔ h.
	{"overview.json", "Worst services", "all", `
checkout | production | shop | Low | 1.4 | 6 | 64800 | 276960 | 5 | 0.428571 | 3 | 7 | 1200 | 3 | 0.6
cart | production | shop | Low | 0 | 0 | – | – | 0 | – | 0 | 0 | – | 0 | –
search | production | find | Medium | 0.466667 | 2 | 7200 | 7200 | 2 | 0 | 0 | 2 | – | 0 | 0
legacy |  |  | – | – | 0 | – | – | 0 | – | 0 | 0 | – | 0 | –
search | staging | find | – | – | 0 | – | – | 0 | – | 0 | 0 | – | 0 | –`},
	// 6 deployments in 60 days of services.
	{"overview.json", "Teams", "all", `
shop | production | 2 | Low | 0.7 | 6 | 64800 | 276960 | 5 | 0.428571 | 3 | 7 | 1200 | 3 | 0.6
find | production | 1 | Medium | 0.466667 | 2 | 7200 | 7200 | 2 | 0 | 0 | 2 | – | 0 | 0
 |  | 1 | – | – | 0 | – | – | 0 | – | 0 | 0 | – | 0 | –
find | staging | 1 | – | – | 0 | – | – | 0 | – | 0 | 0 | – | 0 | –`},
	// In October nothing was deployed. Services in Elite, High, Medium, Low, without data; the worst; and each figure, what it was, and the trend.
	{"overview.json", "Teams against the window before", "all", `
shop | production | 2 | Low | 0 | 0 | 0 | 2 | 0 | cart, checkout | 0.7 | 0 | Better | 64800 | – | Unknown | 0.428571 | – | Unknown | 1200 | – | Unknown
find | production | 1 | Medium | 0 | 0 | 1 | 0 | 0 | search | 0.466667 | 0 | Better | 7200 | – | Unknown | 0 | – | Unknown | – | – | Unknown
 |  | 1 | – | 0 | 0 | 0 | 0 | 1 |  | – | – | Unknown | – | – | Unknown | – | – | Unknown | – | – | Unknown
find | staging | 1 | – | 0 | 0 | 0 | 0 | 1 |  | – | – | Unknown | – | – | Unknown | – | – | Unknown | – | – | Unknown`},
	{"overview.json", "Open failures", "all", `2026-11-29 00:00 | legacy |  |  | an incident`},
	{"overview.json", "Open failures", "several", ``},
	// Succeeded, failed, aborted, stopped before exposure, brought back, unknown.
	{"service.json", "Deployments", "all", `
2026-11-03 00:00 | 1 | 0 | 0 | 0 | 0 | 0
2026-11-06 00:00 | 1 | 0 | 0 | 0 | 1 | 0
2026-11-07 00:00 | 1 | 0 | 0 | 0 | 0 | 0
2026-11-10 00:00 | 1 | 0 | 0 | 0 | 0 | 0
2026-11-12 00:00 | 0 | 1 | 0 | 0 | 0 | 0
2026-11-15 00:00 | 0 | 0 | 0 | 0 | 0 | 1
2026-11-17 00:00 | 0 | 0 | 1 | 0 | 0 | 0
2026-11-18 00:00 | 1 | 0 | 0 | 0 | 0 | 0
2026-11-20 00:00 | 1 | 0 | 0 | 1 | 0 | 0
2026-11-24 00:00 | 1 | 0 | 0 | 0 | 0 | 0
2026-11-26 00:00 | 0 | 0 | 0 | 0 | 0 | 1`},
	{"service.json", "Attempts", "several", `
2026-11-20 12:00 | search | production | v2 | v1 | succeeded | succeeded | good | false | 2026-11-20 12:00 | 7200 | – | c0ffee2 | live
2026-11-15 12:00 | search | staging | v3 | – | unknown | unknown | not counted | false | – | – | – | c0ffee3 | live
2026-11-10 12:00 | search | production | v1 | – | succeeded | succeeded | good | false | 2026-11-10 12:00 | 7200 | – | c0ffee1 | live`},
	{"service.json", "Failures", "all", `
2026-11-29 00:00 | – | legacy |  | – | incident | –
2026-11-28 03:00 | 2026-11-28 05:00 | checkout | production | 7200 | incident | –
2026-11-17 14:00 | 2026-11-17 14:02 | checkout | production | 120 | automatic abort | 1.5.0
2026-11-12 09:00 | 2026-11-12 09:20 | checkout | production | 1200 | deployment | 1.4.0
2026-11-06 15:40 | 2026-11-06 16:10 | checkout | production | 1800 | deployment | 1.2.0`},
	{"service.json", "Lead time of each deployment", "all", `
2026-11-03 10:00 | 64800
2026-11-06 15:00 | 21600
2026-11-07 11:00 | 43200
2026-11-10 12:00 | 7200
2026-11-12 09:20 | 174000
2026-11-18 10:00 | 345600
2026-11-20 12:00 | 7200`},
	{"service.json", "Attempts in no change failure rate", "all", `
Argo no longer tells how it ended | 2
brought an earlier version back | 1
stopped before any user could meet it | 1`},
	{"service.json", "Deployments without a lead time", "all", `NoCommitInImage | 1`},
	{"service.json", "Failures in no recovery time", "all", `incident: no counted deployment caused it | 2`},
	{"service.json", "Failures (annotation)", "all", `
2026-11-06 15:40 | 2026-11-06 16:10 | checkout: failure | production
2026-11-12 09:00 | 2026-11-12 09:20 | checkout: failure | production
2026-11-17 14:00 | 2026-11-17 14:02 | checkout: failure | production
2026-11-28 03:00 | 2026-11-28 05:00 | checkout: incident | production
2026-11-29 00:00 | 2026-12-01 00:00 | legacy: incident, still open | `},
	{"service.json", "Brought back (annotation)", "all", `2026-11-06 16:10 | checkout back to 1.1.0 | production`},
}

// queries are all of a dashboard's, by what shows them.
func queries(d *dashboard) map[string]target {
	all := map[string]target{}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all[p.Title] = q
		}
	}
	for _, a := range d.Annotations.List {
		all[a.Name+" (annotation)"] = a.Target
	}
	return all
}

func TestPanelsShowWhatWasWorkedOutByHand(t *testing.T) {
	db, boards := fleet(t), dashboards(t)
	for _, want := range expected {
		t.Run(want.dashboard+"/"+want.panel+"/"+want.choice, func(t *testing.T) {
			d := boards[want.dashboard]
			q, found := queries(d)[want.panel]
			NewWithT(t).Expect(found).To(BeTrue(), "there is no such panel")
			v := choose(t, db.Conn, d, choices()[want.choice])
			got := query(t, db.Conn, v.expand(t, q.RawSQL))
			NewWithT(t).Expect(strings.Join(got.rows, "\n")).To(Equal(strings.TrimPrefix(want.rows, "\n")))
		})
	}
}

// Each panel runs for each choice, has the columns that its form needs, and is among those whose values were worked out.
func TestEachQueryRunsForEachChoice(t *testing.T) {
	db := fleet(t)
	for name, d := range dashboards(t) {
		if d.kind() != postgresType {
			continue
		}
		for title, q := range queries(d) {
			t.Run(name+"/"+title, func(t *testing.T) {
				workedOut := slices.ContainsFunc(expected, func(s shown) bool { return s.dashboard == name && s.panel == title })
				NewWithT(t).Expect(workedOut).To(BeTrue(), "nobody worked out what it shows")
				for _, chosen := range choices() {
					runs(t, db.Conn, d, q, chosen)
				}
			})
		}
	}
}

func runs(t *testing.T, conn *pgx.Conn, d *dashboard, q target, chosen map[string][]string) {
	t.Helper()
	v := choose(t, conn, d, chosen)
	got := query(t, conn, v.expand(t, q.RawSQL))
	if q.Format == "time_series" {
		NewWithT(t).Expect(got.columns[0]).To(Equal("time"))
		NewWithT(t).Expect(got.rows).To(Equal(sorted(got.rows)), "a time series ascends")
	}
}

func TestVariablesOfferWhatIsThere(t *testing.T) {
	db := fleet(t)
	for name, d := range dashboards(t) {
		if d.kind() != postgresType {
			continue
		}
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			all := choose(t, db.Conn, d, nil).chosen
			g.Expect(all).To(HaveKeyWithValue("environment", []string{"(none)", "production", "staging"}))
			g.Expect(all).To(HaveKeyWithValue("team", []string{"(none)", "find", "shop"}))
			g.Expect(all).To(HaveKeyWithValue("service", []string{"cart", "checkout", "legacy", "search"}))
			g.Expect(all).To(HaveKeyWithValue("kinds", []string{"image", "config"}))
			g.Expect(all).To(HaveKeyWithValue("preset", []string{"Port"}))
			shop := choose(t, db.Conn, d, map[string][]string{"team": {"shop"}}).chosen
			g.Expect(shop["service"]).To(Equal([]string{"cart", "checkout"}))
			staging := choose(t, db.Conn, d, map[string][]string{"environment": {"staging", "(none)"}}).chosen
			g.Expect(staging["team"]).To(Equal([]string{"(none)", "find"}))
			g.Expect(staging["service"]).To(Equal([]string{"legacy", "search"}))
		})
	}
}
