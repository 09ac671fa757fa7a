package argocd

import (
	"runtime"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dora-controller/dora-controller/internal/argocd/argocdtest"
)

const (
	// fleet is how many Applications are held at once, each of about largeApp bytes of JSON.
	fleet    = 10_000
	largeApp = 20_000
	// keptMost is what a trimmed one may keep.
	keptMost = 4_000
)

// BenchmarkTrim10000 tells how much memory a fleet takes: as unstructured objects, as decoded by our types, and after Trim.
func BenchmarkTrim10000(b *testing.B) {
	b.Run("unstructured", func(b *testing.B) { holdFleet(b, asUnstructured) })
	b.Run("decoded", func(b *testing.B) { holdFleet(b, asDecoded) })
	b.Run("trimmed", func(b *testing.B) { holdFleet(b, asTrimmed) })
}

func TestAFleetFitsIntoMemory(t *testing.T) {
	const few = 1000
	asTrimmed(t, argocdtest.Large(0)) // the decoder's own tables are not the fleet's
	if size := len(argocdtest.Large(0)); size < largeApp*9/10 || size > largeApp*11/10 {
		t.Errorf("the example has %d bytes, want about %d", size, largeApp)
	}
	if kept := held(t, few, asTrimmed) / few; kept > keptMost {
		t.Errorf("a trimmed Application keeps %d bytes, want at most %d", kept, keptMost)
	}
}

func holdFleet(b *testing.B, read func(testing.TB, []byte) any) {
	b.Helper()
	for b.Loop() {
		b.ReportMetric(float64(held(b, fleet, read))/fleet, "B/app")
	}
}

// held is how much the heap grows by holding count Applications.
func held(tb testing.TB, count int, read func(testing.TB, []byte) any) int {
	tb.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	objects := make([]any, count)
	for i := range objects {
		objects[i] = read(tb, argocdtest.Large(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(objects)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

func asUnstructured(tb testing.TB, raw []byte) any {
	tb.Helper()
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(raw); err != nil {
		tb.Fatal(err)
	}
	return &object
}

func asDecoded(tb testing.TB, raw []byte) any {
	tb.Helper()
	return decode(tb, raw)
}

func asTrimmed(tb testing.TB, raw []byte) any {
	tb.Helper()
	app, err := Trim(decode(tb, raw))
	if err != nil {
		tb.Fatal(err)
	}
	return app
}
