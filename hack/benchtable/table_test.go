package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const printed = `goos: linux
cpu: AMD EPYC
BenchmarkDecideUnchanged/Application-2         	 1762420	       680.4 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecideUnchanged/Rollout-2             	 1260127	       953.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkDecideChange-2                        	   44421	     27051 ns/op	   21436 B/op	     244 allocs/op
BenchmarkRecord16-2   	    3117	    373000 ns/op	      2679 changes/s	       801.9 changes/s-1-writer-ungrouped	       992.1 changes/s-16-writers-ungrouped	         2.7 gain	   12532 B/op	      89 allocs/op
BenchmarkTrim10000/unstructured-2         	       1	32412031103 ns/op	     82847 B/app	2264870536 B/op	42140174 allocs/op
BenchmarkTrim10000/trimmed-2              	       1	21563188369 ns/op	      3865 B/app	1720095856 B/op	26149519 allocs/op
BenchmarkCompute-2     	     100	  22774761 ns/op	 2761620 B/op	    8684 allocs/op
BenchmarkAggregate     	     170	  16269910 ns/op	 2969257 B/op	   42000 allocs/op
BenchmarkStatus/sqlite-2         	       1	217575700554 ns/op	        44.37 B/event	     22358 ms/first	     33742 ms/first-doubled	        21.30 ms/look	        24.21 ms/look-doubled
BenchmarkStatus/postgres-2       	       1	176982348032 ns/op	        45.52 B/event	      7372 ms/first	     13354 ms/first-doubled	        17.82 ms/look	        19.80 ms/look-doubled
BenchmarkFirstResolve-2                	       1	         2.117 MB-disk/driver	        11.80 MB-disk/git	        42.38 MB-memory	       408.0 ms/driver	       434.0 ms/git	         0.9396 times-git
BenchmarkFirstResolveWithinAFolder-2   	       1	        25.78 MB-disk/driver	        22.74 MB-disk/git	        59.39 MB-memory	       767.0 ms/driver	      1137 ms/git	         0.6749 times-git
BenchmarkIncrementalResolve-2          	       1	        54.00 ms/driver	        90.00 ms/git	         0.6066 times-git
BenchmarkSend-2         	     187	  12446554 ns/op	     16069 events/s
BenchmarkSendAgain-2    	     234	  10143914 ns/op	     19716 events/s
BenchmarkBareInsert-2   	     248	  11493145 ns/op	     17402 events/s
BenchmarkDrainPostgres-2   	       1	13955431920 ns/op	        12.46 MB-memory	      7178 events/s	     19301 events/s-bare	     11224 events/s-driver	         0.3719 of-bare	         0.5815 of-bare-driver	        13.93 s/drain	         9.071 s/sending
BenchmarkRecordPostgres16-2   	    1000	   1500000 ns/op	       900.4 changes/s	      1400 changes/s-pgbench	         0.6431 of-pgbench
BenchmarkWatched-2                    	       1	65493814859 ns/op	        96.60 MB-at-first	        90.10 MB-later	        97.20 MB-most	        48.40 MB-own	         9.600 KB/Application	        61.00 MB-empty	       451.7 MB-unstructured	       951.2 MB-unstructured-most
BenchmarkRewrites-2                   	       1	21040306478 ns/op	         0 B-written	         0 commits	         0.05150 of-API-server	       123.4 rewrites/s	      9710 µs-API-server	       500.0 µs-ours
BenchmarkFirstSync-2                  	       1	21040306478 ns/op	       130.5 MB-most	         4.000 s-bare	         5.000 s-ready	         9.500 s-recorded	         1.250 times-bare
BenchmarkDeployments-2                	       1	66895635978 ns/op	        36.20 deployments/s	        44.49 ms-behind	        12.20 ms-p50	        76.70 ms-p99
BenchmarkDeploymentsBesideOddOnes-2   	       1	23670678379 ns/op	        20.40 deployments/s	        30.60 deployments/s-alone	        68.84 ms-behind	        26.92 ms-behind-alone	        18.00 ms-p50	        11.00 ms-p50-alone	        69.00 ms-p99	        66.00 ms-p99-alone
PASS
ok  	example.com/all	22.371s
`

