package sinktest_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

func TestLeaks(t *testing.T) {
	g := NewWithT(t)
	for before := range 7 {
		for after := range 7 {
			text := strings.Repeat("a", before) + sinktest.Secret("key") + strings.Repeat("b", after)
			g.Expect(sinktest.Leaks(text)).To(BeTrue())
			g.Expect(sinktest.Leaks(fmt.Sprintf("%x", text))).To(BeTrue())
			g.Expect(sinktest.Leaks("Basic "+base64.StdEncoding.EncodeToString([]byte(text)))).To(BeTrue(), text)
			g.Expect(sinktest.Leaks(base64.URLEncoding.EncodeToString([]byte(text)))).To(BeTrue(), text)
		}
	}
	g.Expect(sinktest.Leaks("a canary rollout, Y2FuYXJ5, 63616e617279")).To(BeFalse())
}
