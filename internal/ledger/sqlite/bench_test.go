package sqlite

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
)

// BenchmarkRecord16 measures durable changes per second with 16 writers, each change one state, one event, one decision, one
// observation, one outbox row and one place in the queue of deployments to be looked into. Beside it stand, from the same run on the same
// disk, what one writer gets and what 16 writers would get if every change were a transaction of its own.
func BenchmarkRecord16(b *testing.B) {
	const baseline = 2000 // enough for a steady rate
	single := measure(b, 1, 1, baseline)
	ungrouped := measure(b, 16, 1, baseline)
	b.ResetTimer()
	grouped := measure(b, 16, defaultGroup, b.N)
	b.StopTimer()
	b.ReportMetric(grouped, "changes/s")
	b.ReportMetric(single, "changes/s-1-writer-ungrouped")
	b.ReportMetric(ungrouped, "changes/s-16-writers-ungrouped")
	b.ReportMetric(grouped/single, "gain")
}

// measure commits n changes and returns how many it made durable per second.
func measure(b *testing.B, writers, group, n int) float64 {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "ledger.db"), Options{group: group})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := s.Commit(b.Context(), benchmarkChange(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// benchmarkChange resembles a deployment of one of a thousand subjects.
func benchmarkChange(i int) ledger.Change {
	at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
	uid := fmt.Sprintf("8f14e45f-ceea-467f-a0e6-%012d", i%1000)
	yes, no := true, false
	version := &dora.Version{Images: []string{"registry.example.com/shop/cart:1.2.3-4f5e6d7"}, Tag: "1.2.3-4f5e6d7", Commit: "4f5e6d7"}
	return ledger.Change{
		States: []ledger.State{{Key: fmt.Sprintf("state/%d", i), Data: make([]byte, 1500)}},
		Events: []dora.Event{{
			Schema: dora.Schema, ID: fmt.Sprintf("0b5f1f0e-5a0c-5d0b-9c51-%012d", i), Type: dora.TypeDeploy, Outcome: dora.Succeeded,
			Service: fmt.Sprintf("cart-%d", i%1000), Team: "shop", Environment: "production", Cluster: "eu-1",
			Subject: dora.Subject{Kind: dora.KindApplication, Namespace: "argocd", Name: "cart", UID: uid},
			Attempt: at.Format(time.RFC3339), StartedAt: at, OccurredAt: at, ObservedAt: at, Change: dora.ChangeImage,
			Version: version, Previous: dora.Predecessor{Known: true, Version: version}, Running: version,
			Success: &yes, IsRollback: &no, Unplanned: &no, Basis: dora.BasisLive,
		}},
		Sinks: []string{"stdout"}, Resolve: true,
		Decisions: []ledger.Decision{{
			Cluster: "eu-1", UID: uid, Service: "cart", At: at, Reason: "Counted", Message: "the version reached Healthy",
		}},
		Observation: &ledger.Observation{UID: uid, At: at, Data: make([]byte, 1000)},
	}
}
