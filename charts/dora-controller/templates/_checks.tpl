{{/*
What the schema cannot say: values that would be rendered, and with which the pod would never be ready. Each message names the value and
what to write instead. test/chart asks the program about the same values.
*/}}
{{- define "dora-controller.checks" -}}
{{- include "dora-controller.checkArguments" . -}}
{{- include "dora-controller.checkNetworks" . -}}
{{- include "dora-controller.checkLabels" . -}}
{{- include "dora-controller.checkReach" . -}}
{{- include "dora-controller.checkLedger" . -}}
{{- include "dora-controller.checkTimes" . -}}
{{- include "dora-controller.checkLevels" .Values.log.level -}}
{{- include "dora-controller.checkPorts" . -}}
{{- include "dora-controller.checkMetrics" . -}}
{{- include "dora-controller.checkReceivers" . -}}
{{- end -}}

{{/* What a value sets is set by that; and what is no flag ends the program at once. */}}
{{- define "dora-controller.checkArguments" -}}
{{- $may := list "--kubeconfig=.+" "--local-repositories=.+" "--pprof-bind-address=(localhost|127\\.0\\.0\\.1|\\[::1\\]):[0-9]{1,5}" "--receivers-(bind-address|cert-dir|ip)=.+" "--receivers-plaintext(=(true|false))?" "--zap-devel(=(true|false))?" "--zap-stacktrace-level=(info|error|panic)" "--zap-time-encoding=(epoch|millis|nano|iso8601|rfc3339|rfc3339nano)" }}
{{- range .Values.extraArgs }}
{{- if not (regexMatch (printf "^(%s)$" (join "|" $may)) .) }}
{{- fail (printf "extraArgs: %s is set by another value, or is no argument of `dora-controller run`, or has a value that it does not take: docs/operations.md has them all" .) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkNetworks" -}}
{{- $n := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" }}
{{- $v4 := printf "%s(\\.%s){3}/([12]?[0-9]|3[0-2])" $n $n }}
{{- $forms := list $v4 }}
{{- $x := "[0-9a-fA-F]{1,4}" }}
{{- range $left := until 7 }}
{{- $before := ternary (printf "%s(:%s){%d}" $x $x (sub $left 1)) "" (gt $left 0) }}
{{- $after := printf "(%s(:%s){0,%d})?" $x $x (sub 6 $left) }}
{{- $forms = append $forms (printf "%s::%s/%s" $before $after "([1-9]?[0-9]|1[01][0-9]|12[0-8])") }}
{{- end }}
{{- $forms = append $forms (printf "%s(:%s){6}(:%s|::)/%s" $x $x $x "([1-9]?[0-9]|1[01][0-9]|12[0-8])") }}
{{- range .Values.allowNetworks }}
{{- if not (regexMatch (printf "^(%s)$" (join "|" $forms)) .) }}
{{- fail (printf "allowNetworks: %s is no network: write it as 10.0.0.0/8 or fd00::/8" .) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkLabels" -}}
{{- range $value := list "commonLabels" "podLabels" }}
{{- range $label, $_ := get $.Values $value }}
{{- if has $label (list "app.kubernetes.io/name" "app.kubernetes.io/instance") }}
{{- fail (printf "%s: by %s the chart's own objects find each other: use another label" $value $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkReach" -}}
{{- range .Values.trustedNamespaces }}
{{- if and $.Values.namespaces (not (has . $.Values.namespaces)) }}
{{- fail (printf "trustedNamespaces: %s is not watched: add it to namespaces, or leave namespaces empty" .) }}
{{- end }}
{{- end }}
{{- if and .Values.secretAccess (not .Values.rbac.create) }}
{{- fail "secretAccess needs rbac.create, without which the chart gives no rights: leave it empty, and let who gives the others give these" }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if and .enabled (not .egressPorts) (not .extraEgress) }}
{{- fail "networkPolicy: nothing may be reached, not even the API server: name its port in egressPorts, or a rule in extraEgress" }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if and (ne (toString .minAvailable) "") (ne (toString .maxUnavailable) "") }}
{{- fail "podDisruptionBudget: minAvailable and maxUnavailable are both said, and Kubernetes takes one: leave one empty" }}
{{- end }}
{{- end }}
{{- with .Values.tests }}
{{- if and .enabled (not .image.tag) (not .image.digest) }}
{{- fail "tests.image: name a tag or a digest, or set tests.enabled to false" }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkLedger" -}}
{{- $database := .Values.ledger.postgres }}
{{- if and (gt (int .Values.replicas) 1) (not $database.host) }}
{{- fail "replicas: the ledger in a file has one writer, and a second pod would never be ready: use 1, or keep the ledger in PostgreSQL, ledger.postgres.host" }}
{{- end }}
{{- if and $database.host (not $database.secretRef.name) }}
{{- fail "ledger.postgres.secretRef.name: name the Secret that has the user and the password" }}
{{- end }}
{{- if and $database.secretRef.name (not $database.host) }}
{{- fail "ledger.postgres.host: name the server, or leave ledger.postgres.secretRef.name empty to keep the ledger in a file" }}
{{- end }}
{{- if hasPrefix "pg_" $database.schema }}
{{- fail (printf "ledger.postgres.schema: PostgreSQL keeps names such as %s for itself: use another" $database.schema) }}
{{- end }}
{{- with .Values.ledger.volume }}
{{- if and .existingClaim (not .enabled) }}
{{- fail "ledger.volume.existingClaim is not used without ledger.volume.enabled, and the ledger would be lost with the pod: set that to true, or leave the claim out" }}
{{- end }}
{{- end }}
{{- with .Values.gitCache }}
{{- $size := include "dora-controller.bytes" .size | float64 }}
{{- if lt $size 67108864.0 }}
{{- fail (printf "gitCache.size: %s is too little for a copy of a repository: use at least 64Mi" .size) }}
{{- end }}
{{- if ge $size (include "dora-controller.bytes" .volumeSize | float64) }}
{{- fail (printf "gitCache.volumeSize: %s has no room beside gitCache.size, %s, for what is being fetched, and a pod that takes more is evicted: make it larger" .volumeSize .size) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A release whose objects get another name would begin an empty ledger, and say nothing. Where no cluster is asked, as by `helm template`, nothing is found. */}}
{{- define "dora-controller.checkClaim" -}}
{{- $claim := printf "%s-ledger" (include "dora-controller.fullname" .) }}
{{- if and .Release.IsUpgrade (not (lookup "v1" "PersistentVolumeClaim" .Release.Namespace $claim)) }}
{{- range (lookup "v1" "PersistentVolumeClaim" .Release.Namespace "").items }}
{{- if and (eq (dig "labels" "app.kubernetes.io/instance" "" .metadata) $.Release.Name) (hasPrefix "dora-controller-" (dig "labels" "helm.sh/chart" "" .metadata)) }}
{{- fail (printf "fullnameOverride: the ledger is on the claim %s, and %s would be a new and empty one: set ledger.volume.existingClaim to %s, or leave the name as it was" .metadata.name $claim .metadata.name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkTimes" -}}
{{- $keep := include "dora-controller.seconds" .Values.keepEvents | int64 }}
{{- if and (gt $keep 0) (lt $keep 31622400) }}
{{- fail (printf "keepEvents: %s is shorter than the longest window of a DoraTarget: use at least 366d, or leave it empty to keep events for ever" .Values.keepEvents) }}
{{- end }}
{{- end -}}

{{/* The levels of areas; which levels there are the schema knows. */}}
{{- define "dora-controller.checkLevels" -}}
{{- $areas := list "application" "client" "commits" "controller-runtime" "dispatch" "dorareceiver" "dorasink" "doratarget" "events" "kinds" "leaderelection" "ledger" "libraries" "receivers" "rollout" "traces" "watchdog" }}
{{- $seen := list }}
{{- range splitList "," . }}
{{- $area := ternary (splitList "=" . | first) "" (contains "=" .) }}
{{- if and $area (not (has $area $areas)) }}
{{- fail (printf "log.level: there is no area %q: use %s" $area (join ", " $areas)) }}
{{- end }}
{{- if has $area $seen }}
{{- fail (printf "log.level: %s has two levels: say one" ($area | default "everything")) }}
{{- end }}
{{- $seen = append $seen $area }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkPorts" -}}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) (int .Values.probes.port)) }}
{{- fail (printf "probes.port and metrics.port are both %d: the program listens on two" (int .Values.probes.port)) }}
{{- end }}
{{- range .Values.extraArgs }}
{{- if hasPrefix "--pprof-bind-address=" . }}
{{- $port := regexFind "[0-9]+$" . | int }}
{{- if or (lt $port 1024) (gt $port 65535) }}
{{- fail (printf "extraArgs: %s names a port that the program may not listen on: use one from 1024 to 65535" .) }}
{{- end }}
{{- if or (eq $port (int $.Values.probes.port)) (and $.Values.metrics.enabled (eq $port (int $.Values.metrics.port))) }}
{{- fail (printf "extraArgs: %s has the port of metrics or probes: use another" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkMetrics" -}}
{{- with .Values.metrics.secure }}
{{- if and .enabled (not $.Values.metrics.enabled) }}
{{- fail "metrics.secure.enabled needs metrics.enabled" }}
{{- end }}
{{- if and .certSecret (not .enabled) }}
{{- fail "metrics.secure.certSecret is not used without metrics.secure.enabled, and metrics would be in clear text: set that to true, or leave the Secret out" }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "dora-controller.checkReceivers" -}}
{{- with .Values.receivers }}
{{- $certificate := or .tls.secretName .tls.issuerRef.name }}
{{- if and .enabled (not .plaintext) (not $certificate) }}
{{- fail "receivers.tls: name the Secret of the certificate in secretName, or who makes it in issuerRef; receivers.plaintext takes tokens and secrets in clear text" }}
{{- end }}
{{- if and .enabled .plaintext $certificate }}
{{- fail "receivers.plaintext and receivers.tls exclude each other: leave one out" }}
{{- end }}
{{- if and $certificate (not .enabled) }}
{{- fail "receivers.tls is not used without receivers.enabled: set that to true, or leave it out" }}
{{- end }}
{{- if .enabled }}
{{- if or (eq (int .port) (int $.Values.probes.port)) (and $.Values.metrics.enabled (eq (int .port) (int $.Values.metrics.port))) }}
{{- fail (printf "receivers.port: %d is the port of metrics or probes: use another" (int .port)) }}
{{- end }}
{{- range $.Values.extraArgs }}
{{- if and (hasPrefix "--pprof-bind-address=" .) (eq (regexFind "[0-9]+$" . | int) (int $.Values.receivers.port)) }}
{{- fail (printf "extraArgs: %s has the port of receivers: use another" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A quantity in bytes, and a duration in seconds. */}}
{{- define "dora-controller.bytes" -}}
{{- $units := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $unit := regexFind "[A-Za-z]*$" . -}}
{{- mulf (trimSuffix $unit . | float64) (get $units $unit) -}}
{{- end -}}

{{- define "dora-controller.seconds" -}}
{{- $units := dict "d" 86400 "h" 3600 "m" 60 "s" 1 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[dhms]" . -1 -}}
{{- $unit := regexFind "[dhms]" . -}}
{{- $sum = add $sum (mul (trimSuffix $unit . | atoi) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
