package show

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// gap is between two columns, as in kubectl's tables.
const gap = "   "

// Grid collects rows and prints them aligned. Printed again, it goes on with the widths it had, so that rows that
// come later stand below the others.
type Grid struct {
	header  []string
	rows    [][]string
	widths  []int
	printed bool
}

// NewGrid returns an empty grid with these columns.
func NewGrid(header ...string) *Grid {
	return &Grid{header: header, widths: make([]int, len(header))}
}

// Add adds a row, with one cell for each column.
func (t *Grid) Add(cells ...string) {
	for i := range cells {
		cells[i] = Printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// Len is how many rows wait to be printed.
func (t *Grid) Len() int { return len(t.rows) }

// Print writes the rows, below a header the first time.
func (t *Grid) Print(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	if !t.printed {
		t.rows = append([][]string{t.header}, t.rows...)
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

func (t *Grid) measure() {
	for _, row := range t.rows {
		for i, cell := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}
}

func (t *Grid) line(row []string) string {
	var line strings.Builder
	for i, cell := range row {
		line.WriteString(cell)
		if i < len(row)-1 {
			line.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)) + gap)
		}
	}
	return strings.TrimRight(line.String(), " ") + "\n"
}

func orNothing(text string) string {
	if text == "" {
		return Nothing
	}
	return text
}
