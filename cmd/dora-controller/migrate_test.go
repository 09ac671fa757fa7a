package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dora-controller/dora-controller/internal/sink/postgres"
)

func TestMigratePrintsWhatTheSinkNeeds(t *testing.T) {
	for _, partitioned := range []bool{false, true} {
		var want bytes.Buffer
		if err := postgres.PrintMigrations(&want, "dora", partitioned); err != nil {
			t.Fatal(err)
		}
		args := []string{"migrate", "--print", "--schema", "dora"}
		if partitioned {
			args = append(args, "--partitioned")
		}
		if got := runCommand(t, "", args...); got != (result{stdout: want.String()}) {
			t.Errorf("%v: exit code %d, stderr %s, stdout\n%s", args, got.code, got.stderr, got.stdout)
		}
		if isPartitioned := strings.Contains(want.String(), "PARTITION BY RANGE"); isPartitioned != partitioned {
			t.Errorf("%v: partitioned is %t", args, isPartitioned)
		}
	}
}

func TestMigratePrintsForTheSchemaThatSinksHaveByDefault(t *testing.T) {
	explicit := runCommand(t, "", "migrate", "--print", "--schema", "public")
	if got := runCommand(t, "", "migrate", "--print"); got != explicit || !strings.Contains(got.stdout, "public") {
		t.Errorf("got %+v", got)
	}
}
