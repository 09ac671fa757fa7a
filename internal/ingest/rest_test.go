package ingest_test

import (
	"database/sql"
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	_ "modernc.org/sqlite" // its json_valid

	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
)

const (
	noText   = "x: is kept as it came, and must have no text with the character U+0000 or U+FFFD, or with half of a character"
	noNumber = "x: is kept as it came, and must have no number that a double does not hold, nor one of more than 400 digits: send it as a text"
	noDepth  = "x: is kept as it came, and must not be deeper than 100 levels"
)

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// values are those of a field x, and what is said of them; and whether a database refuses them, as that is documented: PostgreSQL's numeric
// has up to 131072 digits before the point and 16383 after it, its jsonb no U+0000 and no halves of characters, SQLite's JSON 1000 levels.
var values = map[string]struct {
	want    string
	refused bool
}{
	`1`:                         {},
	`-0.5e-3`:                   {},
	`1e308`:                     {},
	`"\ud83d\ude00 ü"`:          {},
	`{"a":"b","a":[true,null]}`: {},
	`"\\ud800"`:                 {},
	nested(99):                  {},

	`1e999999999`:                   {noNumber, true},
	`-1e131072`:                     {noNumber, true},
	`1e-20000`:                      {noNumber, true},
	`0e9999999999`:                  {noNumber, true},
	`[{"y":1e999999999}]`:           {noNumber, true},
	`"\ud800"`:                      {noText, true},
	`"\ude00\ud83d"`:                {noText, true},
	`{"\udfff":1}`:                  {noText, true},
	`{"a":"\ud800","a":"b"}`:        {noText, true},
	`"a\u0000"`:                     {noText, true},
	"\"\xff\"":                      {noText, true},
	nested(8000):                    {noDepth, true},
	nested(1000):                    {noDepth, true},
	`1e400`:                         {noNumber, false},
	`1e-401`:                        {noNumber, false},
	"0." + strings.Repeat("1", 399): {noNumber, false},
	`"` + "\ufffd" + `"`:            {noText, false},
	nested(100):                     {noDepth, false},
}

func TestTheRestIsWhatALedgerCanHold(t *testing.T) {
	for value, c := range values {
		fields := map[string]json.RawMessage{"x": json.RawMessage(value), "a": json.RawMessage(`1`)}
		kept, err := ingest.Rest(fields)
		if c.want != "" {
			NewWithT(t).Expect(err).To(MatchError(c.want), "%.60s", value)
			continue
		}
		NewWithT(t).Expect(err).NotTo(HaveOccurred(), "%.60s", value)
		NewWithT(t).Expect(string(kept)).To(Equal(`{"a":1,"x":`+value+`}`), "it is as it came")
	}
}

// TestDatabases: PostgreSQL's jsonb and SQLite's json_valid refuse what was thought, as a part of an event, and nothing that is kept.
func TestDatabases(t *testing.T) {
	conn := postgrestest.Start(t).Connect(t, "postgres")
	lite, err := sql.Open("sqlite", ":memory:")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = lite.Close() })
	for value, c := range values {
		event, valid := `{"reported":{"x":`+value+`}}`, false
		_, err := conn.Exec(t.Context(), "SELECT $1::text::jsonb", event)
		NewWithT(t).Expect(lite.QueryRowContext(t.Context(), "SELECT json_valid(?)", event).Scan(&valid)).To(Succeed())
		NewWithT(t).Expect(err != nil || !valid).To(Equal(c.refused), "%.60s: PostgreSQL %v, SQLite %v", value, err, valid)
	}
}

func TestTheRestIsBoundedAndNamesOnlyPlainFields(t *testing.T) {
	g := NewWithT(t)
	g.Expect(ingest.Rest(nil)).To(BeNil())
	_, err := ingest.Rest(map[string]json.RawMessage{"x": json.RawMessage(`"` + strings.Repeat("a", 16<<10) + `"`)})
	g.Expect(err).To(MatchError("fields of other names are kept, but at most 16 KiB of them"))
	for _, name := range []string{"a b", "<script>", strings.Repeat("a", 65), "a\x00"} {
		_, err := ingest.Rest(map[string]json.RawMessage{name: json.RawMessage(`1e999`)})
		g.Expect(err).To(MatchError(HavePrefix("is kept as it came, and must have no ")), name)
	}
}
