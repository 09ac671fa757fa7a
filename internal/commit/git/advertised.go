package git

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-git/go-git/v6/plumbing/protocol/capability"

	"github.com/dora-controller/dora-controller/internal/commit"
)

// understood are the capabilities that are of use here. Go-git refuses a server that has one it does not know.
var understood = []string{
	capability.MultiACK, capability.MultiACKDetailed, capability.OFSDelta, capability.NoProgress, capability.Filter,
	capability.AllowTipSHA1InWant, capability.AllowReachableSHA1InWant,
}

var errSHA256 = refuse(commit.ErrMisconfigured, "repositories with SHA-256 object ids are not supported")

// advertised is what a server says first, its branches and tags, without the capabilities that are of no use. What comes after the line
// that tells them passes as it is.
type advertised struct {
	in      *bufio.Reader
	pending []byte
	told    bool
	err     error
}

func advertisedBy(in io.Reader) *advertised { return &advertised{in: bufio.NewReader(in)} }

// Read implements io.Reader.
func (a *advertised) Read(p []byte) (int, error) {
	if len(a.pending) == 0 && !a.told && a.err == nil {
		a.err = a.next()
	}
	if len(a.pending) > 0 {
		n := copy(p, a.pending)
		a.pending = a.pending[n:]
		return n, nil
	}
	if a.err != nil {
		return 0, a.err
	}
	return a.in.Read(p)
}

// lengthSize is how many digits tell the length of a line. The length counts them too, and is 0 where a part ends.
const lengthSize = 4

// next reads one line. One that cannot be read is left to go-git to complain about.
func (a *advertised) next() error {
	digits, _ := a.in.Peek(lengthSize) // who reads on gets the error too
	length, bad := strconv.ParseUint(string(digits), 16, 16)
	if a.told = bad != nil || len(digits) < lengthSize; a.told {
		return nil
	}
	a.pending = make([]byte, max(length, lengthSize))
	if n, err := io.ReadFull(a.in, a.pending); err != nil {
		a.pending = a.pending[:n]
		return err
	}
	name, words, found := bytes.Cut(a.pending[lengthSize:], []byte{0})
	if !found {
		return nil
	}
	a.told = true
	kept, err := only(words)
	if err != nil {
		a.pending = nil
		return err
	}
	text := string(name) + "\x00" + string(kept)
	a.pending = fmt.Appendf(nil, "%04x%s", lengthSize+len(text), text)
	return nil
}

// only takes the capabilities that are understood. None of them has a value.
func only(words []byte) ([]byte, error) {
	var kept [][]byte
	for word := range bytes.FieldsSeq(words) {
		if string(word) == capability.ObjectFormat+"=sha256" {
			return nil, errSHA256
		}
		if slices.Contains(understood, string(word)) {
			kept = append(kept, word)
		}
	}
	return append(bytes.Join(kept, []byte{' '}), '\n'), nil
}
