package ledgertest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// events: what queries select, and how they stream.
func events(t *testing.T, open Open) {
	t.Helper()
	t.Run("each field of a query selects", func(t *testing.T) { selects(newFixture(t, open)) })
	verify(t, open, []spec{
		{"an event is read back as it was given", readBack},
		{"events are numbered upwards in the order of writing", numbered},
		{"times are compared to the microsecond", func(f *fixture) {
			f.commit(ledger.Change{Events: []dora.Event{Deployment("e1", "cart", start.Add(1500*time.Nanosecond))}})
			f.Expect(f.ids(ledger.EventQuery{Since: start.Add(1900 * time.Nanosecond)})).To(Equal([]string{"e1"}))
			f.Expect(f.ids(ledger.EventQuery{Since: start.Add(2 * time.Microsecond)})).To(BeEmpty())
			f.Expect(f.ids(ledger.EventQuery{Until: start.Add(1900 * time.Nanosecond)})).To(BeEmpty())
		}},
		{"a reader may stop early", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 50)})
			for range 20 { // a reader that leaked its cursor would run out of them
				read := 0
				for _, err := range f.Events(f.ctx, ledger.EventQuery{}) {
					f.Expect(err).NotTo(HaveOccurred())
					read++
					if read == 3 {
						break
					}
				}
				f.Expect(read).To(Equal(3))
			}
			f.commit(ledger.Change{Events: deployments("f", "cart", 1)})
		}},
		{"a sequence can be read twice", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2)})
			sequence := f.Events(f.ctx, ledger.EventQuery{})
			for range 2 {
				read := 0
				for _, err := range sequence {
					f.Expect(err).NotTo(HaveOccurred())
					read++
				}
				f.Expect(read).To(Equal(2))
			}
		}},
		{"what is committed while events are read is not among them", snapshot},
		{"readers may be nested", nested},
		{"many ids may be asked for", func(f *fixture) {
			f.commit(ledger.Change{Events: deployments("e", "cart", 2)})
			ids := make([]string, 40_000)
			for i := range ids {
				ids[i] = fmt.Sprintf("e%d", i+2)
			}
			f.Expect(f.ids(ledger.EventQuery{IDs: ids})).To(Equal([]string{"e2"}))
		}},
	})
}

// selects runs all queries on one set of events, named by service, type and day.
func selects(f *fixture) {
	day := func(n int) time.Time { return start.AddDate(0, 0, n) }
	asia := Deployment("cart-asia-4", "cart", day(4))
	asia.Cluster, asia.Subject.UID, asia.Environment = "asia-1", "uid-cart-asia", "staging"
	f.commit(ledger.Change{Events: []dora.Event{Deployment("cart-2", "cart", day(2)), Deployment("pay-1", "pay", day(1))}})
	f.commit(ledger.Change{Events: []dora.Event{Degraded("pay-degraded-1", "pay", day(1)), asia}})
	f.commit(ledger.Change{Events: []dora.Event{Recovered("pay-recovered-3", "pay", day(3)), Deployment("cart-5", "cart", day(5))}})

	for name, test := range map[string]struct {
		query ledger.EventQuery
		want  []string
	}{
		"nothing selects everything, in the order of writing": {ledger.EventQuery{}, []string{"cart-2", "pay-1", "pay-degraded-1", "cart-asia-4", "pay-recovered-3", "cart-5"}},
		"newest first by occurrence, then by sequence":        {ledger.EventQuery{Newest: true}, []string{"cart-5", "cart-asia-4", "pay-recovered-3", "cart-2", "pay-degraded-1", "pay-1"}},
		"ids":                           {ledger.EventQuery{IDs: []string{"pay-1", "cart-5", "none"}}, []string{"pay-1", "cart-5"}},
		"subjects":                      {ledger.EventQuery{UIDs: []string{"uid-cart", "uid-cart-asia"}}, []string{"cart-2", "cart-asia-4", "cart-5"}},
		"cluster":                       {ledger.EventQuery{Cluster: "asia-1"}, []string{"cart-asia-4"}},
		"service":                       {ledger.EventQuery{Service: "pay"}, []string{"pay-1", "pay-degraded-1", "pay-recovered-3"}},
		"environment":                   {ledger.EventQuery{Environment: "staging"}, []string{"cart-asia-4"}},
		"one environment of a service":  {ledger.EventQuery{Service: "cart", Environment: "production", Newest: true, Limit: 2}, []string{"cart-5", "cart-2"}},
		"one type":                      {ledger.EventQuery{Types: []dora.Type{dora.TypeDegraded}}, []string{"pay-degraded-1"}},
		"types":                         {ledger.EventQuery{Types: []dora.Type{dora.TypeDegraded, dora.TypeRecovered}}, []string{"pay-degraded-1", "pay-recovered-3"}},
		"since is inclusive":            {ledger.EventQuery{Since: day(4)}, []string{"cart-asia-4", "cart-5"}},
		"until is exclusive":            {ledger.EventQuery{Until: day(2)}, []string{"pay-1", "pay-degraded-1"}},
		"since and until":               {ledger.EventQuery{Since: day(2), Until: day(4)}, []string{"cart-2", "pay-recovered-3"}},
		"limit":                         {ledger.EventQuery{Limit: 2}, []string{"cart-2", "pay-1"}},
		"limit of the newest":           {ledger.EventQuery{Limit: 2, Newest: true}, []string{"cart-5", "cart-asia-4"}},
		"a limit below zero is none":    {ledger.EventQuery{Limit: -1, Cluster: "asia-1"}, []string{"cart-asia-4"}},
		"after a sequence":              {ledger.EventQuery{AfterSeq: f.seq("cart-asia-4")}, []string{"pay-recovered-3", "cart-5"}},
		"after the last":                {ledger.EventQuery{AfterSeq: f.seq("cart-5")}, []string{}},
		"after a sequence, newest":      {ledger.EventQuery{AfterSeq: f.seq("pay-degraded-1"), Newest: true}, []string{"cart-5", "cart-asia-4", "pay-recovered-3"}},
		"all fields together":           {ledger.EventQuery{IDs: []string{"cart-2", "cart-5"}, UIDs: []string{"uid-cart"}, Cluster: "eu-1", Service: "cart", Environment: "production", Types: []dora.Type{dora.TypeDeploy}, Since: day(1), Until: day(9), AfterSeq: f.seq("cart-2"), Newest: true, Limit: 3}, []string{"cart-5"}},
		"an empty list of ids":          {ledger.EventQuery{IDs: []string{}}, []string{}},
		"an empty list of subjects":     {ledger.EventQuery{UIDs: []string{}}, []string{}},
		"an empty list of types":        {ledger.EventQuery{Types: []dora.Type{}}, []string{}},
		"values are never taken as SQL": {ledger.EventQuery{Service: "' OR 1=1 --", UIDs: []string{"x') OR (1=1"}}, []string{}},
	} {
		f.t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(f.ids(test.query)).To(Equal(test.want))
			g.Expect(f.Owe(f.ctx, name, test.query, start)).To(Equal(int64(len(test.want))), "a sink is owed what is selected")
			g.Expect(f.due(name, 99)).To(ConsistOf(test.want))
		})
	}
}

