package integration_test

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/recompute"
)

// decidedAgain counts the observations of all specs that were decided again.
var decidedAgain int

// decideAgain takes all that a process saw through the rules a second time, which must find what it found, and looks for secrets in what is
// kept of it, which is compressed.
func decideAgain(p *process) {
	GinkgoHelper()
	p.ledger(NewGomega(func(message string, _ ...int) { Fail(message) }), func(ctx context.Context, l ledger.Reader) {
		subjects, err := l.Subjects(ctx, ledger.SubjectQuery{})
		Expect(err).NotTo(HaveOccurred())
		report, err := recompute.Run(ctx, l, subjects, time.Time{})
		Expect(err).NotTo(HaveOccurred())
		Expect(report.Differences).To(BeEmpty())
		decidedAgain += report.Observations
		for i := range subjects {
			kept, err := l.Observations(ctx, subjects[i].UID)
			Expect(err).NotTo(HaveOccurred())
			for _, o := range kept {
				read, err := evidence.Decode(o.Data)
				Expect(err).NotTo(HaveOccurred())
				text, err := json.Marshal(read)
				Expect(err).NotTo(HaveOccurred())
				leaks.look("evidence", string(text))
			}
		}
	})
}

var _ = ReportAfterSuite("What was decided is decided so again", func(report Report) {
	GinkgoWriter.Printf("%d observations were decided again\n", decidedAgain)
	if report.SuiteConfig.FocusStrings == nil {
		Expect(decidedAgain).To(BeNumerically(">", 100))
	}
})
