package cloudevents

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	cdevents "github.com/cdevents/sdk-go/pkg/api"
	cdevents04 "github.com/cdevents/sdk-go/pkg/api/v04"
	cdevents05 "github.com/cdevents/sdk-go/pkg/api/v05"
	"github.com/cloudevents/sdk-go/v2/event"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
)

// FuzzEvents holds that whatever the event, a receiver that checks everything can read what is written for it as what it was, in every format and
// mode, or nothing is written and the error says so.
func FuzzEvents(f *testing.F) {
	f.Add("e1", "deploy", "succeeded", "cart", "production", "eu-1", "registry.example.com/cart:1", "", "", int64(1_772_366_400), byte(0))
	f.Add("e2", "deploy", "rolled_back", "Rösterei \"100%\"", "a b", "eu 1/%", "cart@sha256:00", "", "", int64(-1), byte(7))
	f.Add("e3", "degraded", "", "c\x00", "\ufffe", "..", "UPPER", "f1", "e1", int64(1<<40), byte(8))
	f.Fuzz(func(t *testing.T, id, kind, outcome, service, environment, cluster, image, failure, cause string, at int64, flags byte) {
		e := dora.Event{
			Schema: dora.Schema, ID: id, Type: dora.Type(kind), Outcome: dora.Outcome(outcome), Service: service, Environment: environment,
			Subject: dora.Subject{Namespace: "argocd", Name: image}, OccurredAt: time.Unix(at, 0), FailureID: failure, CausedBy: cause, Message: service,
		}
		version := &dora.Version{Images: []string{image}, Tag: dora.ImageTag(image)}
		for bit, set := range []func(){
			func() { e.Version = version }, func() { e.Running = version }, func() { e.Previous.Known = true },
			func() { e.Previous = dora.Predecessor{Known: true, Version: version} }, func() { e.Success = new(flags&32 != 0) },
		} {
			if flags>>bit&1 == 1 {
				set()
			}
		}
		for _, format := range []string{FormatDora, FormatCDEvents, FormatCDEvents04} {
			for _, mode := range []string{ModeStructured, ModeBinary} {
				s, err := New(Options{Cluster: cluster, URL: "https://events.example.com", Format: format, Mode: mode, HMACKey: []byte(id)})
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				try(t, s, e)
			}
		}
	})
}

func try(t *testing.T, s *Sink, e dora.Event) {
	t.Helper()
	g := NewWithT(t)
	data, err := json.Marshal(e)
	if err != nil {
		return
	}
	written, err := s.encode(s.source, e, data)
	if err != nil || written == nil || valid(written) != nil {
		return
	}
	request, err := s.request(t.Context(), written)
	g.Expect(err).NotTo(HaveOccurred())
	body, err := io.ReadAll(request.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(request.ContentLength).To(BeEquivalentTo(len(body)))
	read, err := cloudeventstest.Parse(request.Header, body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(read.ID()).To(Equal(e.ID))
	g.Expect(read.Source()).To(Equal(s.source))
	g.Expect(read.Time()).To(BeTemporally("==", e.OccurredAt))
	carries(g, s.opts.Format, read, data)
}

// carries holds that an event has ours within it, and if it is one of CDEvents that its SDK takes it for one.
func carries(g *WithT, format string, read *event.Event, data []byte) {
	parse := map[string]func([]byte) (cdevents.CDEventV04, error){
		FormatCDEvents: cdevents05.NewFromJsonBytes, FormatCDEvents04: cdevents04.NewFromJsonBytes,
	}[format]
	if parse == nil {
		g.Expect(read.Data()).To(MatchJSON(data))
		return
	}
	ours, err := parse(read.Data())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ours.GetCustomDataRaw()).To(MatchJSON(data))
	g.Expect(ours.GetType().String()).To(Equal(read.Type()))
	g.Expect(ours.GetSubjectId()).To(Equal(read.Subject()))
	if hasArtifact(g, ours) {
		g.Expect(cdevents.Validate(ours)).To(Succeed())
	}
}

// hasArtifact tells whether the SDK's own validation, which is stricter than the schema there, can be asked.
func hasArtifact(g *WithT, e cdevents.CDEventReader) bool {
	data, err := json.Marshal(e)
	g.Expect(err).NotTo(HaveOccurred())
	var parts struct {
		Subject struct {
			Content struct {
				ArtifactID string `json:"artifactId"`
			} `json:"content"`
		} `json:"subject"`
	}
	g.Expect(json.Unmarshal(data, &parts)).To(Succeed())
	return parts.Subject.Content.ArtifactID != ""
}
