package argocd

import "github.com/argoproj/argo-cd/v2/pkg/apis/application"

const rolloutKind = "Rollout"

type groupKind struct{ group, kind string }

// workloads are the kinds that run pods from a template of their own. A Job is one when it is applied like any other resource, not
// as a hook; a CronJob brings a version just as well, though its pods come later. Kinds of other projects that run pods are not
// known here: what they run shows in summary.images only.
var workloads = map[groupKind]bool{
	{"", "Pod"}:                      true,
	{"", "ReplicationController"}:    true,
	{"apps", "DaemonSet"}:            true,
	{"apps", "Deployment"}:           true,
	{"apps", "ReplicaSet"}:           true,
	{"apps", "StatefulSet"}:          true,
	{"batch", "CronJob"}:             true,
	{"batch", "Job"}:                 true,
	{application.Group, rolloutKind}: true,
}

func isWorkload(group, kind string) bool { return workloads[groupKind{group, kind}] }
