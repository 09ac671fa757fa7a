{{/* What objects are called, and which labels they have. */}}

{{- define "dora-controller.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "dora-controller.fullname" -}}
{{- $name := include "dora-controller.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "dora-controller.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "dora-controller.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "dora-controller.selector" -}}
app.kubernetes.io/name: {{ include "dora-controller.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dora-controller.labels" -}}
{{ include "dora-controller.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image by its digest, or else by its tag: a dict of repository, tag and digest. */}}
{{- define "dora-controller.image" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end -}}

{{/* The subjects of a binding. */}}
{{- define "dora-controller.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "dora-controller.serviceAccount" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The Secret that has the certificate of receivers; empty if they have none. */}}
{{- define "dora-controller.receiversSecret" -}}
{{- with .Values.receivers }}
{{- if and .enabled (not .plaintext) }}
{{- .tls.secretName | default (printf "%s-receivers" (include "dora-controller.fullname" $)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Whether replicas pass on what they are sent while they stand by: not in clear text. */}}
{{- define "dora-controller.passesOn" -}}
{{- if and .Values.receivers.enabled (not .Values.receivers.plaintext) .Values.ledger.postgres.host }}true{{ end }}
{{- end -}}
