package filter_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/filter"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func read(t *testing.T, expression string) *filter.Filter {
	t.Helper()
	f, err := filter.New(expression)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return f
}

// TestEvents: the samples are of cart, of team shop, in production: e1 succeeded, e2 failed, e3 a rollback, e4 unknown, then a failure
// and its recovery.
func TestEvents(t *testing.T) {
	for expression, want := range map[string]string{
		``:                                    "e1 e2 e3 e4 e5 e6",
		` `:                                   "e1 e2 e3 e4 e5 e6",
		`true`:                                "e1 e2 e3 e4 e5 e6",
		`event.service == "cart"`:             "e1 e2 e3 e4 e5 e6",
		`event.service.startsWith("pay")`:     "",
		`event.environment != "staging"`:      "e1 e2 e3 e4 e5 e6",
		`event.team in ["shop", "other"]`:     "e1 e2 e3 e4 e5 e6",
		`event.type == "deploy"`:              "e1 e2 e3 e4",
		`event.outcome == "failed"`:           "e2",
		`event.outcome == ""`:                 "e5 e6",
		`event.success`:                       "e1 e3",
		`event.success && !event.is_rollback`: "e1",
		`event.unplanned || event.change == "config"`:                                     "",
		`event.cluster == "eu-1" && event.namespace == "argocd" && event.basis == "live"`: "e1 e2 e3 e4 e5 e6",
		`event.service.matches("^c.*t$") && event.type != "deploy"`:                       "e5 e6",
	} {
		f := read(t, expression)
		var wanted []dora.Event
		for _, e := range sinktest.Events() {
			ok, err := f.Event(&e)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			if ok {
				wanted = append(wanted, e)
			}
		}
		NewWithT(t).Expect(strings.Join(sinktest.IDs(wanted), " ")).To(Equal(want), expression)
	}
}

// TestFigures: figures of a service, a team and a target, and of a service without a team. What they do not have rules nothing out.
func TestFigures(t *testing.T) {
	const all = "cart(service) (team) (target) quiet(service)"
	for expression, want := range map[string]string{
		``:                               all,
		`event.outcome == "failed"`:      all,
		`event.service == "cart"`:        "cart(service) (team) (target)",
		`event.team == "shop"`:           "cart(service) (team) (target)",
		`event.team != "shop"`:           "(target) quiet(service)",
		`event.environment == "staging"`: "(target)",
		`event.environment == "staging" && event.outcome == "failed"`: "(target)",
		`event.environment == "staging" || event.type == "deploy"`:    all,
		`event.cluster == "us-1"`:                                     "",
		`false`:                                                       "",
	} {
		f := read(t, expression)
		var wanted []string
		for _, figures := range sinktest.Figures() {
			ok, err := f.Figures(&figures)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			if ok {
				wanted = append(wanted, figures.Service+"("+string(figures.Scope)+")")
			}
		}
		NewWithT(t).Expect(strings.Join(wanted, " ")).To(Equal(want), expression)
	}
	var none *filter.Filter
	NewWithT(t).Expect(none.Figures(&sink.Figures{})).To(BeTrue())
}

func TestMistakes(t *testing.T) {
	for expression, want := range map[string]string{
		`event.enviroment == "production"`: "there is no event.enviroment; there are event.basis, event.change, event.cluster,",
		`service == "cart"`:                "at line 1, column 1: undeclared reference to 'service'",
		`event.service`:                    "it must say true or false, and says a string",
		`event.service == 1`:               "found no matching overload for '_==_' applied to '(string, int)'",
		"true &&\n  (":                     "at line 2, column 4: Syntax error",
	} {
		_, err := filter.New(expression)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(want)), expression)
	}
}

// TestBounds: an expression that would take for ever is stopped, and says so.
func TestBounds(t *testing.T) {
	g := NewWithT(t)
	list := "[" + strings.Repeat("1,", 99) + "1]"
	f := read(t, list+".all(a, "+list+".all(b, "+list+`.all(c, a + b + c > 0 || event.service == "")))`)
	_, err := f.Event(new(sinktest.Events()[0]))
	g.Expect(err).To(MatchError(ContainSubstring("cost limit exceeded")))
	_, err = f.Figures(new(sinktest.Figures()[0]))
	g.Expect(err).To(MatchError(ContainSubstring("cost limit exceeded")))
	f = read(t, `event.service.matches(event.team + "(")`)
	_, err = f.Event(new(sinktest.Events()[0]))
	g.Expect(err).To(MatchError(ContainSubstring("cannot evaluate the filter")))
}
