package cloudevents

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	cdevents "github.com/cdevents/sdk-go/pkg/api"
	cdevents04 "github.com/cdevents/sdk-go/pkg/api/v04"
	cdevents05 "github.com/cdevents/sdk-go/pkg/api/v05"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/distribution/reference"
	. "github.com/onsi/gomega"
	"github.com/package-url/packageurl-go"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
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

// receiver answers all requests alike.
type receiver struct {
	status int
	header http.Header
	body   string
}

func (r receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	_ = req.Body.Close()
	return &http.Response{StatusCode: r.status, Header: r.header, Body: io.NopCloser(strings.NewReader(r.body)), Request: req}, nil
}

// FuzzAnswer holds that whatever a receiver answers, an event is given up only if it is to blame, a wait is no longer than an hour, and nobody hears of
// the token, the key or the secret piece of the address, which $T, $K and $P stand for.
func FuzzAnswer(f *testing.F) {
	f.Add(202, "", "", "")
	f.Add(429, "Retry-After", "17", "slow down, $T")
	f.Add(400, "Retry-After", "Sun, 01 Mar 2026 12:00:40 GMT", `{"error":"the path /hooks/$P knows no $K"}`)
	f.Add(301, "Location", "https://elsewhere.example.com/$P", "")
	f.Add(500, "X", "", "\x1b[31m<html>$T\x00")
	secrets := map[string]string{"$T": sinktest.Secret("token"), "$K": sinktest.Secret("hmac-key"), "$P": sinktest.Secret("path-of-a-hook")}
	var pairs []string
	for name, secret := range secrets {
		pairs = append(pairs, name, secret)
	}
	fill := strings.NewReplacer(pairs...).Replace
	f.Fuzz(func(t *testing.T, status int, name, value, body string) {
		if status < 200 || status > 599 {
			return // no answers of HTTP
		}
		g := NewWithT(t)
		s, err := New(Options{
			Cluster: "eu-1", URL: "https://events.example.com/hooks/" + secrets["$P"], Token: secrets["$T"], HMACKey: []byte(secrets["$K"]),
		})
		g.Expect(err).NotTo(HaveOccurred())
		s.client.Transport = receiver{status, http.Header{http.CanonicalHeaderKey(name): {fill(value)}}, fill(body)}
		events := sinktest.Events()[:3]
		answer, err := s.Send(t.Context(), events)
		g.Expect(sinktest.Leaks(answer)).To(BeFalse(), answer)
		if status < 300 {
			g.Expect(err).NotTo(HaveOccurred())
			return
		}
		refused, ok := errors.AsType[*sink.PartialError](err)
		g.Expect(ok).To(BeTrue(), "%v", err)
		g.Expect(refused.Failed).To(HaveLen(len(events)))
		for _, failed := range refused.Failed {
			g.Expect(sinktest.Leaks(failed.Error())).To(BeFalse(), "%v", failed)
			g.Expect(len(failed.Error())).To(BeNumerically("<", 2000))
			g.Expect(sink.IsPermanent(failed)).To(Equal(slices.Contains([]int{400, 413, 422}, status)), "%v", failed)
			g.Expect(sink.RetryAfter(failed)).To(And(BeNumerically(">=", 0), BeNumerically("<=", time.Hour)))
		}
		g.Expect(sinktest.Leaks(err.Error())).To(BeFalse())
	})
}

// FuzzPackageURL holds that the package URL of an image is one that others read, and that it leads to the image.
func FuzzPackageURL(f *testing.F) {
	for _, image := range []string{
		"nginx", "ghcr.io/shop/cart:1.2.0_a", "registry.example.com:5000/a/b@sha256:" + strings.Repeat("a", 64), "[::1]:5000/a__b/c-d:V1", "A/b", "a:",
	} {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image string) {
		g := NewWithT(t)
		purl := purlOf(&dora.Version{Images: []string{image}, Tag: dora.ImageTag(image)})
		named, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			g.Expect(purl).To(BeEmpty())
			return
		}
		read, err := packageurl.FromString(purl)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(read.ToString()).To(Equal(purl))
		g.Expect(read.Type).To(Equal(packageurl.TypeOCI))
		g.Expect(read.Name).To(Equal(path.Base(named.Name())))
		where := read.Qualifiers.Map()
		g.Expect(where).To(HaveKeyWithValue("repository_url", named.Name()))
		again := where["repository_url"]
		if where["tag"] != "" {
			again += ":" + where["tag"]
		}
		if read.Version != "" {
			again += "@" + read.Version
		}
		g.Expect(again).To(Equal(named.String()))
	})
}
