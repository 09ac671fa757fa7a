package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// results are the figures of each benchmark by their unit.
type results map[string]map[string]float64

// row is one line of the table.
type row struct {
	what, bench, aim string
	show             func(figures map[string]float64) string
}

const baseline = "(to compare with)"

// watched is the benchmark that has the most rows.
const watched = "Watched"

var rows = []row{
	{"decide, nothing changed, an Application", "DecideUnchanged/Application", "< 1 µs, 0 allocs", timeAndAllocs},
	{"decide, nothing changed, a Rollout", "DecideUnchanged/Rollout", "< 1 µs, 0 allocs", timeAndAllocs},
	{"decide, a deployment ends", "DecideChange", "", timeAndAllocs},
	{"record changes in SQLite, 16 writers", "Record16", ">= 2,000 changes/s", rate("changes/s")},
	{"  each in a transaction of its own", "Record16", baseline, rate("changes/s-16-writers-ungrouped")},
	{"  each in a transaction of its own, 1 writer", "Record16", baseline, rate("changes/s-1-writer-ungrouped")},
	{"hold 10,000 Applications of 20 KB, trimmed", "Trim10000/trimmed", "< 4,000 B each", kept},
	{"  as unstructured objects", "Trim10000/unstructured", baseline, kept},
	{"first lead time of a repository of 50,000 commits", "FirstResolve", "< 1.5 times git", asGit("ms/driver")},
	{"  git's own clone and log", "FirstResolve", baseline, milliseconds("ms/git")},
	{"  memory at most, and disk kept", "FirstResolve", "< 64 MB", memoryAndDisk},
	{"first lead time within a folder of it", "FirstResolveWithinAFolder", "", asGit("ms/driver")},
	{"  memory at most, and disk kept", "FirstResolveWithinAFolder", "< 64 MB", memoryAndDisk},
	{"next lead time, after 10 new commits", "IncrementalResolve", "< 1.5 times git", asGit("ms/driver")},
	{"  git's own fetch and log", "IncrementalResolve", baseline, milliseconds("ms/git")},
	{"figures of 10,000 events of one service", "Compute", "", timeAndAllocs},
	{"figures of 10,000 events of 1,000 services", "Aggregate", "", timeAndAllocs},
	{"status of a target with 1,000,000 events, SQLite", "Status/sqlite", "< 50 ms", milliseconds("ms/look")},
	{"  with a history of twice the length", "Status/sqlite", "as without", milliseconds("ms/look-doubled")},
	{"  with nothing remembered, so that all is read", "Status/sqlite", baseline, milliseconds("ms/first")},
	{"  kept in memory, for each event", "Status/sqlite", "", inBytes("B/event")},
	{"status of a target with 1,000,000 events, PostgreSQL", "Status/postgres", "< 50 ms", milliseconds("ms/look")},
	{"  with a history of twice the length", "Status/postgres", "as without", milliseconds("ms/look-doubled")},
	{"  with nothing remembered, so that all is read", "Status/postgres", baseline, milliseconds("ms/first")},
	{"  kept in memory, for each event", "Status/postgres", "", inBytes("B/event")},
	{"write new events to PostgreSQL, 200 at a time", "Send", "", eventRate("events/s")},
	{"  events that are there already", "SendAgain", "", eventRate("events/s")},
	{"  the same with a bare insert", "BareInsert", baseline, eventRate("events/s")},
	{"100,000 larger events, with the driver alone", "DrainPostgres", ">= 0.5 of bare", asBare("events/s-driver", "of-bare-driver")},
	{"  from the ledger, by the dispatcher", "DrainPostgres", "", asBare("events/s", "of-bare")},
	{"  the same rows, ready, with a bare insert", "DrainPostgres", baseline, eventRate("events/s-bare")},
	{"  until the ledger owed none, and memory at most", "DrainPostgres", "< 32 MB", drainAndMemory},
	{"record changes in PostgreSQL, 16 writers", "RecordPostgres16", ">= 0.5 of pgbench", ofPgbench},
	{"  the same rows by pgbench, 16 clients", "RecordPostgres16", baseline, rate("changes/s-pgbench")},
	{"5,000 Applications watched: resident memory", watched, "< 100 MB", megabytes("MB-later", "MB-most")},
	{"  of that, its own, without the program's file", watched, "", megabytes("MB-own", "")},
	{"  the same in a cache of unstructured objects", watched, baseline, megabytes("MB-unstructured", "MB-unstructured-most")},
	{"  of its own, for each Application", watched, "", kilobytes("KB/Application")},
	{"  with no Application: resident memory", watched, "", megabytes("MB-empty", "")},
	{"a status rewritten that says nothing new", "Rewrites", "< 0.1 of API server", rewritten},
	{"  written to disk meanwhile", "Rewrites", "0 B", bytesAndCommits},
	{"  the API server itself, for each", "Rewrites", baseline, microseconds("µs-API-server")},
	{"first sync of 10,000 Applications, until ready", "FirstSync", "< 1.5 times a list", asList("s-ready", "times-bare")},
	{"  a bare list of them, page by page, as JSON", "FirstSync", baseline, seconds("s-bare")},
	{"  until each is in the ledger, and memory at most", "FirstSync", "", recordedAndMemory},
	{"deployments: Healthy seen to event durable, p99", "Deployments", "< 100 ms", latency("")},
	{"  behind when the last patch was taken", "Deployments", "no backlog", milliseconds("ms-behind")},
	{"  the same beside huge, odd and flapping objects", "DeploymentsBesideOddOnes", "as without them", latency("")},
	{"  without them", "DeploymentsBesideOddOnes", baseline, latency("-alone")},
}

