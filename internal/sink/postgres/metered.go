package postgres

import (
	"errors"
	"net"
	"sync/atomic"
)

// errFlood is what reading of a server ends with that says too much.
var errFlood = errors.New("the database sent more than 4 MiB on one connection, though it was asked for next to nothing")

// metered is a connection of which no more than maxAnswers is read. Some of what a server says is kept as long as the connection lives, such as
// its settings, and it may say that at any time; so the whole counts, and not what comes between two questions. What is encrypted counts so.
type metered struct {
	net.Conn

	read    atomic.Int64
	flooded *atomic.Bool
}

// Read implements net.Conn.
func (m *metered) Read(b []byte) (int, error) {
	left := maxAnswers - m.read.Load()
	if left <= 0 {
		m.flooded.Store(true) // pgx loses some errors, and says later that the connection is closed
		return 0, errFlood
	}
	n, err := m.Conn.Read(b[:min(int64(len(b)), left)])
	m.read.Add(int64(n))
	return n, err
}

// spent tells whether a connection has used up half of what may be read of it, so that another should take its place before the next question.
// To an honest server that happens after thousands of batches.
func spent(conn net.Conn) bool {
	if encrypted, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = encrypted.NetConn()
	}
	m, ok := conn.(*metered)
	return ok && m.read.Load() > maxAnswers/2
}
