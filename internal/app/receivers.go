package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/controllers/dorareceiver"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/ingest"
	"github.com/dora-controller/dora-controller/internal/ingest/alertmanager"
	"github.com/dora-controller/dora-controller/internal/ingest/cloudevents"
	"github.com/dora-controller/dora-controller/internal/ingest/events"
	"github.com/dora-controller/dora-controller/internal/ingest/firehydrant"
	"github.com/dora-controller/dora-controller/internal/ingest/generic"
	"github.com/dora-controller/dora-controller/internal/ingest/gitea"
	"github.com/dora-controller/dora-controller/internal/ingest/github"
	"github.com/dora-controller/dora-controller/internal/ingest/gitlab"
	"github.com/dora-controller/dora-controller/internal/ingest/grafana"
	"github.com/dora-controller/dora-controller/internal/ingest/incidentio"
	"github.com/dora-controller/dora-controller/internal/ingest/opsgenie"
	"github.com/dora-controller/dora-controller/internal/ingest/pagerduty"
	"github.com/dora-controller/dora-controller/internal/ingest/servicenow"
	"github.com/dora-controller/dora-controller/internal/ingest/statuspage"
	"github.com/dora-controller/dora-controller/internal/intake"
	"github.com/dora-controller/dora-controller/internal/kube"
	"github.com/dora-controller/dora-controller/internal/ledger"
	"github.com/dora-controller/dora-controller/internal/receive"
	"github.com/dora-controller/dora-controller/internal/record"
)

// receives tells whether senders are listened for.
func (o Options) receives() bool { return o.ReceiversAddress != "" && o.ReceiversAddress != "0" }

// validateReceivers: a token that goes over a network in clear text is known to whoever listens there, so that has to be asked for.
func (o Options) validateReceivers() error {
	switch {
	case !o.receives() && o.ReceiversCertificate == "" && !o.ReceiversPlain:
		return nil
	case !o.receives():
		return errors.New("--receivers-cert-dir and --receivers-plaintext are not used without --receivers-bind-address: give it, such as :8443, or neither")
	case o.ReceiversCertificate == "" && !o.ReceiversPlain:
		return errors.New("--receivers-bind-address needs --receivers-cert-dir, a folder that has tls.crt and tls.key; " +
			"--receivers-plaintext takes tokens and secrets in clear text")
	case o.ReceiversCertificate != "" && o.ReceiversPlain:
		return errors.New("--receivers-cert-dir and --receivers-plaintext exclude each other: give one")
	}
	if _, err := netip.ParseAddr(o.ReceiversIP); err != nil && o.ReceiversIP != "" {
		return fmt.Errorf("--receivers-ip=%q is no address: write the IP by which other replicas reach this one, such as 10.1.2.3", o.ReceiversIP)
	}
	if err := validateAddress("receivers-bind-address", o.ReceiversAddress); err != nil || o.ReceiversPlain {
		return err
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if _, err := os.Stat(filepath.Join(o.ReceiversCertificate, name)); err != nil {
			return fmt.Errorf("--receivers-cert-dir: %w: name a folder that has tls.crt and tls.key", err)
		}
	}
	return nil
}

// newReceivers is nil where nobody is listened for.
func newReceivers(mgr manager.Manager, o *Options) (*receive.Server, error) {
	if !o.receives() {
		return nil, nil
	}
	leader, err := newLeaderAddress(mgr, o)
	return receive.NewServer(receive.Options{
		Address: o.ReceiversAddress, Certificates: o.ReceiversCertificate, Log: mgr.GetLogger().WithName("receivers"), Now: o.Clock.Now, Leader: leader,
	}), err
}

func (a *App) addReceivers() error {
	if a.receivers == nil {
		return nil
	}
	return a.manager.Add(a.receivers)
}

// addDesk prepares what requests are answered with, where there are any.
func (l *leader) addDesk(w *work) {
	looks := kube.NewTrigger()
	w.controllers.ReceiverLooks, w.controllers.MakeReceiver = looks, makeReceiver
	if l.receivers == nil {
		return
	}
	w.desk = receive.NewDesk(func(s receive.Sender) { looks.Ask(dorareceiver.Settling, types.NamespacedName(s)) })
	w.controllers.Desk = w.desk
	w.metrics.MustRegister(l.receivers.Metrics())
}

// newIntake takes what receivers hear into the ledger, and tells those who wait for it.
func (l *leader) newIntake(w *work, store ledger.Store, recorder *record.Recorder) *intake.Intake {
	o := &w.controllers
	return intake.New(intake.Options{
		Cluster: o.Cluster, Store: store, Memory: recorder, Now: l.options.Clock.Now,
		Audience: &kube.Audience{Targets: o.Targets, Sinks: o.Sinks, Memory: recorder},
		Taken: func(ctx context.Context, subject dora.Subject, sinks []string) {
			o.Owed(sinks)
			if view, err := o.Targets.View(ctx); err == nil {
				o.Figures.Ask(settling, view.Listening(subject.Namespace).Names()...)
			}
		},
	})
}

