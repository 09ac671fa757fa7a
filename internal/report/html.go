package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"github.com/dora-controller/dora-controller/internal/dora"
)

// maxRows is how many deployments and failures the page lists; the plot and the figures have all of them.
const maxRows = 500

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"day": day, "clock": clock, "words": words, "span": Span, "or": or,
	"row": func(names []string, f Figures) []string { return append(names, f.Cells()...) },
	"of":  func(names ...string) []string { return names },
	"short": func(commit string) string {
		return commit[:min(len(commit), 10)]
	},
	"class": class,
}).Parse(pageText))

// class is how a mark looks; an outcome that nobody knows looks like an unknown one.
func class(o dora.Outcome) string {
	switch o {
	case dora.Succeeded, dora.Failed, dora.RolledBack:
		return "o-" + string(o)
	case dora.Unknown:
	}
	return "o-unknown"
}

// shown is what the page is filled with.
type shown struct {
	*Report

	Style    template.CSS
	Policy   string
	Metrics  []Metric
	Apart    string
	Columns  []string
	Trends   []trend
	Timeline *timeline
	Listed   []Deployment
	Lasted   []Failure
	Quiet    string
}

// HTML writes the report as one page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	sum := sha256.Sum256([]byte(pageStyle))
	s := shown{
		Report: r, Style: template.CSS(pageStyle), //nolint:gosec // it is this package's own
		Policy:  "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		Metrics: r.Figures.Metrics(), Apart: r.Figures.Apart(), Trends: r.trends(), Timeline: r.timeline(),
		Columns: []string{"Deploys", "A week", "Lead time", "Change failure rate", "Recovery", "Rework", "Band"},
		Listed:  r.Deployments[max(0, len(r.Deployments)-maxRows):], Lasted: r.Failures[max(0, len(r.Failures)-maxRows):],
	}
	if len(r.Deployments)+len(r.Failures) == 0 {
		s.Quiet = nothingHappened
	}
	if err := page.Execute(w, s); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

// Name of a week for the page's table.
func (w Week) Name() string { return w.name() }
