package crd_test

import (
	"context"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
)

// ages are what the last column shows of objects that a spec made just now.
var ages = regexp.MustCompile(`\b\d+s(\s|$)`)

var _ = Describe("Columns", Ordered, func() {
	const namespace = "shown"

	BeforeAll(func() {
		makeNamespace(namespace, nil)
		show(namespace, "payments-prod", checkout)
		show(namespace, "shop", fleet)
		show(namespace, "search", broken)
		show(namespace, "brand-new", func(*dorav1alpha1.DoraTarget) {})
	})

	It("answers how we are doing in one line", func() {
		printed := ages.ReplaceAllString(kubectl("get", "doratargets", "-n", namespace), "5d$1")
		expectGolden("get.golden", trimmed(printed))
	})

	DescribeTable("stays within 120 columns", func(length int, fill func(*dorav1alpha1.DoraTarget)) {
		name := strings.Repeat("n", length)
		show("default", name, fill)
		for line := range strings.Lines(kubectl("get", "dt", "-n", "default", name)) {
			Expect(utf8.RuneCountInString(trimmed(line))-1).To(BeNumerically("<=", 120), line)
		}
	},
		Entry("with a service's name of 40 characters", 40, checkout),
		Entry("with a fleet's name of 36 characters", 36, fleet),
	)

	It("adds the p90s, rework and the next step when asked for more", func() {
		printed := ages.ReplaceAllString(kubectl("get", "dt", "-n", namespace, "-o", "wide"), "5d$1")
		expectGolden("get-wide.golden", trimmed(printed))
	})

	It("serves every column as a table, with a description", func() {
		table := tableOf(targets, namespace)
		var names []string
		for _, column := range table.ColumnDefinitions {
			names = append(names, column.Name)
			Expect(column.Description).NotTo(BeEmpty(), column.Name)
		}
		Expect(names).To(Equal([]string{
			"Name", "Svcs", "Env", "Deploys", "/Week", "Lead", "Lead P90", "CFR", "Recovery", "Recovery P90", "Rework", "Band", "Ready", "Reason", "Age", "Message",
		}))
		Expect(table.Rows).To(HaveLen(4))
		for _, row := range table.Rows {
			Expect(row.Cells).To(HaveLen(len(names)))
		}
	})
})

// trimmed takes the blanks away that kubectl puts at the end of a line, which editors do not keep.
func trimmed(text string) string {
	return regexp.MustCompile(` +\n`).ReplaceAllString(text, "\n")
}

// tableOf asks for the objects of a kind the way kubectl does.
func tableOf(kind, namespace string) *metav1.Table {
	GinkgoHelper()
	settings := rest.CopyConfig(config)
	settings.APIPath, settings.GroupVersion = "/apis", &dorav1alpha1.GroupVersion
	settings.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	settings.AcceptContentTypes = "application/json;as=Table;v=v1;g=meta.k8s.io"
	asTable, err := rest.RESTClientFor(settings)
	Expect(err).NotTo(HaveOccurred())

	table := &metav1.Table{}
	Expect(asTable.Get().Namespace(namespace).Resource(kind).Do(context.Background()).Into(table)).To(Succeed())
	return table
}

// show creates a target with the status that a controller would give it.
func show(namespace, name string, fill func(*dorav1alpha1.DoraTarget)) {
	GinkgoHelper()
	t := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	t.Spec.Applications = &dorav1alpha1.SubjectSelector{}
	Expect(api.Create(context.Background(), t)).To(Succeed())
	fill(t)
	Expect(api.Status().Update(context.Background(), t)).To(Succeed())
}

