package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// atRest is a little more than the two minutes after which the runtime collects garbage though nothing is allocated.
const atRest = 2*time.Minute + 10*time.Second

// BenchmarkWatched is the memory of a process that watches 5,000 Applications of 20 KB: at most, once it has seen them all, and at
// rest. Beside it stand a process that watches a namespace without any, and what a cache takes that holds them whole.
func BenchmarkWatched(b *testing.B) {
	c, count := theCluster(b), scaled(b, 5000)
	c.grow(b, count)
	empty := c.controller(b, "--namespaces=default")
	empty.awaitReady(b)
	p := c.controller(b)
	p.awaitReady(b)
	p.awaitFollowed(b, c.fleet)
	p.idle(b)
	b.ReportMetric(memory(b, p.cmd.Process.Pid, "VmRSS"), "MB-at-first")
	pass(b, atRest)
	b.ReportMetric(memory(b, p.cmd.Process.Pid, "VmRSS"), "MB-later")
	own, ofNone := memory(b, p.cmd.Process.Pid, "RssAnon"), memory(b, empty.cmd.Process.Pid, "RssAnon")
	b.ReportMetric(own, "MB-own")
	b.ReportMetric((own-ofNone)/float64(c.fleet)*1000, "KB/Application")
	b.ReportMetric(memory(b, p.cmd.Process.Pid, "VmHWM"), "MB-most")
	b.ReportMetric(memory(b, empty.cmd.Process.Pid, "VmRSS"), "MB-empty")
	p.end()
	empty.end()

	whole := c.unstructuredCache(b)
	if !whole.out.Scan() || whole.out.Text() != filled {
		b.Fatalf("the cache to compare with does not fill: %s", whole.log)
	}
	pass(b, atRest)
	b.ReportMetric(memory(b, whole.cmd.Process.Pid, "VmRSS"), "MB-unstructured")
	b.ReportMetric(memory(b, whole.cmd.Process.Pid, "VmHWM"), "MB-unstructured-most")
}

// BenchmarkFirstSync is how long a process takes to become ready with 10,000 Applications of 20 KB, and until each of them is in its ledger,
// which was empty. Beside it stands a list of the same, 500 at a time, that is decoded as plain JSON.
func BenchmarkFirstSync(b *testing.B) {
	c, count := theCluster(b), scaled(b, 10_000)
	c.grow(b, count)
	if _, err := c.listBare(b); err != nil { // so that neither is the first
		b.Fatal(err)
	}
	bare, err := c.listBare(b)
	if err != nil {
		b.Fatal(err)
	}
	p := c.controller(b)
	ready := p.awaitReady(b)
	recorded := p.awaitFollowed(b, c.fleet)
	b.ReportMetric(ready.Seconds(), "s-ready")
	b.ReportMetric(recorded.Seconds(), "s-recorded")
	b.ReportMetric(bare.Seconds(), "s-bare")
	b.ReportMetric(ready.Seconds()/bare.Seconds(), "times-bare")
	b.ReportMetric(memory(b, p.cmd.Process.Pid, "VmHWM"), "MB-most")
}

// listBare lists all Applications page by page and keeps none.
func (c *cluster) listBare(b *testing.B) (time.Duration, error) {
	b.Helper()
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return 0, err
	}
	began, seen := time.Now(), 0
	for next := ""; ; {
		items, more, err := c.page(client, next)
		if err != nil {
			return 0, err
		}
		if seen += items; more == "" {
			break
		}
		next = more
	}
	if seen != c.fleet {
		return 0, fmt.Errorf("the list has %d Applications, and there are %d", seen, c.fleet)
	}
	return time.Since(began), nil
}

func (c *cluster) page(client *http.Client, token string) (items int, next string, err error) {
	query := url.Values{"limit": {"500"}, "continue": {token}}
	response, err := client.Get(strings.TrimRight(c.config.Host, "/") + "/apis/argoproj.io/v1alpha1/applications?" + query.Encode())
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", err
	}
	if response.StatusCode != http.StatusOK {
		return 0, "", fmt.Errorf("%s: %.200s", response.Status, body)
	}
	var list struct {
		Metadata struct {
			Continue string `json:"continue"`
		} `json:"metadata"`
		Items []map[string]any `json:"items"`
	}
	err = json.Unmarshal(body, &list)
	return len(list.Items), list.Metadata.Continue, err
}
