package show

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
)

var header = []string{"TIME", "TYPE", "OUTCOME", "SERVICE", "ENVIRONMENT", "VERSION", "PREVIOUS", "NOTE"}

// gap is between two columns, as in kubectl's tables.
const gap = "   "

// Table collects rows and prints them aligned. Printed again, it goes on with the widths it had, so that rows that
// come later stand below the others.
type Table struct {
	rows    [][]string
	widths  []int
	printed bool
	tags    map[string]string // of the versions of deploy events, by id: what a failure was caused by
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{widths: make([]int, len(header)), tags: map[string]string{}}
}

// Event adds a row.
func (t *Table) Event(e *dora.Event) {
	t.Know(e)
	t.add(clock(e.OccurredAt), string(e.Type), or(string(e.Outcome), nothing), e.Service, or(e.Environment, nothing),
		versionOf(e), previousOf(e), t.note(e))
}

// Decision adds a row about something that led to no event. Its time is when it was decided.
func (t *Table) Decision(at time.Time, service string, d deploy.Decision) {
	t.add(clock(at), "decision", string(d.Reason), service, nothing, nothing, nothing, d.Message)
}

// Know lets later rows name the version of that deployment.
func (t *Table) Know(e *dora.Event) {
	if e.Type == dora.TypeDeploy {
		t.tags[e.ID] = tag(e.Version)
	}
}

// Knows tells whether rows can name the version of that deployment.
func (t *Table) Knows(id string) bool { return t.tags[id] != "" }

// Len is how many rows wait to be printed.
func (t *Table) Len() int { return len(t.rows) }

// Print writes the rows, below a header the first time.
func (t *Table) Print(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	if !t.printed {
		t.rows = append([][]string{header}, t.rows...)
	}
	t.measure()
	out := bufio.NewWriter(w)
	for _, row := range t.rows {
		out.WriteString(t.line(row)) //nolint:errcheck // Flush tells
	}
	t.rows, t.printed = nil, true
	if err := out.Flush(); err != nil {
		return fmt.Errorf("cannot write the table: %w", err)
	}
	return nil
}

func (t *Table) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

func (t *Table) measure() {
	for _, row := range t.rows {
		for i, cell := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}
}

func (t *Table) line(row []string) string {
	var line strings.Builder
	for i, cell := range row {
		line.WriteString(cell)
		if i < len(row)-1 {
			line.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)) + gap)
		}
	}
	return strings.TrimRight(line.String(), " ") + "\n"
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}
