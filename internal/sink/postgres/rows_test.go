package postgres

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/eventtable"
)

func TestOnlyNULIsLeftOut(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"\x00", "\\", "u0000", "\\u0000", "\"", "\n", "ü", "\u2028", "\x1f", "<", "a"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(pieces).Draw(t, "pieces"), "")
		encoded, err := eventtable.Encode([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		var decoded []string
		if err := json.Unmarshal(encoded, &decoded); err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if decoded[0] != strings.ReplaceAll(text, "\x00", "") {
			t.Fatalf("%q became %q", text, decoded[0])
		}
	})
}

func TestEveryColumnOfARowIsWritten(t *testing.T) {
	g := NewWithT(t)
	fields := func(row any) (names []string) {
		text, err := json.Marshal(row)
		g.Expect(err).NotTo(HaveOccurred())
		var all map[string]any
		g.Expect(json.Unmarshal(text, &all)).To(Succeed())
		for name := range all {
			names = append(names, name)
		}
		return names
	}
	const notWritten = "schema from to primary" // they have other names, and the first is that of the form
	for _, name := range fields(figuresRow{}) {
		if !strings.Contains(notWritten, name) {
			g.Expect(append(figureKey, figureColumns...)).To(ContainElement(name))
		}
	}
	g.Expect(eventtable.Columns).To(HaveLen(len(values(eventtable.Row{}))))
}
