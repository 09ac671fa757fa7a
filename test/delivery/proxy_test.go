package delivery

import (
	"cmp"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// fate is what becomes of a connection.
type fate struct {
	refused bool
	// up and down are how many bytes get through to the server and back before it breaks. Zero is all.
	up, down int64
	// silent: it does not break but falls silent. abrupt: it breaks with a reset and not with an end.
	silent, abrupt bool
	// delay is how long each piece takes.
	delay time.Duration
}

// proxy stands between a driver and its server.
type proxy struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu     sync.Mutex
	draw   func() fate // of the next connection
	open   map[*net.TCPConn]bool
	closed bool
}

// before starts a proxy before a server, at host and port. It ends with the test.
func before(tb testing.TB, target string) *proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	p := &proxy{listener: listener, target: target, draw: calm, open: map[*net.TCPConn]bool{}}
	p.running.Go(p.accept)
	tb.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.cut()
		p.running.Wait()
	})
	return p
}

func calm() fate { return fate{} }

// port is where the proxy is.
func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// instead is an address at the proxy.
func (p *proxy) instead(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	u.Host = p.listener.Addr().String()
	return u.String()
}

// hostOf is the host and port of an address.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u.Host
}

// deal decides what becomes of connections from now on. Those that are open are cut.
func (p *proxy) deal(draw func() fate) {
	p.mu.Lock()
	p.draw = draw
	p.mu.Unlock()
	p.cut()
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		conn.Close()
	}
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		f := p.draw()
		p.mu.Unlock()
		client := conn.(*net.TCPConn)
		if f.refused {
			end(client, true)
			continue
		}
		p.running.Go(func() { p.serve(client, f) })
	}
}

func (p *proxy) serve(client *net.TCPConn, f fate) {
	defer p.forget(client)
	if !p.keep(client) {
		return
	}
	conn, err := net.DialTimeout("tcp", p.target, patience)
	if err != nil {
		end(client, true)
		return
	}
	server := conn.(*net.TCPConn)
	defer p.forget(server)
	if !p.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { pump(server, client, f.up, f) })
	both.Go(func() { pump(client, server, f.down, f) })
	both.Wait()
}

// keep remembers a connection, so that it can be cut.
func (p *proxy) keep(conn *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
	return !p.closed
}

func (p *proxy) forget(conn *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
	conn.Close()
}

// pump carries what one end says to the other, until either ends or it is enough.
func pump(to, from *net.TCPConn, enough int64, f fate) {
	defer func() {
		end(to, f.abrupt)
		end(from, f.abrupt)
	}()
	piece := make([]byte, 8<<10)
	for carried := int64(0); ; {
		n, err := from.Read(piece)
		if f.delay > 0 {
			<-time.After(f.delay)
		}
		left := cmp.Or(enough, 1<<62) - carried
		if _, failed := to.Write(piece[:min(int64(n), left)]); failed != nil || err != nil {
			return
		}
		if carried += int64(n); int64(n) >= left {
			if f.silent {
				_, _ = io.Copy(io.Discard, from)
			}
			return
		}
	}
}

func end(conn *net.TCPConn, abruptly bool) {
	if abruptly {
		_ = conn.SetLinger(0)
	}
	conn.Close()
}

// TestTheProxyBreaksWhatItIsToldTo: a test that breaks nothing proves nothing.
func TestTheProxyBreaksWhatItIsToldTo(t *testing.T) {
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	var echoing sync.WaitGroup
	echoing.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			echoing.Go(func() { defer conn.Close(); _, _ = io.Copy(conn, conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); echoing.Wait() })
	p := before(t, listener.Addr().String())
	said := make([]byte, 100)
	for name, tc := range map[string]struct {
		fate   fate
		echoed int
		reset  bool
	}{
		"nothing":           {fate{}, 100, false},
		"late":              {fate{delay: time.Millisecond}, 100, false},
		"refused":           {fate{refused: true}, 0, true},
		"half the question": {fate{up: 30}, 0, false},
		"half the answer":   {fate{down: 40}, 40, false},
		"half, then reset":  {fate{down: 40, abrupt: true}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p.deal(func() fate { return tc.fate })
			n, err := heard(p.listener.Addr().String(), said)
			g.Expect(err == nil).To(Equal(tc.echoed == 100))
			if tc.reset {
				g.Expect(err).To(MatchError(ContainSubstring("reset")))
			} else if tc.fate.up == 0 {
				g.Expect(n).To(Equal(tc.echoed))
			}
		})
	}
}

// heard is how much of an echo comes back.
func heard(address string, said []byte) (n int, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err // a reset may be quicker than the dialler
	}
	defer conn.Close()
	_, _ = conn.Write(said)
	return io.ReadFull(conn, make([]byte, len(said)))
}
