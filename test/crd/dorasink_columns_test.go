package crd_test

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

var _ = Describe("Columns of sinks", Ordered, func() {
	const namespace = "sent"

	BeforeAll(func() {
		makeNamespace(namespace, nil)
		showSink(namespace, "portal", healthy)
		showSink(namespace, "warehouse", unreachable)
		showSink(namespace, "audit", refusing)
		showSink(namespace, "brand-new", func(*dorav1alpha1.DoraSink) {})
	})

	It("answers in one line whether what is owed arrives", func() {
		printed := ages.ReplaceAllString(kubectl("get", "dorasinks", "-n", namespace), "5d$1")
		expectGolden("get-sinks.golden", trimmed(printed))
	})

	It("adds why not, and the next step, when asked for more", func() {
		printed := ages.ReplaceAllString(kubectl("get", "dsink", "-n", namespace, "-o", "wide"), "5d$1")
		expectGolden("get-sinks-wide.golden", trimmed(printed))
	})

	It("stays within 120 columns with a name of 40 characters", func() {
		name := strings.Repeat("n", 40)
		showSink("default", name, func(s *dorav1alpha1.DoraSink) {
			unreachable(s)
			s.Spec.Type, s.Spec.Postgres = dorav1alpha1.SinkCloudEvents, nil
			s.Spec.CloudEvents = &dorav1alpha1.CloudEventsSink{URL: "https://events.example.com"}
			s.Status.Delivered, s.Status.Pending, s.Status.Parked = 987_654_321, 7_654_321, 654_321
			s.Status.OldestPending, s.Status.LastDelivery = ago(longest), ago(longest)
		})
		printed := ages.ReplaceAllString(kubectl("get", "dsink", "-n", "default", name), "2y137d$1")
		Expect(printed).To(MatchRegexp(`^NAME +TYPE +READY +DELIVERED +PENDING +PARKED +OLDEST +LAST +AGE\n`))
		Expect(printed).To(MatchRegexp(`n{40} +CloudEvents +False +987654321 +7654321 +654321 +2y137d +2y137d +2y137d\n$`))
		for line := range strings.Lines(printed) {
			Expect(utf8.RuneCountInString(trimmed(line))-1).To(BeNumerically("<=", 120), line)
		}
	})

	It("serves every column as a table, with a description", func() {
		table := tableOf(sinks, namespace)
		var names []string
		for _, column := range table.ColumnDefinitions {
			names = append(names, column.Name)
			Expect(column.Description).NotTo(BeEmpty(), column.Name)
		}
		Expect(names).To(Equal([]string{
			"Name", "Type", "Default", "Ready", "Reason", "Delivered", "Pending", "Parked", "Oldest", "Last", "Age", "Message",
		}))
		cells := map[any][]any{}
		for _, row := range table.Rows {
			Expect(row.Cells).To(HaveLen(len(names)))
			cells[row.Cells[0]] = row.Cells
		}
		Expect(cells["brand-new"][:10]).To(Equal([]any{"brand-new", "Stdout", nil, nil, nil, nil, nil, nil, nil, nil}))
		Expect(cells["portal"][:10]).To(Equal([]any{"portal", "Port", true, "True", "Delivering", int64(1204), int64(0), int64(0), nil, "9h"}))
	})
})

// longest is an age that takes six characters: 2y137d.
const longest = (2*365+137)*24*time.Hour + time.Hour

// ago is a time of the past. The server shows it as an age, in hours if it is of some hours.
func ago(age time.Duration) *metav1.Time { return new(metav1.NewTime(time.Now().Add(-age))) }

// showSink creates a sink with the status that a controller would give it.
func showSink(namespace, name string, fill func(*dorav1alpha1.DoraSink)) {
	GinkgoHelper()
	s := &dorav1alpha1.DoraSink{Spec: dorav1alpha1.DoraSinkSpec{Type: dorav1alpha1.SinkStdout}}
	fill(s)
	s.Namespace, s.Name = namespace, name
	status := s.Status
	Expect(api.Create(context.Background(), s)).To(Succeed())
	s.Status = status
	Expect(api.Status().Update(context.Background(), s)).To(Succeed())
}

func healthy(s *dorav1alpha1.DoraSink) {
	s.Spec = dorav1alpha1.DoraSinkSpec{
		Type: dorav1alpha1.SinkPort, Default: true, Port: &dorav1alpha1.PortSink{SecretRef: dorav1alpha1.SecretReference{Name: "port"}},
	}
	s.Status.Delivered, s.Status.LastDelivery, s.Status.LastMetrics = 1204, ago(9*time.Hour), ago(9*time.Hour)
	s.Status.SetConditions(1, dorav1alpha1.Delivering())
}

func unreachable(s *dorav1alpha1.DoraSink) {
	s.Spec = dorav1alpha1.DoraSinkSpec{
		Type: dorav1alpha1.SinkPostgres, Postgres: &dorav1alpha1.PostgresSink{SecretRef: dorav1alpha1.SecretReference{Name: "warehouse"}},
	}
	s.Status.Delivered, s.Status.Pending, s.Status.OldestPending, s.Status.LastDelivery = 3020, 12, ago(10*time.Hour), ago(11*time.Hour)
	s.Status.LastError = "no answer in time (30s)"
	s.Status.SetConditions(1, dorav1alpha1.SinkFailing("Unreachable", s.Status.LastError))
}

func refusing(s *dorav1alpha1.DoraSink) {
	s.Spec = dorav1alpha1.DoraSinkSpec{Type: dorav1alpha1.SinkCloudEvents, CloudEvents: &dorav1alpha1.CloudEventsSink{URL: "https://audit.example.com"}}
	s.Status.Delivered, s.Status.Parked, s.Status.LastDelivery = 310, 2, ago(26*time.Hour)
	s.Status.LastError = "the destination answered 422 Unprocessable Entity"
	s.Status.SetConditions(1, dorav1alpha1.Delivering(), dorav1alpha1.EventsParked(2, s.Status.LastError))
}
