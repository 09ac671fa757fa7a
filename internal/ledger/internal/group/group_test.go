package group

import (
	"testing"
	"testing/synctest"

	. "github.com/onsi/gomega"
)

// TestGather: what waits behind a busy writer shares transactions, up to the bound.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		q := &Queue[int]{queue: make(chan *Write[int]), most: 4}
		for range 10 {
			go func() { q.queue <- &Write[int]{} }()
		}
		synctest.Wait()
		for _, want := range []int{4, 4, 2} {
			g.Expect(q.gather(<-q.queue)).To(HaveLen(want))
		}
	})
}
