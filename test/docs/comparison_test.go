package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// The measured run is made anew from time to time, and what is quoted of it follows.
func TestTheComparisonQuotesTheMeasuredRun(t *testing.T) {
	measured, quoting := pageOf(t, "docs/compare.md").Text, pageOf(t, "docs/comparison.md").Text
	all := regexp.MustCompile(`(?m)^\| \*\*all\*\* \| \*\*(\d+)\*\* \| \*\*(\d+) / (\d+) / (\d+)\*\*`).FindStringSubmatch(measured)
	stories := regexp.MustCompile(`(?m)^\| exact stories of (\d+) `).FindStringSubmatch(measured)
	if all == nil || stories == nil {
		t.Fatal("docs/compare.md has no sums")
	}
	for _, want := range []string{
		fmt.Sprintf("missed %s of %s deployments, told %s twice and made %s up", all[2], all[1], all[3], all[4]), "of " + stories[1] + " stories",
	} {
		if !strings.Contains(quoting, want) {
			t.Errorf("docs/comparison.md does not say: %s", want)
		}
	}
}
