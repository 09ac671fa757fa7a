package integration_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/app"
	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// canary is a password that must not turn up anywhere.
var canary = sinktest.Secret("git")

// gitServer serves a real repository by git's own http-backend, as an administrator would set it up.
type gitServer struct {
	*httptest.Server
	// down answers every request with an error; locked wants the canary for a password.
	down, locked atomic.Bool
}

func serveGit(repo *committest.Repo) *gitServer {
	GinkgoHelper()
	libexec, err := exec.Command("git", "--exec-path").Output()
	Expect(err).NotTo(HaveOccurred())
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(libexec)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(repo.Dir), "GIT_HTTP_EXPORT_ALL=1"},
	}
	s := &gitServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch {
		case s.down.Load():
			http.Error(w, "the server is being upgraded", http.StatusServiceUnavailable)
		case s.locked.Load() && password != canary:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, r)
		}
	}))
	DeferCleanup(s.Close)
	return s
}

// image is what a pipeline builds from a commit.
func image(sha string) string { return "registry.example.com/acme/cart:sha-" + sha[:7] }

var _ = Describe("Lead time for changes", func() {
	var (
		namespace string
		repo      *committest.Repo
		server    *gitServer
		p         *process
		cart      *argoApp
	)

	BeforeEach(func(ctx SpecContext) {
		namespace = newNamespace(ctx, api)
		repo = committest.New(GinkgoTB())
		server = serveGit(repo)
		p = start(cluster, watching(namespace), func(o *app.Options) {
			o.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			o.GitCache = GinkgoT().TempDir()
		})
		p.awaitReady()
	})

	source := func(more string) string {
		return `{applications: {}, degradedFor: 0s, source: {repository: {url: "` + server.URL + `/repo.git"}` + more + `}}`
	}

	// three deployments; the first one has no lead time.
	deployThree := func(ctx context.Context) (commits [3]string) {
		commits[0] = repo.Commit(committest.Commit{})
		repo.Switch("feature")
		repo.Commit(committest.Commit{File: "a"})
		repo.Commit(committest.Commit{File: "b"})
		repo.Switch("main")
		repo.Commit(committest.Commit{File: "c"})
		commits[1] = repo.Merge("feature")
		repo.Commit(committest.Commit{File: "d"})
		commits[2] = repo.Commit(committest.Commit{File: "e"})
		cart = newApplication(ctx, api, p.clock, namespace, "cart", nil)
		for i, sha := range commits {
			cart.deploy(image(sha))
			p.eventsSoon(i + 1)
		}
		return commits
	}

	It("is the one that git log gives by hand", func(ctx SpecContext) {
		target := newTarget(ctx, api, namespace, "shop", source(""))
		commits := deployThree(ctx)
		var leads []float64
		Eventually(func(g Gomega) {
			leads = nil
			events := p.events(g)
			g.Expect(events).To(HaveLen(3))
			g.Expect(events[0].LeadTimeUnknown).To(Equal("FirstDeployment"))
			for i, e := range events {
				g.Expect(e.Version.Commit).To(Equal(commits[i]))
				if i == 0 {
					continue
				}
				want := repo.Log(commits[i-1], commits[i], commit.RangeOptions{})
				g.Expect(e.FirstCommitAt).NotTo(BeNil())
				g.Expect(*e.FirstCommitAt).To(BeTemporally("==", want.FirstAt))
				g.Expect(*e.CommitCount).To(Equal(want.Commits))
				g.Expect(e.BaseCommit).To(Equal(commits[i-1]))
				g.Expect(e.Repository).To(Equal(server.URL + "/repo"))
				g.Expect(*e.LeadTimeSeconds).To(Equal(e.OccurredAt.Sub(want.FirstAt).Seconds()))
				leads = append(leads, *e.LeadTimeSeconds)
			}
		}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())

		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			lead := summary(g, s).LeadTime
			g.Expect(lead.Samples).To(Equal(int64(2)))
			g.Expect(lead.P50Seconds).NotTo(BeNil())
			g.Expect(float64(*lead.P50Seconds)).To(BeNumerically("~", (leads[0]+leads[1])/2, 0.5))
			g.Expect(s.Commits).To(Equal(&dorav1alpha1.CommitCounts{
				Resolved: 2, Unknown: 1, Reasons: []dorav1alpha1.ReasonCount{{Reason: "FirstDeployment", Deployments: 1}},
			}))
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved is absent"))
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
		})
		By("delivering each event again, under its id")
		Eventually(func(g Gomega) {
			cart.wait(time.Minute) // a jump of the clock may have ended an attempt to deliver, which is made again
			last := map[string]dora.Event{}
			for _, e := range p.stdout.all(g) {
				last[e.ID] = e
			}
			g.Expect(last).To(HaveLen(3))
			for _, e := range p.events(g) {
				g.Expect(last[e.ID].LeadTimeSeconds).To(Equal(e.LeadTimeSeconds))
				g.Expect(last[e.ID].Version.Commit).To(Equal(e.Version.Commit))
			}
		}).WithTimeout(patience).Should(Succeed())
		Expect(p.series()).To(ContainElement(ContainSubstring(`dora_deployments_without_lead_time_total{environment="production",reason="FirstDeployment"`)))
	})

	It("is rejected, counted and shown where a commit is younger than its deployment", func(ctx SpecContext) {
		target := newTarget(ctx, api, namespace, "shop", source(""))
		first := repo.Commit(committest.Commit{})
		second := repo.Commit(committest.Commit{At: time.Now().AddDate(1, 0, 0)})
		cart = newApplication(ctx, api, p.clock, namespace, "cart", nil)
		cart.deploy(image(first))
		p.eventsSoon(1)
		cart.deploy(image(second))
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			lead := summary(g, s).LeadTime
			g.Expect(lead.Rejected).To(Equal(int64(1)))
			g.Expect(lead.P50Seconds).To(BeNil())
		})
		Expect(p.series()).To(ContainElement(ContainSubstring(`reason="NegativeLeadTime"`)))
	})

	It("waits for a server that is down, says so, and goes on by itself", func(ctx SpecContext) {
		server.down.Store(true)
		target := newTarget(ctx, api, namespace, "shop", source(""))
		deployThree(ctx)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved=True (Unreachable)"))
			g.Expect(s).To(HaveField("Commits.Pending", Equal(int64(3))))
			g.Expect(summary(g, s).Counts.Succeeded).To(Equal(int64(3)), "nothing else waits")
			g.Expect(ready(s)).To(Equal("Ready=True (Followed)"))
		})
		server.down.Store(false)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			cart.wait(time.Hour)
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved is absent"))
			g.Expect(summary(g, s).LeadTime.Samples).To(Equal(int64(2)))
		})
	})

	It("tries again at once when the source is mended, or a backfill asks for it", func(ctx SpecContext) {
		target := newTarget(ctx, api, namespace, "shop", strings.Replace(source(""), "/repo.git", "/nothing.git", 1))
		deployThree(ctx)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved=True (RepositoryNotFound)"))
			g.Expect(s).To(HaveField("Commits.Pending", Equal(int64(3))))
		})
		server.down.Store(true)
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) { spec.Source.Repository.URL = server.URL + "/repo.git" })
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved=True (Unreachable)"))
		})
		server.down.Store(false)
		Eventually(func(g Gomega) {
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
			target.Annotations = map[string]string{dorav1alpha1.AnnotationBackfill: "now"}
			g.Expect(api.Update(ctx, target)).To(Succeed())
		}).WithTimeout(patience).Should(Succeed())
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved is absent"))
			g.Expect(summary(g, s).LeadTime.Samples).To(Equal(int64(2)))
			g.Expect(s).To(HaveField("Backfill.Deployments", Equal(int64(3))))
		})
	})

	It("takes credentials from a Secret of the target's own namespace, and shows them nowhere", func(ctx SpecContext) {
		server.locked.Store(true)
		target := newTarget(ctx, api, namespace, "shop", source(`, secretRef: {name: git}`))
		deployThree(ctx)
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved=True (SecretNotUsable)"))
		})
		Expect(api.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "git"}, StringData: map[string]string{"username": "ci", "password": "wrong-" + canary},
		})).To(Succeed())
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			cart.wait(time.Hour)
			g.Expect(condition(s, "CommitsUnresolved")).To(Equal("CommitsUnresolved=True (CredentialsRefused)"))
		})
		secret := &corev1.Secret{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "git"}, secret)).To(Succeed())
		secret.Data["password"] = []byte(canary)
		Expect(api.Update(ctx, secret)).To(Succeed())
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			cart.wait(time.Hour)
			g.Expect(summary(g, s).LeadTime.Samples).To(Equal(int64(2)), "a new Secret is taken without a restart")
		})
		status, err := json.Marshal(target.Status)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(status)).NotTo(ContainSubstring(canary))
		Expect(p.stdout.string()).NotTo(ContainSubstring(canary))
		Expect(strings.Join(p.series(), "\n")).NotTo(ContainSubstring(canary))
	})

	It("completes earlier deployments when it is asked to", func(ctx SpecContext) {
		target := newTarget(ctx, api, namespace, "shop", `{applications: {}, degradedFor: 0s}`)
		deployThree(ctx)
		edit(ctx, target, func(spec *dorav1alpha1.DoraTargetSpec) {
			spec.Source = &dorav1alpha1.Source{Repository: dorav1alpha1.Repository{URL: server.URL + "/repo.git"}}
		})
		Consistently(func(g Gomega) {
			g.Expect(p.events(g)).To(HaveEach(HaveField("FirstCommitAt", BeNil())))
		}).WithTimeout(time.Second).Should(Succeed(), "nobody asked yet")
		Eventually(func(g Gomega) {
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
			target.Annotations = map[string]string{dorav1alpha1.AnnotationBackfill: "now"}
			g.Expect(api.Update(ctx, target)).To(Succeed())
		}).WithTimeout(patience).Should(Succeed())
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(s.Backfill).To(Equal(&dorav1alpha1.BackfillStatus{Request: "now", Deployments: 3}))
			g.Expect(summary(g, s).LeadTime.Samples).To(Equal(int64(2)))
		})
	})

	It("imports what an Application's history tells, where the target says so", func(ctx SpecContext) {
		old := newApplication(ctx, api, p.clock, namespace, "old", nil)
		old.now = old.now.Add(-time.Hour)
		commits := [3]string{repo.Commit(committest.Commit{}), repo.Commit(committest.Commit{}), repo.Commit(committest.Commit{})}
		for i, sha := range commits {
			old.deploy(image(sha))
			old.history[i].(object)["source"].(object)["kustomize"] = object{"images": []any{"registry.example.com/acme/cart=" + image(sha)}}
		}
		old.write(func(status object) { status["history"] = old.history })
		// creationTimestamp has whole seconds: the target must be the younger one.
		Eventually(time.Now).WithTimeout(patience).Should(BeTemporally(">=", old.object.GetCreationTimestamp().Add(time.Second)))
		target := newTarget(ctx, api, namespace, "shop", source(`, backfill: true`))
		Eventually(func(g Gomega) {
			events := p.events(g)
			g.Expect(told(events)).To(Equal([]string{
				"old: unknown sha-" + commits[0][:7], "old: unknown sha-" + commits[1][:7], "old: succeeded sha-" + commits[2][:7],
			}))
			for _, e := range events {
				g.Expect(e.Basis).To(Equal(dora.BasisHistory))
				g.Expect(e.Reason).To(Equal("ImportedFromHistory"))
				g.Expect(e.Version.Commit).To(HaveLen(40))
			}
			g.Expect(events[2].LeadTimeUnknown).To(Equal("BaseUnknown"), "nobody knows how the one before it ended")
		}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())
		next := repo.Commit(committest.Commit{})
		old.now = time.Now()
		old.deploy(image(next))
		Eventually(func(g Gomega) {
			events := p.events(g)
			g.Expect(events).To(HaveLen(4))
			g.Expect(events[3].BaseCommit).To(Equal(commits[2]))
			g.Expect(events[3].FirstCommit).To(Equal(next))
		}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())
		expectStatus(ctx, target, func(g Gomega, s *dorav1alpha1.DoraTargetStatus) {
			g.Expect(summary(g, s).LeadTime.Samples).To(Equal(int64(1)))
			g.Expect(summary(g, s).Counts.Unknown).To(Equal(int64(2)))
			g.Expect(summary(g, s).Counts.Gaps).To(BeZero())
		})
	})
})

// eventsSoon waits for that many events.
func (p *process) eventsSoon(n int) (events []dora.Event) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		events = p.events(g)
		g.Expect(events).To(HaveLen(n))
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
	return events
}

// all are the events that were written, as often as they were.
func (l *lines) all(g Gomega) (events []dora.Event) {
	for line := range strings.Lines(l.string()) {
		var e dora.Event
		g.Expect(json.Unmarshal([]byte(line), &e)).To(Succeed())
		events = append(events, e)
	}
	return events
}

func (l *lines) string() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
