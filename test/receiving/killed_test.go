// Package receiving holds a running controller to what it says to senders: what was accepted is in the ledger, whenever it is killed.
package receiving

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	root      = "../.."
	namespace = "load"
	// perSecond is how many reports are sent, in handfuls.
	perSecond = 500
	handfuls  = 50
	// atOnce is how many requests are on their way at most.
	atOnce = 200
	// kills happen while reports are on their way: after each such part of all was accepted.
	kills = 2
)

// TestKilledWhileItReceives sends five hundred reports a second, each until it is accepted and some of them once more, and kills the controller
// in the middle. In the end the ledger has each of them, once, by the id that its sender was told. RECEIVE_SECONDS says for how long.
func TestKilledWhileItReceives(t *testing.T) {
	g := NewWithT(t)
	seconds, err := strconv.Atoi(cmp.Or(os.Getenv("RECEIVE_SECONDS"), "5"))
	g.Expect(err).NotTo(HaveOccurred(), "RECEIVE_SECONDS is no number")
	c := newController(t)
	c.start(t)
	all := seconds * perSecond
	s := &senders{
		t: t, address: c.address, token: c.token, ids: make([]string, all), part: int64(all / (kills + 1)), parts: make(chan struct{}, kills+1),
		client: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}, slots: make(chan struct{}, atOnce),
	}
	s.report(0) // so that it has begun to receive
	begun, since := s.lost.Load(), time.Now()
	var sent sync.WaitGroup
	sent.Go(func() {
		for range kills {
			<-s.parts
			c.kill(t)
			c.start(t)
		}
	})
	s.send(&sent, 1, all)
	sent.Wait()
	took := time.Since(since)
	c.kill(t)
	g.Expect(s.lost.Load()).To(BeNumerically(">", begun), "nobody noticed that it was killed")

	kept := c.kept(t)
	for i, id := range s.ids {
		g.Expect(kept).To(HaveKeyWithValue(id, nameOf(i)), "accepted, and lost")
		delete(kept, id)
	}
	g.Expect(kept).To(BeEmpty(), "nobody was told of these")
	t.Logf("%d reports, %d attempts, %d of which were lost, %d kills; all were accepted after %s, %.0f a second, with those that were sent once more",
		all, s.attempts.Load(), s.lost.Load(), kills+1, took.Round(time.Second), float64(all+all/3)/took.Seconds())
}

func nameOf(i int) string { return fmt.Sprintf("service-%d", i) }

// senders are those of all reports.
type senders struct {
	t              *testing.T
	address, token string
	client         *http.Client
	// slots are for the requests that are on their way. Who waits for one has not asked yet, so that does not count for how long a request takes.
	slots chan struct{}
	ids   []string
	// part is after how many that are accepted parts is told.
	part                     int64
	parts                    chan struct{}
	attempts, lost, accepted atomic.Int64
}

// send sends these reports, so many in a second, and does not wait for any.
func (s *senders) send(sent *sync.WaitGroup, from, to int) {
	pace := time.NewTicker(time.Second / handfuls)
	defer pace.Stop()
	for i := from; i < to; i++ {
		if i%(perSecond/handfuls) == 0 {
			<-pace.C
		}
		sent.Go(func() { s.report(i) })
	}
}

// report sends one report until it is accepted, and each third of them once more.
func (s *senders) report(i int) {
	s.ids[i] = s.insist(i)
	if s.accepted.Add(1)%s.part == 0 {
		select {
		case s.parts <- struct{}{}:
		default: // the last part
		}
	}
	if i%3 != 0 {
		return
	}
	if id := s.insist(i); id != s.ids[i] {
		s.t.Errorf("%s has the ids %s and %s", nameOf(i), s.ids[i], id)
	}
}

func (s *senders) insist(i int) (id string) {
	err := wait.PollUntilContextTimeout(s.t.Context(), 100*time.Millisecond, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		s.attempts.Add(1)
		var refused error
		id, refused = s.post(ctx, i)
		return id != "", refused
	})
	if err != nil {
		s.t.Errorf("%s was never accepted: %v", nameOf(i), err)
	}
	return id
}

