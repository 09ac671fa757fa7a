{{/* What the controller may do where it watches. Argo's objects are also read one by one, for an annotation that says where their repository is. */}}
{{- define "dora-controller.rules" -}}
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list, watch]
- apiGroups: [argoproj.io]
  resources: [applications, rollouts]
  verbs: [get, list, watch]
- apiGroups: [dora-controller.io]
  resources: [dorareceivers, dorasinks, doratargets]
  verbs: [list, watch]
- apiGroups: [dora-controller.io]
  resources: [dorareceivers/status, dorasinks/status, doratargets/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
