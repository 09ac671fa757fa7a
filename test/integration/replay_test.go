package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/replay"
)

const recordings = root + "/test/replay/testdata"

// The replay commands and the controllers read the same objects by different ways: one puts them together from watch events in memory, the
// other from a cache that an API server fills, by indexes. Both must decide alike, to the last field of each event.
var _ = Describe("The controllers decide as the replay does", Ordered, ContinueOnFailure, func() {
	var s *stage

	BeforeAll(func(ctx SpecContext) { s = newStage(ctx) })

	for _, file := range recorded() {
		It("about "+filepath.Base(file), func(ctx SpecContext) {
			var want []dora.Event
			world := replay.NewWorld("test", recordedPolicy)
			for _, e := range readEvents(file) {
				for _, step := range world.Apply(e) {
					want = append(want, step.Events...)
				}
			}

			s.open(ctx)
			lines := readLines(file)
			for i, line := range lines {
				s.play(ctx, line)
				if i == len(lines)/2 {
					s.restart(ctx) // in the middle of it all, without a gap: nothing changes
				}
			}
			Expect(jsonOf(s.events(ctx))).To(Equal(jsonOf(want)))
			s.clear(ctx)
		}, NodeTimeout(2*time.Minute))
	}
})

func recorded() []string {
	all, err := filepath.Glob(filepath.Join(recordings, "*.expected.jsonl"))
	if err != nil || len(all) < 36 {
		panic("recordings are missing in " + recordings)
	}
	for i, file := range all {
		all[i] = strings.TrimSuffix(file, ".expected.jsonl") + ".jsonl"
	}
	return all
}

// recordedPolicy is that of the stage's target.
func recordedPolicy(labels map[string]string, name string) deploy.Policy {
	p := deploy.Policy{
		Service: labels["service"], Team: labels["team"], Environment: labels["env"],
		FailureWindow: deploy.DefaultFailureWindow, VerdictTimeout: deploy.DefaultVerdictTimeout,
	}
	if p.Service == "" {
		p.Service = name
	}
	if p.Environment == "" {
		p.Environment = "production"
	}
	return p
}

func readEvents(file string) []replay.Event {
	GinkgoHelper()
	f, err := os.Open(file)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	var events []replay.Event
	Expect(replay.Read(file, f, func(e replay.Event) { events = append(events, e) })).To(Succeed())
	return events
}

// line is one recorded watch event.
type line struct {
	Seen   time.Time                  `json:"seen"`
	Type   replay.Type                `json:"type"`
	Object *unstructured.Unstructured `json:"object"`
}

func readLines(file string) []line {
	GinkgoHelper()
	f, err := os.Open(file)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	var all []line
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var l line
		Expect(json.Unmarshal(scan.Bytes(), &l)).To(Succeed())
		all = append(all, l)
	}
	Expect(scan.Err()).NotTo(HaveOccurred())
	return all
}

func jsonOf(events []dora.Event) string {
	GinkgoHelper()
	var text strings.Builder
	for _, e := range events {
		data, err := json.Marshal(e)
		Expect(err).NotTo(HaveOccurred())
		text.Write(append(data, '\n'))
	}
	return text.String()
}

func (s *stage) events(ctx context.Context) []dora.Event {
	GinkgoHelper()
	var events []dora.Event
	for row, err := range s.store.Events(ctx, ledger.EventQuery{}) {
		Expect(err).NotTo(HaveOccurred())
		events = append(events, row.Event)
	}
	return events
}
