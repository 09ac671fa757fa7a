package kube

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/dora-controller/dora-controller/internal/progress"
)

// line is an API server at the other end: each watch gets a pipe, and other requests an answer.
type line struct {
	down   bool
	status int
	watch  *io.PipeWriter
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.down {
		return nil, errors.New("no route to host")
	}
	if r.URL.Query().Get("watch") == "" {
		return &http.Response{StatusCode: l.status, Body: http.NoBody}, nil
	}
	body, writer := io.Pipe()
	l.watch = writer
	return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
}

const applications = "/apis/argoproj.io/v1alpha1/applications"

// begin watches, as a reflector does, and returns what ends the stream.
func begin(t *testing.T, through http.RoundTripper) (ended chan error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api"+applications+"?allowWatchBookmarks=true&watch=true", http.NoBody)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	answer, err := through.RoundTrip(request) //nolint:bodyclose // below, in the goroutine that reads it
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	ended = make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(answer.Body)
		for lines.Scan() {
			continue
		}
		ended <- errors.Join(lines.Err(), answer.Body.Close())
	}()
	return ended
}

func send(t *testing.T, through http.RoundTripper, method, path string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://api"+path, http.NoBody)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	answer, err := through.RoundTrip(request)
	if err == nil {
		err = answer.Body.Close()
	}
	return err
}

func TestAWatchThatGetsItsBookmarksGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l, h := NewWithT(t), &line{}, NewHearing()
		ended := begin(t, h.Wrap(l))
		for range 30 {
			time.Sleep(time.Minute)
			_, err := io.WriteString(l.watch, `{"type":"BOOKMARK"}`+"\n")
			g.Expect(err).NotTo(HaveOccurred())
			synctest.Wait()
			g.Expect(h.Check()).To(Succeed())
			g.Expect(ended).NotTo(Receive())
		}
		g.Expect(l.watch.Close()).To(Succeed())
		g.Expect(<-ended).To(Succeed())
	})
}

// TestAWatchThatFellSilentIsEnded as the server would end it: with the end of the stream, after which a reflector goes on without listing anew.
func TestAWatchThatFellSilentIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l, h := NewWithT(t), &line{}, NewHearing()
		began := time.Now()
		g.Expect(<-begin(t, h.Wrap(l))).To(Succeed())
		g.Expect(time.Since(began)).To(Equal(silence))
		g.Expect(h.Check()).To(Succeed(), "there is time to begin it anew")
		time.Sleep(deaf - silence + 1)
		g.Expect(h.Check()).To(MatchError("the API server was not heard of on watches: " + applications + " since 2000-01-01T00:00:00Z"))
		ended := begin(t, h.Wrap(l))
		g.Expect(h.Check()).To(Succeed())
		g.Expect(l.watch.Close()).To(Succeed())
		g.Expect(<-ended).To(Succeed())
	})
}

func TestAnAnswerIsAWordOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l, h := NewWithT(t), &line{down: true, status: http.StatusNotFound}, NewHearing()
		watch := func() error { return send(t, h.Wrap(l), http.MethodGet, applications+"?watch=1") }
		g.Expect(watch()).NotTo(Succeed())
		g.Expect(h.Check()).To(Succeed(), "for a while it may be away")
		time.Sleep(deaf + 1)
		g.Expect(watch()).NotTo(Succeed())
		g.Expect(h.Check()).To(MatchError(ContainSubstring(applications + " since")))
		l.down = false
		g.Expect(send(t, h.Wrap(l), http.MethodGet, "/version")).To(Succeed())
		g.Expect(h.Check()).NotTo(Succeed(), "that says nothing of what is watched")
		g.Expect(send(t, h.Wrap(l), http.MethodGet, applications)).To(Succeed(), "the kind was removed, says the server")
		g.Expect(h.Check()).To(Succeed())
	})
}

func TestWhenALeaseWasRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l, h := NewWithT(t), &line{status: http.StatusOK}, NewHearing()
		const lease = "/apis/coordination.k8s.io/v1/namespaces/dora-system/leases/dora-controller"
		g.Expect(send(t, h.Wrap(l), http.MethodGet, lease)).To(Succeed())
		g.Expect(h.Renewed("dora-controller")).To(BeZero(), "it was only read")
		l.status = http.StatusConflict
		g.Expect(send(t, h.Wrap(l), http.MethodPut, lease)).To(Succeed())
		g.Expect(h.Renewed("dora-controller")).To(BeZero(), "somebody else was quicker")
		l.status = http.StatusOK
		g.Expect(send(t, h.Wrap(l), http.MethodPut, lease)).To(Succeed())
		g.Expect(h.Renewed("dora-controller")).To(Equal(time.Now()))
	})
}

// TestALookThatDoesNotEndIsStuck, and names its object.
func TestALookThatDoesNotEndIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board, goOn := NewWithT(t), &progress.Board{}, make(chan struct{})
		look := reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			<-goOn
			return reconcile.Result{}, nil
		})
		w := &watched{look, board, "application", time.Minute}
		go func() {
			_, err := w.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "argocd", Name: "cart"}})
			g.Expect(err).NotTo(HaveOccurred())
		}()
		time.Sleep(time.Minute + 1)
		g.Expect(board.Check()).To(MatchError("stuck: application argocd/cart since 2000-01-01T00:00:00Z"))
		close(goOn)
		synctest.Wait()
		g.Expect(board.Check()).To(Succeed())
	})
}
