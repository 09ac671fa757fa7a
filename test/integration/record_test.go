package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/recording"
	"github.com/dora-controller/dora-controller/internal/replay"
)

// recordKey makes pseudonyms of specs.
var recordKey = []byte("a key that all the world may know")

var _ = Describe("A recording", func() {
	// Redacted recordings become stories of this project only if an API server takes their objects.
	Describe("that is redacted", Ordered, func() {
		var s *stage

		BeforeAll(func(ctx SpecContext) { s = newStage(ctx) })

		for _, name := range []string{"d08-sync-failed", "d16-multi-source", "r02-abort-retry", "r09-blue-green-failed", "r12-standalone"} {
			It("is played into an API server as the original is: "+name, func(ctx SpecContext) {
				data, err := os.ReadFile(filepath.Join(recordings, name+".jsonl"))
				Expect(err).NotTo(HaveOccurred())
				var redacted bytes.Buffer
				// Applications are in the namespace that the stage's target selects from.
				Expect(recording.Copy(name, data, recording.NewWriter(&redacted, recording.Options{Key: recordKey}))).To(Succeed())
				argocd := recording.NewPseudonyms(recordKey).Name("argocd")
				story := filepath.Join(GinkgoT().TempDir(), "story.jsonl")
				Expect(os.WriteFile(story, bytes.ReplaceAll(redacted.Bytes(), []byte(argocd), []byte("argocd")), 0o600)).To(Succeed())

				world := replay.NewWorld("test", recordedPolicy)
				var want []dora.Event
				for _, e := range readEvents(story) {
					for _, step := range world.Apply(e) {
						want = append(want, step.Events...)
					}
				}
				s.open(ctx)
				for _, line := range readLines(story) {
					s.play(ctx, line)
				}
				Expect(want).NotTo(BeEmpty())
				Expect(jsonOf(s.events(ctx))).To(Equal(jsonOf(want)))
				s.clear(ctx)
			}, NodeTimeout(2*time.Minute))
		}
	})

	It("holds every version once, in order, through connections that break and a server that comes back", func(ctx SpecContext) {
		namespace, line := newNamespace(ctx, api), &wire{}
		r := startRecording(line.through(cluster), recording.Scope{Namespaces: []string{namespace}}, recording.Options{})
		cart := newApplication(ctx, api, clocktesting.NewFakeClock(time.Now()), namespace, "cart", nil)
		var want []string
		note := func(kind replay.Type, o client.Object) {
			want = append(want, fmt.Sprintf("%s %s %s", kind, o.GetName(), o.GetResourceVersion()))
		}
		note(replay.Added, cart.object)
		Eventually(r.words).WithTimeout(patience).Should(Equal(want))
		for i := range 6 {
			switch i {
			case 1:
				line.cut()
			case 3:
				line.down.Store(true)
				line.cut()
			case 5:
				line.down.Store(false)
			}
			cart.annotate(ctx, "example.com/step", strconv.Itoa(i))
			note(replay.Modified, cart.object)
		}
		Eventually(r.words).WithTimeout(patience).Should(Equal(want), "no version is lost, though nobody could be reached")
		Expect(api.Delete(ctx, cart.object)).To(Succeed())
		Eventually(r.words).WithTimeout(patience).Should(HaveLen(len(want) + 1))
		Expect(r.words()[len(want)]).To(HavePrefix("DELETED cart "))
		Expect(r.end()).To(Succeed())
		Expect(r.summary().Gaps).To(BeZero())
	})

	It("tells of the gap when the server no longer knows", func(ctx SpecContext) {
		namespace, line := newNamespace(ctx, api), &wire{}
		r := startRecording(line.through(cluster), recording.Scope{Namespaces: []string{namespace}}, recording.Options{})
		cart := newApplication(ctx, api, clocktesting.NewFakeClock(time.Now()), namespace, "cart", nil)
		Eventually(r.words).WithTimeout(patience).Should(HaveLen(1))
		line.expired.Store(true)
		line.cut()
		cart.annotate(ctx, "example.com/step", "while nobody looked")
		Eventually(func() int { return r.summary().Gaps }).WithTimeout(patience).Should(Equal(1), "of the kind that changed")
		line.expired.Store(false)
		Eventually(r.words).WithTimeout(patience).Should(ContainElement("MODIFIED cart " + cart.object.GetResourceVersion()))
		Expect(r.end()).To(Succeed())
		Expect(r.text()).To(ContainSubstring(`"gap":{"kind":"Application","since":"`))
		Expect(r.told()).To(ContainSubstring("the recording has a gap"))
		events := 0
		Expect(replay.Read("recording", strings.NewReader(r.text()), func(replay.Event) { events++ })).To(Succeed())
		Expect(events).To(Equal(2), "a gap is no event")
	})

	It("needs the rights to list and to watch, and no others", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		user, err := server.AddUser(envtest.User{Name: "observer", Groups: []string{"system:authenticated"}}, nil)
		Expect(err).NotTo(HaveOccurred())
		scope := recording.Scope{Namespaces: []string{namespace}}
		r := startRecording(user.Config(), scope, recording.Options{})
		Eventually(r.ended).WithTimeout(patience).Should(Receive(MatchError(And(
			ContainSubstring("cannot list ReplicaSets of namespace "+namespace), ContainSubstring("ask for the right to list and watch them"),
		))))
		Expect(api.Create(ctx, &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dora-recorder"},
			Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{"argoproj.io"}, Resources: []string{"applications", "rollouts"}, Verbs: []string{"list", "watch"}},
				{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"list", "watch"}},
			},
		})).To(Succeed())
		Expect(api.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dora-recorder"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "dora-recorder"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "observer"}},
		})).To(Succeed())
		newApplication(ctx, api, clocktesting.NewFakeClock(time.Now()), namespace, "cart", nil)
		refused := &refusals{}
		Eventually(func(g Gomega) { // the server learns of a binding in its own time
			r = startRecording(refused.watch(user.Config()), scope, recording.Options{})
			g.Eventually(r.words).Should(HaveLen(1))
		}).WithTimeout(patience).Should(Succeed())
		Expect(r.end()).To(Succeed())
	})

	It("of one Application holds what it manages, and is redacted as it is made", func(ctx SpecContext) {
		namespace := newNamespace(ctx, api)
		newRollout(ctx, api, clocktesting.NewFakeClock(time.Now()), namespace, "other")
		newRollout(ctx, api, clocktesting.NewFakeClock(time.Now()), namespace, "web")
		cart := newApplication(ctx, api, clocktesting.NewFakeClock(time.Now()), namespace, "cart", nil)
		r := startRecording(rest.CopyConfig(cluster), recording.Scope{Namespaces: []string{namespace}, Applications: []string{"cart"}}, recording.Options{Key: recordKey})
		names := recording.NewPseudonyms(recordKey)
		Eventually(r.words).WithTimeout(patience).Should(ConsistOf(HavePrefix("ADDED " + names.Name("cart"))))
		cart.write(func(status object) {
			status["resources"] = []any{object{"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout", "namespace": namespace, "name": "web"}}
		})
		Eventually(r.words).WithTimeout(patience).Should(ContainElement(HavePrefix("ADDED " + names.Name("web") + " ")))
		Expect(r.end()).To(Succeed())
		for _, name := range []string{"cart", "web", "other", namespace} {
			Expect(r.text()).NotTo(ContainSubstring(`"` + name))
		}
		Expect(r.text()).NotTo(ContainSubstring(names.Name("other")))
	})
})

