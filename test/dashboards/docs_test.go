package dashboards

import (
	"os"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// The SQL that the page shows runs, and says what the same figures say elsewhere.
func TestTheSQLOfThePageRuns(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../../docs/grafana.md")
	g.Expect(err).NotTo(HaveOccurred())
	db := fleet(t)
	v := choose(t, db.Conn, dashboards(t)["overview.json"], nil)
	var answers []string
	for _, block := range regexp.MustCompile("(?s)\n```sql\n(.*?\n)```\n").FindAllStringSubmatch(string(page), -1) {
		answers = append(answers, strings.Join(query(t, db.Conn, v.expand(t, block[1])).rows, "\n"))
	}
	g.Expect(answers).To(HaveLen(4))
	// 2 deployments in 30 days, and 6 in 60 days of services.
	g.Expect(answers[0]).To(Equal("find | 0.466667 | 7200 | 0 | – | Medium\nshop | 0.7 | 64800 | 0.428571 | 1200 | Low"))
	g.Expect(answers[1]).To(ContainSubstring("2026-11-09 00:00 | 0.5\n2026-11-16 00:00 | 0.333333"))
	g.Expect(strings.Count(answers[2], "| 1")).To(Equal(8), "eight deployments, on a day each")
	g.Expect(answers[3]).To(Equal("3"))
}

func TestThePageNamesTheDashboards(t *testing.T) {
	page, err := os.ReadFile("../../docs/grafana.md")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for name, d := range dashboards(t) {
		NewWithT(t).Expect(string(page)).To(ContainSubstring("| `" + name + "`, *" + d.Title + "* |"))
	}
}
