package sqltest_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/sqltest"
)

// example is a block of SQL in a page, and what the page says that psql answers; nothing if it does not say.
var example = regexp.MustCompile("(?s)\n```sql\n(.*?\n)```\n(?:\n```text\n(.*?\n)```\n)?")

func TestThePageSaysWhatPostgreSQLAnswers(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/postgres.md")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	db := sqltest.Open(t, postgres.Migrations())
	db.Insert(t, november(t))
	for i, block := range example.FindAllStringSubmatch(string(page), -1) {
		t.Run(fmt.Sprint(i, " ", strings.SplitN(block[1], "\n", 2)[0]), func(t *testing.T) {
			// What it changes is undone, so that each stands for itself.
			answer := postgrestest.Start(t).Psql(t, db.Name, "SET search_path = dora; SET timezone = 'UTC'; BEGIN;\n"+block[1]+"ROLLBACK;\n")
			if block[2] != "" {
				NewWithT(t).Expect(strings.TrimSpace(answer)).To(Equal(strings.TrimSpace(block[2])))
			}
		})
	}
}

// Names in the page are names in the database.
func TestThePageNamesWhatIsThere(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../../../../docs/postgres.md")
	g.Expect(err).NotTo(HaveOccurred())
	db := sqltest.Open(t, postgres.Migrations())
	there := query[struct{ Name string }](t, t, db, `SELECT relname AS name FROM pg_class WHERE relnamespace = 'dora'::regnamespace AND relkind IN ('r', 'v')
		UNION SELECT proname FROM pg_proc WHERE pronamespace = 'dora'::regnamespace`)
	names := map[string]bool{"dora_writer": true, "dora_reader": true} // the roles that migrate --print makes
	for _, name := range there {
		names[name.Name] = true
	}
	for _, name := range regexp.MustCompile(`\bdora_[a-z_]*[a-z]\b`).FindAllString(strings.ReplaceAll(string(page), "dora_band_…", ""), -1) {
		g.Expect(names[name]).To(BeTrue(), "there is no %s", name)
	}
}
