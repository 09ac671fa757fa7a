package cloudevents_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	cdevents "github.com/cdevents/sdk-go/pkg/api"
	cdevents05 "github.com/cdevents/sdk-go/pkg/api/v05"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// examples are what is sent for which file of testdata. Those files were written from the specifications, not by this program: ids of figures
// with Python's uuid, revisions with its hashlib.
func examples() map[string]func(ctx context.Context, s *cloudevents.Sink) (string, error) {
	one := func(e dora.Event, change func(e *dora.Event)) func(ctx context.Context, s *cloudevents.Sink) (string, error) {
		if change != nil {
			change(&e)
		}
		return func(ctx context.Context, s *cloudevents.Sink) (string, error) { return s.Send(ctx, []dora.Event{e}) }
	}
	events, yes, no := sinktest.Events(), true, false
	stable := &dora.Version{Images: []string{"registry.example.com/cart:1.2.2-0a1b2c3"}, Tag: "1.2.2-0a1b2c3", Commit: "0a1b2c3"}
	return map[string]func(ctx context.Context, s *cloudevents.Sink) (string, error){
		"dora-succeeded": one(events[0], nil), "dora-failed": one(events[1], nil), "dora-rolled-back": one(events[2], nil),
		"dora-unknown": one(events[3], nil), "dora-degraded": one(events[4], nil), "dora-recovered": one(events[5], nil),
		"dora-metrics": func(ctx context.Context, s *cloudevents.Sink) (string, error) {
			return s.SendFigures(ctx, []sink.Figures{sinktest.Figures()[3]})
		},

		"cdevents-deployed": one(events[0], func(e *dora.Event) { e.Previous = dora.Predecessor{Known: true} }),
		"cdevents-upgraded": one(events[0], nil), "cdevents-rolledback": one(events[2], nil),
		"cdevents-aborted": one(events[2], func(e *dora.Event) {
			e.Success, e.Exposed, e.Running, e.Previous.Version = &no, &yes, stable, stable
		}),
		"cdevents-detected": one(events[4], func(e *dora.Event) { e.Running = events[0].Version }),
		"cdevents-resolved": one(events[5], nil),
	}
}

func TestEventsAreWrittenAsTheSpecificationsSay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(files).To(HaveLen(len(examples())))
	page, err := os.ReadFile("../../../docs/cloudevents.md")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for name, send := range examples() {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			g.Expect(err).NotTo(HaveOccurred())
			for _, mode := range []string{cloudevents.ModeStructured, cloudevents.ModeBinary} {
				r, s := plain(t, func(o *cloudevents.Options) { o.Mode, o.Format = mode, formatOf(name) })
				g.Expect(send(t.Context(), s)).To(Equal("202 Accepted"))
				got := r.Received()[0].Event // as it was read: both modes carry the same event
				g.Expect(got.MarshalJSON()).To(MatchJSON(want))
				g.Expect(string(page)).To(ContainSubstring("`"+got.Type()+"`"), "the page for receivers lists every type")
				if formatOf(name) == cloudevents.FormatCDEvents {
					read, err := cdevents05.NewFromJsonBytes(got.Data())
					g.Expect(err).NotTo(HaveOccurred())
					if name != "cdevents-resolved" { // it has no artifact, which the schema allows and the SDK's other check does not
						g.Expect(cdevents.Validate(read)).To(Succeed())
					}
				}
			}
		})
	}
}

func formatOf(name string) string {
	if name[:4] == cloudevents.FormatDora {
		return cloudevents.FormatDora
	}
	return cloudevents.FormatCDEvents
}
