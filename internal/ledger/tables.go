package ledger

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// Table is one of the tables that a ledger is made of, whatever database keeps it. They are for who moves a ledger from one database to
// another; everybody else uses a Store.
type Table struct {
	Name    string
	Columns []string
	// Key are those columns that tell rows apart and put them in order, texts by their bytes.
	Key []string
}

// Tables are all of them, each after those that it refers to. What a driver counts in the row about the ledger itself is Numbers.
var Tables = []Table{
	table(1, "states", "key version data"),
	table(2, "subjects", "cluster uid kind namespace name labels service team environment followed_since deleted_at gaps"),
	table(1, "events", "seq id cluster uid service environment type outcome occurred_at payload"),
	table(3, "histories", "uid service environment changed"),
	table(1, "decisions", "seq cluster uid service at attempt reason message event_id"),
	table(1, "sinks", "name delivered settled last_delivery gone_at pending parked"),
	table(2, "outbox", "seq sink service recorded_at next_at attempts parked failed_at last_error"),
	table(1, "commits", "seq state recorded_at next_at attempts reason message facts content"),
	table(2, "marks", "seq n mark"),
	table(2, "observations", "uid n at events data"),
	table(1, "cache", "seq key value"),
	table(1, "deliveries", "seq sink event_seq event_id service type outcome fate content at took answer"),
}

// table has its first columns as its key.
func table(key int, name, columns string) Table {
	all := strings.Fields(columns)
	return Table{Name: name, Columns: all, Key: all[:key]}
}

// Numbers are those that go on where they were: none is used twice.
type Numbers struct {
	Revision int64
	// Since is when the first record was written, in microseconds; nil if none was.
	Since                     *int64
	Event, Decision, Delivery int64
}

// Rows are those of a table, in the order of its key. Values are int64, string, []byte or nil.
type Rows = iter.Seq2[[]any, error]

// Sum is what tells whether two tables hold the same: how many rows, and a hash of all that they say.
type Sum struct {
	Rows int64
	Hash [sha256.Size]byte
}

// SumOf reads rows to their end.
func SumOf(rows Rows) (sum Sum, err error) {
	hash := sha256.New()
	lines := json.NewEncoder(hash)
	for row, err := range rows {
		if err != nil {
			return Sum{}, err
		}
		if err := lines.Encode(row); err != nil {
			return Sum{}, fmt.Errorf("cannot encode a row: %w", err)
		}
		sum.Rows++
	}
	copy(sum.Hash[:], hash.Sum(nil))
	return sum, nil
}
