package v1alpha1

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestSchemeKnowsSinks(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(AddToScheme(scheme)).To(Succeed())
	for _, kind := range []string{"DoraSink", "DoraSinkList"} {
		g.Expect(scheme.Recognizes(GroupVersion.WithKind(kind))).To(BeTrue(), kind)
	}
}

// What is left out in Go must reach the server as left out, or the server would not fill in its default.
func TestAbsentSettingsOfSinksStayAbsent(t *testing.T) {
	g := NewWithT(t)
	for want, spec := range map[string]DoraSinkSpec{
		`{"type":"Stdout"}`: {Type: SinkStdout},
		`{"type":"Port","port":{"secretRef":{"name":"a"}}}`:                         {Type: SinkPort, Port: &PortSink{SecretRef: SecretReference{Name: "a"}}},
		`{"type":"Postgres","postgres":{"secretRef":{"name":"a"}}}`:                 {Type: SinkPostgres, Postgres: &PostgresSink{SecretRef: SecretReference{Name: "a"}}},
		`{"type":"CloudEvents","cloudEvents":{"url":"https://events.example.com"}}`: {Type: SinkCloudEvents, CloudEvents: &CloudEventsSink{URL: "https://events.example.com"}},
	} {
		got, err := json.Marshal(DoraSink{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: spec})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(got)).To(Equal(`{"metadata":{"name":"x"},"spec":` + want + `}`))
	}
}

// Nothing delivered is a figure; a time that there is none of is none.
func TestStatusOfSinksTellsZeroFromUnknown(t *testing.T) {
	g := NewWithT(t)
	got, err := json.Marshal(DoraSinkStatus{ObservedGeneration: 1})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(got)).To(Equal(`{"observedGeneration":1,"delivered":0,"pending":0,"parked":0}`))
}

func TestDeepCopyOfSinksSharesNothing(t *testing.T) {
	g := NewWithT(t)
	original := &DoraSink{Spec: DoraSinkSpec{
		Type: SinkPort, Sends: []SinkContent{SendEvents}, BackfillSince: new(metav1.Now()),
		Port: &PortSink{Environments: map[string]PortEnvironment{"prod": "Production"}},
	}}
	original.Status.SetConditions(1, Delivering())
	original.Status.Requests = &SinkRequests{Retry: "1"}
	twin := original.DeepCopy()
	g.Expect(twin).To(Equal(original))

	twin.Spec.Sends[0], twin.Spec.Port.Environments["prod"], twin.Status.Requests.Retry = SendMetrics, "Live", "2"
	twin.Status.Conditions[0].Reason, twin.Spec.BackfillSince.Time = "Other", twin.Spec.BackfillSince.Add(1)
	g.Expect(original.Spec.Sends[0]).To(Equal(SendEvents))
	g.Expect(original.Spec.Port.Environments["prod"]).To(BeEquivalentTo("Production"))
	g.Expect(original.Status.Requests.Retry).To(Equal("1"))
	g.Expect(original.Status.Conditions[0].Reason).To(Equal(ReasonDelivering))
	g.Expect(original.Spec.BackfillSince.Equal(twin.Spec.BackfillSince)).To(BeFalse())
}

// sinkStates are all constructors of a sink's Ready, and the abnormal condition that goes with each.
var sinkStates = map[string]struct {
	ready    metav1.Condition
	status   metav1.ConditionStatus
	abnormal string
}{
	"delivering":          {Delivering(), metav1.ConditionTrue, ""},
	"starting":            {SinkStarting(), metav1.ConditionUnknown, ConditionReconciling},
	"suspended":           {SinkSuspended(3), metav1.ConditionFalse, ""},
	"invalid spec":        {InvalidSpec(errors.New("spec.postgres.host: no")), metav1.ConditionFalse, ConditionStalled},
	"invalid filter":      {InvalidFilter(errors.New("at line 1, column 1: no")), metav1.ConditionFalse, ConditionStalled},
	"unreachable":         {SinkFailing("Unreachable", "no answer"), metav1.ConditionFalse, ConditionReconciling},
	"rate limited":        {SinkFailing("RateLimited", "429"), metav1.ConditionFalse, ConditionReconciling},
	"credentials refused": {SinkFailing("CredentialsRefused", "401"), metav1.ConditionFalse, ConditionStalled},
	"blueprint missing":   {SinkFailing("BlueprintMissing", "404"), metav1.ConditionFalse, ConditionStalled},
}

