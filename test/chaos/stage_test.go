package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	ctrlsignals "sigs.k8s.io/controller-runtime/pkg/manager/signals"
	"sigs.k8s.io/yaml"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/test/e2e/stand"
)

// stage is an API server with Argo's kinds and ours, a PostgreSQL, and replicas of the controller on one ledger.
type stage struct {
	*testing.T
	*stand.Stand

	argo     *argo
	server   *postgrestest.Server
	database postgrestest.Database // of the ledger, or of the sink
	ledger   string
	folder   string // of the ledger in a file
	replicas []*replica
	roomy    bool // the disk of the ledger cannot be filled
}

// shared tells whether the ledger is in the database.
func (s *stage) shared() bool { return strings.HasPrefix(s.ledger, "postgres://") }

// openStage starts what does not run yet, and a target and a sink; with the ledger in the database, or else in a file and with a sink that writes the database.
func openStage(t *testing.T, inDatabase bool) *stage {
	t.Helper()
	g := NewWithT(t)
	s := &stage{T: t, server: postgrestest.New(t), folder: t.TempDir()}
	var err error
	s.Stand, err = stand.StartServer(t.Context(), root, t.TempDir())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(s.Stop)
	_, err = envtest.InstallCRDs(s.Config, envtest.CRDInstallOptions{
		Paths: []string{root + "/config/crd/bases", root + "/bin/crds"}, ErrorIfPathMissing: true, MaxTime: patience,
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.API.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	s.database = s.server.Database(t)
	s.ledger = filepath.Join(s.folder, "ledger.db")
	if inDatabase {
		query := url.Values{"sslmode": {"disable"}, "search_path": {"dora"}}
		where := net.JoinHostPort(s.database.Host, strconv.Itoa(s.database.Port))
		s.ledger = (&url.URL{Scheme: "postgres", User: url.User(s.database.User), Host: where, Path: s.database.Name, RawQuery: query.Encode()}).String()
		g.Expect(os.Setenv("PGPASSWORD", s.database.Password)).To(Succeed()) //nolint:usetesting // the tests run side by side, and all their databases have the same
	} else {
		s.makeSink()
	}
	return s
}

const everything = `{apiVersion: dora-controller.io/v1alpha1, kind: DoraTarget, metadata: {name: all, namespace: argocd}, spec: {applications: {}, degradedFor: 0s}}`

// follow makes the target, waits until a replica has taken it up, and then the Applications.
func (s *stage) follow(names ...string) {
	s.Helper()
	g := NewWithT(s.T)
	target := &dorav1alpha1.DoraTarget{}
	g.Expect(yaml.UnmarshalStrict([]byte(everything), target)).To(Succeed())
	g.Expect(s.API.Create(s.Context(), target)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(s.API.Get(s.Context(), client.ObjectKeyFromObject(target), target)).To(Succeed())
		g.Expect(target.Status.Conditions).NotTo(BeEmpty())
	}).WithTimeout(patience).Should(Succeed())
	s.argo = newArgo(s.T, s.API, &target.Spec, names...)
}

const toDatabase = `{apiVersion: dora-controller.io/v1alpha1, kind: DoraSink, metadata: {name: postgres, namespace: argocd},
  spec: {type: Postgres, default: true, postgres: {secretRef: {name: postgres}, tls: Disable}}}`

func (s *stage) makeSink() {
	s.Helper()
	g := NewWithT(s.T)
	g.Expect(s.API.Create(s.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "postgres"},
		StringData: map[string]string{
			"host": s.database.Host, "port": strconv.Itoa(s.database.Port), "database": s.database.Name,
			"username": s.database.User, "password": s.database.Password,
		},
	})).To(Succeed())
	sink := &dorav1alpha1.DoraSink{}
	g.Expect(yaml.UnmarshalStrict([]byte(toDatabase), sink)).To(Succeed())
	g.Expect(s.API.Create(s.Context(), sink)).To(Succeed())
}

// replica is one process of the controller, and its line to the API server.
type replica struct {
	*stand.Process

	line    *line
	probes  string
	metrics string
	pprof   string
}

// replicate starts a replica; one whose clock is off runs in a copy of this test, since the program itself has no way to be lied to.
func (s *stage) replicate(off time.Duration) *replica {
	s.Helper()
	g := NewWithT(s.T)
	path, err := program()
	g.Expect(err).NotTo(HaveOccurred())
	ports, err := stand.FreePorts(3)
	g.Expect(err).NotTo(HaveOccurred())
	r := &replica{line: newLine(s.T, strings.TrimPrefix(s.Config.Host, "https://"))}
	r.probes, r.metrics, r.pprof = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2]
	name := fmt.Sprintf("dora-%d", len(s.replicas))
	kubeconfig, err := s.KubeconfigVia(name, r.line.listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	p := &stand.Process{Name: name, Path: path, Restart: true, Args: []string{
		"run", "--kubeconfig=" + kubeconfig, "--ledger=" + s.ledger, "--cluster=" + cluster, "--leader-elect", "--leader-election-namespace=default",
		"--health-probe-bind-address=" + r.probes, "--metrics-bind-address=" + r.metrics, "--allow-networks=127.0.0.0/8", "--zap-stacktrace-level=panic",
		"--git-cache=" + s.folder + "/git-" + name, "--pprof-bind-address=" + r.pprof,
	}}
	if off != 0 {
		settings, err := json.Marshal(late{Kubeconfig: kubeconfig, Ledger: s.ledger, Probes: r.probes, Metrics: r.metrics, Off: off})
		g.Expect(err).NotTo(HaveOccurred())
		p.Path, p.Args, p.Env = os.Args[0], nil, []string{childSettings + "=" + string(settings)}
	}
	r.Process, err = s.Stand.Run(s.Context(), p)
	g.Expect(err).NotTo(HaveOccurred())
	s.Cleanup(func() {
		r.Kill()
		if s.Failed() {
			s.tellLog(r)
		}
	})
	s.replicas = append(s.replicas, r)
	return r
}

