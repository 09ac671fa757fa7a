package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/dora-controller/dora-controller/internal/replay"
)

const (
	// pageSize bounds an answer of the server.
	pageSize = 500
	// watchTime is when the server ends a watch, which then goes on: a connection that died unseen is found out by then.
	watchTime = 5 * time.Minute
	// retryAfter is the pause after a failure.
	retryAfter = 2 * time.Second
)

// follower writes what happens to some objects of a kind.
type follower struct {
	kind, what string
	objects    dynamic.ResourceInterface
	options    metav1.ListOptions // which ones, by the server
	wants      func(*unstructured.Unstructured) bool
	saw        func(context.Context, *replay.Event)
	lines      *Writer
	now        func() time.Time
	tell       func(format string, args ...any)

	known   map[types.UID]known
	listed  time.Time                 // when all was listed last
	missed  *time.Time                // while all is listed again: since when events may be missing, until it is written
	heard   atomic.Pointer[time.Time] // when all was known last
	failing atomic.Bool
}

// known is the last state of an object that was written.
type known struct {
	version string
	object  json.RawMessage
}

// follow goes on from a version, or a list, until the context ends. It returns an error only if nothing can be written any more.
func (f *follower) follow(ctx context.Context, version string) error {
	for {
		if version == "" {
			var err error
			if version, err = f.listAgain(ctx); err != nil {
				return err
			}
		}
		if over(ctx) {
			return nil
		}
		last, err := f.watch(ctx, version)
		if err != nil {
			return err
		}
		if version = last; version != "" || f.now().Sub(f.listed) < retryAfter {
			pause(ctx)
		}
	}
}

// over tells that the end was asked for, and that what fails now fails for that.
func over(ctx context.Context) bool { return ctx.Err() != nil }

// pause waits a little, or until the context ends.
func pause(ctx context.Context) {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// listAgain tries until it succeeds or the context ends.
func (f *follower) listAgain(ctx context.Context) (string, error) {
	for {
		version, err := f.list(ctx)
		switch unwritten := (*writeError)(nil); {
		case err == nil:
			f.succeeded()
			return version, nil
		case over(ctx):
			return "", nil
		case errors.As(err, &unwritten):
			return "", err
		}
		f.failed("list", err)
		pause(ctx)
	}
}

// list writes what is new to what is known, and returns the version from where to watch.
func (f *follower) list(ctx context.Context) (string, error) {
	if f.missed == nil {
		f.missed = f.heard.Load() // the first time, nothing was known and nothing is missing
	}
	found := map[types.UID]bool{}
	options := f.options
	options.Limit = pageSize
	for {
		page, err := f.page(ctx, options)
		if gone(err) && options.Continue != "" { // it took too long; from the beginning, then
			options.Continue = ""
			clear(found)
			continue
		}
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			found[page.Items[i].GetUID()] = true
			if err := f.changed(ctx, &page.Items[i]); err != nil {
				return "", err
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return page.GetResourceVersion(), f.complete(found)
		}
	}
}

// complete is the end of a list: what is not in it was deleted.
func (f *follower) complete(found map[types.UID]bool) error {
	if err := f.vanished(found); err != nil {
		return err
	}
	f.hear()
	f.listed, f.missed = f.now(), nil
	return nil
}

// gap says, before the first thing that only a list could tell, that others may be missing. If it tells nothing new, nothing is: every change
// makes another version.
func (f *follower) gap() error {
	if f.missed == nil {
		return nil
	}
	since := f.missed.UTC()
	f.missed = nil
	f.tell("the API server no longer knows what happened to the %s since %s: the recording has a gap", f.what, since.Format(time.RFC3339))
	return f.lines.gap(f.now(), Gap{Kind: f.kind, Since: since})
}

// hear notes that all is known until now.
func (f *follower) hear() {
	now := f.now()
	f.heard.Store(&now)
}

// page asks for a part of the list.
func (f *follower) page(ctx context.Context, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return f.objects.List(ctx, options)
}

// vanished writes that objects were deleted which are not in the list any more, as they were last.
func (f *follower) vanished(found map[types.UID]bool) error {
	for uid, last := range f.known {
		if found[uid] {
			continue
		}
		delete(f.known, uid)
		if err := errors.Join(f.gap(), f.lines.event(f.now(), replay.Deleted, string(uid), last.object)); err != nil {
			return err
		}
	}
	return nil
}

// watch writes what happens from a version on, and returns the one to go on from; none if the server does not know it any more.
func (f *follower) watch(ctx context.Context, version string) (string, error) {
	watching, err := watchtools.NewRetryWatcherWithContext(ctx, version, f)
	if err != nil {
		return "", nil // it is no version to watch from, so all is listed anew
	}
	defer watching.Stop()
	for e := range watching.ResultChan() {
		o, ok := e.Object.(*unstructured.Unstructured)
		if e.Type == watch.Error || !ok {
			err := apierrors.FromObject(e.Object)
			if gone(err) {
				return "", nil
			}
			f.failed("watch", err)
			return version, nil
		}
		if err := f.happened(ctx, e.Type, o); err != nil {
			return "", err
		}
		version = o.GetResourceVersion()
	}
	return version, nil
}

func gone(err error) bool { return apierrors.IsGone(err) || apierrors.IsResourceExpired(err) }

// WatchWithContext is what the RetryWatcher calls to begin and to go on.
func (f *follower) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.LabelSelector, options.FieldSelector = f.options.LabelSelector, f.options.FieldSelector
	options.TimeoutSeconds = new(int64(watchTime / time.Second))
	watching, err := f.objects.Watch(ctx, options)
	switch {
	case err == nil:
		f.succeeded()
		return tap(watching, f.hear), nil
	case gone(err): // as an answer, the RetryWatcher would ask the same for ever
		once := watch.NewFakeWithChanSize(1, false)
		once.Error(&metav1.Status{Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired})
		return once, nil
	case !over(ctx):
		f.failed("watch", err)
	}
	return nil, err
}

