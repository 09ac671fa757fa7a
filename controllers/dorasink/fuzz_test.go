package dorasink

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// Whatever somebody writes into the annotation, it selects something, and can be written in one form that selects the same; or the error says what to write.
func FuzzResend(f *testing.F) {
	for _, request := range []string{
		"since=2026-01-31T00:00:00Z", "event=a,b service=cart #1", "service=cart", "since=yesterday", "", "#", "event=", "events=a", "since=2026-01-31T00:00:00+01:00 event=a\n",
	} {
		f.Add(request)
	}
	f.Fuzz(func(t *testing.T, request string) {
		q, err := readResend(request)
		if err != nil {
			if text := err.Error(); !strings.Contains(text, "write") || len(bounded(text, 1024)) > 1024 {
				t.Errorf("%q: %v", request, err)
			}
			return
		}
		if len(q.IDs) == 0 && q.Service == "" && q.Since.IsZero() {
			t.Errorf("%q selects everything", request)
		}
		if again, err := readResend(written(q)); err != nil || !cmp.Equal(again, q) {
			t.Errorf("%q is written as %q, and that is %+v, %v", request, written(q), again, err)
		}
	})
}

// written is a request for that.
func written(q ledger.EventQuery) string {
	var words []string
	if q.IDs != nil {
		words = append(words, "event="+strings.Join(q.IDs, ","))
	}
	if q.Service != "" {
		words = append(words, "service="+q.Service)
	}
	if !q.Since.IsZero() {
		words = append(words, "since="+q.Since.Format(time.RFC3339Nano))
	}
	return strings.Join(words, " ")
}
