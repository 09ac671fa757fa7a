package sqlite

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/ledger/internal/rows"
)

// A ledger of which some bytes were lost or written over is refused, and then it stays as it is, or it works: whatever is in it is read, or an error says
// why not, and what is written can be read.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "ledger.db")
	whole := template(f, path)
	f.Add(uint32(0), []byte{}, uint32(0))
	f.Add(uint32(0), []byte("SQLite format 4"), uint32(0))
	f.Add(uint32(16), []byte{0xff, 0xff}, uint32(0))
	f.Add(uint32(24), []byte{9, 9, 9, 9, 0, 0, 0, 99}, uint32(5000))
	f.Add(uint32(4096), make([]byte, 64), uint32(0))
	f.Add(uint32(60), []byte{0, 0, 0, 0}, uint32(0))
	f.Add(uint32(len(whole)-700), []byte(`{"id":7}`), uint32(0))
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, size uint32) {
		data := bytes.Clone(whole)
		copy(data[int(at)%len(data):], patch)
		if size > 0 {
			data = data[:int(size)%len(data)]
		}
		for _, ending := range []string{"-wal", "-shm", ".lock"} {
			_ = os.Remove(path + ending)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		looks(t, path)
		unchanged(t, path, data)
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			unchanged(t, path, data)
			return
		}
		writes(t, s)
		if err := s.Close(); err != nil {
			t.Logf("closed: %v", err) // of a damaged one it may say so
		}
	})
}

// template is the bytes of a whole ledger.
func template(f *testing.F, path string) []byte {
	f.Helper()
	s, err := Open(f.Context(), path, Options{})
	if err != nil {
		f.Fatal(err)
	}
	fill(f, s, 12)
	subject := ledger.Subject{Subject: dora.Subject{UID: "uid-1", Name: "cart"}, Labels: map[string]string{"a": "b"}}
	change := ledger.Change{Subject: &subject, States: []ledger.State{{Key: "subject/a", Data: []byte("{}")}}, Decisions: []ledger.Decision{{UID: "uid-1", Reason: "a"}}}
	if err := s.Commit(f.Context(), change); err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return whole
}

// looks reads everything there is. That there is an error is no mistake.
func looks(t *testing.T, path string) {
	t.Helper()
	s, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		return
	}
	seen := map[int64]bool{}
	for row, err := range s.Events(t.Context(), ledger.EventQuery{}) {
		if err == nil && seen[row.Seq] {
			t.Fatalf("row %d comes twice", row.Seq)
		}
		seen[row.Seq] = true
	}
	_, _ = s.Subjects(t.Context(), ledger.SubjectQuery{})
	_, _ = s.Decisions(t.Context(), "uid-1", 0)
	_, _ = s.Deliveries(t.Context(), ledger.DeliveryQuery{})
	_, _ = s.Outstanding(t.Context(), ledger.OutstandingQuery{})
	if err := s.Close(); err != nil {
		t.Errorf("closed: %v", err)
	}
}

func unchanged(t *testing.T, path string, data []byte) {
	t.Helper()
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
		t.Errorf("the file was touched, %v", err)
	}
}

// writes: what was acknowledged is there.
func writes(t *testing.T, s *Store) {
	t.Helper()
	change := benchmarkChange(7)
	change.Events[0].ID = "written"
	if err := s.Commit(t.Context(), change); err != nil {
		return
	}
	for row, err := range s.Events(t.Context(), ledger.EventQuery{IDs: []string{"written"}}) {
		if err == nil && row.Event.ID == "written" {
			return
		}
	}
	t.Error("what was acknowledged is not there")
}

// Whatever the row of an event holds, of an older release or a newer one, it is that event with its facts and its mark, or an error.
func FuzzStoredRow(f *testing.F) {
	whole, err := json.Marshal(benchmarkChange(1).Events[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, []byte(`{"event_id":"a","commit":"4f5e6d7","first_commit_at":"2026-01-01T00:00:00Z","commits":3}`), []byte(`{"verdict":"ignore","at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"id":"a","type":"deploy","tomorrow":{"b":1}}`), []byte(`{"first_commit_at":"9999-12-31T23:59:59-12:00"}`), []byte(`{"verdict":"failure","at":"9999-12-31T23:59:59-12:00"}`))
	f.Add([]byte(`{"id":"a","type":"degraded"}`), []byte(`{"reason":"NoAncestor"}`), []byte(`{"verdict":"","by":"ada"}`))
	f.Add([]byte(`{}`), []byte(nil), []byte(nil))
	f.Add([]byte(`{"type":"deploy"`), []byte(`null`), []byte(`null`))
	f.Fuzz(func(t *testing.T, payload, facts, mark []byte) {
		got, err := rows.Decode(1, payload, facts, mark)
		if err != nil {
			return
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatalf("what was read cannot be sent: %v", err)
		}
		var want dora.Event
		if err := json.Unmarshal(payload, &want); err != nil {
			t.Fatal(err)
		}
		if got.ID != want.ID || got.Type != want.Type || !got.OccurredAt.Equal(want.OccurredAt) {
			t.Errorf("%s became %s", payload, written)
		}
		again, err := rows.Decode(1, written, facts, mark)
		if second, errSecond := json.Marshal(again); err != nil || errSecond != nil || !bytes.Equal(written, second) {
			t.Errorf("stored as it was read it is %s, %v, and was %s", second, err, written)
		}
	})
}