func readBack(f *fixture) {
	first := Deployment("e1", "cart", start)
	unknown := Deployment("e2", "cart", start.Add(123456789*time.Nanosecond))
	unknown.Outcome, unknown.Success, unknown.Basis = dora.Unknown, nil, dora.BasisHistory
	unknown.Previous = dora.Predecessor{}
	back := Deployment("e3", "cart \"quoted\" 'service' ü ✓ \\", start)
	seconds := 3600.25
	back.Outcome, back.Exposed, back.Unplanned, back.LeadTimeSeconds = dora.RolledBack, back.Success, back.IsRollback, &seconds
	back.FirstCommitAt, back.Previous = &start, dora.Predecessor{Known: true, Version: back.Version}
	given := []dora.Event{first, unknown, back, Degraded("e4", "cart", start), Recovered("e5", "cart", start), Reported("e6", "cart", start)}
	f.commit(ledger.Change{Events: given})

	var read []dora.Event
	for row, err := range f.Events(f.ctx, ledger.EventQuery{}) {
		f.Expect(err).NotTo(HaveOccurred())
		read = append(read, row.Event)
	}
	f.Expect(read).To(Equal(given))
	for i := range given {
		want, err := json.Marshal(given[i])
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(json.Marshal(read[i])).To(MatchJSON(want))
	}
}

func numbered(f *fixture) {
	f.commit(ledger.Change{Events: deployments("a", "cart", 3)})
	f.commit(ledger.Change{Events: deployments("b", "cart", 3)})
	var last int64
	for row, err := range f.Events(f.ctx, ledger.EventQuery{}) {
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(row.Seq).To(BeNumerically(">", last))
		last = row.Seq
	}
	// A number is not used again, even if the row with the greatest is gone: a reader may stand there.
	f.Expect(f.Prune(f.ctx, ledger.Retention{EventsBefore: start.AddDate(1, 0, 0)})).To(Equal(int64(6)))
	f.commit(ledger.Change{Events: deployments("c", "cart", 1)})
	f.Expect(f.seq("c1")).To(BeNumerically(">", last))
}

func snapshot(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3)})
	read := 0
	for row, err := range f.Events(f.ctx, ledger.EventQuery{}) {
		f.Expect(err).NotTo(HaveOccurred())
		f.commit(ledger.Change{Events: []dora.Event{Deployment("after-"+row.Event.ID, "cart", start)}})
		read++
	}
	f.Expect(read).To(Equal(3))
	f.Expect(f.ids(ledger.EventQuery{})).To(HaveLen(6))
}

func nested(f *fixture) {
	f.commit(ledger.Change{Events: deployments("e", "cart", 3)})
	var read func(depth int) int
	read = func(depth int) int {
		if depth == 0 {
			return 1
		}
		paths := 0
		for _, err := range f.Events(f.ctx, ledger.EventQuery{Limit: 1}) {
			f.Expect(err).NotTo(HaveOccurred())
			paths += read(depth - 1)
		}
		return paths
	}
	f.Expect(read(20)).To(Equal(1))
}
