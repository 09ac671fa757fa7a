package deploy_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain makes the properties start from one seed, so that a run tells of the change at hand. -rapid.seed takes another.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.seed" })
	if !chosen {
		if err := flag.Set("rapid.seed", "1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
