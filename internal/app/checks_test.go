package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger/postgres"
	"github.com/dora-controller/dora-controller/internal/progress"
)

// elected is a manager whose process leads.
type elected struct{ manager.Manager }

func (elected) Elected() <-chan struct{} {
	led := make(chan struct{})
	close(led)
	return led
}

// answering is an API server that takes everything.
type answering struct{}

func (answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func renew(t *testing.T, h *kube.Hearing) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		"https://api/apis/coordination.k8s.io/v1/namespaces/dora-system/leases/"+LeaderElectionID, http.NoBody)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	answer, err := h.Wrap(answering{}).RoundTrip(request)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(answer.Body.Close()).To(Succeed())
}

// TestALeaderWhoGoesOnWithoutItsLeaseIsNotAlive, once it has had the time to end.
func TestALeaderWhoGoesOnWithoutItsLeaseIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		a := &App{options: Options{LeaderElect: true, LeaseDuration: 15 * time.Second, hearing: kube.NewHearing()}, leader: &leader{mgr: elected{}}}
		g.Expect(a.checkLease(nil)).To(Succeed(), "it has only just been elected")
		renew(t, a.options.hearing)
		time.Sleep(74 * time.Second)
		g.Expect(a.checkLease(nil)).To(Succeed())
		renew(t, a.options.hearing)
		time.Sleep(75 * time.Second)
		g.Expect(a.checkLease(nil)).To(MatchError("the lease was renewed at 2000-01-01T00:01:14Z for the last time, and this process goes on"))
		a.options.LeaderElect = false
		g.Expect(a.checkLease(nil)).To(Succeed(), "nobody is elected")
	})
}

// TestAProcessThatDoesNotEndIsStuck: it leads no more, and something keeps it.
func TestAProcessThatDoesNotEndIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, board := NewWithT(t), &progress.Board{}
		a := &App{options: Options{board: board}}
		l := &leader{options: &a.options}
		ctx, lose := context.WithCancel(t.Context())
		l.noteEnd(ctx)
		time.Sleep(time.Hour)
		g.Expect(a.checkWork(nil)).To(Succeed())
		lose()
		time.Sleep(endWithin)
		g.Expect(a.checkWork(nil)).To(Succeed())
		time.Sleep(time.Nanosecond)
		g.Expect(a.checkWork(nil)).To(MatchError("stuck: end of the process, which was told to stop or leads no more since 2000-01-01T01:00:00Z"))
	})
}

// TestWhatIsToBeGrantedIsLogged once, each time that it is missing.
func TestWhatIsToBeGrantedIsLogged(t *testing.T) {
	g, logged := NewWithT(t), []string{}
	l := &leader{log: funcr.New(func(_, text string) { logged = append(logged, text) }, funcr.Options{})}
	lacking := fmt.Errorf("cannot write the ledger: %w (INSERT on it)", postgres.ErrRights)
	for _, err := range []error{nil, errors.New("something else"), lacking, lacking, nil, lacking} {
		l.tellRights(err)
	}
	g.Expect(logged).To(HaveExactElements(ContainSubstring("(INSERT on it)"), ContainSubstring("(INSERT on it)")))
}
