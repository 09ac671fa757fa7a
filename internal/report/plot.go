package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/show"
)

// The sizes of plots, in the units of their view box.
const (
	trendWidth, trendHeight         = 360.0, 150.0
	trendLeft, trendTop             = 46.0, 12.0
	trendRight, trendBottom         = 8.0, 24.0
	lineWidth, laneHeight, lineLeft = 960.0, 26.0, 190.0
	lineTop, lineRight, lineBottom  = 10.0, 16.0, 26.0

	maxLanes = 40
	maxMarks = 2000
)

// trend is the plot of one metric by week. Weeks without data are gaps in the line.
type trend struct {
	Name, Says    string
	Width, Height float64
	Bottom, Left  float64
	Right         float64
	Ticks         []tick
	Weeks         []tick
	Lines         []string // the points of each unbroken run of weeks
	Dots          []dot
	Empty         bool
}

// tick is a label of an axis.
type tick struct {
	At     float64
	Text   string
	Anchor string // start, middle or end
}

// dot is the value of one week.
type dot struct {
	X, Y    float64
	Says    string
	Partial bool
}

// trends are the plots of the five metrics.
func (r *Report) trends() []trend {
	return []trend{
		r.trend("Deployment frequency", "a week and service", func(f *Figures) *float64 { return f.PerWeek }, Rate),
		r.trend("Lead time for changes", "median", func(f *Figures) *float64 { return f.LeadTimeP50 }, Span, inTime...),
		r.trend("Change failure rate", "of attempts", func(f *Figures) *float64 { return f.FailureRate }, Share),
		r.trend("Failed deployment recovery time", "median", func(f *Figures) *float64 { return f.RecoveryP50 }, Span, inTime...),
		r.trend("Rework rate", "of deployments", func(f *Figures) *float64 { return f.ReworkRate }, Share),
	}
}

func (r *Report) trend(name, unit string, of func(*Figures) *float64, text func(*float64) string, steps ...float64) trend {
	t := trend{
		Name: name + ", " + unit, Width: trendWidth, Height: trendHeight, Left: trendLeft, Right: trendWidth - trendRight,
		Bottom: trendHeight - trendBottom, Empty: true,
	}
	highest := 0.0
	for i := range r.Weeks {
		if value := of(&r.Weeks[i].Figures); value != nil {
			highest, t.Empty = max(highest, *value), false
		}
	}
	if t.Empty {
		t.Says = name + ": no data in this time"
		return t
	}
	highest = topOf(highest, steps)
	for _, part := range []float64{0, 0.5, 1} {
		t.Ticks = append(t.Ticks, tick{t.Bottom - part*(t.Bottom-trendTop), text(new(highest * part)), "end"})
	}
	t.draw(r.Weeks, of, text, highest)
	t.Says = fmt.Sprintf("%s by week, from %s to %s; the table of weeks has the values", t.Name, day(r.From), day(r.To))
	return t
}

// draw places the weeks, and breaks the line where one has no value.
func (t *trend) draw(weeks []Week, of func(*Figures) *float64, text func(*float64) string, highest float64) {
	step := (t.Right - t.Left) / float64(len(weeks))
	every := (len(weeks) + 3) / 4
	line := ""
	for i := range weeks {
		x := t.Left + step*(float64(i)+0.5)
		if i%every == 0 {
			t.Weeks = append(t.Weeks, tick{x, weeks[i].From.Format("2 Jan"), "middle"})
		}
		value := of(&weeks[i].Figures)
		if value == nil {
			t.Lines, line = appendLine(t.Lines, line), ""
			continue
		}
		y := t.Bottom - *value/highest*(t.Bottom-trendTop)
		line += fmt.Sprintf("%.1f,%.1f ", x, y)
		t.Dots = append(t.Dots, dot{x, y, weeks[i].name() + ": " + text(value), weeks[i].Partial})
	}
	t.Lines = appendLine(t.Lines, line)
}

func appendLine(all []string, line string) []string {
	if line == "" {
		return all
	}
	return append(all, line)
}

// inTime are lengths of time, in seconds, whose halves are round ones too.
var inTime = []float64{
	10, 60, 120, 600, 1200, 3600, 2 * 3600, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 4 * 86400, 10 * 86400, 20 * 86400, 60 * 86400, 200 * 86400,
}

// topOf is where an axis ends: the first of the steps, else of the round numbers, that is high enough; 1 if there is nothing above 0.
func topOf(highest float64, steps []float64) float64 {
	for _, step := range steps {
		if step >= highest {
			return step
		}
	}
	if highest <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, n := range []float64{1, 2, 5} {
		if n*unit >= highest {
			return n * unit
		}
	}
	return 10 * unit
}

// timeline is a lane for each service, with its deployments as marks and its failures as spans.
type timeline struct {
	Width, Height       float64
	Left, Right, Bottom float64
	Lanes               []lane
	Days                []tick
	Says                string
	Omitted             string
}

// lane is one service.
type lane struct {
	Name                string
	Y, TextY, SpanY     float64
	LineBelow, SpanHigh float64
	Spans               []span
	Marks               []mark
}

// span is a failure.
type span struct {
	X, Width float64
	Open     bool
	Says     string
}

