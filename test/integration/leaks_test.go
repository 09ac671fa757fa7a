package integration_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// leaks looks for the secrets of specs in everything that a controller writes: its logs, the statuses and events of all specs, its metrics,
// its ledger with the log of deliveries and what is parked, and its standard output.
var leaks = &searched{}

type searched struct {
	mu    sync.Mutex
	found []string
}

// Write implements io.Writer, for logs.
func (s *searched) Write(line []byte) (int, error) {
	s.look("a log", string(line))
	return len(line), nil
}

func (s *searched) look(where, text string) {
	if !sinktest.Leaks(text) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = append(s.found, where)
}

// search looks at what a process left behind.
func (s *searched) search(p *process, series []string) {
	GinkgoHelper()
	s.look("the metrics", strings.Join(series, "\n"))
	s.look("standard output", p.stdout.string())
	files, err := filepath.Glob(p.options.Ledger + "*")
	Expect(err).NotTo(HaveOccurred())
	if !strings.HasPrefix(p.options.Ledger, "postgres://") {
		Expect(files).NotTo(BeEmpty())
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		s.look("the ledger", string(content))
	}
	for _, list := range []client.ObjectList{&dorav1alpha1.DoraTargetList{}, &dorav1alpha1.DoraSinkList{}, &dorav1alpha1.DoraReceiverList{}, &eventsv1.EventList{}} {
		Expect(api.List(context.Background(), list)).To(Succeed())
		text, err := json.Marshal(list)
		Expect(err).NotTo(HaveOccurred())
		s.look("an object of the API", string(text))
	}
}

var _ = ReportAfterSuite("No secret is written anywhere", func(Report) {
	Expect(leaks.found).To(BeEmpty())
})
