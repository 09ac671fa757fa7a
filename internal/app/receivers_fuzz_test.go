package app

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// Whatever a DoraReceiver and its Secret say, a receiver of that name is made of them that lets nobody in without that Secret, or the error says
// what is wrong and tells nothing of the Secret.
func FuzzReceiverSettings(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte, key, value, otherKey, otherValue string) {
		var spec dorav1alpha1.DoraReceiverSpec
		if json.Unmarshal(raw, &spec) != nil || (spec.Type == dorav1alpha1.ReceiverGeneric) != (spec.Generic != nil) {
			return // the schema refuses it
		}
		object := &dorav1alpha1.DoraReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pager"}, Spec: spec}
		for _, prefix := range []string{"", sinktest.Secret("") + "-"} {
			made, err := makeReceiver(object, map[string][]byte{key: []byte(prefix + value), otherKey: []byte(prefix + otherValue)})
			if err == nil {
				holds(t, raw, made)
				continue
			}
			_, secret := errors.AsType[*kube.SecretError](err)
			text := err.Error()
			leaked := strings.Contains(text, sinktest.Canary) && !strings.Contains(string(raw), sinktest.Canary)
			if leaked || text == "" || !utf8.ValidString(text) || !secret && !strings.HasPrefix(text, "spec.") {
				t.Errorf("%s: %v", raw, err)
			}
		}
	})
}

// holds: it is that of the object, who asks without anything is refused, and tokens are not to be guessed.
func holds(t *testing.T, raw []byte, made *receive.Receiver) {
	t.Helper()
	if made.String() != "shop/pager" || made.Driver == nil {
		t.Errorf("%s is the receiver %s", raw, made)
	}
	if err := made.Driver.Verify(&ingest.Request{}, made.Secret); !errors.Is(err, ingest.ErrNotSender) {
		t.Errorf("%s takes what nobody signed: %v", raw, err)
	}
	if slices.ContainsFunc(made.Tokens, func(token []byte) bool { return len(token) < shortestToken }) {
		t.Errorf("%s has a token that is too short", raw)
	}
	byToken := made.Type == string(dorav1alpha1.ReceiverEvents) || made.Type == string(dorav1alpha1.ReceiverCloudEvents)
	if byToken != (len(made.Tokens) > 0) {
		t.Errorf("%s has %d tokens", raw, len(made.Tokens))
	}
}
