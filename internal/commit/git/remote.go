package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v6/plumbing"
	"github.com/go-git/go-git/v6/plumbing/format/pktline"
	"github.com/go-git/go-git/v6/plumbing/protocol/capability"
	"github.com/go-git/go-git/v6/plumbing/protocol/packp"
	"github.com/go-git/go-git/v6/plumbing/transport"
	"github.com/go-git/go-git/v6/storage"
	"github.com/go-git/go-git/v6/storage/memory"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// refusal is an error whose kind callers test, in its own words.
type refusal struct {
	kind error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

func refuse(kind error, format string, args ...any) error {
	return &refusal{kind: kind, text: fmt.Sprintf(format, args...)}
}

// errNotOurs: the server does not hand out that commit.
var errNotOurs = errors.New("the server does not hand out that commit")

// connect reaches the repository, by what its address begins with.
func (p *Provider) connect(ctx context.Context, u *url.URL, c commit.Credentials) (remote, error) {
	switch u.Scheme {
	case "https", "http":
		return p.overHTTP(ctx, u, c)
	case "ssh":
		return p.overSSH(ctx, u, c)
	case "file":
		return p.local(u.Path)
	}
	return nil, refuse(commit.ErrUnsupported, "a repository's address begins with https://, ssh:// or file://, and not with %q", u.Scheme)
}

// session is a connection that speaks git's protocol.
type session struct {
	transport.Session
	// explain turns an error of the transport into one for a person.
	explain func(context.Context, error) error
	// quote makes what the server said fit for an error.
	quote func(string) string
	end   func()
}

func (s *session) close() {
	_ = s.Close()
	s.end()
}

func (s *session) wantable() bool {
	c := s.Capabilities()
	return c.Supports(capability.AllowReachableSHA1InWant) || c.Supports(capability.AllowTipSHA1InWant)
}

func (s *session) refs(ctx context.Context) ([]ref, error) {
	told, err := s.GetRemoteRefs(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return readRefs(told), nil
}

// readRefs takes the branches and tags of what a server tells. Behind an annotated tag it tells what the tag leads to, as name^{}.
func readRefs(told []*plumbing.Reference) []ref {
	peeled := map[string]id{}
	var refs []ref
	for _, one := range told {
		name, raw := one.Name().String(), one.Hash()
		if one.Type() != plumbing.HashReference || !strings.HasPrefix(name, branches) && !strings.HasPrefix(name, tags) || raw.Size() != idSize {
			continue
		}
		object := id(raw.Bytes())
		if tag, ok := strings.CutSuffix(name, "^{}"); ok {
			peeled[tag] = object
			continue
		}
		refs = append(refs, ref{name: name, object: object, commit: object})
	}
	for n := range refs {
		if leadsTo, ok := peeled[refs[n].name]; ok {
			refs[n].commit = leadsTo
		}
	}
	slices.SortFunc(refs, func(x, y ref) int { return strings.Compare(x.name, y.name) })
	return slices.CompactFunc(refs, func(x, y ref) bool { return x.name == y.name })
}

func (s *session) fetch(ctx context.Context, wants, haves []id, in *incoming) error {
	req := &transport.FetchRequest{Wants: hashes(wants), Haves: hashes(haves)}
	if s.Capabilities().Supports(capability.Filter) {
		req.Filter = packp.FilterTreeDepth(0)
		if in.commits.withTrees {
			req.Filter = packp.FilterBlobNone()
		}
	}
	to := &receiver{ctx: ctx, in: in, Storer: memory.NewStorage()}
	err := s.Fetch(ctx, to, req)
	if to.err != nil { // what is wrong with the pack is the better reason
		err = to.err
	}
	if line, ok := errors.AsType[*pktline.ErrorLine](err); ok && strings.Contains(line.Text, "not our ref") {
		return fmt.Errorf("%w: %s", errNotOurs, s.quote(line.Text))
	}
	if err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

func hashes(names []id) []plumbing.Hash {
	all := make([]plumbing.Hash, len(names))
	for n := range names {
		all[n], _ = plumbing.FromBytes(names[n][:])
	}
	return all
}

// receiver is the storage that go-git writes a pack to.
type receiver struct {
	storage.Storer
	ctx context.Context //nolint:containedctx // go-git asks for a writer without one
	in  *incoming
	err error
}

// PackfileWriter implements go-git's storer.PackfileWriter.
func (r *receiver) PackfileWriter() (io.WriteCloser, error) {
	file, err := os.Create(filepath.Join(r.in.folder, packName+".pack"))
	if err != nil {
		return nil, err
	}
	from, to := io.Pipe()
	w := &arriving{receiver: r, left: r.in.bytes, to: to, done: make(chan error, 1)}
	go func() {
		u := newUnpacking(from, file, &r.in.commits, r.in.most)
		err := u.run(r.ctx)
		_ = from.CloseWithError(err)
		r.in.unknown = len(u.later)
		if r.in.commits.withTrees {
			u.sort()
			r.in.index = u.index
		}
		w.done <- errors.Join(err, file.Close())
	}()
	return w, nil
}

// arriving is a pack on its way.
type arriving struct {
	*receiver
	left int64
	to   *io.PipeWriter
	done chan error
}

func (a *arriving) Write(p []byte) (int, error) {
	a.left -= int64(len(p))
	if a.left < 0 {
		a.err = tooLarge(a.in.bytes)
		return 0, a.err
	}
	return a.to.Write(p)
}

// Close waits until what arrived is unpacked.
func (a *arriving) Close() error {
	reason := a.err
	_ = a.to.CloseWithError(reason)
	if err := <-a.done; a.err == nil {
		a.err = err
	}
	return a.err
}
