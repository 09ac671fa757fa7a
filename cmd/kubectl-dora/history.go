package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/evidence"
	"github.com/dora-controller/dora-controller/internal/fourkeys"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/sqlite"
	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	// maxEvents is how many events are kept in memory.
	maxEvents = 200_000
	// maxLine is the longest line that the controller may print.
	maxLine = 1 << 20
	// followEvery is how often a ledger's file is asked for what is new.
	followEvery = time.Second
)

// eventQuery says which events are wanted, in words that the flags of `dora-controller events` have too.
type eventQuery struct {
	service      string
	types        []dora.Type
	ids          []string
	since, until time.Time
	limit        int // the newest so many; 0 is all
	follow       bool
}

// history is where events are read from.
type history interface {
	// events calls take with each event in the order of writing. Following, it ends with the context.
	events(ctx context.Context, q eventQuery, take func(*dora.Event) error) error
	// decisions are those that led to no event and those that did, oldest first, of the subjects of a service or name. errNoDecisions if
	// the controller is too old to tell them.
	decisions(ctx context.Context, of string) ([]decision, error)
	// marks are all that was ever said of an event, as it was said; none if the controller is too old to tell them.
	marks(ctx context.Context, id string) ([]dora.Mark, error)
	// evidence is what was seen of the subjects of a service or name, as far as it is kept; none if the controller is too old to tell it.
	evidence(ctx context.Context, of string) ([]seen, error)
	// followed says since when services are followed, as far as that is known.
	followed(ctx context.Context) (map[fourkeys.Service]time.Time, error)
	// close ends the reading.
	close()
}

// decision is what the ledger keeps of a look at a subject, with that subject.
type decision struct {
	ledger.Decision

	Subject dora.Subject `json:"subject"`
}

// seen is what the ledger keeps of one look at a subject, with the ids of the events that came of it.
type seen struct {
	Subject dora.Subject `json:"subject"`
	Events  []string     `json:"events"`
	*evidence.Evidence
}

// errNoCommand: the controller is of a release that has no such command.
var errNoCommand = errors.New("the controller that runs has no such command")

var errNoDecisions = errors.New("the controller that runs has no command to print decisions")

// history opens what the flags name: a ledger's file, or that in the controller's pod.
func (c *connection) history(ctx context.Context) (history, error) {
	if c.ledger != "" {
		store, err := sqlite.OpenReadOnly(ctx, c.ledger)
		if err != nil {
			return nil, err
		}
		return &fileHistory{store}, nil
	}
	cl, err := c.connect()
	if err != nil {
		return nil, err
	}
	pod, err := c.controllerPod(ctx, cl)
	if err != nil {
		return nil, err
	}
	return historyIn(cl, pod), nil
}

// historyIn is that of the ledger which the controller in a pod has.
func historyIn(cl *cluster, pod *corev1.Pod) *podHistory {
	container := controllerContainer(pod.Annotations, &pod.Spec)
	path, _ := argument(container, "ledger")
	name, _ := argument(container, "cluster")
	shard, _ := argument(container, "shard")
	at := podCommand{namespace: pod.Namespace, pod: pod.Name, container: container.Name}
	flags := ledgerFlags(cmp.Or(path, usualLedger), strings.TrimSuffix(cmp.Or(name, usualCluster)+"/"+shard, "/")) // each shard has its own
	return &podHistory{ledger: flags, run: func(ctx context.Context, words []string, out, errOut io.Writer) error {
		at.words = words
		return cl.exec(ctx, at, out, errOut)
	}}
}

// collect reads all events of a query into memory.
func collect(ctx context.Context, h history, q eventQuery) ([]dora.Event, error) {
	var all []dora.Event
	err := h.events(ctx, q, func(e *dora.Event) error {
		if len(all) == maxEvents {
			return fmt.Errorf("there are more than %d events: ask for fewer with --since", maxEvents)
		}
		all = append(all, *e)
		return nil
	})
	return all, err
}

// fileHistory is a ledger's file, also while a controller writes it.
type fileHistory struct{ store *sqlite.ReadOnly }

func (h *fileHistory) close() { _ = h.store.Close() } // it was only read

