package app

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
)

// Whatever a DoraSink and its Secret say, a sink of that name is made of them, or the error says in a line what is wrong and tells nothing of the Secret.
func FuzzSinkSettings(f *testing.F) {
	f.Add([]byte(`{"type":"Postgres","postgres":{"host":"db","database":"metrics","secretRef":{"name":"a"}}}`), "username", "dora", "password", "p")
	f.Add([]byte(`{"type":"Postgres","postgres":{"tls":"VerifyCA","secretRef":{"name":"a"}}}`), "host", "[::1]:99999", "port", "x")
	f.Add([]byte(`{"type":"Port","port":{"region":"US","secretRef":{"name":"a"},"environments":{"a":"B"}}}`), "clientId", "a@b", "clientSecret", "s\n")
	f.Add([]byte(`{"type":"CloudEvents","cloudEvents":{"url":"https://events.example.com/hook","mode":"binary"}}`), "token", "t\x00", "username", "me")
	f.Add([]byte(`{"type":"CloudEvents","cloudEvents":{"url":"https://me:pw@events.example.com","format":"x"}}`), "ca.crt", "-----BEGIN", "hmacKey", "")
	f.Add([]byte(`{"type":"Stdout"}`), "", "", "", "")
	o := &Options{Cluster: "eu-1", Version: "v1", Stdout: new(strings.Builder), Clock: clocked{}}
	f.Fuzz(func(t *testing.T, raw []byte, key, value, otherKey, otherValue string) {
		var spec dorav1alpha1.DoraSinkSpec
		if json.Unmarshal(raw, &spec) != nil || !whole(&spec) {
			return
		}
		object := &dorav1alpha1.DoraSink{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "metrics"}, Spec: spec}
		data := map[string][]byte{key: []byte(value), otherKey: []byte(otherValue)}
		for _, prefix := range []string{"", sinktest.Secret("") + "-"} {
			data[key], data[otherKey] = []byte(prefix+value), []byte(prefix+otherValue)
			made, err := newMaker(o)(object, data)
			if err == nil {
				if made.Name() != kube.SinkKey(object) || made.Batch() < 1 {
					t.Errorf("%s is the sink %q, which takes %d", raw, made.Name(), made.Batch())
				}
				if open, ok := made.(interface{ Close() }); ok {
					open.Close()
				}
				continue
			}
			text := err.Error()
			if leaked := strings.Contains(text, sinktest.Canary) && !strings.Contains(string(raw), sinktest.Canary); leaked || sink.ReasonOf(err) == "" {
				t.Errorf("%s: %v", raw, err)
			}
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) && !strings.Contains(text, string(spec.Type)) {
				t.Errorf("it is no line: %q", text)
			}
		}
	})
}

// clocked stands still.
type clocked struct{ clock.WithDelayedExecution }

func (clocked) Now() time.Time {
	return clocktesting.NewFakePassiveClock(time.Unix(1_772_366_400, 0)).Now()
}

// whole tells whether a sink has what the schema wants of one of its type.
func whole(spec *dorav1alpha1.DoraSinkSpec) bool {
	settings := map[dorav1alpha1.SinkType]bool{
		dorav1alpha1.SinkPort: spec.Port != nil, dorav1alpha1.SinkPostgres: spec.Postgres != nil, dorav1alpha1.SinkCloudEvents: spec.CloudEvents != nil,
	}
	has, needs := settings[spec.Type]
	return (has || !needs) && slices.Contains([]dorav1alpha1.SinkType{
		dorav1alpha1.SinkPort, dorav1alpha1.SinkPostgres, dorav1alpha1.SinkCloudEvents, dorav1alpha1.SinkStdout,
	}, spec.Type)
}