const wantTable = `
WHAT                                           MEASURED              AIM
decide, nothing changed, an Application        0.68 µs, 0 allocs     < 1 µs, 0 allocs
decide, nothing changed, a Rollout             0.953 µs, 0 allocs    < 1 µs, 0 allocs
decide, a deployment ends                      27.1 µs, 244 allocs
record changes in SQLite, 16 writers           2,679 changes/s       >= 2,000 changes/s
  each in a transaction of its own             992 changes/s         (to compare with)
  each in a transaction of its own, 1 writer   802 changes/s         (to compare with)
hold 10,000 Applications of 20 KB, trimmed     3,865 B each          < 4,000 B each
  as unstructured objects                      82,847 B each         (to compare with)
first lead time of a repository of 50,000 commits  408 ms, 0.94 times git  < 1.5 times git
  git's own clone and log                      434 ms                (to compare with)
  memory at most, and disk kept                42 MB, 2.1 MB         < 64 MB
first lead time within a folder of it          767 ms, 0.67 times git
  memory at most, and disk kept                59 MB, 25.8 MB        < 64 MB
next lead time, after 10 new commits           54 ms, 0.61 times git < 1.5 times git
  git's own fetch and log                      90 ms                 (to compare with)
figures of 10,000 events of one service        22.8 ms, 8,684 allocs
figures of 10,000 events of 1,000 services     16.3 ms, 42,000 allocs
status of a target with 1,000,000 events, SQLite  21.3 ms  < 50 ms
  with a history of twice the length  24.2 ms  as without
  with nothing remembered, so that all is read  22.4 s  (to compare with)
  kept in memory, for each event  44 B
status of a target with 1,000,000 events, PostgreSQL  17.8 ms  < 50 ms
  with a history of twice the length  19.8 ms  as without
  with nothing remembered, so that all is read  7.37 s  (to compare with)
  kept in memory, for each event  46 B
write new events to PostgreSQL, 200 at a time     16,069 events/s
  events that are there already     19,716 events/s
  the same with a bare insert     17,402 events/s (to compare with)
100,000 larger events, with the driver alone     11,224 events/s, 0.58 of bare  >= 0.5 of bare
  from the ledger, by the dispatcher     7,178 events/s, 0.37 of bare
  the same rows, ready, with a bare insert     19,301 events/s (to compare with)
  until the ledger owed none, and memory at most     13.9 s, 12 MB  < 32 MB
record changes in PostgreSQL, 16 writers  900 changes/s, 0.64 of pgbench  >= 0.5 of pgbench
  the same rows by pgbench, 16 clients  1,400 changes/s  (to compare with)
5,000 Applications watched: resident memory  90 MB, 97 at most  < 100 MB
  of that, its own, without the program's file  48 MB
  the same in a cache of unstructured objects  452 MB, 951 at most  (to compare with)
  of its own, for each Application              9.6 KB
  with no Application: resident memory          61 MB
a status rewritten that says nothing new  500 µs, 0.051 of API server, 123/s  < 0.1 of API server
  written to disk meanwhile  0 B, 0 commits  0 B
  the API server itself, for each  9.71 ms  (to compare with)
first sync of 10,000 Applications, until ready  5 s, 1.25 times  < 1.5 times a list
  a bare list of them, page by page, as JSON  4 s  (to compare with)
  until each is in the ledger, and memory at most  9.5 s, 130 MB
deployments: Healthy seen to event durable, p99  76.7 ms, p50 12.2 ms, 36/s  < 100 ms
  behind when the last patch was taken  44.5 ms  no backlog
  the same beside huge, odd and flapping objects  69 ms, p50 18 ms, 20/s  as without them
  without them  66 ms, p50 11 ms, 31/s  (to compare with)
`

func TestTable(t *testing.T) {
	got, whole := tableOf(printed)
	if squeeze(got) != squeeze(wantTable) || !whole {
		t.Errorf("whole: %v, table:\n%s\nwant:\n%s", whole, got, wantTable)
	}
}

func TestABenchmarkThatIsGoneFails(t *testing.T) {
	got, whole := tableOf(strings.ReplaceAll(printed, "BenchmarkCompute", "BenchmarkRenamed"))
	if whole || !strings.Contains(got, "no such benchmark") {
		t.Errorf("whole: %v, table:\n%s", whole, got)
	}
	if !strings.Contains(got, "\nRenamed ") {
		t.Errorf("a benchmark without a row is not shown:\n%s", got)
	}
}

func TestRowsAreChosenWithThoseBelowThem(t *testing.T) {
	var chosen []string
	for _, row := range rowsOf(regexp.MustCompile("(?i)5,000 applications|^incrementalresolve$")) {
		chosen = append(chosen, row.bench)
	}
	const resolvedRows, watchedRows = 2, 5
	want := slices.Concat(slices.Repeat([]string{"IncrementalResolve"}, resolvedRows), slices.Repeat([]string{watched}, watchedRows))
	if !slices.Equal(chosen, want) {
		t.Errorf("chosen: %q", chosen)
	}
}

func TestASuiteRunsWhatTheRowsNeed(t *testing.T) {
	t.Chdir("../..")
	rows := rowsOf(regexp.MustCompile("trimmed|^Rewrites"))
	for folder, want := range map[string]string{"./internal/argocd": "^Benchmark(Trim10000)$/(unstructured|trimmed)", "./test/watch": "^Benchmark(Rewrites)$", "./internal/deploy": ""} {
		s := suites[slices.IndexFunc(suites, func(s suite) bool { return s.folder == folder })]
		if got := s.only(rows); got != want {
			t.Errorf("%s: %q, want %q", folder, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for ns, want := range map[float64]string{0: "0 µs", 12.5: "0.0125 µs", 999: "0.999 µs", 1e6: "1 ms", 2.5e9: "2.5 s"} {
		if got := span(ns); got != want {
			t.Errorf("span(%v) = %s, want %s", ns, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for number, want := range map[float64]string{0: "0", 999.4: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(number); got != want {
			t.Errorf("thousands(%v) = %s, want %s", number, got, want)
		}
	}
}

func tableOf(output string) (string, bool) {
	var out strings.Builder
	found := results{}
	found.read(output)
	whole := found.print(&out, rows)
	return out.String(), whole
}

// squeeze makes runs of blanks one, so that the widths of columns do not matter.
func squeeze(table string) string {
	var lines []string
	for text := range strings.Lines(table) {
		lines = append(lines, strings.Join(strings.Fields(text), " "))
	}
	return strings.Join(lines, "\n")
}
