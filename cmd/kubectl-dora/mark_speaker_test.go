package main

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/dora"
)

// counter is a target of some namespace, that many days old.
func counter(namespace, name string, days int) dorav1alpha1.DoraTarget {
	return dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -days)),
	}}
}

// Of an event that was reported no object tells whose it is: the oldest target of its namespace speaks that counts what is reported.
func TestWhoSpeaksOfWhatWasReported(t *testing.T) {
	g := NewWithT(t)
	event := &dora.Event{Service: "billing-eu", Environment: "production", Subject: dora.Subject{Kind: dora.KindReported, Namespace: "shop", Name: "billing-eu"}}
	reported := func(name string, days int, glob dorav1alpha1.ServiceGlob) dorav1alpha1.DoraTarget {
		target := counter("shop", name, days)
		target.Spec.Reported = &dorav1alpha1.Reported{Services: []dorav1alpha1.ServiceGlob{glob}}
		return target
	}
	other, plain, incidents := reported("other", 9, "cart"), counter("shop", "plain", 8), counter("shop", "incidents", 7)
	incidents.Spec.Incidents = &dorav1alpha1.Incidents{}
	foreign := reported("foreign", 6, "*")
	foreign.Namespace = "search"
	all := func(more ...dorav1alpha1.DoraTarget) []dorav1alpha1.DoraTarget {
		return append(more, other, plain, incidents, foreign)
	}

	found, err := whoCounts(all(reported("young", 1, "*"), reported("old", 2, "billing-*")), event)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found.Name).To(Equal("old"))

	_, err = whoCounts(all(), event)
	g.Expect(err).To(MatchError("no DoraTarget of namespace shop that you may see counts what is reported of service billing-eu in environment production; " +
		"these count reports of others, and --target names one: other, incidents"))
	_, err = whoCounts([]dorav1alpha1.DoraTarget{plain, foreign}, event)
	g.Expect(err).To(MatchError(HaveSuffix("in environment production: set spec.reported or spec.incidents of one")))

	incidents.Status.Services = []dorav1alpha1.ServiceStatus{{Service: "billing-eu", Environment: "production"}}
	found, err = whoCounts(all(reported("old", 2, "billing-*")), event)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found.Name).To(Equal("incidents"))
}
