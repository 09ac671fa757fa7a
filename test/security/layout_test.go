package security_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/argocd"
	"github.com/dora-controller/dora-controller/internal/argocd/lenient"
	"github.com/dora-controller/dora-controller/internal/dora"
)

const (
	trackingID    = "argocd.argoproj.io/tracking-id"
	instanceLabel = "app.kubernetes.io/instance"
)

// thing is an Application or a Rollout of a layout, in the words that the rule needs.
type thing struct {
	kind            dora.Kind
	namespace, name string
	// service is the label of that name; the name of the object holds without it. team is a label to select by.
	service, team string
	// of an Application: where it deploys to, and the Rollouts that it lists, by namespace/name
	destination string
	lists       []string
	// of a Rollout: the instance in its tracking id, and the instance label
	tracking, instance string
	// late things appear after the first look, and the others that leave are gone by then.
	late, leaves bool
}

func (o *thing) key() string { return o.namespace + "/" + o.name }

// image holds the name of the object, and so a word that is nobody else's.
func (o *thing) image(version int) string {
	return fmt.Sprintf("registry.example.com/%s:main-%d%s", o.name, version, "abc123")
}

func (o *thing) labels() map[string]string {
	labels := map[string]string{"team": o.team}
	if o.service != "" {
		labels["service"] = o.service
	}
	if o.instance != "" {
		labels[instanceLabel] = o.instance
	}
	return labels
}

func (o *thing) serviceName() string {
	if o.service != "" {
		return o.service
	}
	return o.name
}

// layout is a cluster with several tenants.
type layout struct {
	namespaces, trusted []string
	things              []*thing
	targets             []*dorav1alpha1.DoraTarget
	sinks               []*dorav1alpha1.DoraSink
	// sharedServices says that tenants name each other's services.
	sharedServices bool
}

// draw makes the layout of that number.
func draw(number uint64) *layout {
	d := &dice{rand.New(rand.NewPCG(number, 7))}
	l := &layout{namespaces: []string{"amber", "blue", "coral", "delta"}[:2+d.IntN(3)], sharedServices: d.one(2)}
	for _, namespace := range l.namespaces {
		if d.one(4) {
			l.trusted = append(l.trusted, namespace)
		}
		for i := range d.IntN(3) {
			l.things = append(l.things, d.rollout(l, namespace, i))
		}
	}
	for _, namespace := range l.namespaces {
		for i := range 1 + d.IntN(2) {
			l.things = append(l.things, d.application(l, namespace, i))
		}
		for i := range d.IntN(3) {
			l.sinks = append(l.sinks, d.sink(namespace, i))
		}
	}
	for _, namespace := range l.namespaces {
		for i := range d.IntN(3) {
			l.targets = append(l.targets, d.target(l, namespace, i))
		}
	}
	return l
}

// dice draw the parts of a layout.
type dice struct{ *rand.Rand }

// one says yes once in n times.
func (d *dice) one(n int) bool { return d.IntN(n) == 0 }

func oneOf[T any](d *dice, of ...T) T { return of[d.IntN(len(of))] }

func (d *dice) thing(l *layout, kind dora.Kind, namespace, name string) *thing {
	o := &thing{kind: kind, namespace: namespace, name: namespace + "-" + name, team: oneOf(d, "red", namespace), destination: namespace}
	if l.sharedServices {
		o.service = oneOf(d, "", "shop", "shop", "bank")
	}
	o.late = d.one(4)
	o.leaves = !o.late && d.one(4)
	return o
}

func (d *dice) rollout(l *layout, namespace string, i int) *thing {
	o := d.thing(l, dora.KindRollout, namespace, fmt.Sprintf("ro%d", i))
	o.leaves = false
	// Of whom it says to be: of nobody, of an Application of any namespace, by its plain or its qualified name.
	said := oneOf(d, l.namespaces...) + "-app" + strconv.Itoa(d.IntN(2))
	switch d.IntN(6) {
	case 0:
		o.tracking = said
	case 1:
		o.tracking = oneOf(d, l.namespaces...) + "_" + said
	case 2:
		o.instance = said
	}
	return o
}

func (d *dice) application(l *layout, namespace string, i int) *thing {
	o := d.thing(l, dora.KindApplication, namespace, fmt.Sprintf("app%d", i))
	if d.one(4) {
		o.destination = oneOf(d, l.namespaces...)
	}
	for _, other := range l.things { // Rollouts of anybody: an Application's list is whatever its writer says
		if other.kind == dora.KindRollout && d.one(3) {
			o.lists = append(o.lists, other.key())
		}
	}
	return o
}

