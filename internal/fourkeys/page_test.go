package fourkeys_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/fourkeys"
)

// The page that explains the figures must not drift from the code.
func TestThePageSaysWhatTheCodeDoes(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range append(append(exampleFigures(), bandRows(fourkeys.Port())...), bandRows(fourkeys.Guide())...) {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func exampleFigures() []string {
	s := fourkeys.Compute(read("testdata/worked-example.jsonl"), november)
	return []string{
		fmt.Sprintf("**%d** | **%d** | **%d** |", s.ChangeFailureRate.Whole, s.ChangeFailureRate.Part, s.Frequency.Deployments),
		fmt.Sprintf("**%.1f a week**, %.1f a day", *s.Frequency.PerWeek, *s.Frequency.PerDay),
		fmt.Sprintf("p50 is at row 0.5 × %d = 2: **%s**", s.LeadTime.Samples-1, inWords(s.LeadTime.P50)),
		fmt.Sprintf("**%s**", inWords(s.LeadTime.P90)),
		fmt.Sprintf("÷ %d attempts = **%.1f %%**", s.ChangeFailureRate.Whole, *s.ChangeFailureRate.Value*100),
		fmt.Sprintf("p50 **%s**; p90", inWords(s.Recovery.P50)),
		fmt.Sprintf("**%s**; %d failures", inWords(s.Recovery.P90), s.Recovery.Failures),
		fmt.Sprintf("÷ %d succeeded = **%.0f %%**", s.Rework.Whole, *s.Rework.Value*100),
		fmt.Sprintf("**Overall**: %s", fourkeys.Port().Bands(s).Overall),
	}
}

func inWords(seconds *float64) string {
	return strings.NewReplacer("h0m0s", " h", "h", " h ", "m0s", " min").Replace(duration(seconds).String())
}

// bandRows are the rows of the table of a preset.
func bandRows(t fourkeys.Thresholds) []string {
	row := func(metric, unit, last string, scale fourkeys.Scale, of float64) string {
		cells := []string{metric}
		for _, b := range []fourkeys.Bound{scale.Elite, scale.High, scale.Medium} {
			sign := map[bool]string{false: "≤", true: "<"}[b.Strict]
			if last == "less" {
				sign = map[bool]string{false: "≥", true: ">"}[b.Strict]
			}
			cells = append(cells, fmt.Sprintf("%s %v%s", sign, b.Value/of, unit))
		}
		return "| " + strings.Join(append(cells, last), " | ") + " |"
	}
	return []string{
		row("frequency, per week and service", "", "less", t.Frequency, 1),
		row("lead time, median", " h", "more", t.LeadTime, hour),
		row("change failure rate", " %", "more", t.ChangeFailureRate, 0.01),
		row("recovery, median", " h", "more", t.Recovery, hour),
	}
}

var november = fourkeys.Window{
	From: time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC),
	To:   time.Date(2026, time.December, 1, 0, 0, 0, 0, time.UTC),
}