// mark is a deployment; its shape tells the outcome, and so does its colour.
type mark struct {
	X       float64
	Outcome dora.Outcome
	Shape   string
	Says    string
}

func (r *Report) timeline() *timeline {
	t := &timeline{Width: lineWidth, Left: lineLeft, Right: lineWidth - lineRight}
	lanes := r.lanes(t)
	t.Lanes = lanes[:min(len(lanes), maxLanes)]
	if omitted := len(lanes) - len(t.Lanes); omitted > 0 {
		t.Omitted = fmt.Sprintf("%s with deployments or failures are not in the plot; the table below has them.", count(int64(omitted), "more service"))
	}
	for i := range t.Lanes {
		y := lineTop + laneHeight*float64(i)
		l := &t.Lanes[i]
		l.Y, l.TextY, l.LineBelow, l.SpanY, l.SpanHigh = y+laneHeight/2, y+laneHeight/2+4, y+laneHeight, y+5, laneHeight-10
		for j := range l.Marks {
			l.Marks[j].Shape = shape(l.Marks[j].Outcome, l.Marks[j].X, l.Y)
		}
	}
	t.Bottom = lineTop + laneHeight*float64(len(t.Lanes))
	t.Height = t.Bottom + lineBottom
	for i := range 5 {
		at := r.From.Add(r.To.Sub(r.From) * time.Duration(i) / 4)
		t.Days = append(t.Days, tick{t.x(r, at), at.UTC().Format("2 Jan"), []string{"start", "middle", "middle", "middle", "end"}[i]})
	}
	t.Says = fmt.Sprintf("Deployments and failures of each service, from %s to %s; the tables below list them", day(r.From), day(r.To))
	return t
}

// x is where a moment stands; what is outside of the time stands at its edge.
func (t *timeline) x(r *Report, at time.Time) float64 {
	part := float64(at.Sub(r.From)) / float64(max(r.To.Sub(r.From), 1))
	return math.Round((t.Left+min(max(part, 0), 1)*(t.Right-t.Left))*10) / 10
}

// lanes are those of services of which something happened, busiest first if there are too many.
func (r *Report) lanes(t *timeline) []lane {
	found := map[string]*lane{}
	of := func(service, environment string) *lane {
		name := laneName(service, environment)
		if found[name] == nil {
			found[name] = &lane{Name: name}
		}
		return found[name]
	}
	for i := range r.Failures {
		f := &r.Failures[i]
		l := of(f.Service, f.Environment)
		l.Spans = append(l.Spans, t.span(r, f))
	}
	for i := range r.Deployments[:min(len(r.Deployments), maxMarks)] {
		d := &r.Deployments[i]
		l := of(d.Service, d.Environment)
		says := fmt.Sprintf("%s %s %s, %s", d.Service, or(d.Version), words(d.Outcome), clock(d.Time))
		l.Marks = append(l.Marks, mark{X: t.x(r, d.Time), Outcome: d.Outcome, Says: says})
	}
	all := make([]lane, 0, len(found))
	for _, l := range found {
		all = append(all, *l)
	}
	if len(all) > maxLanes {
		slices.SortFunc(all, func(a, b lane) int {
			return cmp.Or(cmp.Compare(len(b.Marks)+len(b.Spans), len(a.Marks)+len(a.Spans)), cmp.Compare(a.Name, b.Name))
		})
		return all
	}
	slices.SortFunc(all, func(a, b lane) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (t *timeline) span(r *Report, f *Failure) span {
	end, says := r.To, "open"
	if f.To != nil {
		end, says = *f.To, "lasted "+show.Duration(f.To.Sub(f.From))
	}
	from := t.x(r, f.From)
	return span{
		X: from, Width: max(t.x(r, end)-from, 2), Open: f.To == nil,
		Says: fmt.Sprintf("%s degraded since %s, %s", f.Service, clock(f.From), says),
	}
}

func laneName(service, environment string) string {
	name := []rune(service + " · " + environment)
	if len(name) > 30 {
		return string(name[:29]) + "…"
	}
	return string(name)
}

// shape is the path of a mark: a disc, a cross, a triangle that points back, or a ring.
func shape(outcome dora.Outcome, x, y float64) string {
	const r = 5.0
	switch outcome {
	case dora.Failed:
		return fmt.Sprintf("M%.1f %.1fl%.1f %.1fm0 %.1fl%.1f %.1f", x-r, y-r, 2*r, 2*r, -2*r, -2*r, 2*r)
	case dora.RolledBack:
		return fmt.Sprintf("M%.1f %.1fL%.1f %.1fV%.1fZ", x-r, y, x+r, y-r, y+r)
	case dora.Succeeded, dora.Unknown:
	}
	return fmt.Sprintf("M%.1f %.1fa%.0f %.0f 0 1 0 %.0f 0a%.0f %.0f 0 1 0 %.0f 0Z", x-r, y, r, r, 2*r, r, r, -2*r)
}

func words(outcome dora.Outcome) string {
	switch outcome {
	case dora.RolledBack:
		return "rolled back"
	case dora.Unknown:
		return "of unknown outcome"
	case dora.Succeeded, dora.Failed:
	}
	return string(outcome)
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
