package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/doctor"
)

// maxSubjects is how many Applications or Rollouts are looked at.
const maxSubjects = 5000

// gatherer reads the parts of a snapshot, several at once.
type gatherer struct {
	*connection

	cl        *cluster
	namespace string      // of targets, sinks and receivers; empty means all
	pod       *corev1.Pod // of the controller, the first to ask; nil if there is none

	mu       sync.Mutex
	snapshot *doctor.Snapshot
}

// snapshot reads what can be read within the time. What cannot is named in it; an error means that the cluster does not answer at all.
func (c *connection) snapshot(ctx context.Context, cl *cluster) (*doctor.Snapshot, error) {
	ctx, stop := context.WithTimeout(ctx, doctorTimeout)
	defer stop()
	namespace, err := c.doctorNamespace()
	if err != nil {
		return nil, err
	}
	g := &gatherer{connection: c, cl: cl, namespace: namespace, snapshot: &doctor.Snapshot{
		Now: time.Now(), Version: buildVersion(), Unread: map[doctor.Part]string{}, CRDs: map[string]doctor.CRD{}, Secrets: map[string]bool{},
	}}
	if err := g.askTheTime(ctx); err != nil {
		return nil, err
	}
	g.inParallel(ctx, g.crds, g.controller, g.objects)
	g.inParallel(ctx, g.access, g.secrets, g.metricsReaders, g.inside, g.services, g.incidents)
	return g.snapshot, nil
}

// doctorNamespace is the namespace that the flags name; without one it is all of them, whatever the context says.
func (c *connection) doctorNamespace() (string, error) {
	if c.overrides.Context.Namespace == "" {
		return "", nil
	}
	return c.namespace()
}

func (g *gatherer) inParallel(ctx context.Context, reads ...func(context.Context)) {
	var all errgroup.Group
	for _, read := range reads {
		all.Go(func() error {
			read(ctx)
			return nil
		})
	}
	_ = all.Wait() // they return none
}

// put changes the snapshot, or says why a part of it is missing.
func (g *gatherer) put(part doctor.Part, err error, set func(*doctor.Snapshot)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		set(g.snapshot)
		return
	}
	g.snapshot.Unread[part] = whyUnread(err)
}

func whyUnread(err error) string {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsForbidden(err):
		return "you may not read them"
	case errors.Is(err, context.DeadlineExceeded):
		return "the API server took too long"
	case errors.As(err, &status):
		return status.Status().Message
	}
	return err.Error()
}

// askTheTime reads the API server's clock, and shows thereby whether it answers.
func (g *gatherer) askTheTime(ctx context.Context) error {
	answer, err := g.cl.ask(ctx, "version", "application/json")
	if err != nil {
		return inPlainWords("cannot check anything", err)
	}
	_ = answer.Body.Close() // its head says what is wanted
	at, err := http.ParseTime(answer.Header.Get("Date"))
	g.put(doctor.PartClock, err, func(s *doctor.Snapshot) { s.Now, s.ServerNow = time.Now(), at })
	return nil
}

func (g *gatherer) crds(ctx context.Context) {
	found := map[string]doctor.CRD{}
	for _, name := range []string{doctor.TargetCRD, doctor.SinkCRD, doctor.ReceiverCRD, doctor.ApplicationCRD, doctor.RolloutCRD} {
		o, err := g.cl.api.Resource(crdKind).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			g.put(doctor.PartCRDs, err, nil)
			return
		}
		found[name] = crdOf(o, doctor.FieldsOf[name])
	}
	g.put(doctor.PartCRDs, nil, func(s *doctor.Snapshot) { s.CRDs = found })
}

func crdOf(o *unstructured.Unstructured, fields []string) doctor.CRD {
	crd := doctor.CRD{Fields: map[string]bool{}, Release: releaseOf(o)}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		crd.Established = crd.Established || condition["type"] == "Established" && condition["status"] == "True"
	}
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if name, _ := version["name"].(string); version["served"] == true {
			crd.Served = append(crd.Served, name)
		}
		whole, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema")
		for _, field := range fields {
			crd.Fields[field] = crd.Fields[field] || hasField(whole, strings.Split(field, "."))
		}
	}
	return crd
}

// hasField tells whether a schema has a field, wherever lists and maps stand between.
func hasField(of map[string]any, path []string) bool {
	for _, within := range []string{"items", "additionalProperties"} {
		if inner, ok := of[within].(map[string]any); ok {
			return hasField(inner, path)
		}
	}
	if len(path) == 0 {
		return of != nil
	}
	properties, _ := of["properties"].(map[string]any)
	inner, ok := properties[path[0]].(map[string]any)
	return ok && hasField(inner, path[1:])
}

