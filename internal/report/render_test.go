package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestThePageAsksForNothingAndSaysSo(t *testing.T) {
	g := NewWithT(t)
	html := written(t, ofNovember(t).HTML)
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(html)
	g.Expect(style).To(HaveLen(2))
	sum := sha256.Sum256([]byte(style[1]))
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	g.Expect(unescaped(html)).To(ContainSubstring(`<meta http-equiv="Content-Security-Policy" content="` + policy + `">`))
	g.Expect(html).NotTo(MatchRegexp(`(?i)<(script|link|img|iframe|object|embed|base|form|foreignObject|use|image)\b|@import|url\(|\sstyle=|\son[a-z]+=|\ssrc=`))
	g.Expect(len(html)).To(BeNumerically("<", 300<<10))
}

func unescaped(html string) string {
	return strings.NewReplacer("&#39;", "'", "&#43;", "+", "&amp;", "&").Replace(html)
}

// What a browser would take as a tag is balanced: the page is well-formed, as far as XML's rules for HTML go.
func TestThePageIsWellFormed(t *testing.T) {
	decoder := xml.NewDecoder(strings.NewReader(strings.Replace(written(t, ofNovember(t).HTML), "<!DOCTYPE html>", "", 1)))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestEachMetricIsPlotted(t *testing.T) {
	g := NewWithT(t)
	r := ofNovember(t)
	for _, trend := range r.trends() {
		g.Expect(trend.Empty).To(BeFalse(), trend.Name)
		g.Expect(trend.Lines).NotTo(BeEmpty(), trend.Name)
		for _, dot := range trend.Dots {
			g.Expect(dot.Y).To(And(BeNumerically(">=", trendTop), BeNumerically("<=", trend.Bottom)))
		}
	}
	// Recovery has a value in the weeks of the 2nd, the 9th and the 16th alone.
	g.Expect(r.trends()[3].Dots).To(HaveLen(3))
}

func TestTheTimelineHasAMarkForEachDeploymentAndASpanForEachFailure(t *testing.T) {
	g := NewWithT(t)
	r := ofNovember(t)
	r.Failures[3].To = nil // the incident of the 28th, still open
	lanes := r.timeline().Lanes
	g.Expect(lanes).To(HaveLen(1))
	outcomes := map[dora.Outcome]int{}
	for _, m := range lanes[0].Marks {
		outcomes[m.Outcome]++
	}
	g.Expect(outcomes).To(Equal(map[dora.Outcome]int{dora.Succeeded: 5, dora.Failed: 1, dora.RolledBack: 3, dora.Unknown: 1}))
	g.Expect(lanes[0].Spans).To(HaveLen(4))
	last := lanes[0].Spans[3]
	g.Expect(last.Open).To(BeTrue())
	g.Expect(last.X + last.Width).To(BeNumerically("~", lineWidth-lineRight, 0.2)) // to the right edge
	g.Expect(written(t, r.HTML)).To(ContainSubstring(`class="failure open"`))
}

func TestTooManyServicesForThePlotAreCounted(t *testing.T) {
	g := NewWithT(t)
	r := &Report{From: november, To: december}
	for i := range maxLanes + 3 {
		r.Deployments = append(r.Deployments, Deployment{Time: november, Service: fmt.Sprintf("service-%02d", i), Outcome: dora.Succeeded})
	}
	line := r.timeline()
	g.Expect(line.Lanes).To(HaveLen(maxLanes))
	g.Expect(line.Omitted).To(HavePrefix("3 more services "))
}

func TestEmptyDataIsSaidInWords(t *testing.T) {
	g := NewWithT(t)
	empty := New(Input{Title: "nothing", From: november, To: december, Made: december, Thresholds: fourkeys.Port()})
	html := written(t, empty.HTML)
	for _, words := range []string{nothingHappened, "No data in this time.", "No deployments and no failures in this time.", "No services.", "None in this time."} {
		g.Expect(html).To(ContainSubstring(words))
	}
	g.Expect(html).NotTo(ContainSubstring("<polyline"))
	g.Expect(html).NotTo(ContainSubstring("NaN"))
	g.Expect(written(t, empty.Table)).To(ContainSubstring(nothingHappened))
	g.Expect(written(t, empty.Markdown)).To(And(ContainSubstring(nothingHappened), ContainSubstring("None.")))
	var read map[string]any
	g.Expect(json.Unmarshal([]byte(written(t, empty.JSON)), &read)).To(Succeed())
	g.Expect(read).To(HaveKeyWithValue("deployments", BeEmpty()))
	g.Expect(read["figures"]).To(HaveKeyWithValue("deployments_per_week", BeNil()))
}

// hostile is what somebody may write into a label, an image's tag or an annotation, or into a forged ledger.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg onload=alert(1)>`, `javascript:alert(1)`, `</title><script>alert(1)</script>`,
	`</style><script>alert(1)</script>`, `{{.Title}}`, `&lt;script&gt;`, "\x00<script>", `--><script>alert(1)</script>`, `]]><script>`,
}

