//go:build e2e

// Package e2e_test lets the real Argo CD and Argo Rollouts deploy things, and asks whether the controller that ran beside them told the truth.
//
//	service_test.go    one service and what a person does to it: commit, sync, abort, roll back, crash its pods
//	manifests_test.go  the manifests that are committed
//	tell_test.go       what must have come out: events in words, figures, the rows and messages of every sink
//	stories_*_test.go  the stories
//	random_test.go     a driver that makes stories up by a seed
//	compare_test.go    Argo CD's notifications controller on the same run
package e2e_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents/cloudeventstest"
	"github.com/dora-controller/dora-controller/internal/sink/port/porttest"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
	"github.com/dora-controller/dora-controller/test/e2e/stand"
)

const root = "../.."

// live is a stand with a sink of every kind behind it.
type live struct {
	*stand.Stand
	warehouse *postgrestest.Server
	database  string
	receiver  *cloudeventstest.Receiver
	portal    *porttest.Server
	// suffix of all names, if the stand is used by others too.
	suffix string
	ends   ends
	// again is the command that tells the stories of a seed again.
	again string
	// kills counts parts that were killed, and parts that came back: it is odd while one is away.
	kills atomic.Int64
}

// begin starts everything. Its folder stays if the test fails, with the logs and the recording. If E2E_STAND names the folder of a stand that is up
// already, stories are told there, which saves whoever writes one the start.
func begin(t *testing.T) *live {
	t.Helper()
	if folder := os.Getenv("E2E_STAND"); folder != "" {
		return join(t, folder)
	}
	l := &live{}
	runs := filepath.Join(root, "bin", "e2e", "runs")
	l.must(t, forget(runs, 24*time.Hour))
	folder := filepath.Join(runs, t.Name()+"-"+time.Now().UTC().Format("150405"))
	s, err := stand.Start(t.Context(), root, folder)
	l.must(t, err)
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("what was recorded, logged and kept is in %s", s.Folder)
			return
		}
		_ = os.RemoveAll(s.Folder) // what stays behind is removed by hand
	})
	l.Stand = s
	l.must(t, l.MayReadSecrets(t.Context(), stand.ArgoNamespace))
	l.openSinks(t)
	return l
}

// forget removes what was left of runs longer ago than that.
func forget(runs string, age time.Duration) error {
	left, err := os.ReadDir(runs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, run := range left {
		if info, err := run.Info(); err == nil && time.Since(info.ModTime()) > age {
			if err := os.RemoveAll(filepath.Join(runs, run.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// join uses a stand that others started. What is made there has names of its own, and stays.
func join(t *testing.T, folder string) *live {
	t.Helper()
	l := &live{suffix: "-" + strconv.FormatInt(time.Now().Unix()%100000, 36)}
	s, err := stand.Join(t.Context(), root, folder, "recording"+l.suffix+".jsonl")
	l.must(t, err)
	t.Cleanup(s.Stop)
	l.Stand = s
	l.openSinks(t)
	return l
}

// openSinks makes a sink of each kind in Argo CD's namespace, which is trusted.
func (l *live) openSinks(t *testing.T) {
	t.Helper()
	l.warehouse = postgrestest.Start(t)
	database := l.warehouse.Database(t)
	l.database = database.Name
	token, key := sinktest.Secret("e2e-token"), sinktest.Secret("e2e-key")
	l.receiver = cloudeventstest.New(t, cloudeventstest.Settings{Token: token, HMACKey: []byte(key), SignatureHeader: "X-Dora-Signature-256"})
	l.portal = porttest.New(t, "client", sinktest.Secret("e2e-port"))
	l.portal.PutBlueprint(`{"identifier": "_team", "title": "Team", "schema": {"properties": {}}}`) // every portal has it
	t.Setenv("PORT_CLIENT_ID", l.portal.ClientID)
	t.Setenv("PORT_CLIENT_SECRET", l.portal.ClientSecret)
	_, err := l.Command(t.Context(), "port", "bootstrap", "--base-url", l.portal.URL, "--environments", "prod=Production")
	l.must(t, err)
	l.secret(t, "warehouse", map[string]string{"username": database.User, "password": postgrestest.Password()})
	l.secret(t, "receiver", map[string]string{"token": token, "hmacKey": key})
	l.secret(t, "portal", map[string]string{"clientId": l.portal.ClientID, "clientSecret": l.portal.ClientSecret})
	l.sink(t, "warehouse", dorav1alpha1.DoraSinkSpec{Type: dorav1alpha1.SinkPostgres, Postgres: &dorav1alpha1.PostgresSink{
		SecretRef: dorav1alpha1.SecretReference{Name: "warehouse" + l.suffix}, Host: postgrestest.Host, Port: int32(l.warehouse.Port), Database: l.database, Schema: "dora", TLS: "Disable",
	}})
	l.sink(t, "receiver", dorav1alpha1.DoraSinkSpec{Type: dorav1alpha1.SinkCloudEvents, CloudEvents: &dorav1alpha1.CloudEventsSink{
		URL: l.receiver.URL, SecretRef: &dorav1alpha1.SecretReference{Name: "receiver" + l.suffix},
	}})
	l.sink(t, "portal", dorav1alpha1.DoraSinkSpec{Type: dorav1alpha1.SinkPort, Port: &dorav1alpha1.PortSink{
		SecretRef: dorav1alpha1.SecretReference{Name: "portal" + l.suffix}, BaseURL: l.portal.URL,
		Environments: map[string]dorav1alpha1.PortEnvironment{"prod": "Production"},
	}})
}

func (l *live) secret(t *testing.T, name string, data map[string]string) {
	t.Helper()
	l.must(t, l.API.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: stand.ArgoNamespace, Name: name + l.suffix}, StringData: data}))
}

func (l *live) sink(t *testing.T, name string, spec dorav1alpha1.DoraSinkSpec) {
	t.Helper()
	l.must(t, l.API.Create(t.Context(), &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: stand.ArgoNamespace, Name: name + l.suffix}, Spec: spec}))
}

func (l *live) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// story is one to be told: its name and who tells it.
type story struct {
	name string
	tell func(*service)
	// with changes the service before it is made.
	with func(*service)
}

// undisturbed are all stories that disturb nobody but themselves.
var undisturbed = [][]story{deploymentStories, argoStories, rolloutStories}

// TestStories tells them, several at a time.
func TestStories(t *testing.T) {
	l := begin(t)
	t.Run("all", func(t *testing.T) {
		for _, stories := range undisturbed {
			for _, one := range stories {
				t.Run(one.name, func(t *testing.T) {
					t.Parallel()
					one.tell(l.service(t, one))
				})
			}
		}
	})
	if len(l.ends.known) == 0 && !t.Failed() {
		t.Error("no story was told: there is none of that name")
	}
	l.nothingMoreCame(t)
}

// eventually asks until the answer is nil.
func eventually(t *testing.T, limit time.Duration, what string, ask func(context.Context) error) {
	t.Helper()
	if err := stand.Until(t.Context(), limit, what, ask); err != nil {
		t.Fatal(err)
	}
}
