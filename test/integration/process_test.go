package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// patience is how long specs wait for what must happen; most of it takes milliseconds.
const patience = 30 * time.Second

// process is one running dora-controller.
type process struct {
	options app.Options
	// clock is the controller's. Argo's, in argoApp, moves it along; it never runs ahead of what Argo has written.
	clock   *clocktesting.FakeClock
	metrics *prometheus.Registry
	stdout  *lines
	stop    context.CancelFunc
	ended   chan error
}

// start runs a controller until the spec ends or it is stopped. It was there a minute before anything that the spec makes.
func start(config *rest.Config, changes ...func(*app.Options)) *process {
	GinkgoHelper()
	return startAt(config, clocktesting.NewFakeClock(time.Now().Add(-time.Minute)), changes...)
}

func startAt(config *rest.Config, clock *clocktesting.FakeClock, changes ...func(*app.Options)) *process {
	GinkgoHelper()
	p := &process{clock: clock, metrics: prometheus.NewRegistry(), stdout: &lines{}, ended: make(chan error, 1)}
	p.options = app.Options{
		Ledger: filepath.Join(GinkgoT().TempDir(), "ledger.db"), Cluster: "test", StdoutSink: true, Stdout: p.stdout,
		MetricsAddress: "0", ProbeAddress: freeAddress(), Registry: p.metrics, Clock: clock,
		AskKinds: 100 * time.Millisecond, AwaitLedger: 50 * time.Millisecond, LeaseDuration: 3 * time.Second,
		Log: ctrl.Log.WithName("process"),
	}
	for _, change := range changes {
		change(&p.options)
	}
	controller, err := app.New(config, p.options)
	Expect(err).NotTo(HaveOccurred())
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer GinkgoRecover()
		p.ended <- controller.Run(ctx)
	}()
	DeferCleanup(func() {
		series := p.series()
		p.end()
		leaks.search(p, series)
		decideAgain(p)
	})
	return p
}

// restart is a new process on the same ledger.
func (p *process) restart(config *rest.Config) *process {
	GinkgoHelper()
	p.end()
	return startAt(config, p.clock, func(o *app.Options) {
		registry := o.Registry
		*o = p.options
		o.ProbeAddress, o.Registry = freeAddress(), registry
	})
}

// watching restricts a process to these namespaces.
func watching(namespaces ...string) func(*app.Options) {
	return func(o *app.Options) { o.Namespaces = namespaces }
}

// end stops the process and waits until it has ended.
func (p *process) end() {
	GinkgoHelper()
	p.stop()
	var err error
	Eventually(p.ended).WithTimeout(patience).Should(Receive(&err))
	Expect(err).NotTo(HaveOccurred())
	p.ended <- nil // so that a second end finds it ended
}

func (p *process) ready() error { return p.probe("readyz") }

func (p *process) probe(path string) error {
	response, err := http.Get("http://" + p.options.ProbeAddress + "/" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return nil
}

func (p *process) awaitReady() {
	GinkgoHelper()
	Eventually(p.ready).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
}

// awaitBeginning waits until the ledger has begun, from when on deployments count. With a database that it is ready does not tell: it may stand by.
func (p *process) awaitBeginning() {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		p.ledger(g, func(ctx context.Context, l ledger.Reader) {
			since, err := l.Since(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(since.IsZero()).To(BeFalse())
		})
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
}

// ledger reads the ledger while it is written.
func (p *process) ledger(g Gomega, read func(ctx context.Context, l ledger.Reader)) {
	name := p.options.Cluster
	if p.options.Shard != "" {
		name += "/" + p.options.Shard
	}
	store, err := app.ReadLedger(context.Background(), p.options.Ledger, name)
	g.Expect(err).NotTo(HaveOccurred())
	defer store.Close()
	read(context.Background(), store)
}

func (p *process) events(g Gomega) (events []dora.Event) {
	p.ledger(g, func(ctx context.Context, l ledger.Reader) {
		for row, err := range l.Events(ctx, ledger.EventQuery{}) {
			g.Expect(err).NotTo(HaveOccurred())
			events = append(events, row.Event)
		}
	})
	return events
}

func (p *process) subjects(g Gomega) (subjects []ledger.Subject) {
	p.ledger(g, func(ctx context.Context, l ledger.Reader) {
		var err error
		subjects, err = l.Subjects(ctx, ledger.SubjectQuery{})
		g.Expect(err).NotTo(HaveOccurred())
	})
	return subjects
}

// expectDecision waits until the ledger says why something about an object was not counted.
func (p *process) expectDecision(of client.Object, reason deploy.Reason) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		p.ledger(g, func(ctx context.Context, l ledger.Reader) {
			decisions, err := l.Decisions(ctx, string(of.GetUID()), 0)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(decisions).To(ContainElement(HaveField("Reason", string(reason))))
		})
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
}

// expectGone waits until the ledger knows that an object is gone.
func (p *process) expectGone(of client.Object) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		p.ledger(g, func(ctx context.Context, l ledger.Reader) {
			subjects, err := l.Subjects(ctx, ledger.SubjectQuery{UID: string(of.GetUID())})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(subjects).To(HaveLen(1))
			g.Expect(subjects[0].DeletedAt.IsZero()).To(BeFalse())
		})
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
}

// told is what specs compare of an event.
func told(events []dora.Event) []string {
	stories := make([]string, 0, len(events))
	for _, e := range events {
		story := string(e.Type)
		if e.Type == dora.TypeDeploy {
			story = fmt.Sprintf("%s %s", e.Outcome, e.Version.Tag)
		}
		stories = append(stories, e.Service+": "+story)
	}
	return stories
}

// expectEvents waits until the ledger holds exactly these events.
func (p *process) expectEvents(want ...string) []dora.Event {
	GinkgoHelper()
	var events []dora.Event
	Eventually(func(g Gomega) {
		events = p.events(g)
		g.Expect(told(events)).To(Equal(want))
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
	return events
}

func freeAddress() string {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	return listener.Addr().String()
}

// lines collects what a sink writes.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// events are the events that were written, without repetitions.
func (l *lines) events(g Gomega) []dora.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var events []dora.Event
	for line := range bytes.SplitSeq(bytes.TrimSpace(l.text.Bytes()), []byte("\n")) {
		var e dora.Event
		g.Expect(json.Unmarshal(line, &e)).To(Succeed(), "%s", line)
		if !slices.ContainsFunc(events, func(known dora.Event) bool { return known.ID == e.ID }) {
			events = append(events, e)
		}
	}
	return events
}
