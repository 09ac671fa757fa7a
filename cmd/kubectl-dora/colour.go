package main

import (
	"bytes"
	"io"
	"os"
	"regexp"

	"golang.org/x/term"
)

// The colours of cells, by what they say. The words stay: nothing is told by colour alone.
var (
	cell    = regexp.MustCompile(`(^|   |: )(Elite|High|Medium|Low|True|False|Unknown|succeeded|failed|rolled_back|problem|warning|open)(\s|   |$)`)
	colours = map[string]string{
		"Elite": green, "High": green, "True": green, "succeeded": green, "Medium": yellow, "Unknown": yellow, "rolled_back": yellow, "warning": yellow,
		"Low": red, "False": red, "failed": red, "problem": red, "open": red,
	}
)

const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	plain  = "\x1b[0m"
)

// painted is out with colours if it is a terminal that wants them: NO_COLOR (no-color.org) and TERM=dumb say no.
func painted(out io.Writer) io.Writer {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return out
	}
	return &painter{out: out}
}

// painter colours cells of tables, line by line, after they were aligned.
type painter struct {
	out  io.Writer
	rest []byte
}

// Write implements io.Writer.
func (p *painter) Write(text []byte) (int, error) {
	p.rest = append(p.rest, text...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			return len(text), nil
		}
		if _, err := p.out.Write(append(paint(line), '\n')); err != nil {
			return 0, err
		}
		p.rest = rest
	}
}

func paint(line []byte) []byte {
	return cell.ReplaceAllFunc(line, func(match []byte) []byte {
		parts := cell.FindSubmatch(match)
		coloured := colours[string(parts[2])] + string(parts[2]) + plain
		return bytes.Join([][]byte{parts[1], []byte(coloured), parts[3]}, nil)
	})
}