func TestWhatComesFromAClusterIsTextAndNeverMarkup(t *testing.T) {
	for _, text := range hostile {
		r := New(Input{Title: text, From: november, To: december, Made: december, Thresholds: fourkeys.Port(), Notes: []string{text}, Events: []dora.Event{
			{
				ID: text, Type: dora.TypeDeploy, Outcome: dora.Outcome(text), Service: text, Environment: text, OccurredAt: november.Add(time.Hour),
				Version: &dora.Version{Tag: text, Commit: text, Images: []string{text}}, Repository: text, Previous: dora.Predecessor{Known: true, Version: &dora.Version{Tag: text}},
			},
			{ID: "f", Type: dora.TypeDegraded, Service: text, Environment: text, FailureID: text, CausedBy: text, OccurredAt: november.Add(time.Hour)},
		}})
		html := written(t, r.HTML)
		for _, tag := range regexp.MustCompile(`(?i)<(script|img|svg onload|iframe)|(href|src|class)=.?\s*(o-)?javascript`).FindAllString(html, -1) {
			t.Errorf("%q became %q", text, tag)
		}
		if strings.Contains(html, "<a ") {
			t.Errorf("%q became a link", text)
		}
		if strings.Contains(written(t, r.Markdown), "<script") {
			t.Errorf("%q is markup in Markdown", text)
		}
	}
}

func TestOnlyWebAddressesBecomeLinks(t *testing.T) {
	g := NewWithT(t)
	for address, want := range map[string]string{
		"https://github.com/acme/checkout": "https://github.com/acme/checkout", "http://git.example.com/x.git": "http://git.example.com/x",
		"javascript:alert(1)": "", "data:text/html,x": "", "ssh://git@example.com/x": "", "file:///etc/passwd": "", "": "",
		"https://user:password@example.com/x": "", "//example.com/x": "", "https:": "", "vbscript:x": "", "\thttps://example.com": "",
	} {
		g.Expect(webAddress(address)).To(Equal(want), address)
	}
	r := ofNovember(t)
	r.Deployments[0].Repository, r.Deployments[0].Commit = "https://github.com/acme/checkout", "0123456789abcdef"
	g.Expect(written(t, r.HTML)).To(ContainSubstring(`<a href="https://github.com/acme/checkout" rel="noreferrer">0123456789</a>`))
}

func TestCSVHasARowForAllForEachServiceAndForEachWeek(t *testing.T) {
	g := NewWithT(t)
	rows, err := csv.NewReader(strings.NewReader(written(t, ofNovember(t).CSV))).ReadAll()
	g.Expect(err).NotTo(HaveOccurred())
	var of []string
	for _, row := range rows {
		of = append(of, row[0])
	}
	g.Expect(of).To(Equal([]string{"of", "all", "service", "week", "week", "week", "week", "week", "week"}))
	g.Expect(rows[1][5:9]).To(Equal([]string{"6", "1.4", "64800", "276960"})) // 18 h and 76 h 56 min
	g.Expect(rows[3][7]).To(BeEmpty())                                        // a week without lead times: empty, not 0
}

func TestNoCellIsAFormula(t *testing.T) {
	g := NewWithT(t)
	r := ofNovember(t)
	r.Services[0].Service = "=HYPERLINK(1)"
	g.Expect(written(t, r.CSV)).To(ContainSubstring("'=HYPERLINK(1)"))
}

func TestTablesSayWhatTheyAreOf(t *testing.T) {
	g := NewWithT(t)
	table := written(t, ofNovember(t).Table)
	g.Expect(table).To(HavePrefix("checkout, 2026-11-01 to 2026-12-01 (UTC)\n\nMETRIC "))
	g.Expect(table).To(MatchRegexp(`(?m)^Change failure rate +43% +3 of 7 attempts +Low$`))
	g.Expect(table).To(MatchRegexp(`(?m)^checkout +production +6 +1.4 +18h +43% +20m +60% +Low$`))
	g.Expect(table).To(MatchRegexp(`(?m)^2026-11-01 \(part\) +0 `))
	markdown := written(t, ofNovember(t).Markdown)
	g.Expect(markdown).To(ContainSubstring("| Change failure rate | 43% | 3 of 7 attempts | Low |\n"))
}
