package app

import (
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/controllers/dorasink"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/stdout"
)

// sinks are those that flags ask for.
func sinks(o *Options) []sink.Sink {
	if !o.StdoutSink {
		return nil
	}
	return []sink.Sink{stdout.New("stdout", o.Stdout)}
}

func names(sinks []sink.Sink) []string {
	all := make([]string, len(sinks))
	for i, s := range sinks {
		all[i] = s.Name()
	}
	return all
}

// settling is how long the status of a sink waits for more news.
const settling = 2 * time.Second

// lookAt asks for a look at a sink of which something has changed.
func lookAt(looks *kube.Trigger) func(string) {
	return func(name string) {
		if key, ok := kube.SinkOf(name); ok {
			looks.Ask(settling, key)
		}
	}
}

// newMaker chooses the driver of a DoraSink.
func newMaker(o *Options) dorasink.Maker {
	return func(object *dorav1alpha1.DoraSink, _ map[string][]byte) (sink.Sink, error) {
		name := kube.SinkKey(object)
		switch object.Spec.Type {
		case dorav1alpha1.SinkStdout:
			return stdout.New(name, o.Stdout), nil
		}
		return nil, nil
	}
}
