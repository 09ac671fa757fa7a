package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dora-controller/dora-controller/internal/doctor"
	"github.com/dora-controller/dora-controller/internal/dora"
	"github.com/dora-controller/dora-controller/internal/incident"
)

// receiversPort is the name of the port of receivers in the manifests.
const receiversPort = "receivers"

// Of failures the newest maxFailures of the last recentFailures are looked at for incidents.
const (
	recentFailures = 30 * 24 * time.Hour
	maxFailures    = 1000
)

// inside runs `dora-controller inspect` in the controller's pod, where it has something to tell.
func (g *gatherer) inside(ctx context.Context) {
	if g.pod == nil {
		g.put(doctor.PartInside, errors.New("no pod of the controller was found, or could be read"), nil)
		return
	}
	container := controllerContainer(g.pod.Annotations, &g.pod.Spec)
	value := func(flag string) string { text, _ := argument(container, flag); return text }
	location, certificates := cmp.Or(value("ledger"), usualLedger), value("receivers-cert-dir")
	if inDatabase(location) && certificates == "" {
		return
	}
	words := []string{"dora-controller", "inspect", "--ledger=" + location}
	if certificates != "" {
		words = append(words, "--receivers-cert-dir="+certificates)
	}
	var out bytes.Buffer
	var seen doctor.Inside
	err := g.cl.exec(ctx, podCommand{namespace: g.pod.Namespace, pod: g.pod.Name, container: container.Name, words: words}, &out, io.Discard)
	if code, failed := errors.AsType[*exitCodeError](err); failed {
		err = fmt.Errorf("dora-controller inspect in pod %s/%s ended with exit code %d; that of older releases is 2, and says that they do not know it",
			g.pod.Namespace, g.pod.Name, code.code)
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &seen)
	}
	g.put(doctor.PartInside, err, func(s *doctor.Snapshot) { s.Inside = seen })
}

// services reads those of the controller that lead to its receivers.
func (g *gatherer) services(ctx context.Context) {
	if g.pod == nil {
		g.put(doctor.PartServices, errors.New("no pod of the controller was found, or could be read"), nil)
		return
	}
	all, err := listOf[corev1.Service](ctx, g.cl, serviceKind, g.pod.Namespace, metav1.ListOptions{LabelSelector: controllerLabels})
	g.put(doctor.PartServices, err, func(s *doctor.Snapshot) {
		for i := range all {
			if slices.ContainsFunc(all[i].Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == receiversPort }) {
				s.Services = append(s.Services, doctor.Service{
					Namespace: all[i].Namespace, Name: all[i].Name, Hosts: doctor.HostsOf(&all[i].ObjectMeta),
				})
			}
		}
	})
}

// incidents reads what receivers were told of late, where there are any.
func (g *gatherer) incidents(ctx context.Context) {
	if len(g.snapshot.Receivers) == 0 {
		return
	}
	if g.pod == nil {
		g.put(doctor.PartIncidents, errors.New("no pod of the controller was found, or could be read"), nil)
		return
	}
	failures, err := collect(ctx, historyIn(g.cl, g.pod), eventQuery{
		types: []dora.Type{dora.TypeDegraded}, since: time.Now().Add(-recentFailures), limit: maxFailures,
	})
	g.put(doctor.PartIncidents, err, func(s *doctor.Snapshot) { s.Incidents = newestIncidents(failures) })
}

// newestIncidents are, of each service as each receiver names it, the newest of the failures that receivers were told of: what was mended
// since is mended.
func newestIncidents(failures []dora.Event) (newest []doctor.Incident) {
	for i := range failures {
		e := &failures[i]
		if e.Receiver == "" || e.Type != dora.TypeDegraded {
			continue
		}
		told := doctor.Incident{
			Namespace: e.Subject.Namespace, Receiver: e.Receiver, Service: e.Service, Environment: e.Environment, At: e.ObservedAt,
			Counted: incident.Tie(e.Reason) != incident.NotCounted,
		}
		at := slices.IndexFunc(newest, func(n doctor.Incident) bool {
			return n.Namespace == told.Namespace && n.Receiver == told.Receiver && n.Service == told.Service
		})
		if at < 0 {
			newest = append(newest, told)
		} else if !told.At.Before(newest[at].At) {
			newest[at] = told
		}
	}
	return newest
}