// checkout is one service with every figure.
func checkout(t *dorav1alpha1.DoraTarget) {
	figures := dorav1alpha1.Figures{
		Band: dorav1alpha1.BandHigh,
		DeploymentFrequency: dorav1alpha1.FrequencyFigure{
			PerWeek: "9.8", PerDay: "1.4", Samples: 42, Band: dorav1alpha1.BandElite,
		},
		LeadTime: dorav1alpha1.LeadTimeFigure{
			P50Seconds: new(int64(7800)), P90Seconds: new(int64(97200)), Samples: 40, Band: dorav1alpha1.BandElite,
		},
		ChangeFailureRate: dorav1alpha1.FailureRateFigure{Ratio: "0.1163", Failures: 5, Samples: 43, Band: dorav1alpha1.BandHigh},
		Recovery: dorav1alpha1.RecoveryFigure{
			P50Seconds: new(int64(840)), P90Seconds: new(int64(5400)), Samples: 4, AutomaticAborts: 1, Open: 1, Band: dorav1alpha1.BandElite,
		},
		Rework: dorav1alpha1.ReworkFigure{Ratio: "0.0714", Unplanned: 3, Samples: 42},
		Counts: dorav1alpha1.Counts{
			Succeeded: 42, Failed: 1, RolledBack: 2, Unknown: 1, AbortedBeforeExposure: 1, Incidents: 1, OpenFailures: 1, Gaps: 1,
		},
	}
	began := metav1.NewTime(time.Date(2026, 11, 20, 14, 3, 9, 0, time.UTC))
	s := &t.Status
	s.ObservedSubjects = &dorav1alpha1.ObservedSubjects{Applications: 1}
	s.Summary = &figures
	one := dorav1alpha1.BandDistribution{Elite: 1}
	s.Bands = &dorav1alpha1.BandDistributions{
		Overall: dorav1alpha1.BandDistribution{High: 1}, ChangeFailureRate: dorav1alpha1.BandDistribution{High: 1},
		DeploymentFrequency: one, LeadTime: one, Recovery: one,
	}
	s.SetServices([]dorav1alpha1.ServiceStatus{{Service: "payments", Environment: "prod", Team: "payments", Figures: figures}})
	s.LastDeployment = &dorav1alpha1.LastDeployment{
		Service: "payments", Environment: "prod", Version: "v1.42.0-3f9c2d1", Outcome: dorav1alpha1.OutcomeFailed, Time: began,
		EventID: "0b7c6f3e-5d0f-5e1c-9d55-1f2a3b4c5d6e",
	}
	s.SetOpenFailures([]dorav1alpha1.OpenFailure{{
		Service: "payments", Environment: "prod", Since: began,
		EventID: "7e9a1b22-8c3d-5f40-a1b2-c3d4e5f60718", CausedBy: "0b7c6f3e-5d0f-5e1c-9d55-1f2a3b4c5d6e",
	}})
	s.Display = dorav1alpha1.NewDisplay(s, []string{"prod"})
	s.SetConditions(t.Generation, dorav1alpha1.Followed(*s.ObservedSubjects, "Rollout"), dorav1alpha1.HistoryGap(1))
}

// fleet is several services of which some figures are not known.
func fleet(t *dorav1alpha1.DoraTarget) {
	s := &t.Status
	s.ObservedSubjects = &dorav1alpha1.ObservedSubjects{Applications: 18, Rollouts: 2}
	s.Summary = &dorav1alpha1.Figures{
		Band: dorav1alpha1.BandHigh,
		DeploymentFrequency: dorav1alpha1.FrequencyFigure{
			PerWeek: "3.08", PerDay: "0.44", Samples: 264, Band: dorav1alpha1.BandHigh,
		},
		ChangeFailureRate: dorav1alpha1.FailureRateFigure{Ratio: "0", Samples: 264, Band: dorav1alpha1.BandElite},
		Rework:            dorav1alpha1.ReworkFigure{Ratio: "0", Samples: 264},
		Counts:            dorav1alpha1.Counts{Succeeded: 264},
	}
	s.Bands = &dorav1alpha1.BandDistributions{Overall: dorav1alpha1.BandDistribution{High: 16, Medium: 3, NoData: 1}}
	s.ServiceCount = 20
	s.Display = dorav1alpha1.NewDisplay(s, []string{"prod", "prod"})
	owner := dorav1alpha1.PolicyOwner{Namespace: "shown", Name: "payments-prod", Objects: 1, Fields: []string{"degradedFor"}}
	s.SetConditions(t.Generation, dorav1alpha1.Followed(*s.ObservedSubjects), dorav1alpha1.PolicyOwnedByAnother(owner))
}

// broken is a target that someone has to mend.
func broken(t *dorav1alpha1.DoraTarget) {
	s := &t.Status
	s.Display = dorav1alpha1.NewDisplay(s, nil)
	s.SetConditions(t.Generation, dorav1alpha1.NamespaceNotAllowed("shown", "argocd"))
}
