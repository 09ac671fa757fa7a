package incident_test

import (
	"slices"
	"testing"

	"github.com/dora-controller/dora-controller/internal/incident"
)

func TestIDsAreTheWordsThatLookLikeOne(t *testing.T) {
	const id = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
	got := incident.IDs([]string{
		"since v1.4.2 (" + id + "),", "6BA7B810-9DAD-51D1-80B4-00C04FD430C9!", id + "0", "0123456789abcdef0123456789abcdef0123", "zba7b810-9dad-51d1-80b4-00c04fd430cz",
	})
	if want := []string{id, "6ba7b810-9dad-51d1-80b4-00c04fd430c9"}; !slices.Equal(got, want) {
		t.Errorf("it found %q", got)
	}
}
