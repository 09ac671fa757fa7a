package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/dora-controller/dora-controller/internal/sink/sinktest"
	"github.com/dora-controller/dora-controller/internal/tracing"
	"github.com/dora-controller/dora-controller/internal/tracing/tracingtest"
)

// environment sets what a process would have been given, and nothing else of OpenTelemetry's.
func environment(t *testing.T, variables ...string) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
	} {
		t.Setenv(name, "")
	}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

const event = "5b0c1d1e-8d5a-5b7e-9c39-0a1b2c3d4e5f"

// told tells of so many deliveries of an event.
func told(tracer *tracing.Tracer, n int) {
	for range n {
		tracer.Follow(event, &tracing.Span{Name: "deliver", Began: time.Unix(1, 0), Ended: time.Unix(2, 0), Failed: "Refused"})
	}
}

func TestThereAreTracesOnlyWhereTheyAreAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		variables []string
		want      bool
	}{
		"nothing is said":             {nil, false},
		"where, for everything":       {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, true},
		"where, for traces":           {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1/v1/traces"}, true},
		"by the usual way":            {[]string{"OTEL_TRACES_EXPORTER=otlp"}, true},
		"by gRPC":                     {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, true},
		"none":                        {[]string{"OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, false},
		"all of it is off":            {[]string{"OTEL_SDK_DISABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, false},
		"somebody else's name for it": {[]string{"OTEL_SERVICE_NAME=dora"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, c.variables...)
			traces, err := NewTraces(t.Context(), "v1", "eu", logr.Discard())
			if err != nil || (traces.Tracer != nil) != c.want {
				t.Errorf("there is %v (%v), want one: %t", traces.Tracer, err, c.want)
			}
			if err == nil {
				traces.Close(t.Context())
			}
		})
	}
}

func TestSettingsOfTracesThatAreWrong(t *testing.T) {
	for variable, want := range map[string]string{
		"OTEL_TRACES_EXPORTER=zipkin":                  `OTEL_TRACES_EXPORTER="zipkin" is not known here: write otlp, or none`,
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json": `OTEL_EXPORTER_OTLP_PROTOCOL="http/json" is not known here: write http/protobuf or grpc`,
	} {
		environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", variable)
		if _, err := NewTraces(t.Context(), "v1", "eu", logr.Discard()); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", variable, err, want)
		}
	}
}

func TestWhatIsLeftIsSentAtTheEnd(t *testing.T) {
	collector := tracingtest.New(t)
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=api-key=k", "OTEL_RESOURCE_ATTRIBUTES=service.name=mine,team=a")
	traces, err := NewTraces(t.Context(), "v1.2.3", "eu", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	told(traces.Tracer, 3)
	traces.Close(t.Context())
	spans := collector.Trace(strings.ReplaceAll(event, "-", ""))
	if len(spans) != 3 || spans[0].Name != "deliver" {
		t.Fatalf("arrived: %s", tracingtest.Names(spans))
	}
	if s := spans[0]; s.Failed != "Refused" || s.Began != 1e9 || s.Ended != 2e9 {
		t.Errorf("the span is %+v", s)
	}
	who, headers := collector.Resource()
	if who["service.name"] != "mine" || who["service.version"] != "v1.2.3" || who["k8s.cluster.name"] != "eu" || who["team"] != "a" {
		t.Errorf("sent by %v", who)
	}
	if headers[0].Get("Api-Key") != "k" {
		t.Errorf("the headers are %v", headers[0])
	}
}

// A collector that never answers costs what the queue holds: nobody waits for it, and the process ends.
func TestACollectorThatHangsDisturbsNothing(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			hung, asked := make(chan struct{}), make(chan struct{}, 1)
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				select {
				case asked <- struct{}{}:
				default:
				}
				<-hung
			}))
			defer server.Close()
			defer close(hung)
			environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol)
			traces, err := NewTraces(t.Context(), "v1", "eu", logr.Discard())
			if err != nil {
				t.Fatal(err)
			}
			told(traces.Tracer, 5000) // more than the queue takes, while a batch is on its way
			if protocol == "http/protobuf" {
				<-asked
			}
			told(traces.Tracer, 50_000)
			soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			traces.Close(soon)
		})
	}
}

func TestNoSecretIsInWhatIsSaidOfTraces(t *testing.T) {
	secret := sinktest.Secret("traces")
	var said bytes.Buffer
	log := funcr.New(func(prefix, args string) { fmt.Fprintln(&said, prefix, args) }, funcr.Options{})
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who is "+r.Header.Get("Authorization")+" at "+r.URL.String(), http.StatusForbidden)
	}))
	defer echo.Close()
	address := strings.Replace(echo.URL, "http://", "http://dora:"+secret+"@", 1)
	environment(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+address+"/v1/traces?key="+secret, "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer "+secret)
	traces, err := NewTraces(t.Context(), "v1", "eu", log)
	if err != nil {
		t.Fatal(err)
	}
	told(traces.Tracer, 1)
	traces.Close(t.Context())
	if !strings.Contains(said.String(), "Traces do not arrive") || strings.Contains(said.String(), secret) {
		t.Errorf("said: %s", said.String())
	}

	said.Reset()
	environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://dora:"+secret+"@ not an address:%zz")
	if _, err := NewTraces(t.Context(), "v1", "eu", log); err != nil && strings.Contains(err.Error(), secret) || strings.Contains(said.String(), secret) {
		t.Errorf("said: %v %s", err, said.String())
	}
}

func TestThatTracesDoNotArriveIsSaidOnceAMinute(t *testing.T) {
	lines, now := 0, time.Unix(1_000_000, 0)
	u := &undelivered{log: funcr.New(func(string, string) { lines++ }, funcr.Options{}), now: func() time.Time { return now }}
	for range 180 { // seconds
		u.Handle(errors.New("403"))
		u.Handle(nil)
		now = now.Add(time.Second)
	}
	if lines != 3 {
		t.Errorf("said %d times in three minutes, want 3", lines)
	}
}

func TestWhyTracesDoNotArrive(t *testing.T) {
	for want, err := range map[string]error{
		"NoAnswer":    fmt.Errorf("traces export: %w", context.DeadlineExceeded),
		"Unreachable": fmt.Errorf("traces export: %w", &net.OpError{Op: "dial", Err: errors.New("connection refused")}),
		"Refused":     errors.New("traces export: 403 Forbidden"),
	} {
		if got := whyUndelivered(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}
