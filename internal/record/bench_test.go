package record_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/deploy"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/record"
)

func openSQLite(b *testing.B) *record.Recorder {
	b.Helper()
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "ledger.db"), sqlite.Options{Now: func() time.Time { return epoch }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	recorder, err := record.Open(b.Context(), store, "eu", nil)
	if err != nil {
		b.Fatal(err)
	}
	return recorder
}

// deployed is the nth deployment of an Application, just after it became Healthy.
func deployed(uid string, n int) (*deploy.Observation, time.Time) {
	at := epoch.Add(time.Duration(n) * time.Minute)
	obs := &deploy.Observation{
		Cluster: "eu", CreatedAt: epoch, Destination: "prod",
		Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: uid, UID: uid},
		App: &deploy.App{
			Health: deploy.Healthy, HealthSince: at.Add(4 * time.Second), Synced: true, ReconciledAt: at.Add(5 * time.Second),
			Images: []string{fmt.Sprintf("registry.example.com/acme/%s:main-%07x", uid, n)},
			Operation: &deploy.Operation{
				StartedAt: at.Add(time.Second), FinishedAt: at.Add(3 * time.Second), Phase: deploy.Completed,
				Rows: []deploy.Row{{Kind: "Deployment", Name: uid, Workload: true, Applied: true}},
			},
		},
	}
	for i := max(0, n-9); i <= n; i++ { // Argo CD keeps ten
		start := epoch.Add(time.Duration(i)*time.Minute + time.Second)
		obs.App.History = append(obs.App.History, deploy.HistoryEntry{ID: int64(i), StartedAt: start, DeployedAt: start.Add(2 * time.Second)})
	}
	return obs, at.Add(6 * time.Second)
}

// BenchmarkRecordUnchanged is what Argo CD's rewriting of every status costs.
func BenchmarkRecordUnchanged(b *testing.B) {
	recorder := openSQLite(b)
	obs, now := deployed("cart", 0)
	labels, policy := map[string]string{"team": "shop", "env": "prod"}, policyOf("cart")
	if _, err := recorder.Record(b.Context(), obs, labels, policy, nil, now); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := recorder.Record(context.Background(), obs, labels, policy, nil, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecordChanged16 is deployments, each judged, with its event, decision and outbox row durable before the next of its
// Application: 16 workers, and a thousand Applications.
func BenchmarkRecordChanged16(b *testing.B) {
	const workers, subjects = 16, 1000
	recorder := openSQLite(b)
	names := make([]string, subjects)
	for i := range names {
		names[i] = fmt.Sprintf("service-%d", i)
	}
	var next, recorded atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				name := names[i%subjects]
				obs, now := deployed(name, i/subjects)
				result, err := recorder.Record(context.Background(), obs, nil, policyOf(name), []string{"stdout"}, now)
				if err != nil {
					b.Error(err)
					return
				}
				recorded.Add(int64(len(result.Events)))
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "changes/s")
	b.ReportMetric(float64(recorded.Load())/float64(b.N), "events/change")
}