// underWay is a recording that goes on until it is ended.
type underWay struct {
	mu     sync.Mutex
	lines  bytes.Buffer
	notes  strings.Builder
	writer *recording.Writer
	stop   context.CancelFunc
	ended  chan error
}

func startRecording(config *rest.Config, scope recording.Scope, options recording.Options) *underWay {
	GinkgoHelper()
	objects, err := dynamic.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	ctx, stop := context.WithCancel(context.Background())
	r := &underWay{stop: stop, ended: make(chan error, 1)}
	r.writer = recording.NewWriter(r, options)
	source := recording.Source{Discovery: kinds, Objects: objects, Now: time.Now, Tell: func(format string, args ...any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		fmt.Fprintf(&r.notes, format+"\n", args...)
	}}
	go func() {
		defer GinkgoRecover()
		r.ended <- recording.Watch(ctx, source, scope, r.writer)
	}()
	DeferCleanup(stop)
	return r
}

// Write implements io.Writer.
func (r *underWay) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.Write(line)
}

func (r *underWay) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.String()
}

func (r *underWay) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes.String()
}

func (r *underWay) summary() recording.Summary { return r.writer.Summary() }

func (r *underWay) end() error {
	r.stop()
	return <-r.ended
}

// words are type, name and version of each event.
func (r *underWay) words() []string {
	var all []string
	for text := range strings.Lines(r.text()) {
		var l struct {
			Type   replay.Type                  `json:"type"`
			Object metav1.PartialObjectMetadata `json:"object"`
			Gap    *recording.Gap               `json:"gap"`
		}
		if err := json.Unmarshal([]byte(text), &l); err == nil && l.Gap == nil {
			all = append(all, fmt.Sprintf("%s %s %s", l.Type, l.Object.Name, l.Object.ResourceVersion))
		}
	}
	return all
}

// wire is a way to the server that breaks when it is told to.
type wire struct {
	down    atomic.Bool // nobody answers
	expired atomic.Bool // the server knows no version to watch from

	mu   sync.Mutex
	open map[*stream]bool
}

// stream is the body of an answer that goes on.
type stream struct {
	io.ReadCloser

	of *wire
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.of.mu.Lock()
	delete(s.of.open, s)
	s.of.mu.Unlock()
	return s.ReadCloser.Close()
}

func (w *wire) through(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	w.open = map[*stream]bool{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			watches := req.URL.Query().Get("watch") != ""
			switch {
			case w.down.Load():
				return nil, errors.New("connection refused")
			case watches && w.expired.Load():
				return expired(req), nil
			}
			response, err := next.RoundTrip(req)
			if err == nil && watches {
				body := &stream{response.Body, w}
				w.mu.Lock()
				w.open[body] = true
				w.mu.Unlock()
				response.Body = body
				if w.expired.Load() { // cut came before it was open
					return expired(req), body.Close()
				}
			}
			return response, err
		})
	})
	return config
}

// cut breaks all watches.
func (w *wire) cut() {
	w.mu.Lock()
	open := slices.Collect(maps.Keys(w.open))
	w.mu.Unlock()
	for _, body := range open {
		_ = body.ReadCloser.Close()
	}
}

// expired is the answer to somebody who wants to go on from a version that is gone.
func expired(req *http.Request) *http.Response {
	const status = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","message":"too old resource version","code":410}`
	return &http.Response{
		StatusCode: http.StatusGone, Status: "410 Gone", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(status)),
	}
}
