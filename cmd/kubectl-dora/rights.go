package main

import (
	"slices"
	"strings"

	dorav1alpha1 "github.com/dora-controller/dora-controller/api/v1alpha1"
	"github.com/dora-controller/dora-controller/internal/doctor"
)

// right is something that the controller has to be allowed.
type right struct{ verb, group, resource, namespace, name string }

const create = "create"

func (r *right) what() string {
	resource, subresource, part := strings.Cut(r.resource, "/")
	if r.group != "" {
		resource += "." + r.group
	}
	if part {
		resource += "/" + subresource
	}
	return r.verb + " " + resource
}

// rule is what a role allows: verbs on resources of one group.
type rule struct {
	group     string
	resources []string
	verbs     []string
}

// watchingRules are those of the controller's role, for the whole cluster or for each namespace that is watched. A test holds that they
// are those of config/rbac and of the chart, so that a right that is added there is asked for here.
var watchingRules = []rule{
	{"apps", []string{"replicasets"}, []string{"list", "watch"}},
	{"argoproj.io", []string{"applications", "rollouts"}, []string{"get", "list", "watch"}},
	{dorav1alpha1.GroupVersion.Group, []string{"dorareceivers", "dorasinks", "doratargets"}, []string{"list", "watch"}},
	{dorav1alpha1.GroupVersion.Group, []string{"dorareceivers/status", "dorasinks/status", "doratargets/status"}, []string{"patch"}},
	{"events.k8s.io", []string{eventKind.Resource}, []string{create, "patch"}},
}

// leadingRules are those of the role for the election, in the namespace of the lease; leaseRules are for the lease itself.
var (
	leadingRules = []rule{
		{"coordination.k8s.io", []string{"leases"}, []string{create}},
		{"", []string{eventKind.Resource}, []string{create}},
	}
	leaseRules = []rule{{"coordination.k8s.io", []string{"leases"}, []string{"get", "update"}}}
)

// rightsOf are those of rules in a namespace, or everywhere, on the object of that name, or on all.
func rightsOf(rules []rule, namespace, name string) (all []right) {
	for _, r := range rules {
		for _, resource := range r.resources {
			for _, verb := range r.verbs {
				all = append(all, right{verb, r.group, resource, namespace, name})
			}
		}
	}
	return all
}

// neededRights are those of an installation, in each namespace that is watched, or in all.
func neededRights(w *doctor.Workload) (all []right) {
	namespaces := w.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		all = append(all, rightsOf(watchingRules, namespace, "")...)
	}
	if !w.LeaderElect {
		return all
	}
	return slices.Concat(all, rightsOf(leadingRules, w.LeaseNamespace, ""), rightsOf(leaseRules, w.LeaseNamespace, w.LeaseName))
}

// rightsToAsk are those by which it is asked who wants metrics, and whether they may.
func rightsToAsk(w *doctor.Workload) []right {
	if !w.MetricsSecure {
		return nil
	}
	return []right{
		{verb: create, group: "authentication.k8s.io", resource: "tokenreviews"},
		{verb: create, group: "authorization.k8s.io", resource: "subjectaccessreviews"},
	}
}
