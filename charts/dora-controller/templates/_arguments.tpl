{{/* The arguments of the controller, a list. Only what differs from the program's own defaults is said. */}}
{{- define "dora-controller.arguments" -}}
- run
- --leader-elect
{{- with .Values.ledger.postgres }}
{{- if .host }}
- {{ printf "--ledger=postgres://%s:%d/%s?sslmode=%s&search_path=%s" .host (int .port) .database .sslMode .schema | quote }}
{{- else }}
- --ledger=/var/lib/dora-controller/ledger.db
{{- end }}
{{- end }}
- --git-cache=/var/cache/dora-controller/git
{{- if ne .Values.gitCache.size "1Gi" }}
- --git-cache-size={{ .Values.gitCache.size }}
{{- end }}
{{- with .Values.cluster }}
- --cluster={{ . }}
{{- end }}
{{- with .Values.namespaces }}
- --namespaces={{ join "," . }}
{{- end }}
{{- with .Values.shard }}
- --shard={{ . }}
{{- end }}
{{- with .Values.trustedNamespaces }}
- --trusted-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.allowNetworks }}
- --allow-networks={{ join "," . }}
{{- end }}
{{- if .Values.stdoutSink }}
- --stdout-sink
{{- end }}
{{- if .Values.explain }}
- --explain
{{- end }}
{{- with .Values.keepEvents }}
- --keep-events={{ . }}
{{- end }}
{{- with .Values.keepDecisions }}
- --keep-decisions={{ int . }}
{{- end }}
{{- with .Values.sinkGrace }}
- --sink-grace={{ . }}
{{- end }}
{{- if not .Values.metrics.enabled }}
- --metrics-bind-address=0
{{- else if ne (int .Values.metrics.port) 8080 }}
- --metrics-bind-address=:{{ int .Values.metrics.port }}
{{- end }}
{{- if ne (int .Values.probes.port) 8081 }}
- --health-probe-bind-address=:{{ int .Values.probes.port }}
{{- end }}
{{- if ne .Values.log.level "info" }}
- --log-level={{ .Values.log.level }}
{{- end }}
{{- if ne .Values.log.encoder "json" }}
- --zap-encoder={{ .Values.log.encoder }}
{{- end }}
{{- if and .Values.metrics.enabled .Values.metrics.secure.enabled }}
- --metrics-secure
{{- if .Values.metrics.secure.certSecret }}
- --metrics-cert-dir=/etc/dora-controller/metrics
{{- end }}
{{- end }}
{{- if .Values.receivers.enabled }}
- --receivers-bind-address=:{{ int .Values.receivers.port }}
{{- if .Values.receivers.plaintext }}
- --receivers-plaintext
{{- else }}
- --receivers-cert-dir=/etc/dora-controller/receivers
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
