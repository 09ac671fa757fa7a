package postgres

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/eventtable"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// Whatever a Secret calls a host, each of its servers is a name or an address and a port, as many as it names; and the error does not repeat it.
func FuzzEndpoints(f *testing.F) {
	f.Add("db.example.com", 0)
	f.Add("a:5433, [::1]:5432,b", 6432)
	f.Add("/var/run/postgresql", 5432)
	f.Add("[::1]", -1)
	f.Add(":5432", 0)
	f.Add("canary-7d1f3b@db:5432,", 70000)
	f.Add("a?sslmode=disable", 1)
	f.Fuzz(func(t *testing.T, host string, port int) {
		servers, err := Options{Host: host, Port: port}.endpoints()
		if err != nil {
			if strings.Contains(err.Error(), sinktest.Canary) {
				t.Errorf("the error tells the host: %v", err)
			}
			return
		}
		if len(servers) != 1+strings.Count(host, ",") {
			t.Errorf("%q are %d servers", host, len(servers))
		}
		for _, server := range servers {
			if server.host == "" || server.port == 0 || strings.ContainsAny(server.host, "/\\@? ,[]") {
				t.Errorf("%q is %+v", host, server)
			}
			address := net.JoinHostPort(server.host, strconv.Itoa(int(server.port)))
			again, err := Options{Host: address}.endpoints()
			if err != nil || len(again) != 1 || again[0] != server {
				t.Errorf("%q is %+v, and that %+v, %v", host, server, again, err)
			}
		}
	})
}

// Whatever a server says of a statement, rows are refused for good only by the classes of codes that blame them, and neither the password nor a row gets
// into the error. $S stands for the password.
func FuzzRefusal(f *testing.F) {
	f.Add("23505", `duplicate key value violates unique constraint "delivery_events_pkey"`, "Key (id)=(1) already exists.", "", false)
	f.Add("42P01", `relation "delivery_events" does not exist`, "", "", true)
	f.Add("28P01", `password authentication failed for user "$S"`, "", "", false)
	f.Add("", "\x1b[31m", "", "c", false)
	f.Add("2", "", "", "", true)
	f.Add("42501", "permission denied for $S", "$S", "", false)
	secret := sinktest.Secret("password")
	s, err := New(Options{Host: "127.0.0.1", User: "dora", Database: "dora", Password: secret, TLS: Disable})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, code, message, detail, constraint string, newer bool) {
		fill := strings.NewReplacer("$S", secret).Replace
		refused := &pgconn.PgError{Code: code, Message: fill(message), Detail: sinktest.Secret(detail), Hint: secret, ConstraintName: constraint, Where: secret}
		s.known.Store(&layout{newer: newer})
		err := s.judge(fmt.Errorf("insert: %w", refused), &layout{newer: newer})
		if sinktest.Leaks(err.Error()) || len(err.Error()) > 1600 || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not fit to be shown: %q", err)
		}
		toBlame := strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "54")
		if sink.IsPermanent(err) != (toBlame && !newer) {
			t.Errorf("%q of a newer schema %v is for good: %v", code, newer, err)
		}
		if sink.ReasonOf(err) == "" || sink.RetryAfter(err) != 0 {
			t.Errorf("%q is %s, after %v", code, sink.ReasonOf(err), sink.RetryAfter(err))
		}
		if eventtable.LacksPartition(refused) != (code == "23514" && constraint == "") {
			t.Errorf("%q of %q lacks a partition: %v", code, constraint, eventtable.LacksPartition(refused))
		}
	})
}

// Whatever events are, their rows are JSON that PostgreSQL takes, each event once, and what it had to go without is the character NUL alone.
func FuzzRows(f *testing.F) {
	whole, err := json.Marshal(sinktest.Events())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`[{"id":"a","type":"deploy","service":"a\u0000b\\u0000","version":{"tag":"\u0000"}},{"id":"a","type":"degraded"}]`))
	f.Add([]byte(`[{"type":"recovered","message":"\\\\u0000\ud800","labels":{"\u0000":1}}]`))
	f.Add([]byte(`[{"type":"other"}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var events []dora.Event
		if json.Unmarshal(raw, &events) != nil {
			return
		}
		text, err := eventtable.Rows(events, "eu-1")
		if err != nil {
			return
		}
		var rows []eventtable.Row
		if err := json.Unmarshal(text, &rows); err != nil {
			t.Fatalf("no JSON: %v", err)
		}
		newest := map[string]dora.Event{}
		for _, e := range events {
			newest[e.ID] = e
		}
		if len(rows) != len(newest) {
			t.Fatalf("%d rows of %d events", len(rows), len(newest))
		}
		if len(newest) != len(events) && len(rows) > 0 && strings.Contains(string(raw), `\u0000`) {
			return // ids that differ in nothing else are the same to PostgreSQL
		}
		if holdsNUL(decoded(t, text)) {
			t.Errorf("PostgreSQL takes no NUL: %s", text)
		}
		for _, row := range rows {
			for id, e := range newest {
				if strings.ReplaceAll(id, "\x00", "") == row.ID && len(newest) == 1 {
					same(t, row, e)
				}
			}
		}
	})
}

func same(t *testing.T, row eventtable.Row, e dora.Event) {
	t.Helper()
	want, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutNULs(decoded(t, want)), decoded(t, row.Payload)); diff != "" {
		t.Errorf("(-event +payload)\n%s", diff)
	}
	if row.Service != strings.ReplaceAll(e.Service, "\x00", "") || row.Type != string(e.Type) || !row.OccurredAt.Equal(e.OccurredAt) {
		t.Errorf("the row %+v of %s", row, want)
	}
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// withoutNULs leaves out every NUL of a value that was JSON.
func withoutNULs(value any) any {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, "\x00", "")
	case []any:
		for i := range v {
			v[i] = withoutNULs(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = withoutNULs(v[key])
		}
	}
	return value
}

func holdsNUL(value any) bool {
	text := fmt.Sprintf("%q", value)
	return strings.Contains(strings.ReplaceAll(text, `\\`, ""), `\x00`)
}
