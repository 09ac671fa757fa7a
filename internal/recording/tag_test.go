package recording_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/recording"
)

func TestTagsKeepTheirForm(t *testing.T) {
	const word, sha40 = `[hj-np-tv-z]{12}`, `[0-9a-f]{40}`
	for name, test := range map[string]struct{ tag, want string }{
		"a word and a SHA":           {"main-1a1a1a1", word + `-[0-9a-f]{7}`},
		"a SHA":                      {"1a2b3c4", `[0-9a-f]{7}`},
		"a whole SHA":                {"8f9d0e6c0b7a5d4c3b2a19080f7e6d5c4b3a2918", sha40},
		"a SHA as git describes":     {"v1.30.0-14-g1a2b3c4", `v[0-9]\.[1-9][0-9]\.[0-9]-[1-9][0-9]-g[0-9a-f]{7}`},
		"a SHA that says so":         {"sha-1a2b3c4", `sha-[0-9a-f]{7}`},
		"a SHA that says so at once": {"sha1a2b3c4", `sha[0-9a-f]{7}`},
		"a SHA like a date":          {"sha-20261120ab", `sha-[0-9a-f]{10}`},
		"a version":                  {"1.30.0", `[0-9]\.[1-9][0-9]\.[0-9]`},
		"a version with a v":         {"v1.30.0", `v[0-9]\.[1-9][0-9]\.[0-9]`},
		"a candidate":                {"v2.0.0-rc.1", `v[0-9]\.[0-9]\.[0-9]-` + word + `\.[0-9]`},
		"a candidate in one":         {"v2.0.0-rc1", `v[0-9]\.[0-9]\.[0-9]-` + word + `[0-9]`},
		"a variant":                  {"3.20-alpine", `[0-9]\.[1-9][0-9]-` + word},
		"a number":                   {"12345678", `[1-9][0-9]{7}`},
		"a number with a zero":       {"007", `0[0-9]{2}`},
		"a day":                      {"2026-11-20", `[1-9][0-9]{3}-[1-9][0-9]-[1-9][0-9]`},
		"a day and letters":          {"20261120ab", word},
		"a word":                     {"latest", word},
		"hexadecimal, by chance":     {"deadbeef", `[0-9a-f]{8}`},
		"too short for a SHA":        {"1a2b3c", word},
		"too long for a SHA":         {strings.Repeat("1a", 30), `[0-9a-f]{60}`},
		"a branch":                   {"release/2026", word},
		"nothing":                    {"", ``},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for _, key := range keys {
				got := recording.NewPseudonyms(key).Tag(test.tag)
				g.Expect(got).To(MatchRegexp("^" + test.want + "$"))
				if test.tag != "" {
					g.Expect(got).NotTo(Equal(test.tag))
				}
			}
		})
	}
}

// tags are of all forms that somebody could give one.
func tags() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.StringMatching(`[0-9a-f]{5,12}`), rapid.StringMatching(`[0-9a-f]{38,42}`), rapid.StringMatching(`[0-9]{1,10}`),
		rapid.StringMatching(`20(19|2[0-9])(0[1-9]|1[012])(0[1-9]|[12][0-9])[0-9a-f]{0,4}`),
		rapid.StringMatching(`[A-Za-z]{1,6}`), rapid.StringMatching(`\w{1,9}`),
		rapid.StringMatching(`(v|g|sha|xsha|xg|build)[0-9a-f]{1,9}`), rapid.SampledFrom([]string{"sha", "g", "v", "main", "deadbeef", ""}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		var tag strings.Builder
		for i := range rapid.IntRange(1, 5).Draw(t, "pieces") {
			if i > 0 {
				_, _ = tag.WriteString(rapid.SampledFrom([]string{"-", "_", "."}).Draw(t, "separator"))
			}
			_, _ = tag.WriteString(piece.Draw(t, "piece"))
		}
		return tag.String()
	})
}

