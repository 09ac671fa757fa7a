package watch

import (
	"context"
	"testing"
	"time"
)

// BenchmarkRewrites is what statuses cost that are rewritten and say nothing new, which Argo CD does to each Application every few minutes: here
// as fast as the API server takes them. Beside it stands what the API server works for the same.
func BenchmarkRewrites(b *testing.B) {
	c, count := theCluster(b), scaled(b, 5000)
	c.grow(b, count)
	p := c.controller(b)
	p.awaitReady(b)
	p.awaitFollowed(b, c.fleet)
	p.idle(b)
	pid := p.cmd.Process.Pid
	looks, bytes, commits := p.looks(b), written(b, pid), p.metric(b, "dora_ledger_commit_seconds_count")
	ours, theirs, began := processor(b, pid), processor(b, c.pid), time.Now()
	c.sideBySide(b, 0, count, func(ctx context.Context, i int) error {
		at := time.Now().UTC().Format(time.RFC3339)
		return c.merge(ctx, serviceName(i), object{"status": object{"reconciledAt": at}})
	})
	rate := float64(count) / time.Since(began).Seconds()
	p.idle(b)
	ours, theirs = processor(b, pid)-ours, processor(b, c.pid)-theirs
	if seen := p.looks(b) - looks; seen < count {
		b.Errorf("%d of %d rewrites were looked at", seen, count)
	}
	b.ReportMetric(rate, "rewrites/s")
	b.ReportMetric(ours/float64(count)*1e6, "µs-ours")
	b.ReportMetric(theirs/float64(count)*1e6, "µs-API-server")
	b.ReportMetric(ours/theirs, "of-API-server")
	b.ReportMetric(written(b, pid)-bytes, "B-written")
	b.ReportMetric(p.metric(b, "dora_ledger_commit_seconds_count")-commits, "commits")
}