// tellLog shows the end of what a replica said.
func (s *stage) tellLog(r *replica) {
	s.Helper()
	said, err := os.ReadFile(r.Log())
	s.Logf("%s said, in the end (%v):\n%s", r.Name, err, said[max(0, len(said)-12_000):])
}

// childSettings makes a copy of this test a replica.
const childSettings = "CHAOS_REPLICA"

// late is a replica whose clock is off: all but the lease, which goes by the machine's.
type late struct {
	Kubeconfig string        `json:"kubeconfig"`
	Ledger     string        `json:"ledger"`
	Probes     string        `json:"probes"`
	Metrics    string        `json:"metrics"`
	Off        time.Duration `json:"off"`
}

// off is a clock that is.
type off struct {
	clock.RealClock

	by time.Duration
}

func (o off) Now() time.Time                   { return o.RealClock.Now().Add(o.by) }
func (o off) Since(at time.Time) time.Duration { return o.Now().Sub(at) }
func (l *late) run() error {
	config, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig)
	if err != nil {
		return err
	}
	log := zap.New(zap.WriteTo(os.Stderr), zap.Level(zapcore.InfoLevel), zap.JSONEncoder())
	controller, err := app.New(config, app.Options{
		Ledger: l.Ledger, Cluster: cluster, LeaderElect: true, LeaderElectionNamespace: "default", MetricsAddress: l.Metrics, ProbeAddress: l.Probes,
		GitCache: filepath.Join(os.TempDir(), "dora-chaos-git"), Clock: kube.NewClock(off{by: l.Off}, log), Log: log,
	})
	if err != nil {
		return err
	}
	return controller.Run(ctrlsignals.SetupSignalHandler())
}

// get asks a replica over HTTP.
func get(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return string(body), err
}

// leads tells whether it is the leader, with the ledger open and the controllers at work: only then it knows what is followed.
func (r *replica) leads(ctx context.Context) bool {
	text, err := get(ctx, r.metrics+"/metrics")
	return err == nil && strings.Contains(text, "dora_followed_subjects")
}

// leader is the one that leads, once one does and is ready.
func (s *stage) leader() (leads *replica) {
	s.Helper()
	NewWithT(s.T).Eventually(func(g Gomega) {
		i := slices.IndexFunc(s.replicas, func(r *replica) bool { return r.leads(s.Context()) })
		g.Expect(i).NotTo(Equal(-1), "nobody leads")
		leads = s.replicas[i]
		_, err := get(s.Context(), leads.probes+"/readyz")
		g.Expect(err).NotTo(HaveOccurred())
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
	return leads
}

// events are what the ledger holds.
func (s *stage) events() ([]string, error) {
	store, err := app.ReadLedger(s.Context(), s.ledger, cluster)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	all := []string{}
	for row, err := range store.Events(s.Context(), ledger.EventQuery{}) {
		if err != nil {
			return nil, err
		}
		all = append(all, telling(s.T, row.Event))
	}
	slices.Sort(all)
	return all, nil
}

// agrees waits until the ledger holds exactly the events of the undisturbed run.
func (s *stage) agrees() {
	s.Helper()
	NewWithT(s.T).Eventually(func() error {
		held, err := s.events()
		return errors.Join(err, differ(held, s.argo.expected()))
	}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())
}

// differ tells what is too many, and what is missing.
func differ(held, want []string) error {
	counts := make(map[string]int, len(want))
	for _, event := range want {
		counts[event]++
	}
	for _, event := range held {
		counts[event]--
	}
	var text strings.Builder
	for event, n := range counts {
		switch {
		case n > 0:
			fmt.Fprintf(&text, "missing: %s\n", event)
		case n < 0:
			fmt.Fprintf(&text, "too many: %s\n", event)
		}
	}
	if text.Len() == 0 {
		return nil
	}
	return errors.New(text.String())
}

// seen waits until a leader has seen all that was written: what is written after that, and after that once more, is in the ledger.
func (s *stage) seen() {
	s.Helper()
	for range 2 {
		s.argo.sentry.atOnce(s.Context())
		s.agrees()
	}
}

// schema is where delivery_events is.
func (s *stage) schema() string {
	if s.shared() {
		return "dora"
	}
	return "public"
}

// published waits until delivery_events, which others read, has each event once, as the ledger has it.
func (s *stage) published() {
	s.Helper()
	want := []string{}
	for _, e := range s.argo.must {
		want = append(want, fmt.Sprintf("%s %s", e.ID, e.OccurredAt.UTC().Format(time.RFC3339)))
	}
	conn := s.server.Connect(s.T, s.database.Name)
	NewWithT(s.T).Eventually(func() error {
		rows, err := conn.Query(s.Context(), "SELECT id, occurred_at FROM "+s.schema()+".delivery_events")
		if err != nil {
			return err
		}
		defer rows.Close()
		held := []string{}
		for rows.Next() {
			var id string
			var at time.Time
			if err := rows.Scan(&id, &at); err != nil {
				return err
			}
			held = append(held, fmt.Sprintf("%s %s", id, at.UTC().Format(time.RFC3339)))
		}
		return errors.Join(rows.Err(), differ(held, want))
	}).WithTimeout(patience).Should(Succeed())
}