// A tag carries a commit exactly if it did, and that of the same length; and the pseudonym of the commit is the commit of the pseudonym.
func TestATagCarriesACommitIfItDid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := recording.NewPseudonyms(rapid.SampledFrom(keys).Draw(t, "key"))
		tag := tags().Draw(t, "tag")
		want, got := dora.CommitFromTag(tag), dora.CommitFromTag(p.Tag(tag))
		if len(want) != len(got) {
			t.Fatalf("%q carries %q, and %q carries %q", tag, want, p.Tag(tag), got)
		}
		if digits := regexp.MustCompile(`^\d*$`); digits.MatchString(want) != digits.MatchString(got) {
			t.Fatalf("%q of %q has become %q", want, tag, got)
		}
		if len(tag) <= 128 && len(p.Tag(tag)) > 128 {
			t.Fatalf("%q is longer than a tag may be", p.Tag(tag))
		}
	})
}

// One SHA in thirty would become a number, and one in a hundred thousand a date, if nothing kept them from it.
func TestASHAStaysOne(t *testing.T) {
	p, seen := recording.NewPseudonyms(keys[0]), map[string]string{}
	for i := range 3000 {
		sha := fmt.Sprintf("%06xa", i*5381)
		got := dora.CommitFromTag(p.Tag("main-" + sha))
		if other, taken := seen[got]; len(got) != len(sha) || taken {
			t.Errorf("%s has become %q, %s", sha, got, other)
		}
		seen[got] = sha
	}
}

// Equal stays equal, and different stays different: also for numbers so short that hashes of them would meet.
func TestNoTwoNumbersBecomeOne(t *testing.T) {
	for _, key := range keys {
		p, seen := recording.NewPseudonyms(key), map[string]string{}
		for _, first := range "0123456789" {
			for _, rest := range []string{"", "0", "1", "2", "7", "9", "00", "01", "12", "34", "99"} {
				number := string(first) + rest
				got := p.Tag(number)
				if other, taken := seen[got]; taken {
					t.Errorf("%s and %s have become %s", number, other, got)
				}
				seen[got] = number
				if len(got) != len(number) || len(number) > 1 && (got[0] == '0') != (first == '0') || p.Tag(number) != got {
					t.Errorf("%s has become %s", number, got)
				}
			}
		}
	}
}

func TestReferences(t *testing.T) {
	g := NewWithT(t)
	p := recording.NewPseudonyms(keys[0])
	web, api := p.Image("registry.example.com:5000/acme/web:main-1a1a1a1"), p.Image("registry.example.com:5000/acme/api")
	g.Expect(web).To(MatchRegexp(`^\w{12}/\w{12}/\w{12}:\w{12}-[0-9a-f]{7}$`))
	g.Expect(api).To(HavePrefix(web[:26]), "what is in one registry stays in one")
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	g.Expect(p.Image("web:v1@" + digest)).To(Equal(p.Name("web") + ":" + p.Tag("v1") + "@" + p.Digest(digest)))
	g.Expect(p.Digest(digest)).To(MatchRegexp(`^sha256:[0-9a-f]{64}$`))
	g.Expect(p.Digest(digest)).NotTo(Equal(digest))
	g.Expect(p.ReplicaSet("web-5667d47687", "5667d47687")).To(Equal(p.Name("web") + "-" + p.PodHash("5667d47687")))
	g.Expect(p.UID("bc337ba5-235a-49f7-91a3-ee653b0c6e01")).To(MatchRegexp(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`))
	for _, name := range []string{"prod", "Production", "staging", "dev"} {
		g.Expect(p.Environment(name)).To(Equal(name))
	}
	g.Expect(p.Environment("acme-emea")).NotTo(ContainSubstring("acme"))
	g.Expect(p.Word("Degraded")).To(Equal("Degraded"))
	g.Expect(p.Word("AcmeLedger")).NotTo(ContainSubstring("Acme"))
	g.Expect(recording.NewPseudonyms(keys[1]).Name("web")).NotTo(Equal(p.Name("web")), "another key, another pseudonym")
}

// A key is not printed, and neither is what a short one could be guessed from.
func TestAKeyIsLongEnough(t *testing.T) {
	g := NewWithT(t)
	g.Expect(recording.Options{Key: []byte("short")}.Validate()).To(MatchError(ContainSubstring("16 bytes")))
	g.Expect(recording.Options{Key: recording.NewKey()}.Validate()).To(Succeed())
	g.Expect(recording.NewKey()).NotTo(Equal(recording.NewKey()))
}
