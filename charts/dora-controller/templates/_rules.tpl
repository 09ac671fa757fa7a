{{/* What the controller may do where it watches. */}}
{{- define "dora-controller.rules" -}}
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list, watch]
- apiGroups: [argoproj.io]
  resources: [applications, rollouts]
  verbs: [get, list, watch]
- apiGroups: [dora-controller.io]
  resources: [dorasinks, doratargets]
  verbs: [get, list, watch]
- apiGroups: [dora-controller.io]
  resources: [dorasinks/status, doratargets/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
