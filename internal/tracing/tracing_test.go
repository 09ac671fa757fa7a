package tracing

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const event = "5b0c1d1e-8d5a-5b7e-9c39-0a1b2c3d4e5f"

func TestATraceHasTheIDOfItsEvent(t *testing.T) {
	leads := context.WithValue(t.Context(), eventKey{}, event)
	id, first := IDs{}.NewIDs(leads)
	if id.String() != "5b0c1d1e8d5a5b7e9c390a1b2c3d4e5f" || first.String() != "9c390a1b2c3d4e5f" {
		t.Errorf("the trace is %s, its first span %s", id, first)
	}
	parent := trace.SpanContextFromContext(below(t.Context(), event))
	if parent.TraceID() != id || parent.SpanID() != first || !parent.IsSampled() {
		t.Errorf("what follows is below %+v", parent)
	}
}

func TestWhatHasNoEventHasATraceOfItsOwn(t *testing.T) {
	for _, of := range []string{"", "no uuid"} {
		ctx := context.WithValue(t.Context(), eventKey{}, of)
		id, span := IDs{}.NewIDs(ctx)
		other, _ := IDs{}.NewIDs(ctx)
		if !id.IsValid() || !span.IsValid() || id == other {
			t.Errorf("%q: the traces are %s and %s, the span %s", of, id, other, span)
		}
		if parent := trace.SpanContextFromContext(below(t.Context(), of)); parent.IsValid() {
			t.Errorf("%q: what follows is below %+v", of, parent)
		}
	}
}

// Off means off: what every observation passes through reads no clock and allocates nothing.
func TestNoTracerCostsNothing(t *testing.T) {
	var off *Tracer
	ctx := t.Context()
	if !off.Now().IsZero() {
		t.Error("it reads the clock")
	}
	allocated := testing.AllocsPerRun(100, func() {
		_ = off.Now()
		off.Lead(event, nil)
		off.Follow(event, nil)
		_, end := off.Start(ctx, event, "find commits")
		end("")
		_, end = Part(ctx, "open repository")
		end("")
	})
	if allocated != 0 {
		t.Errorf("it allocates %v times", allocated)
	}
}

func TestATracerOfNothingTellsNothing(t *testing.T) {
	none := New(noop.NewTracerProvider())
	none.Lead(event, &Span{Name: "a", Began: time.Unix(1, 0), Ended: time.Unix(2, 0), Failed: "Refused", Parts: []Span{{Name: "b"}}})
	ctx, end := none.Start(t.Context(), event, "c")
	Note(ctx, Text(Reason, errors.New("d").Error()))
	end("Refused")
}

func TestValuesAreBounded(t *testing.T) {
	long := strings.Repeat("ä", 1000)
	if got := Text(Name, long).Value.AsString(); len(got) > longest || !strings.HasPrefix(long, got) || len(got) < longest-1 {
		t.Errorf("a text has %d bytes", len(got))
	}
	if got := Text(Name, "a\xffb").Value.AsString(); got != "ab" {
		t.Errorf("a text that is none is %q", got)
	}
	words := Words(Decisions, append(make([]string, most), long)).Value.AsStringSlice()
	if len(words) != most {
		t.Errorf("a list has %d values", len(words))
	}
}

func TestTheKeysAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/traces.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "tracing.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && len(spec.Values) == 1 {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				keys = append(keys, strings.Trim(literal.Value, `"`))
			}
		}
		return true
	})
	var documented []string
	_, table, _ := strings.Cut(string(page), "\n| attribute |")
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "`"); len(cells) > 2 {
			documented = append(documented, cells[1])
		}
	}
	slices.Sort(keys)
	slices.Sort(documented)
	if len(keys) < 10 || !slices.Equal(keys, documented) {
		t.Errorf("docs/traces.md has the attributes %v, want %v", documented, keys)
	}
}