// releaseOf is the release of Helm that an object is of, as namespace/name; empty if it is of none.
func releaseOf(o metav1.Object) string {
	name := o.GetAnnotations()["meta.helm.sh/release-name"]
	if name == "" {
		return ""
	}
	return o.GetAnnotations()["meta.helm.sh/release-namespace"] + "/" + name
}

// controller reads the pods of the controller, what makes them, and its lease.
func (g *gatherer) controller(ctx context.Context) {
	pods, err := g.controllerPods(ctx, g.cl)
	g.put(doctor.PartPods, err, func(s *doctor.Snapshot) {
		for i := range pods {
			s.Pods = append(s.Pods, podOf(&pods[i]))
		}
	})
	namespace := g.controllerNamespace
	if len(pods) > 0 {
		g.pod, namespace = &pods[0], pods[0].Namespace
	}
	workload, err := g.workload(ctx, namespace)
	g.put(doctor.PartWorkload, err, func(s *doctor.Snapshot) { s.Workload, s.ControllerNamespace = workload, namespace })
	if err != nil {
		g.put(doctor.PartLease, errors.New("its namespace is in the deployment, which was not read"), nil)
		return
	}
	if workload != nil && workload.LeaderElect {
		g.lease(ctx, workload.LeaseNamespace, workload.LeaseName)
	}
}

func podOf(pod *corev1.Pod) doctor.Pod {
	container := controllerContainer(pod.Annotations, &pod.Spec)
	p := doctor.Pod{
		Namespace: pod.Namespace, Name: pod.Name, Phase: string(pod.Status.Phase), Ready: podReady(pod), Image: container.Image,
		CreatedAt: pod.CreationTimestamp.Time,
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if status.Name != container.Name {
			continue
		}
		p.Restarts = status.RestartCount
		if ended := status.LastTerminationState.Terminated; ended != nil {
			p.LastReason, p.LastEndedAt = ended.Reason, ended.FinishedAt.Time
		}
		if status.State.Waiting != nil {
			p.Waiting = status.State.Waiting.Reason
		}
	}
	return p
}

// workload is the Deployment or StatefulSet of the controller; nil if there is none.
func (g *gatherer) workload(ctx context.Context, namespace string) (*doctor.Workload, error) {
	options := metav1.ListOptions{LabelSelector: controllerLabels}
	deployments, err := listOf[appsv1.Deployment](ctx, g.cl, deploymentKind, namespace, options)
	if err != nil {
		return nil, err
	}
	if len(deployments) > 0 {
		d := &deployments[0]
		return workloadOf("Deployment", d, d.Spec.Replicas, &d.Spec.Template, nil), nil
	}
	sets, err := listOf[appsv1.StatefulSet](ctx, g.cl, statefulSetKind, namespace, options)
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	s := &sets[0]
	return workloadOf("StatefulSet", s, s.Spec.Replicas, &s.Spec.Template, s.Spec.VolumeClaimTemplates), nil
}

func workloadOf(kind string, o metav1.Object, replicas *int32, pod *corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim) *doctor.Workload {
	container := controllerContainer(pod.Annotations, &pod.Spec)
	value := func(flag string) string { text, _ := argument(container, flag); return text }
	elect, found := argument(container, "leader-elect")
	secure, secured := argument(container, "metrics-secure")
	w := &doctor.Workload{
		Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), ServiceAccount: cmp.Or(pod.Spec.ServiceAccountName, "default"), Replicas: 1,
		MetricsSecure: secured && secure != "false", Release: releaseOf(o),
		LeaderElect: found && elect != "false", LeaseNamespace: cmp.Or(value("leader-election-namespace"), o.GetNamespace()),
		LeaseName:  strings.TrimSuffix(usualName+"-"+value("shard"), "-"),
		Namespaces: listed(value("namespaces")), Trusted: listed(value("trusted-namespaces")), Ledger: cmp.Or(value("ledger"), usualLedger),
	}
	if replicas != nil {
		w.Replicas = *replicas
	}
	if inDatabase(w.Ledger) {
		w.LedgerVolume = "none needed"
		return w
	}
	w.LedgerVolume = volumeOf(w.Ledger, container, pod.Spec.Volumes, claims)
	return w
}

func listed(flag string) []string {
	return slices.DeleteFunc(strings.Split(flag, ","), func(s string) bool { return s == "" })
}

// volumeOf is the kind of the volume that a path is on.
func volumeOf(path string, container *corev1.Container, volumes []corev1.Volume, claims []corev1.PersistentVolumeClaim) string {
	longest, name := "", ""
	for _, m := range container.VolumeMounts {
		if strings.HasPrefix(path, strings.TrimSuffix(m.MountPath, "/")+"/") && len(m.MountPath) > len(longest) {
			longest, name = m.MountPath, m.Name
		}
	}
	for i := range claims {
		if claims[i].Name == name {
			return "persistentVolumeClaim"
		}
	}
	for i := range volumes {
		switch v := &volumes[i]; {
		case name == "" || v.Name != name:
		case v.EmptyDir != nil:
			return "emptyDir"
		case v.PersistentVolumeClaim != nil, v.Ephemeral != nil:
			return "persistentVolumeClaim"
		default:
			return "other"
		}
	}
	return ""
}