// post sends a report; it returns no id if it is to be sent again.
func (s *senders) post(ctx context.Context, i int) (string, error) {
	body := fmt.Sprintf(`{"service":%q,"success":true,"commit_sha":"%07x","idempotency_key":"run-%d"}`, nameOf(i), i, i)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/events/deploy", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		s.lost.Add(1)
		return "", nil // the controller was killed
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusAccepted:
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusUnauthorized: // it has just begun, and has not seen the receiver yet
		return "", nil
	default:
		return "", fmt.Errorf("answered %s", answer.Status)
	}
	var said struct {
		ID string `json:"id"`
	}
	if json.NewDecoder(answer.Body).Decode(&said) != nil {
		return "", nil // it was killed while it said so
	}
	return said.ID, nil
}

// controller is the real program, beside a real API server.
type controller struct {
	binary, kubeconfig, ledger, address, token string
	running                                    *exec.Cmd
}

func newController(t *testing.T) *controller {
	t.Helper()
	g, folder := NewWithT(t), t.TempDir()
	c := &controller{
		binary: filepath.Join(folder, "dora-controller"), kubeconfig: filepath.Join(folder, "kubeconfig"), ledger: filepath.Join(folder, "ledger.db"),
		address: freeAddress(t), token: sinktest.Secret("load"),
	}
	said, err := exec.CommandContext(t.Context(), "go", "build", "-o", c.binary, root+"/cmd/dora-controller").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	plane := &envtest.Environment{
		BinaryAssetsDirectory: cmp.Or(os.Getenv("KUBEBUILDER_ASSETS"), root+"/bin/envtest"), ErrorIfCRDPathMissing: true,
		CRDDirectoryPaths: []string{root + "/config/crd/bases"}, ControlPlaneStopTimeout: 2 * time.Minute,
	}
	config, err := plane.Start()
	t.Cleanup(func() { g.Expect(plane.Stop()).To(Succeed()) })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(c.kubeconfig, plane.KubeConfig, 0o600)).To(Succeed())
	scheme := runtime.NewScheme()
	g.Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	g.Expect(dorav1alpha1.AddToScheme(scheme)).To(Succeed())
	api, err := client.New(config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	own := metav1.ObjectMeta{Namespace: namespace, Name: "ci"}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: own, StringData: map[string]string{"token": c.token}},
		&dorav1alpha1.DoraReceiver{ObjectMeta: own, Spec: dorav1alpha1.DoraReceiverSpec{
			Type: dorav1alpha1.ReceiverEvents, SecretRef: dorav1alpha1.SecretReference{Name: "ci"}, RateLimit: 60_000,
		}},
	} {
		g.Expect(api.Create(t.Context(), object)).To(Succeed())
	}
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer func() { NewWithT(t).Expect(listener.Close()).To(Succeed()) }()
	return listener.Addr().String()
}

// start starts the controller; whoever sends finds out when it takes something.
func (c *controller) start(t *testing.T) {
	t.Helper()
	c.running = exec.CommandContext(t.Context(), c.binary, "run", "--ledger="+c.ledger, "--kubeconfig="+c.kubeconfig, "--namespaces="+namespace,
		"--metrics-bind-address=0", "--health-probe-bind-address=0", "--receivers-bind-address="+c.address, "--receivers-plaintext", "--log-level=error")
	c.running.Stderr = t.Output()
	NewWithT(t).Expect(c.running.Start()).To(Succeed())
}

// kill ends the controller as a machine does that loses its power.
func (c *controller) kill(t *testing.T) {
	t.Helper()
	NewWithT(t).Expect(c.running.Process.Kill()).To(Succeed())
	NewWithT(t).Expect(c.running.Wait()).To(MatchError("signal: killed"))
}

// kept are the services of all events of the ledger, by their ids.
func (c *controller) kept(t *testing.T) map[string]string {
	t.Helper()
	g := NewWithT(t)
	store, err := app.ReadLedger(t.Context(), c.ledger, "default")
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(store.Close()).To(Succeed()) }()
	kept := map[string]string{}
	for row, err := range store.Events(t.Context(), ledger.EventQuery{}) {
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(kept).NotTo(HaveKey(row.Event.ID))
		kept[row.Event.ID] = row.Event.Service
	}
	return kept
}