var (
	// With several processors go test appends their number to the name.
	line   = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.+)$`)
	figure = regexp.MustCompile(`([\d.e+-]+)\s+(\S+)`)
)

// rowsOf are the rows that match, and those that stand below one that does.
func rowsOf(wanted *regexp.Regexp) (matching []row) {
	within := false
	for _, row := range rows {
		part := strings.HasPrefix(row.what, " ")
		within = part && within || wanted.MatchString(row.what) || wanted.MatchString(row.bench)
		if within {
			matching = append(matching, row)
		}
	}
	return matching
}

// read takes what go test -bench printed.
func (r results) read(output string) {
	for _, m := range line.FindAllStringSubmatch(output, -1) {
		r[m[1]] = map[string]float64{}
		for _, f := range figure.FindAllStringSubmatch(m[2], -1) {
			if number, err := strconv.ParseFloat(f[1], 64); err == nil {
				r[m[1]][f[2]] = number
			}
		}
	}
}

// print writes the table and tells whether it is whole. A benchmark that has no row gets one.
func (r results) print(out io.Writer, rows []row) bool {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\nWHAT\tMEASURED\tAIM")
	whole, told := true, map[string]bool{}
	for _, row := range rows {
		measured := "no such benchmark"
		if figures, ok := r[row.bench]; ok {
			measured = row.show(figures)
		} else {
			whole = false
		}
		told[row.bench] = true
		fmt.Fprintf(table, "%s\t%s\t%s\n", row.what, measured, row.aim)
	}
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if !told[name] {
			fmt.Fprintf(table, "%s\t%s\t\n", name, timeAndAllocs(r[name]))
		}
	}
	return table.Flush() == nil && whole
}

func timeAndAllocs(figures map[string]float64) string {
	return fmt.Sprintf("%s, %s allocs", span(figures["ns/op"]), thousands(figures["allocs/op"]))
}

func rate(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string { return thousands(figures[unit]) + " changes/s" }
}

func eventRate(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string { return thousands(figures[unit]) + " events/s" }
}

func asBare(unit, share string) func(map[string]float64) string {
	return func(figures map[string]float64) string {
		return fmt.Sprintf("%s events/s, %.2f of bare", thousands(figures[unit]), figures[share])
	}
}

func drainAndMemory(figures map[string]float64) string {
	return fmt.Sprintf("%.1f s, %.0f MB", figures["s/drain"], figures["MB-memory"])
}

func milliseconds(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string { return span(figures[unit] * 1e6) }
}

func asGit(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string {
		return fmt.Sprintf("%s, %.2f times git", span(figures[unit]*1e6), figures["times-git"])
	}
}

func memoryAndDisk(figures map[string]float64) string {
	return fmt.Sprintf("%.0f MB, %.1f MB", figures["MB-memory"], figures["MB-disk/driver"])
}

func ofPgbench(figures map[string]float64) string {
	return fmt.Sprintf("%s changes/s, %.2f of pgbench", thousands(figures["changes/s"]), figures["of-pgbench"])
}

func kilobytes(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string { return fmt.Sprintf("%.1f KB", figures[unit]) }
}

func megabytes(unit, most string) func(map[string]float64) string {
	return func(figures map[string]float64) string {
		if most == "" {
			return fmt.Sprintf("%.0f MB", figures[unit])
		}
		return fmt.Sprintf("%.0f MB, %.0f at most", figures[unit], figures[most])
	}
}

func rewritten(figures map[string]float64) string {
	return fmt.Sprintf("%s, %.3f of API server, %s/s", span(figures["µs-ours"]*1e3), figures["of-API-server"], thousands(figures["rewrites/s"]))
}

func bytesAndCommits(figures map[string]float64) string {
	return fmt.Sprintf("%s B, %s commits", thousands(figures["B-written"]), thousands(figures["commits"]))
}

func microseconds(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string { return span(figures[unit] * 1e3) }
}

func seconds(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string { return span(figures[unit] * 1e9) }
}

func asList(unit, times string) func(map[string]float64) string {
	return func(figures map[string]float64) string {
		return fmt.Sprintf("%s, %.2f times", span(figures[unit]*1e9), figures[times])
	}
}

func recordedAndMemory(figures map[string]float64) string {
	return fmt.Sprintf("%s, %.0f MB", span(figures["s-recorded"]*1e9), figures["MB-most"])
}

func latency(suffix string) func(map[string]float64) string {
	return func(figures map[string]float64) string {
		return fmt.Sprintf("%s, p50 %s, %.0f/s", span(figures["ms-p99"+suffix]*1e6), span(figures["ms-p50"+suffix]*1e6), figures["deployments/s"+suffix])
	}
}

func inBytes(unit string) func(map[string]float64) string {
	return func(figures map[string]float64) string { return thousands(figures[unit]) + " B" }
}

func kept(figures map[string]float64) string { return thousands(figures["B/app"]) + " B each" }

// span has three digits that count.
func span(ns float64) string {
	switch {
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g s", ns/1e9)
}

// thousands is a whole number with its thousands set apart.
func thousands(number float64) string {
	digits := strconv.FormatFloat(number, 'f', 0, 64)
	var groups []string
	for ; len(digits) > 3; digits = digits[:len(digits)-3] {
		groups = append(groups, digits[len(digits)-3:])
	}
	groups = append(groups, digits)
	slices.Reverse(groups)
	return strings.Join(groups, ",")
}