func (g *gatherer) lease(ctx context.Context, namespace, name string) {
	lease, err := getAs[coordinationv1.Lease](ctx, g.cl, leaseKind, namespace, name)
	if apierrors.IsNotFound(err) {
		return
	}
	g.put(doctor.PartLease, err, func(s *doctor.Snapshot) {
		s.Lease = &doctor.Lease{}
		if lease.Spec.HolderIdentity != nil {
			s.Lease.Holder = *lease.Spec.HolderIdentity
		}
		if lease.Spec.RenewTime != nil {
			s.Lease.RenewedAt = lease.Spec.RenewTime.Time
		}
		if lease.Spec.LeaseDurationSeconds != nil {
			s.Lease.Duration = time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
		}
	})
}

// objects reads targets, sinks, receivers, Applications and Rollouts.
func (g *gatherer) objects(ctx context.Context) {
	g.inParallel(ctx, func(ctx context.Context) {
		targets, err := listOf[dorav1alpha1.DoraTarget](ctx, g.cl, targetKind, g.namespace, metav1.ListOptions{})
		g.put(doctor.PartTargets, unlessMissing(err), func(s *doctor.Snapshot) { s.Targets = targets })
	}, func(ctx context.Context) {
		sinks, err := listOf[dorav1alpha1.DoraSink](ctx, g.cl, sinkKind, g.namespace, metav1.ListOptions{})
		g.put(doctor.PartSinks, unlessMissing(err), func(s *doctor.Snapshot) { s.Sinks = sinks })
	}, func(ctx context.Context) {
		receivers, err := listOf[dorav1alpha1.DoraReceiver](ctx, g.cl, receiverKind, g.namespace, metav1.ListOptions{})
		g.put(doctor.PartReceivers, unlessMissing(err), func(s *doctor.Snapshot) { s.Receivers = receivers })
	}, func(ctx context.Context) {
		found, err := g.subjects(ctx, applicationKind)
		g.put(doctor.PartApplications, err, func(s *doctor.Snapshot) { s.Applications = found })
	}, func(ctx context.Context) {
		found, err := g.subjects(ctx, rolloutKind)
		g.put(doctor.PartRollouts, err, func(s *doctor.Snapshot) { s.Rollouts = found })
	})
}

// unlessMissing is no error if the kind is not installed: checks of their own say that.
func unlessMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

var errEnough = errors.New("enough")

func (g *gatherer) subjects(ctx context.Context, kind schema.GroupVersionResource) ([]doctor.Subject, error) {
	var all []doctor.Subject
	err := g.cl.each(ctx, kind, "", metav1.ListOptions{}, func(o *unstructured.Unstructured) error {
		if len(all) == maxSubjects {
			return errEnough
		}
		all = append(all, subjectOf(o))
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil, fmt.Errorf("there are more than %d", maxSubjects)
	}
	return all, unlessMissing(err)
}

// subjectOf reads what is of interest of an Application or a Rollout, and passes over what is not as it should be.
func subjectOf(o *unstructured.Unstructured) doctor.Subject {
	s := doctor.Subject{
		Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), Labels: o.GetLabels(), CreatedAt: o.GetCreationTimestamp().Time,
	}
	text := func(path ...string) string { value, _, _ := unstructured.NestedString(o.Object, path...); return value }
	if o.GetKind() != "Application" {
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		for _, c := range containers {
			container, _ := c.(map[string]any)
			if image, ok := container["image"].(string); ok {
				s.Images = append(s.Images, image)
			}
		}
		return s
	}
	s.Images, _, _ = unstructured.NestedStringSlice(o.Object, "status", "summary", "images")
	s.Health = text("status", "health", "status")
	s.HealthTimed = text("status", "health", "lastTransitionTime") != ""
	s.ReconciledAt, _ = time.Parse(time.RFC3339, text("status", "reconciledAt"))
	limit, set, _ := unstructured.NestedInt64(o.Object, "spec", "revisionHistoryLimit")
	s.NoHistory = set && limit == 0
	return s
}

