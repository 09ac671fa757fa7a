package git_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/commit"
	"github.com/dora-controller/dora-controller/internal/commit/committest"
	"github.com/dora-controller/dora-controller/internal/commit/git"
)

// history writes commits for git's fast importer as a busy repository has them: 20 services, several authors, now and then a merge.
type history struct {
	bytes.Buffer
	made, imported int
}

func (h *history) grow(commits int) {
	for range commits {
		h.made++
		at := 1_600_000_000 + 300*h.made
		message := fmt.Sprintf("change %d: what this does and why it is so, at some length as people write it\n\nRefs: #%d\n", h.made, h.made*7)
		fmt.Fprintf(h, "commit refs/heads/main\nmark :%d\nauthor A%d <a%d@example.com> %d +0100\ncommitter Hub <hub@example.com> %d +0000\ndata %d\n%s",
			h.made, h.made%40, h.made%40, at-50, at, len(message), message)
		switch before := h.made - 1; {
		case before > h.imported:
			fmt.Fprintf(h, "from :%d\n", before)
		case before > 0:
			h.WriteString("from refs/heads/main^0\n")
		}
		if h.made%10 == 9 && h.made-5 > h.imported {
			fmt.Fprintf(h, "merge :%d\n", h.made-5)
		}
		content := fmt.Sprintf("content %d\n", h.made)
		fmt.Fprintf(h, "M 100644 inline svc%d/dir%d/file%d\ndata %d\n%s\n", h.made%20, h.made%7, h.made%50, len(content), content)
	}
}

// flush imports what was grown.
func (h *history) flush(r *committest.Repo) {
	r.Import(h.Bytes())
	h.Reset()
	h.imported = h.made
}

// busy is a repository of 50,000 commits, packed as a server packs it.
func busy(tb testing.TB) (*committest.Repo, *history) {
	tb.Helper()
	r, h := committest.New(tb), &history{}
	h.grow(50_000)
	h.flush(r)
	committest.Git(tb, r.Dir, nil, "repack", "-adq")
	return r, h
}

func rev(tb testing.TB, r *committest.Repo, name string) string {
	tb.Helper()
	return committest.Git(tb, r.Dir, nil, "rev-parse", name)
}

// resolve is what the first or the next question about a repository costs: it is opened, and a range of it is asked for.
func resolve(ctx context.Context, p *git.Provider, at commit.Location, base, head, path string) (commit.Range, error) {
	opened, err := p.Open(ctx, at)
	if err != nil {
		return commit.Range{}, err
	}
	defer func() { _ = opened.Close() }()
	return opened.Range(ctx, base, head, commit.RangeOptions{Path: path})
}

func measure(b *testing.B, total *time.Duration, what func()) {
	b.Helper()
	began := time.Now()
	what()
	*total += time.Since(began)
}

// report prints our time beside that of plain git, both for one resolve.
func report(b *testing.B, ours, plain time.Duration) {
	b.Helper()
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/driver")
	b.ReportMetric(float64(plain.Milliseconds())/float64(b.N), "ms/git")
	b.ReportMetric(float64(ours)/float64(plain), "times-git")
	b.ReportMetric(0, "ns/op")
}

func size(tb testing.TB, folder string) float64 {
	tb.Helper()
	total := int64(0)
	err := filepath.WalkDir(folder, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		total += info.Size()
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return float64(total) / (1 << 20)
}

func gitLog(tb testing.TB, dir, base, head, path string) {
	tb.Helper()
	args := []string{"log", "--no-merges", "--format=%ct %H", base + ".." + head}
	if path != "" {
		args = append(args, "--", path)
	}
	committest.Git(tb, dir, nil, args...)
}

func BenchmarkFirstResolve(b *testing.B) { first(b, false, "tree:0", "") }

func BenchmarkFirstResolveWithinAFolder(b *testing.B) { first(b, true, "blob:none", "svc3") }

func first(b *testing.B, wholeTrees bool, filter, path string) {
	b.Helper()
	r, _ := busy(b)
	at := commit.Location{URL: serve(b, backend(b, r)), WholeTrees: wholeTrees}
	base, head := rev(b, r, "main~300"), rev(b, r, "main")
	want := r.Log(base, head, commit.RangeOptions{Path: path})
	var ours, plain time.Duration
	var disk, gitDisk float64
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "clone")
		measure(b, &plain, func() {
			committest.Git(b, r.Dir, nil, "clone", "--quiet", "--bare", "--filter="+filter, at.URL, dir)
			gitLog(b, dir, base, head, path)
		})
		folder := b.TempDir()
		p := provider(b, git.Options{Folder: folder})
		measure(b, &ours, func() {
			got, err := resolve(b.Context(), p, at, base, head, path)
			if err != nil || got.Commits != want.Commits {
				b.Fatalf("got %+v and %v, want %+v", got, err, want)
			}
		})
		disk, gitDisk = size(b, folder), size(b, dir)
	}
	report(b, ours, plain)
	b.ReportMetric(disk, "MB-disk/driver")
	b.ReportMetric(gitDisk, "MB-disk/git")
	b.ReportMetric(peak(b, at, base, head, path), "MB-memory")
}

func BenchmarkIncrementalResolve(b *testing.B) {
	r, h := busy(b)
	at := commit.Location{URL: serve(b, backend(b, r))}
	dir, p := filepath.Join(b.TempDir(), "clone"), provider(b, git.Options{})
	committest.Git(b, r.Dir, nil, "clone", "--quiet", "--bare", "--filter=tree:0", at.URL, dir)
	base := rev(b, r, "main")
	if _, err := resolve(b.Context(), p, at, base, base, ""); err != nil {
		b.Fatal(err)
	}
	var ours, plain time.Duration
	for b.Loop() {
		h.grow(10)
		h.flush(r)
		head := rev(b, r, "main")
		measure(b, &plain, func() {
			committest.Git(b, dir, nil, "fetch", "--quiet", "origin", "+refs/heads/*:refs/heads/*")
			gitLog(b, dir, base, head, "")
		})
		measure(b, &ours, func() {
			if _, err := resolve(b.Context(), p, at, base, head, ""); err != nil {
				b.Fatal(err)
			}
		})
		base = head
	}
	report(b, ours, plain)
}

// peak is the most memory that a process takes which does nothing but one first resolve, in MB.
func peak(b *testing.B, at commit.Location, base, head, path string) float64 {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{at.URL, b.TempDir(), base, head, path}, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	kilobytes, err := strconv.Atoi(string(out))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kilobytes) / 1024
}

const childVariable = "DORA_GIT_BENCHMARK"

// child is the process that peak starts.
func child(work []string) {
	p, err := git.New(git.Options{Folder: work[1], Guard: loopback()})
	if err == nil {
		_, err = resolve(context.Background(), p, commit.Location{URL: work[0], WholeTrees: work[4] != ""}, work[2], work[3], work[4])
	}
	status, unread := os.ReadFile("/proc/self/status")
	if err = errors.Join(err, unread); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The peak that a parent sees of a child is at least its own, so the child tells its own.
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Fprint(os.Stdout, strings.Fields(after)[0])
}
