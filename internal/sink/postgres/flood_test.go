package postgres_test

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
	"github.com/dora-controller/dora-controller/internal/sink/postgres/postgrestest"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

const (
	tooMuch  = "the database sent more than 4 MiB on one connection"
	heapSize = 64 << 20 // that must do
)

// held is what is in use of the heap, without garbage.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// flood sends messages until nobody reads them any more, or the heap has grown so that the test has failed. It returns how far it grew.
func flood(conn io.Writer, message func(n int) pgproto3.BackendMessage) (grown int64) {
	const step = 1 << 20
	before := held()
	var text []byte
	for n := 0; grown < heapSize; n++ {
		var err error
		if text, err = message(n).Encode(text); err != nil {
			return grown
		}
		if len(text) < step-100 {
			continue
		}
		if _, err := conn.Write(text); err != nil {
			return grown
		}
		text = text[:0]
		grown = max(grown, held()-before)
	}
	return grown
}

// greet says what comes before the flood.
func greet(b *pgproto3.Backend, messages ...pgproto3.BackendMessage) {
	for _, message := range messages {
		b.Send(message)
	}
	_ = b.Flush()
}

// welcome lets the client in, and waits for its first query.
func welcome(b *pgproto3.Backend) {
	greet(b, &pgproto3.AuthenticationOk{}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	_, _ = b.Receive()
}

func TestAServerThatNeverStops(t *testing.T) {
	server := postgrestest.Start(t)
	pair, err := tls.X509KeyPair(server.ClientCertificate(t, "flood"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	plain := func(b *pgproto3.Backend, conn io.Writer) io.Writer {
		greet(b, &pgproto3.AuthenticationOk{})
		return conn
	}
	encrypted := func(_ *pgproto3.Backend, conn io.Writer) io.Writer {
		_, _ = conn.Write([]byte("S"))
		c := tls.Server(conn.(net.Conn), &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
		b := pgproto3.NewBackend(c, c)
		_, _ = b.ReceiveStartupMessage()
		return plain(b, c)
	}
	long := strings.Repeat("x", 1<<20-100)
	setting := func(n int) pgproto3.BackendMessage {
		return &pgproto3.ParameterStatus{Name: strconv.Itoa(n), Value: long}
	}
	for name, c := range map[string]struct {
		mode    postgres.TLS
		begin   func(b *pgproto3.Backend, conn io.Writer) io.Writer
		message func(n int) pgproto3.BackendMessage
	}{
		"with settings, while connecting": {begin: plain, message: setting},
		"with settings, encrypted":        {mode: postgres.Require, begin: encrypted, message: setting},
		"with small settings": {begin: plain, message: func(n int) pgproto3.BackendMessage {
			return &pgproto3.ParameterStatus{Name: fmt.Sprintf("%08x", n)}
		}},
		"with notices, while connecting": {begin: plain, message: func(int) pgproto3.BackendMessage {
			return &pgproto3.NoticeResponse{Message: long}
		}},
		"with notifications, during a query": {
			begin:   func(b *pgproto3.Backend, conn io.Writer) io.Writer { welcome(b); return conn },
			message: func(int) pgproto3.BackendMessage { return &pgproto3.NotificationResponse{Channel: "c", Payload: long} },
		},
		"with rows": {
			begin: func(b *pgproto3.Backend, conn io.Writer) io.Writer {
				welcome(b)
				greet(b, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a"), DataTypeOID: 25, DataTypeSize: -1}}})
				return conn
			},
			message: func(int) pgproto3.BackendMessage { return &pgproto3.DataRow{Values: [][]byte{[]byte(long)}} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var grown atomic.Int64
			done := make(chan struct{}, 1)
			trap := listen(t, func(b *pgproto3.Backend, conn io.Writer) {
				grown.Store(flood(c.begin(b, conn), c.message))
				_ = conn.(io.Closer).Close()
				done <- struct{}{}
			})
			s := open(t, postgres.Options{
				Name: "shop/postgres", Host: "127.0.0.1", Port: trap.port(), Database: "d", User: "u", Password: postgrestest.Password(),
				TLS: cmp.Or(c.mode, postgres.Disable), Guard: here,
			})
			_, err := s.Send(t.Context(), sinktest.Events())
			g.Expect(err).To(MatchError(ContainSubstring(tooMuch)))
			g.Expect(sink.ReasonOf(err)).To(Equal(sink.Failing))
			g.Expect(sink.IsPermanent(err)).To(BeFalse())
			sinktest.KeepsSecrets(t, err, postgrestest.Password())
			g.Eventually(done).WithTimeout(postgrestest.Within).Should(Receive())
			g.Expect(grown.Load()).To(BeNumerically("<", heapSize))
			t.Logf("the heap grew by %d MiB", grown.Load()>>20)
		})
	}
}

func TestATableOfVersionsWithoutEnd(t *testing.T) {
	_, o, conn, _ := ready(t)
	postgrestest.Exec(t, conn, "DELETE FROM dora.dora_schema_version WHERE version_id > 1")
	postgrestest.Exec(t, conn, "INSERT INTO dora.dora_schema_version (version_id, is_applied) SELECT 1, true FROM generate_series(1, 400000)")
	refusal(t, open(t, o), sink.Failing, tooMuch)
}

// Each of ten batches is answered with most of a MiB.
func TestAServerThatIsMerelyTalkative(t *testing.T) {
	g := NewWithT(t)
	_, _, conn, s := ready(t)
	postgrestest.Exec(t, conn, `CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE NOTICE '%', repeat('x', 900000); PERFORM pg_notify('c', 'x'); RETURN NULL; END $$`)
	postgrestest.Exec(t, conn, "CREATE TRIGGER talk BEFORE INSERT ON dora.delivery_events FOR EACH STATEMENT EXECUTE FUNCTION talk()")
	for range 10 {
		send(t, s, sinktest.Events()...)
	}
	g.Expect(ids(t, conn)).To(HaveLen(6))
}