// tapped is a watch of which every event is heard, also the bookmarks that the server sends when nothing happens, and that a RetryWatcher keeps
// to itself. (A watch.Filter would wait for ever to hand on an event that nobody takes any more.)
type tapped struct {
	events chan watch.Event
	stop   context.CancelFunc
}

func (t *tapped) ResultChan() <-chan watch.Event { return t.events }

func (t *tapped) Stop() { t.stop() }

func tap(watching watch.Interface, hear func()) watch.Interface {
	ctx, stop := context.WithCancel(context.Background())
	t := &tapped{events: make(chan watch.Event), stop: stop}
	go func() {
		defer stop()
		defer close(t.events)
		defer watching.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case e, open := <-watching.ResultChan():
				if !open || !handOn(ctx, t.events, e) {
					return
				}
				if e.Type != watch.Error {
					hear()
				}
			}
		}
	}()
	return t
}

func handOn(ctx context.Context, events chan<- watch.Event, e watch.Event) bool {
	select {
	case events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *follower) happened(ctx context.Context, kind watch.EventType, o *unstructured.Unstructured) error {
	if kind != watch.Deleted {
		return f.changed(ctx, o)
	}
	if _, written := f.known[o.GetUID()]; !written {
		return nil
	}
	delete(f.known, o.GetUID())
	_, err := f.write(ctx, replay.Deleted, o)
	return err
}

// changed writes an object that is new or has another version than before.
func (f *follower) changed(ctx context.Context, o *unstructured.Unstructured) error {
	if !f.wants(o) {
		return nil
	}
	before, written := f.known[o.GetUID()]
	if written && before.version == o.GetResourceVersion() {
		return nil
	}
	kind := replay.Added
	if written {
		kind = replay.Modified
	}
	if err := f.gap(); err != nil {
		return err
	}
	object, err := f.write(ctx, kind, o)
	if object != nil {
		f.known[o.GetUID()] = known{o.GetResourceVersion(), object}
	}
	return err
}

// write returns what was written: nothing, if the object cannot be read.
func (f *follower) write(ctx context.Context, kind replay.Type, o *unstructured.Unstructured) (json.RawMessage, error) {
	raw, err := o.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("cannot write %s %s/%s: %w", f.kind, o.GetNamespace(), o.GetName(), err)
	}
	e, err := decode(f.kind, raw)
	if err != nil {
		f.tell("%s/%s is left out: %v", o.GetNamespace(), o.GetName(), err)
		return nil, nil
	}
	f.saw(ctx, &e)
	object := json.RawMessage(raw)
	if !f.lines.options.Raw {
		if object, err = f.lines.object(&e); err != nil {
			return nil, err
		}
	}
	return object, f.lines.event(f.now(), kind, string(o.GetUID()), object)
}

// failed and succeeded tell of an outage once.
func (f *follower) failed(doing string, err error) {
	if !f.failing.Swap(true) {
		f.tell("%v; it is tried again", f.inPlainWords(doing, err))
	}
}

func (f *follower) succeeded() {
	if f.failing.Swap(false) {
		f.tell("the %s are followed again", f.what)
	}
}

func (f *follower) inPlainWords(doing string, err error) error {
	switch unwritten := (*writeError)(nil); {
	case errors.As(err, &unwritten):
		return err
	case apierrors.IsForbidden(err):
		return fmt.Errorf("cannot %s %s: %w; ask for the right to list and watch them, or name the namespaces where you have it", doing, f.what, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("cannot %s %s: the cluster does not know who asks; log in again, or name another kubeconfig with --kubeconfig", doing, f.what)
	}
	return fmt.Errorf("cannot %s %s: %w", doing, f.what, err)
}