// receive lets senders in until what it returns is called.
func (l *leader) receive(w *work) (stop func()) {
	if l.receivers == nil {
		return func() {}
	}
	l.receivers.Open(w.desk, reports{w.intake})
	return l.receivers.Close
}

// drivers read what receivers of each type are sent, but for those of type Generic, who have settings.
var drivers = map[dorav1alpha1.ReceiverType]ingest.Driver{
	dorav1alpha1.ReceiverEvents:       events.Driver{},
	dorav1alpha1.ReceiverCloudEvents:  cloudevents.Driver{},
	dorav1alpha1.ReceiverGitHub:       github.Driver{},
	dorav1alpha1.ReceiverGitLab:       gitlab.Driver{},
	dorav1alpha1.ReceiverGitea:        gitea.Driver{},
	dorav1alpha1.ReceiverPagerDuty:    pagerduty.New(),
	dorav1alpha1.ReceiverOpsgenie:     opsgenie.New(),
	dorav1alpha1.ReceiverAlertmanager: alertmanager.New(),
	dorav1alpha1.ReceiverGrafana:      grafana.New(),
	dorav1alpha1.ReceiverFireHydrant:  firehydrant.New(),
	dorav1alpha1.ReceiverIncidentIO:   incidentio.New(),
	dorav1alpha1.ReceiverServiceNow:   servicenow.New(),
	dorav1alpha1.ReceiverStatuspage:   statuspage.New(),
}

func driverOf(spec *dorav1alpha1.DoraReceiverSpec) (ingest.Driver, error) {
	if g := spec.Generic; g != nil {
		driver, err := generic.New(generic.Mapping{
			ID: g.ID, Opened: g.Opened, Resolved: g.Resolved, When: g.When, Service: g.Service, Severity: g.Severity, Title: g.Title, Link: g.Link,
		})
		if err != nil {
			return nil, fmt.Errorf("spec.generic.%w", err)
		}
		return driver, nil
	}
	driver := drivers[spec.Type]
	if driver == nil {
		return nil, fmt.Errorf("spec.type: this release knows no receiver of type %s", spec.Type)
	}
	return driver, nil
}

// shortestToken is what a token needs to be not guessed, in bytes.
const shortestToken = 16

// makeReceiver chooses the driver of a DoraReceiver.
func makeReceiver(object *dorav1alpha1.DoraReceiver, secret map[string][]byte) (*receive.Receiver, error) {
	spec := &object.Spec
	driver, err := driverOf(spec)
	if err != nil {
		return nil, err
	}
	made := &receive.Receiver{
		Sender: receive.Sender{Namespace: object.Namespace, Name: object.Name},
		Type:   string(spec.Type), UID: string(object.UID), Since: object.CreationTimestamp.Time, Driver: driver, Secret: secret,
		DefaultService: string(spec.DefaultService), Environment: spec.Environment, PerMinute: int(spec.RateLimit), Suspended: spec.Suspend,
		Services: make(map[string]string, len(spec.Services)),
	}
	for name, as := range spec.Services {
		made.Services[name] = string(as)
	}
	return made, identify(made, object)
}

// identify notes by which tokens the sender is known, and refuses a Secret that would let nobody in, or anybody who guesses.
func identify(made *receive.Receiver, object *dorav1alpha1.DoraReceiver) error {
	lacks := func(why string) error { return kube.UnusableSecret(object.Namespace, object.Spec.SecretRef.Name, why) }
	if err := made.Driver.Verify(&ingest.Request{}, made.Secret); errors.Is(err, ingest.ErrNoSecret) {
		return lacks(err.Error())
	}
	if object.Spec.Type != dorav1alpha1.ReceiverEvents && object.Spec.Type != dorav1alpha1.ReceiverCloudEvents {
		return nil
	}
	for _, key := range []string{ingest.KeyToken, ingest.KeyToken + ".next"} {
		token, err := ingest.Value(made.Secret, key)
		if err != nil && key != ingest.KeyToken {
			continue // no change is under way
		}
		if len(token) < shortestToken {
			return lacks(fmt.Sprintf("the token under the key %s has to be there, and at least %d bytes long", key, shortestToken))
		}
		made.Tokens = append(made.Tokens, token)
	}
	return nil
}

// reports has what senders report taken into the ledger.
type reports struct{ intake *intake.Intake }

// Take implements receive.Ledger.
func (r reports) Take(ctx context.Context, from receive.Sender, told []ingest.Report) ([]string, error) {
	return r.intake.Take(ctx, intake.Sender(from), told)
}
