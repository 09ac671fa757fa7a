package app

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/controllers/dorasink"
	"github.com/dora-controller/dora-controller/internal/egress"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/sink"
	"github.com/dora-controller/dora-controller/internal/sink/cloudevents"
	"github.com/dora-controller/dora-controller/internal/sink/port"
	"github.com/dora-controller/dora-controller/internal/sink/postgres"
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
	return func(object *dorav1alpha1.DoraSink, data map[string][]byte) (sink.Sink, error) {
		s := secret{data: data, guard: egress.Guard{Allowed: o.AllowNetworks}}
		if ref, _ := object.Spec.Secret(); ref != nil {
			s.name = object.Namespace + "/" + ref.Name
		}
		name := kube.SinkKey(object)
		switch object.Spec.Type {
		case dorav1alpha1.SinkStdout:
			return stdout.New(name, o.Stdout), nil
		case dorav1alpha1.SinkPort:
			return s.port(name, o, object.Spec.Port)
		case dorav1alpha1.SinkPostgres:
			return s.postgres(name, o, object.Spec.Postgres)
		case dorav1alpha1.SinkCloudEvents:
			return s.cloudEvents(name, o, object.Spec.CloudEvents)
		}
		return nil, fmt.Errorf("spec.type: this release knows no sink of type %s", object.Spec.Type)
	}
}

// secret is the contents of a sink's Secret, with what else its driver needs.
type secret struct {
	name  string // namespace/name
	data  map[string][]byte
	guard egress.Guard
}

// text is the value of the first of the keys that the Secret has, without the line break that editors leave at its end.
func (s *secret) text(keys ...string) string {
	for _, key := range keys {
		if value := strings.TrimRight(string(s.data[key]), "\r\n"); value != "" {
			return value
		}
	}
	return ""
}

// need is text that must be there.
func (s *secret) need(keys ...string) (string, error) {
	value := s.text(keys...)
	if value == "" {
		return "", sink.Because(sink.CredentialsMissing, fmt.Errorf("Secret %s has no key %s: add it", s.name, keys[0])) //nolint:staticcheck // the kind's name
	}
	return value, nil
}

func (s *secret) port(name string, o *Options, spec *dorav1alpha1.PortSink) (sink.Sink, error) {
	id, err := s.need("clientId", "PORT_CLIENT_ID")
	if err != nil {
		return nil, err
	}
	key, err := s.need("clientSecret", "PORT_CLIENT_SECRET")
	if err != nil {
		return nil, err
	}
	return port.New(port.Options{
		Name: name, Version: o.Version, Cluster: o.Cluster, BaseURL: cmp.Or(spec.BaseURL, port.Regions[spec.Region], port.Regions["EU"]),
		ClientID: id, ClientSecret: key, CA: s.data["ca.crt"], Guard: s.guard, Now: o.Clock.Now,
		Blueprints: port.Blueprints{
			Deployment: blueprint(spec.Blueprints.Deployment), Service: blueprint(spec.Blueprints.Service),
			Team: blueprint(spec.Blueprints.Team), Incident: blueprint(spec.Blueprints.Incident),
			PullRequest: blueprint(spec.Blueprints.PullRequest),
		},
		ServiceBy: spec.ServiceBy, TeamBy: spec.TeamBy, Environments: environments(spec), MetricsEnvironment: spec.MetricsEnvironment,
		Succeeded: spec.DeploymentStatus.Succeeded, Failed: spec.DeploymentStatus.Failed,
	})
}

// blueprint is empty for one that is left out.
func blueprint(name dorav1alpha1.BlueprintName) string {
	if name == "-" {
		return ""
	}
	return string(name)
}

func environments(spec *dorav1alpha1.PortSink) map[string]string {
	called := make(map[string]string, len(spec.Environments))
	for name, as := range spec.Environments {
		called[name] = string(as)
	}
	return called
}

func (s *secret) postgres(name string, o *Options, spec *dorav1alpha1.PostgresSink) (sink.Sink, error) {
	user, err := s.need("username", "user")
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(cmp.Or(s.text("port"), "0"))
	if err != nil {
		return nil, sink.Because(sink.CredentialsMissing, fmt.Errorf("Secret %s: port is no number", s.name)) //nolint:staticcheck // as above
	}
	host, database := cmp.Or(spec.Host, s.text("host")), cmp.Or(spec.Database, s.text("database", "dbname"))
	for field, value := range map[string]string{"host": host, "database": database} {
		if value == "" {
			return nil, fmt.Errorf("spec.postgres.%s: it is neither here nor in Secret %s: say it in one of them", field, s.name)
		}
	}
	return postgres.New(postgres.Options{
		Name: name, Cluster: o.Cluster, Host: host, Port: cmp.Or(int(spec.Port), number), Database: database,
		User: user, Password: s.text("password"), Schema: spec.Schema, TLS: postgres.TLS(spec.TLS),
		CA: s.data["ca.crt"], Cert: s.data["tls.crt"], Key: s.data["tls.key"],
		Migrate: spec.Migrations != "Check", Guard: s.guard,
	})
}

func (s *secret) cloudEvents(name string, o *Options, spec *dorav1alpha1.CloudEventsSink) (sink.Sink, error) {
	return cloudevents.New(cloudevents.Options{
		Name: name, Cluster: o.Cluster, URL: spec.URL, Format: spec.Format, Mode: spec.Mode,
		Token: s.text("token"), Username: s.text("username"), Password: s.text("password"),
		HMACKey: []byte(s.text("hmacKey")), SignatureHeader: spec.SignatureHeader, CA: s.data["ca.crt"],
		Version: o.Version, Guard: s.guard,
	})
}