func TestConditionsOfSinksFollowKstatus(t *testing.T) {
	g := NewWithT(t)
	for from := range sinkStates {
		for to, want := range sinkStates {
			var s DoraSinkStatus
			s.SetConditions(1, sinkStates[from].ready, EventsParked(1, "422"))
			s.SetConditions(2, want.ready)

			ready := meta.FindStatusCondition(s.Conditions, ConditionReady)
			g.Expect(ready).NotTo(BeNil())
			g.Expect(ready.Status).To(Equal(want.status), "from %s to %s", from, to)
			g.Expect([]int64{s.ObservedGeneration, ready.ObservedGeneration}).To(Equal([]int64{2, 2}))
			for _, kind := range []string{ConditionReconciling, ConditionStalled} {
				abnormal := meta.FindStatusCondition(s.Conditions, kind)
				g.Expect(abnormal != nil).To(Equal(kind == want.abnormal), "from %s to %s: %s", from, to, kind)
				if abnormal != nil {
					g.Expect([]string{string(abnormal.Status), abnormal.Reason, abnormal.Message}).To(Equal([]string{"True", ready.Reason, ready.Message}))
				}
			}
			g.Expect(meta.FindStatusCondition(s.Conditions, ConditionParked)).To(BeNil(), "from %s to %s", from, to)
		}
	}
}

func TestParkedLeavesReadyAsItIs(t *testing.T) {
	g := NewWithT(t)
	for name, state := range sinkStates {
		var s DoraSinkStatus
		s.SetConditions(1, state.ready, EventsParked(2, "the destination answered 422"))
		g.Expect(meta.FindStatusCondition(s.Conditions, ConditionReady).Status).To(Equal(state.status), name)
		g.Expect(meta.IsStatusConditionTrue(s.Conditions, ConditionParked)).To(BeTrue(), name)
	}
}

func TestConditionsOfSinksSayWhetherAnythingChanged(t *testing.T) {
	g := NewWithT(t)
	var s DoraSinkStatus
	g.Expect(s.SetConditions(1, Delivering())).To(BeTrue(), "the first")
	g.Expect(s.SetConditions(1, Delivering())).To(BeFalse(), "the same")
	g.Expect(s.SetConditions(2, Delivering())).To(BeTrue(), "of another spec")
	g.Expect(s.SetConditions(2, Delivering(), EventsParked(1, "422"))).To(BeTrue(), "something was parked")
	g.Expect(s.SetConditions(2, Delivering(), EventsParked(2, "422"))).To(BeTrue(), "something more")
	g.Expect(s.SetConditions(2, Delivering(), EventsParked(2, "422"))).To(BeFalse(), "the same")
	g.Expect(s.SetConditions(2, Delivering())).To(BeTrue(), "no longer")

	foreign := metav1.Condition{Type: "example.com/Checked", Status: metav1.ConditionTrue, Reason: "Checked"}
	s.Conditions = append(s.Conditions, foreign)
	g.Expect(s.SetConditions(2, Delivering())).To(BeFalse(), "another's condition is another's")
	g.Expect(s.Conditions).To(ContainElement(foreign))
}

// The messages say what to do, and are short enough for the API server.
func TestMessagesOfSinksSayWhatToDo(t *testing.T) {
	g := NewWithT(t)
	for condition, next := range map[*metav1.Condition]string{
		new(SinkStarting()):                             "look at the controller's log",
		new(SinkSuspended(1)):                           "1 event kept for it; set spec.suspend to false",
		new(InvalidFilter(errors.New("at line 1"))):     "Correct spec.filter",
		new(EventsParked(1, "422")):                     "1 event was refused: 422; list them",
		new(EventsParked(2, "422")):                     AnnotationRetry,
		new(SinkNotFound("port", "platform/warehouse")): "platform/warehouse",
		new(SinkNotFound("port")):                       "spec.shared",
	} {
		g.Expect(condition.Message).To(ContainSubstring(next))
		g.Expect(condition.Message).NotTo(HaveSuffix("."))
		g.Expect(len(condition.Message)).To(BeNumerically("<", 32768))
		g.Expect(strings.ToUpper(condition.Message[:1])).To(Equal(condition.Message[:1]), "like those of targets")
	}
}
