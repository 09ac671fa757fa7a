package egress_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/dora-controller/dora-controller/internal/egress"
)

// Spellings that some resolver or library takes for an inner address, in decimal, octal, hexadecimal, short and dotted.
func TestOddSpellingsOfInnerHosts(t *testing.T) {
	resolveTo(t, "127.0.0.1")
	for _, host := range []string{
		"2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "127.000.000.001", "0", "0.0.0.0",
		"localhost.", "LOCALHOST", "localhost.localdomain", "inner.example.com.", "::ffff:7f00:1", "::ffff:127.0.0.1", "0:0:0:0:0:ffff:7f00:1", "::1%1",
		"2852039166", "0xa9fea9fe", "169.254.169.254", "::ffff:a9fe:a9fe", "metadata.google.internal", "127.0.0.1.nip.io", "①②⑦.⓪.⓪.①", "127。0。0。1",
	} {
		conn, err := egress.Guard{}.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "9"))
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, egress.ErrRefused) {
			if _, unknown := errors.AsType[*net.DNSError](err); !unknown {
				t.Errorf("%s: %v, want it to be refused, or to be no name", host, err)
			}
		}
	}
}

// A name is first the address of a server that is allowed, and then one inside that is not.
func TestANameThatMovesInside(t *testing.T) {
	resolveTo(t, "127.0.0.2", "127.0.0.1")
	allowed, inner := serve(t, "127.0.0.2:0"), serve(t, "127.0.0.1:0")
	guard := egress.Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	_, port, _ := net.SplitHostPort(allowed.Addr().String())
	conn, err := guard.DialContext(t.Context(), "tcp4", net.JoinHostPort("moving.example.com", port))
	if err != nil {
		t.Fatalf("at first it is allowed: %v", err)
	}
	_ = conn.Close()
	_, port, _ = net.SplitHostPort(inner.Addr().String())
	if _, err := guard.DialContext(t.Context(), "tcp4", net.JoinHostPort("moving.example.com", port)); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("then it lies inside: %v", err)
	}
}

func serve(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener
}

// resolveTo has every name stand for these addresses, one after another, the last one for ever.
func resolveTo(t *testing.T, addresses ...string) {
	t.Helper()
	asked := 0
	answer := func() netip.Addr {
		address := netip.MustParseAddr(addresses[min(asked, len(addresses)-1)])
		asked++
		return address
	}
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			_ = answerOne(ours, answer)
		}()
		return theirs, nil
	}}
	t.Cleanup(func() { net.DefaultResolver = before })
}

// answerOne answers a question about a name by RFC 1035, as over TCP: an A record for a question of that type, and none otherwise.
func answerOne(conn net.Conn, answer func() netip.Addr) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return err
	}
	end := 12
	for message[end] != 0 { // the labels of the name
		end += int(message[end]) + 1
	}
	question := message[12 : end+5]
	reply := append([]byte{message[0], message[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if question[len(question)-3] == 1 { // type A
		reply[7] = 1
		ip := answer().As4()
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ip[0], ip[1], ip[2], ip[3])
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	return err
}
