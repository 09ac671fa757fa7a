package chaos

import (
	"io"
	"net"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
)

// line is what lies between a replica and the API server: it passes everything on, until it is cut.
type line struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool
	lost  map[net.Conn]bool // nothing passes any more, and nobody is told
	down  bool
	quiet bool
	moved *sync.Cond
}

// newLine leads to an address, until the test ends.
func newLine(t *testing.T, target string) *line {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	l := &line{listener: listener, target: target, open: map[net.Conn]bool{}, lost: map[net.Conn]bool{}}
	l.moved = sync.NewCond(&l.mu)
	l.running.Go(l.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		l.hush(false)
		l.hang(true)
		l.running.Wait()
	})
	return l
}

// cut breaks the connections that are open. New ones are taken.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.lost)
	l.moved.Broadcast()
	for conn := range l.open {
		_ = conn.Close()
	}
}

// hush says whether the line passes nothing on, and keeps it for later.
func (l *line) hush(quiet bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = quiet
	l.moved.Broadcast()
}

// halve lets nothing more through on the connections that are open, as a firewall does that forgot them. New ones are taken.
func (l *line) halve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		l.lost[conn] = true
	}
}

// passes waits until something may pass from a connection.
func (l *line) passes(from net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.quiet || l.lost[from] {
		l.moved.Wait()
	}
}

// hang says whether the line is down: then it takes no connection either.
func (l *line) hang(down bool) {
	l.mu.Lock()
	l.down = down
	l.mu.Unlock()
	if down {
		l.cut()
	}
}

func (l *line) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.serve(conn) })
	}
}

func (l *line) serve(client net.Conn) {
	defer l.forget(client)
	if !l.keep(client) {
		return
	}
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer l.forget(server)
	if !l.keep(server) {
		return
	}
	var both sync.WaitGroup
	pump := func(to, from net.Conn) {
		_, _ = io.Copy(to, held{from, l})
		_, _ = to.Close(), from.Close()
	}
	both.Go(func() { pump(server, client) })
	both.Go(func() { pump(client, server) })
	both.Wait()
}

// held is a connection that gives what it read once it may pass.
type held struct {
	net.Conn

	line *line
}

func (h held) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.line.passes(h.Conn)
	return n, err
}

// keep remembers a connection, so that it can be cut, and tells whether the line is up.
func (l *line) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[conn] = true
	return !l.down
}

func (l *line) forget(conn net.Conn) {
	_ = conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
	delete(l.lost, conn)
}
