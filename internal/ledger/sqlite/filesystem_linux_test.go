package sqlite_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
)

// TestRoom is what df tells of the same file system. Others write to it meanwhile, so that what is free is only about the same.
func TestRoom(t *testing.T) {
	g, folder := NewWithT(t), t.TempDir()
	room, known, err := sqlite.RoomOf(filepath.Join(folder, "ledger.db"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(known).To(BeTrue())
	said, err := exec.CommandContext(t.Context(), "df", "--block-size=1", "--output=size,avail", folder).Output()
	g.Expect(err).NotTo(HaveOccurred())
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	sizes := strings.Fields(lines[len(lines)-1])
	size, err := strconv.ParseUint(sizes[0], 10, 64)
	g.Expect(err).NotTo(HaveOccurred())
	free, err := strconv.ParseFloat(sizes[1], 64)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(room.Size).To(Equal(size))
	g.Expect(float64(room.Free)).To(BeNumerically("~", free, float64(size)/10))

	_, known, err = sqlite.RoomOf(filepath.Join(folder, "none", "ledger.db"))
	g.Expect(known).To(BeFalse())
	g.Expect(err).To(MatchError(ContainSubstring("cannot stat the file system of")))
}