func (h *fileHistory) events(ctx context.Context, q eventQuery, take func(*dora.Event) error) error {
	query := ledger.EventQuery{
		Service: q.service, Types: q.types, IDs: q.ids, Since: q.since, Until: q.until, Limit: q.limit, Newest: q.limit > 0,
	}
	rows, err := h.rows(ctx, query)
	if err != nil {
		return err
	}
	for {
		for i := range rows {
			query.AfterSeq = max(query.AfterSeq, rows[i].Seq)
			if err := take(&rows[i].Event); err != nil {
				return err
			}
		}
		if !q.follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		query.Limit, query.Newest = 0, false
		if rows, err = h.rows(ctx, query); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// rows are those of a query in the order of writing.
func (h *fileHistory) rows(ctx context.Context, q ledger.EventQuery) ([]ledger.Row, error) {
	var rows []ledger.Row
	for row, err := range h.store.Events(ctx, q) {
		if err != nil {
			return nil, err
		}
		if len(rows) > maxEvents {
			break // whoever collects says so
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b ledger.Row) int { return cmp.Compare(a.Seq, b.Seq) })
	return rows, nil
}

// subjects are those of a service or name.
func (h *fileHistory) subjects(ctx context.Context, of string) ([]ledger.Subject, error) {
	all, err := h.store.Subjects(ctx, ledger.SubjectQuery{})
	return slices.DeleteFunc(all, func(s ledger.Subject) bool { return s.Service != of && s.Name != of }), err
}

func (h *fileHistory) decisions(ctx context.Context, of string) ([]decision, error) {
	subjects, err := h.subjects(ctx, of)
	if err != nil {
		return nil, err
	}
	var all []decision
	for i := range subjects {
		made, err := h.store.Decisions(ctx, subjects[i].UID, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range made {
			all = append(all, decision{d, subjects[i].Subject})
		}
	}
	slices.SortFunc(all, func(a, b decision) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, nil
}

func (h *fileHistory) marks(ctx context.Context, id string) ([]dora.Mark, error) {
	found, err := h.store.Marks(ctx, ledger.MarkQuery{EventIDs: []string{id}})
	if err != nil {
		return nil, err
	}
	all := make([]dora.Mark, 0, len(found))
	for _, m := range found {
		all = append(all, m.Mark)
	}
	return all, nil
}

func (h *fileHistory) evidence(ctx context.Context, of string) ([]seen, error) {
	subjects, err := h.subjects(ctx, of)
	if err != nil {
		return nil, err
	}
	var all []seen
	for i := range subjects {
		kept, err := h.store.Observations(ctx, subjects[i].UID)
		if err != nil {
			return nil, err
		}
		for _, o := range kept {
			read, err := evidence.Decode(o.Data)
			if err != nil {
				return nil, fmt.Errorf("cannot read what was seen of %s/%s at %s: %w", subjects[i].Namespace, subjects[i].Name, stamp(o.At), err)
			}
			all = append(all, seen{subjects[i].Subject, o.Events, read})
		}
	}
	return all, nil
}

func (h *fileHistory) followed(ctx context.Context) (map[fourkeys.Service]time.Time, error) {
	subjects, err := h.store.Subjects(ctx, ledger.SubjectQuery{})
	if err != nil {
		return nil, err
	}
	since := map[fourkeys.Service]time.Time{}
	for i := range subjects {
		of := fourkeys.Service{Name: subjects[i].Service, Environment: subjects[i].Environment}
		if at, known := since[of]; !known || subjects[i].FollowedSince.Before(at) {
			since[of] = subjects[i].FollowedSince
		}
	}
	return since, nil
}

// podHistory asks the controller's own binary, in its pod, which reads the ledger beside the process that writes it.
type podHistory struct {
	ledger []string // the flags that name it
	run    func(ctx context.Context, words []string, out, errOut io.Writer) error
}

// ledgerFlags name the ledger as the controller itself does. One in a database needs the cluster, since others may be there; how to sign
// in is in the environment of the container.
func ledgerFlags(location, cluster string) []string {
	flags := []string{"--ledger=" + location}
	if inDatabase(location) {
		flags = append(flags, "--cluster="+cluster)
	}
	return flags
}

// inDatabase tells whether a ledger is in one, and no file.
func inDatabase(location string) bool {
	return strings.HasPrefix(location, "postgres://") || strings.HasPrefix(location, "postgresql://")
}

func (*podHistory) close() {}

func (h *podHistory) events(ctx context.Context, q eventQuery, take func(*dora.Event) error) error {
	err := h.lines(ctx, h.words(q), func(line []byte) error {
		var e dora.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("cannot understand what the controller prints, is its version a much other one? %w", err)
		}
		return take(&e)
	})
	if q.follow && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return err
}

func (h *podHistory) words(q eventQuery) []string {
	words := append([]string{usualName, "events", "-o", "json"}, h.ledger...)
	add := func(set bool, flag, value string) {
		if set {
			words = append(words, flag+"="+value)
		}
	}
	types := make([]string, len(q.types))
	for i, t := range q.types {
		types[i] = string(t)
	}
	add(q.service != "", "--service", q.service)
	add(len(types) > 0, "--type", strings.Join(types, ","))
	add(len(q.ids) > 0, "--id", strings.Join(q.ids, ","))
	add(!q.since.IsZero(), "--since", q.since.UTC().Format(time.RFC3339))
	add(!q.until.IsZero(), "--until", q.until.UTC().Format(time.RFC3339))
	add(q.limit > 0, "--limit", strconv.Itoa(q.limit))
	add(q.follow, "--follow", "true")
	return words
}

func (h *podHistory) decisions(ctx context.Context, of string) ([]decision, error) {
	all, err := printed[decision](ctx, h, "decisions", "--of="+of)
	if errors.Is(err, errNoCommand) {
		return nil, errNoDecisions
	}
	return all, err
}

func (h *podHistory) marks(ctx context.Context, id string) ([]dora.Mark, error) {
	all, err := printed[dora.Mark](ctx, h, "marks", "--id="+id)
	if errors.Is(err, errNoCommand) {
		return nil, nil
	}
	return all, err
}

func (h *podHistory) evidence(ctx context.Context, of string) ([]seen, error) {
	all, err := printed[seen](ctx, h, "evidence", "--of="+of)
	if errors.Is(err, errNoCommand) {
		return nil, nil
	}
	return all, err
}

// printed is what a command of the controller prints as JSON, a line each.
func printed[T any](ctx context.Context, h *podHistory, command, flag string) ([]T, error) {
	var all []T
	err := h.lines(ctx, append(append([]string{usualName, command, "-o", "json"}, h.ledger...), flag), func(line []byte) error {
		var one T
		if err := json.Unmarshal(line, &one); err != nil {
			return fmt.Errorf("cannot understand what the controller prints, is its version a much other one? %w", err)
		}
		all = append(all, one)
		return nil
	})
	var ended *exitCodeError
	if errors.As(err, &ended) && ended.code == exitUsage {
		return nil, errNoCommand
	}
	return all, err
}

// followed is not known: the command of the controller prints events alone.
func (*podHistory) followed(context.Context) (map[fourkeys.Service]time.Time, error) { return nil, nil }

// lines runs a command and hands each line of what it prints to take. What it says on stderr becomes the error.
func (h *podHistory) lines(ctx context.Context, words []string, take func([]byte) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out, in := io.Pipe()
	var said bounded
	ended := make(chan error, 1)
	go func() {
		err := h.run(ctx, words, in, &said)
		_ = in.Close() // a pipe's never fails
		ended <- err
	}()
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, maxLine)
	var taking error
	for taking == nil && scanner.Scan() {
		if line := bytes.TrimSpace(scanner.Bytes()); len(line) > 0 {
			taking = take(line)
		}
	}
	reading := scanner.Err()
	_ = out.Close()
	if taking != nil || reading != nil {
		stop()
	}
	err := <-ended
	if taking != nil || reading != nil {
		return errors.Join(taking, reading)
	}
	if _, answered := errors.AsType[*exitCodeError](err); answered {
		return fmt.Errorf("the controller's pod answers: %s (%w)", strings.TrimPrefix(sink.Quote(said.String()), "error: "), err)
	}
	return err
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ bytes.Buffer }

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if room := 4096 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
