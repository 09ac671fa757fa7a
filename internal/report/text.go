package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/show"
)

// columns are those of tables of figures, after what the rows are about.
var columns = []string{"DEPLOYS", "/WEEK", "LEAD", "CFR", "RECOVERY", "REWORK", "BAND"}

// nothingHappened is what is said instead of an empty table.
const nothingHappened = "No deployment and no failure was recorded in this time."

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}

// span says which time the report is of.
func (r *Report) span() string { return day(r.From) + " to " + day(r.To) + " (UTC)" }

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// Table writes the report as aligned tables.
func (r *Report) Table(w io.Writer) error {
	out := &lines{w: w}
	out.printf("%s, %s\n\n", show.Printable(r.Title), r.span())
	metrics := show.NewGrid("METRIC", "VALUE", "FROM", "BAND")
	for _, m := range r.Figures.Metrics() {
		metrics.Add(m.Name, m.Value, m.Samples, m.Band)
	}
	out.grid(metrics)
	if apart := r.Figures.Apart(); apart != "" {
		out.printf("\n%s\n", apart)
	}
	services := show.NewGrid(append([]string{"SERVICE", "ENVIRONMENT"}, columns...)...)
	for i := range r.Services {
		services.Add(append([]string{r.Services[i].Service, r.Services[i].Environment}, r.Services[i].Figures.Cells()...)...)
	}
	out.printf("\n")
	out.grid(services)
	weeks := show.NewGrid(append([]string{"WEEK FROM"}, columns...)...)
	for i := range r.Weeks {
		weeks.Add(append([]string{r.Weeks[i].name()}, r.Weeks[i].Figures.Cells()...)...)
	}
	out.printf("\n")
	out.grid(weeks)
	if len(r.Deployments)+len(r.Failures) == 0 {
		out.printf("\n%s\n", nothingHappened)
	}
	for _, note := range r.Notes {
		out.printf("\nNote: %s\n", show.Printable(note))
	}
	return out.err
}

func (w Week) name() string {
	if w.Partial {
		return day(w.From) + " (part)"
	}
	return day(w.From)
}

// lines keeps the first error of several writes.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) printf(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format, args...)
	}
}

func (l *lines) grid(g *show.Grid) {
	if l.err == nil {
		l.err = g.Print(l.w)
	}
}

// CSV writes the figures as rows: of all together, of each service, of each week.
func (r *Report) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{ // the writer tells at the end
		"of", "service", "environment", "from", "to", "deployments", "deployments_per_week", "lead_time_p50_seconds", "lead_time_p90_seconds", "lead_times",
		"change_failure_rate", "failed_attempts", "attempts", "recovery_p50_seconds", "recovery_p90_seconds", "recoveries", "open_failures",
		"rework_rate", "unplanned", "succeeded", "unknown", "band",
	})
	row := func(of, service, environment string, from, to time.Time, f *Figures) {
		_ = out.Write([]string{ // as above
			of, service, environment, from.Format(time.RFC3339), to.Format(time.RFC3339), whole(f.Deployments), number(f.PerWeek),
			number(f.LeadTimeP50), number(f.LeadTimeP90), whole(f.LeadTimes), number(f.FailureRate), whole(f.Failed), whole(f.Attempts),
			number(f.RecoveryP50), number(f.RecoveryP90), whole(f.Recoveries), whole(f.Open), number(f.ReworkRate), whole(f.Unplanned), whole(f.Succeeded),
			whole(f.Unknown), f.Band,
		})
	}
	row("all", "", "", r.From, r.To, &r.Figures)
	for i := range r.Services {
		row("service", harmless(r.Services[i].Service), harmless(r.Services[i].Environment), r.From, r.To, &r.Services[i].Figures)
	}
	for i := range r.Weeks {
		row("week", "", "", r.Weeks[i].From, r.Weeks[i].To, &r.Weeks[i].Figures)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func number(n *float64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(*n, 'f', -1, 64)
}

func whole(n int64) string { return strconv.FormatInt(n, 10) }

// Markdown writes the report as tables of GitHub's Markdown.
func (r *Report) Markdown(w io.Writer) error {
	out := &lines{w: w}
	out.printf("# %s\n\n%s\n\n", escaped(r.Title), r.span())
	var rows [][]string
	for _, m := range r.Figures.Metrics() {
		rows = append(rows, []string{m.Name, m.Value, m.Samples, m.Band})
	}
	out.markdown([]string{"Metric", "Value", "From", "Band"}, rows)
	if apart := r.Figures.Apart(); apart != "" {
		out.printf("%s.\n\n", apart)
	}
	out.printf("## Services\n\n")
	rows = nil
	for i := range r.Services {
		rows = append(rows, append([]string{r.Services[i].Service, r.Services[i].Environment}, r.Services[i].Figures.Cells()...))
	}
	out.markdown([]string{"Service", "Environment", "Deploys", "/Week", "Lead", "CFR", "Recovery", "Rework", "Band"}, rows)
	out.printf("## Weeks\n\n")
	rows = nil
	for i := range r.Weeks {
		rows = append(rows, append([]string{r.Weeks[i].name()}, r.Weeks[i].Figures.Cells()...))
	}
	out.markdown([]string{"Week from", "Deploys", "/Week", "Lead", "CFR", "Recovery", "Rework", "Band"}, rows)
	if len(r.Deployments)+len(r.Failures) == 0 {
		out.printf("%s\n\n", nothingHappened)
	}
	for _, note := range r.Notes {
		out.printf("Note: %s\n\n", escaped(note))
	}
	return out.err
}

func (l *lines) markdown(header []string, rows [][]string) {
	if len(rows) == 0 {
		l.printf("None.\n\n")
		return
	}
	l.printf("| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, row := range rows {
		for i := range row {
			row[i] = escaped(row[i])
		}
		l.printf("| %s |\n", strings.Join(row, " | "))
	}
	l.printf("\n")
}

// markdownEscapes are what has a meaning in Markdown and may stand in a name.
var markdownEscapes = strings.NewReplacer(
	"|", `\|`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, `\`, `\\`, "!", `\!`,
)

func escaped(text string) string { return markdownEscapes.Replace(show.Printable(text)) }