// metricsReaders reads who may get /metrics, where that is asked. What a cluster has from its beginning is for its own parts.
func (g *gatherer) metricsReaders(ctx context.Context) {
	if w := g.snapshot.Workload; w == nil || !w.MetricsSecure {
		return
	}
	roles, err := listOf[rbacv1.ClusterRole](ctx, g.cl, clusterRoleKind, "", metav1.ListOptions{})
	if err != nil {
		g.put(doctor.PartReaders, err, nil)
		return
	}
	may := map[string]bool{}
	for i := range roles {
		may[roles[i].Name] = slices.ContainsFunc(roles[i].Rules, getsMetrics)
	}
	var readers []string
	later := metav1.ListOptions{LabelSelector: "kubernetes.io/bootstrapping!=rbac-defaults"}
	bindings, err := listOf[rbacv1.ClusterRoleBinding](ctx, g.cl, clusterRoleBindingKind, "", later)
	for i := range bindings {
		for _, s := range bindings[i].Subjects {
			if may[bindings[i].RoleRef.Name] {
				readers = append(readers, s.Kind+" "+s.Namespace+"/"+s.Name)
			}
		}
	}
	g.put(doctor.PartReaders, err, func(s *doctor.Snapshot) { s.MetricsReaders = readers })
}

// getsMetrics reads a rule as the API server does: a star at the end stands for all that follows.
func getsMetrics(rule rbacv1.PolicyRule) bool {
	const metrics = "/metrics"
	may := slices.Contains(rule.Verbs, "get") || slices.Contains(rule.Verbs, "*")
	return may && slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
		start, open := strings.CutSuffix(url, "*")
		return url == metrics || open && len(start) <= len(metrics) && metrics[:len(start)] == start
	})
}

// access asks the API server what the controller's service account may do.
func (g *gatherer) access(ctx context.Context) {
	w := g.snapshot.Workload
	if w == nil {
		g.put(doctor.PartAccess, errors.New("the controller's deployment names its service account, and was not found or not read"), nil)
		return
	}
	var asked []doctor.Access
	var rights []right
	for _, r := range neededRights(w) {
		rights, asked = append(rights, r), append(asked, doctor.Access{What: r.what(), Namespace: r.namespace})
	}
	for _, r := range rightsToAsk(w) {
		rights, asked = append(rights, r), append(asked, doctor.Access{What: r.what(), Metrics: true})
	}
	for _, n := range g.snapshot.NamedSecrets() {
		r := right{verb: "get", resource: "secrets", namespace: n.Namespace, name: n.Name}
		rights, asked = append(rights, r), append(asked, doctor.Access{What: r.what(), Namespace: n.Namespace, Secret: n.Name, For: n.For})
	}
	var all errgroup.Group
	all.SetLimit(16)
	for i := range rights {
		all.Go(func() (err error) {
			asked[i].Allowed, err = g.may(ctx, "system:serviceaccount:"+w.Namespace+":"+w.ServiceAccount, rights[i])
			return err
		})
	}
	err := all.Wait()
	g.put(doctor.PartAccess, err, func(s *doctor.Snapshot) { s.Access = asked })
}

var accessReviewKind = schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"}

func (g *gatherer) may(ctx context.Context, user string, r right) (bool, error) {
	namespace := strings.Split(user, ":")[2]
	resource, subresource, _ := strings.Cut(r.resource, "/")
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{
			"user": user, "groups": []any{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
			"resourceAttributes": map[string]any{
				"verb": r.verb, "group": r.group, "resource": resource, "subresource": subresource, "namespace": r.namespace, "name": r.name,
			},
		},
	}}
	answer, err := g.cl.api.Resource(accessReviewKind).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	allowed, _, _ := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, nil
}

// secrets asks whether Secrets exist, for their metadata and nothing else: the API server leaves their content out, and no body is read.
func (g *gatherer) secrets(ctx context.Context) {
	there := map[string]bool{}
	for _, n := range g.snapshot.NamedSecrets() {
		code, err := g.cl.head(ctx, "api/v1/namespaces/"+n.Namespace+"/secrets/"+n.Name)
		switch {
		case err == nil && code == http.StatusForbidden:
			err = errors.New("you may not read them")
		case err == nil && code != http.StatusOK && code != http.StatusNotFound:
			err = errors.New("the API server answers " + http.StatusText(code))
		}
		if err != nil {
			g.put(doctor.PartSecrets, err, nil)
			return
		}
		there[n.Namespace+"/"+n.Name] = code == http.StatusOK
	}
	g.put(doctor.PartSecrets, nil, func(s *doctor.Snapshot) { s.Secrets = there })
}

// head asks for the metadata of an object, and is content with whether there is one.
func (c *cluster) head(ctx context.Context, path string) (code int, err error) {
	answer, err := c.ask(ctx, path, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// ask asks the API server for a path, in a form; the body is to be closed.
func (c *cluster) ask(ctx context.Context, path, form string) (*http.Response, error) {
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return nil, err
	}
	address, _, err := rest.DefaultServerUrlFor(c.config)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(path, "?")
	address = address.JoinPath(path)
	address.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", form)
	return client.Do(request)
}
