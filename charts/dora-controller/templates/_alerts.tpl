{{/* The alerts. Each asks only for metrics that docs/operations.md has. */}}
{{- define "dora-controller.alerts" -}}
{{- $of := printf "job=%q, namespace=%q" (include "dora-controller.fullname" .) .Release.Namespace -}}
{{- $rule := .Values.metrics.prometheusRule -}}
- alert: DoraControllerNotReady
  expr: absent(dora_followed_subjects{ {{- $of -}} })
  for: 10m
  labels: {severity: critical}
  annotations:
    summary: Nobody records deployments
    description: >-
      No dora-controller leads with an open ledger, or none is scraped. Ask /readyz?verbose of the pod which check fails. What happens
      meanwhile is read later from Argo's history, as far as that goes back.
- alert: DoraLedgerErrors
  expr: increase(dora_ledger_commit_errors_total{ {{- $of -}} , reason="other"}[15m]) > 0
  labels: {severity: critical}
  annotations:
    summary: The ledger does not take changes
    description: The log says why. A full or a broken volume is the usual reason.
- alert: DoraLedgerVolumeFilling
  expr: dora_ledger_volume_free_bytes{ {{- $of -}} } / dora_ledger_volume_size_bytes{ {{- $of -}} } < 0.1
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: The volume of the ledger is nearly full
    description: >-
      {{ `Only {{ $value | humanizePercentage }} of it is free. Grow the claim, or keep less with --keep-events; once it is full nothing is recorded.` }}
- alert: DoraObservationGap
  expr: delta(dora_history_gaps{ {{- $of -}} }[1h]) > 0
  labels: {severity: warning}
  annotations:
    summary: Deployments were missed
    description: >-
      Argo's history no longer tells of {{ `{{ $value }}` }} deployments that happened while nobody watched, or while the ledger took nothing. Targets show them as
      HistoryGap; keep a longer revisionHistoryLimit, or shorter downtimes.
- alert: DoraSinkOldestPending
  expr: dora_sink_oldest_pending_seconds{ {{- $of -}} } > {{ int $rule.oldestPendingSeconds }}
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `Sink {{ $labels.sink }} waits for its events` }}
    description: >-
      {{ `The oldest is {{ $value | humanizeDuration }} old. The conditions of the DoraSink say what stands in the way.` }}
- alert: DoraSinkBacklogGrowing
  expr: |-
    dora_sink_pending{ {{- $of -}} } > {{ int $rule.backlog }} and deriv(dora_sink_pending{ {{- $of -}} }[30m]) > 0
  for: 30m
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `The backlog of sink {{ $labels.sink }} grows` }}
    description: >-
      {{ `It is owed {{ $value }} events, and more come than it takes. Nothing is lost as long as the ledger's volume has room.` }}
- alert: DoraSinkParked
  expr: dora_sink_parked{ {{- $of -}} } > 0
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `Sink {{ $labels.sink }} refused events for good` }}
    description: >-
      {{ "{{ $value }} are set aside. `dora-controller deliveries --parked` shows the answers, `dora-controller sinks retry` tries again." }}
- alert: DoraSinkDropped
  expr: increase(dora_sink_dropped_total{ {{- $of -}} }[1h]) > 0
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `Events for sink {{ $labels.sink }} were dropped` }}
    description: There was no such DoraSink for longer than --sink-grace.
- alert: DoraGitFailing
  expr: dora_target_commits_pending{ {{- $of -}} } > 0
  for: 6h
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `Commits of {{ $labels.exported_namespace }}/{{ $labels.target }} are not found` }}
    description: >-
      {{ `{{ $value }} deployments wait for theirs. The condition CommitsUnresolved of the DoraTarget says why.` }}
- alert: DoraGitRateLimited
  expr: dora_source_rate_limit_remaining{ {{- $of -}} } == 0
  for: 2h
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `{{ $labels.host }} allows no more requests` }}
    description: Lead times come late. Give spec.source a credential with a higher limit, or read the repositories by git.
- alert: DoraReceiverFailing
  expr: sum by (exported_namespace, receiver) (increase(dora_receiver_requests_total{ {{- $of -}} , code=~"5.."}[15m])) > 0
  for: 15m
  labels: {severity: critical}
  annotations:
    summary: Reports are not taken
    description: >-
      {{ `DoraReceiver {{ $labels.exported_namespace }}/{{ $labels.receiver }} answers 5xx, mostly since the ledger takes nothing: the log says why. Senders that try again lose nothing; GitHub, GitLab and Gitea do not.` }}
- alert: DoraServiceFell
  expr: dora_target_alert{ {{- $of -}} , reason="ServiceFell"} == 1
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `{{ $labels.exported_service }} in {{ $labels.environment }} fell to a lower band, by its {{ $labels.metric }}` }}
    description: >-
      {{ `It had a better one over the window before. status.alerts of DoraTarget {{ $labels.exported_namespace }}/{{ $labels.target }} has both bands.` }}
- alert: DoraTeamWorsened
  expr: dora_target_alert{ {{- $of -}} , reason="TeamWorsened"} == 1
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `{{ $labels.metric }} of team {{ $labels.team }} in {{ $labels.environment }} takes longer than before` }}
    description: >-
      {{ `Its median worsened by what spec.alerts of DoraTarget {{ $labels.exported_namespace }}/{{ $labels.target }} says. status.teams has both.` }}
- alert: DoraWorkStuck
  expr: dora_stuck_work{ {{- $of -}} } > 0
  for: 1m
  labels: {severity: critical}
  annotations:
    summary: >-
      {{ `Work is stuck: {{ $labels.work }}` }}
    description: >-
      It takes longer than all its deadlines allow, as in a deadlock. The log names it, and /healthz is red, so that the kubelet restarts the
      pod; nothing is lost by that. Please report it, with the log.
- alert: DoraReconcileErrors
  expr: sum by (controller) (increase(controller_runtime_reconcile_errors_total{ {{- $of -}} }[30m])) > 10
  for: 30m
  labels: {severity: warning}
  annotations:
    summary: >-
      {{ `Controller {{ $labels.controller }} fails again and again` }}
    description: The log says at which object, and why.
{{- end -}}
