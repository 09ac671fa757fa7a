package git_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// TestMain makes the properties start from one seed, so that a run tells of the change at hand. -rapid.seed takes another. Each history is
// a repository, so there are fewer of them than usual; -rapid.checks makes more.
func TestMain(m *testing.M) {
	if work := os.Getenv(childVariable); work != "" {
		child(strings.Split(work, " "))
		return
	}
	flag.Parse()
	for name, value := range map[string]string{"rapid.seed": "1", "rapid.checks": "25"} {
		chosen := false
		flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == name })
		if !chosen {
			if err := flag.Set(name, value); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}