func (d *dice) target(l *layout, namespace string, i int) *dorav1alpha1.DoraTarget {
	name := fmt.Sprintf("%s-target%d", namespace, i)
	object := &dorav1alpha1.DoraTarget{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(name), Generation: 1,
		CreationTimestamp: metav1.NewTime(epoch.Add(-oneOf(d, hour, 2*hour, 3*hour))),
	}}
	spec := &object.Spec
	spec.Suspend = d.one(8)
	spec.Environment.Value, spec.DegradedFor = "prod", oneOf[dorav1alpha1.Duration](d, "", "2m")
	switch d.IntN(4) {
	case 0:
		spec.Applications = d.selector(l, namespace)
	case 1:
		spec.Rollouts = d.selector(l, namespace)
	default:
		spec.Applications, spec.Rollouts = d.selector(l, namespace), d.selector(l, namespace)
	}
	for range d.IntN(3) {
		if named := d.sinkName(l); !slices.Contains(spec.Sinks, named) {
			spec.Sinks = append(spec.Sinks, named)
		}
	}
	return object
}

func (d *dice) selector(l *layout, namespace string) *dorav1alpha1.SubjectSelector {
	s := &dorav1alpha1.SubjectSelector{}
	if d.one(3) {
		s.MatchLabels = map[string]dorav1alpha1.LabelValue{"team": dorav1alpha1.LabelValue(oneOf(d, append(slices.Clone(l.namespaces), "red")...))}
	}
	switch d.IntN(8) {
	case 0:
		s.Namespaces = []dorav1alpha1.NamespaceName{dorav1alpha1.NamespaceName(oneOf(d, l.namespaces...))}
	case 1:
		s.Namespaces = []dorav1alpha1.NamespaceName{dorav1alpha1.NamespaceName(namespace)}
	}
	return s
}

// sinkName is the name of a sink that may be there, in this namespace or any other.
func (d *dice) sinkName(l *layout) dorav1alpha1.SinkName {
	namespace := oneOf(d, l.namespaces...)
	name := fmt.Sprintf("%s-sink%d", namespace, d.IntN(3))
	if d.one(3) {
		return dorav1alpha1.SinkName(name)
	}
	return dorav1alpha1.SinkName(namespace + "/" + name)
}

func (d *dice) sink(namespace string, i int) *dorav1alpha1.DoraSink {
	name := fmt.Sprintf("%s-sink%d", namespace, i)
	return &dorav1alpha1.DoraSink{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name), Generation: 1, Annotations: map[string]string{
			dorav1alpha1.AnnotationResend: "since=2000-01-01T00:00:00Z",
		}},
		Spec: dorav1alpha1.DoraSinkSpec{
			Type: dorav1alpha1.SinkStdout, Default: d.one(2), Shared: d.one(2),
			Sends: oneOf(d, nil, []dorav1alpha1.SinkContent{dorav1alpha1.SendEvents}, []dorav1alpha1.SinkContent{dorav1alpha1.SendMetrics}),
		},
	}
}

// String tells the layout of a failure.
func (l *layout) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "namespaces %v, trusted %v\n", l.namespaces, l.trusted)
	for _, o := range l.things {
		fmt.Fprintf(&b, "%+v\n", *o)
	}
	for _, t := range l.targets {
		fmt.Fprintf(&b, "target %s/%s since %s, suspended %t, sinks %q\n  applications %+v\n  rollouts %+v\n",
			t.Namespace, t.Name, t.CreationTimestamp.UTC(), t.Spec.Suspend, t.Spec.Sinks, t.Spec.Applications, t.Spec.Rollouts)
	}
	for _, s := range l.sinks {
		fmt.Fprintf(&b, "sink %s/%s default %t shared %t sends %v\n", s.Namespace, s.Name, s.Spec.Default, s.Spec.Shared, s.Spec.Sends)
	}
	return b.String()
}

// managed are the rows by which an Application lists its Rollouts.
func (o *thing) managed() []argocd.Resource {
	rows := []argocd.Resource{{Group: "apps", Kind: "Deployment", Namespace: o.destination, Name: "web"}}
	for _, key := range o.lists {
		namespace, name, _ := strings.Cut(key, "/")
		rows = append(rows, argocd.Resource{Group: "argoproj.io", Kind: "Rollout", Namespace: namespace, Name: name})
	}
	return rows
}

// at is a time as Argo writes it.
var at = lenient.At
