-- The tables that events and figures are written to.
--
-- Names stand without a schema: each migration runs in a transaction of its own whose search_path is the sink's schema alone. There is no way
-- down: an older release works on a newer schema as long as its columns are there. Whoever needs delivery_events partitioned makes it before
-- this runs, with PRIMARY KEY (id, occurred_at); `dora-controller migrate --print --partitioned` prints how. A delivery_events that others have
-- made, with the published columns, is taken over: it keeps its rows and gets what it lacks.
--
-- What says where something belongs (service, team, environment, cluster) is never NULL but '' if it is not known, so that joins and
-- comparisons keep those rows. Everything else is NULL if it is not known.

-- +goose Up

CREATE TABLE IF NOT EXISTS delivery_events (
    -- The columns of the table that published queries for DORA metrics read. Their names and their order stay.
    id                text             NOT NULL,
    event_type        text             NOT NULL CHECK (event_type IN ('change', 'deploy', 'incident_open', 'incident_resolved')),
    service           text             NOT NULL,
    team              text             NOT NULL DEFAULT '',
    environment       text             NOT NULL DEFAULT '',
    commit_sha        text,
    first_commit_ts   timestamptz,
    occurred_at       timestamptz      NOT NULL,
    success           boolean,
    is_rollback       boolean,
    incident_id       text,
    source            text             NOT NULL,
    payload           jsonb            NOT NULL,
    ingested_at       timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);

-- Our own columns. Others may write into the table and know nothing of them, so each can be left out.
ALTER TABLE delivery_events
    ADD COLUMN IF NOT EXISTS cluster           text             NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS type              text             NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS outcome           text,
    ADD COLUMN IF NOT EXISTS change            text,
    ADD COLUMN IF NOT EXISTS subject_kind      text,
    ADD COLUMN IF NOT EXISTS subject_namespace text,
    ADD COLUMN IF NOT EXISTS subject_name      text,
    ADD COLUMN IF NOT EXISTS subject_uid       text,
    ADD COLUMN IF NOT EXISTS attempt           text,
    ADD COLUMN IF NOT EXISTS started_at        timestamptz,
    ADD COLUMN IF NOT EXISTS observed_at       timestamptz,
    ADD COLUMN IF NOT EXISTS tag               text,
    ADD COLUMN IF NOT EXISTS previous_tag      text,
    ADD COLUMN IF NOT EXISTS running_tag       text,
    ADD COLUMN IF NOT EXISTS unplanned         boolean,
    ADD COLUMN IF NOT EXISTS exposed           boolean,
    ADD COLUMN IF NOT EXISTS commit_count      integer,
    ADD COLUMN IF NOT EXISTS first_commit      text,
    ADD COLUMN IF NOT EXISTS base_commit       text,
    ADD COLUMN IF NOT EXISTS repository        text,
    ADD COLUMN IF NOT EXISTS lead_time_seconds double precision,
    ADD COLUMN IF NOT EXISTS lead_time_unknown text,
    ADD COLUMN IF NOT EXISTS caused_by         text,
    ADD COLUMN IF NOT EXISTS recovery_seconds  double precision,
    ADD COLUMN IF NOT EXISTS basis             text,
    ADD COLUMN IF NOT EXISTS reason            text,
    ADD COLUMN IF NOT EXISTS message           text,
    ADD COLUMN IF NOT EXISTS updated_at        timestamptz      NOT NULL DEFAULT now(),
    ALTER COLUMN ingested_at SET DEFAULT now();

-- Events are found by their ids, so a table of others may need a key. One with the time in it will do.
-- +goose StatementBegin
DO $key$
BEGIN
    IF EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = 'delivery_events'::regclass AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
            AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a
                WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) IN ('{id}', '{id,occurred_at}')
    ) THEN
        RETURN;
    END IF;
    IF (SELECT relkind = 'p' FROM pg_class WHERE oid = 'delivery_events'::regclass) THEN
        CREATE UNIQUE INDEX ON delivery_events (id, occurred_at);
    ELSE
        CREATE UNIQUE INDEX ON delivery_events (id);
    END IF;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'delivery_events has several rows with the same id, so it can have no unique index on it: delete all but one of each'
        USING ERRCODE = 'invalid_column_reference';
END
$key$;
-- +goose StatementEnd

CREATE INDEX IF NOT EXISTS delivery_events_service_idx ON delivery_events (service, environment, occurred_at);
CREATE INDEX IF NOT EXISTS delivery_events_occurred_at_idx ON delivery_events (occurred_at);
CREATE INDEX IF NOT EXISTS delivery_events_incident_id_idx ON delivery_events (incident_id) WHERE incident_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS delivery_events_caused_by_idx ON delivery_events (caused_by) WHERE caused_by IS NOT NULL;

COMMENT ON TABLE delivery_events IS 'One row for each deployment, failure and recovery of production, in its newest form. Written by dora-controller.';
COMMENT ON COLUMN delivery_events.id IS 'Tells an event from all others. It never changes.';
COMMENT ON COLUMN delivery_events.event_type IS 'deploy, incident_open (a failure of production began) or incident_resolved (it ended). No change is written.';
COMMENT ON COLUMN delivery_events.service IS 'The service.';
COMMENT ON COLUMN delivery_events.team IS 'The team that owns the service; empty if none is known.';
COMMENT ON COLUMN delivery_events.environment IS 'The environment, such as production; empty if none is known.';
COMMENT ON COLUMN delivery_events.commit_sha IS 'The commit that was deployed, as the image tells it: it may be abbreviated.';
COMMENT ON COLUMN delivery_events.first_commit_ts IS 'When the earliest of the delivered commits was made. NULL until it is found, or if it cannot be.';
COMMENT ON COLUMN delivery_events.occurred_at IS 'When it happened, by the clock of Argo CD or Argo Rollouts.';
COMMENT ON COLUMN delivery_events.success IS 'Whether production ended up healthy. NULL for an unknown outcome, and for failures and recoveries.';
COMMENT ON COLUMN delivery_events.is_rollback IS 'Whether production went back. A failed deployment and its rollback are two rows and one failed change.';
COMMENT ON COLUMN delivery_events.incident_id IS 'Shared by the beginning and the end of a failure.';
COMMENT ON COLUMN delivery_events.source IS 'argocd.';
COMMENT ON COLUMN delivery_events.payload IS 'The whole event, as docs/events.md describes it.';
COMMENT ON COLUMN delivery_events.ingested_at IS 'When the row was first written.';
COMMENT ON COLUMN delivery_events.cluster IS 'The name of the cluster that the controller follows.';
COMMENT ON COLUMN delivery_events.type IS 'deploy, degraded or recovered: what dora-controller calls event_type. Empty in rows of others.';
COMMENT ON COLUMN delivery_events.outcome IS 'How a deployment ended: succeeded, failed, rolled_back or unknown.';
COMMENT ON COLUMN delivery_events.change IS 'What was deployed: image or config.';
COMMENT ON COLUMN delivery_events.subject_kind IS 'The kind of the object whose deployments are followed: Application or Rollout.';
COMMENT ON COLUMN delivery_events.subject_namespace IS 'The namespace of that object.';
COMMENT ON COLUMN delivery_events.subject_name IS 'The name of that object.';
COMMENT ON COLUMN delivery_events.subject_uid IS 'The uid of that object.';
COMMENT ON COLUMN delivery_events.attempt IS 'Tells one try to deploy a version from all others of its object.';
COMMENT ON COLUMN delivery_events.started_at IS 'When that try began.';
COMMENT ON COLUMN delivery_events.observed_at IS 'When the controller saw what happened.';
COMMENT ON COLUMN delivery_events.tag IS 'The tag, or the digest, of the image that was deployed.';
COMMENT ON COLUMN delivery_events.previous_tag IS 'That of the same image before. payload says whether there was none (null) or it is not known (absent).';
COMMENT ON COLUMN delivery_events.running_tag IS 'That of the version that serves production after the event.';
COMMENT ON COLUMN delivery_events.unplanned IS 'Whether a deployment was made because production was, or had been, broken: rework.';
COMMENT ON COLUMN delivery_events.exposed IS 'Of a deployment that was stopped: whether its version had taken production traffic.';
COMMENT ON COLUMN delivery_events.commit_count IS 'How many commits were delivered.';
COMMENT ON COLUMN delivery_events.first_commit IS 'The full SHA of the earliest of them.';
COMMENT ON COLUMN delivery_events.base_commit IS 'The full SHA of the commit after which they come.';
COMMENT ON COLUMN delivery_events.repository IS 'The repository they are in.';
COMMENT ON COLUMN delivery_events.lead_time_seconds IS 'From the earliest commit to the deployment. Negative ones belong into no figure.';
COMMENT ON COLUMN delivery_events.lead_time_unknown IS 'Why there is no lead time, once that is settled.';
COMMENT ON COLUMN delivery_events.caused_by IS 'Of a failure: the id of the deployment that caused it.';
COMMENT ON COLUMN delivery_events.recovery_seconds IS 'Of a recovery: how long the failure lasted.';
COMMENT ON COLUMN delivery_events.basis IS 'What the verdict rests on: live, history, partial_sync or api.';
COMMENT ON COLUMN delivery_events.reason IS 'The reason, in one word.';
COMMENT ON COLUMN delivery_events.message IS 'What Argo CD or Argo Rollouts said.';
COMMENT ON COLUMN delivery_events.updated_at IS 'When the row changed last, such as when its commits were found.';

CREATE TABLE IF NOT EXISTS dora_metrics (
    cluster                    text             NOT NULL,
    target                     text             NOT NULL,
    scope                      text             NOT NULL,
    environment                text             NOT NULL DEFAULT '',
    team                       text             NOT NULL DEFAULT '',
    service                    text             NOT NULL DEFAULT '',
    day                        date             NOT NULL,
    is_primary                 boolean          NOT NULL,
    window_from                timestamptz      NOT NULL,
    window_to                  timestamptz      NOT NULL,
    services                   integer          NOT NULL,
    deployments                integer          NOT NULL,
    deployments_per_week       double precision,
    deployments_per_day        double precision,
    lead_time_p50_seconds      double precision,
    lead_time_p90_seconds      double precision,
    lead_time_samples          integer          NOT NULL,
    lead_time_rejected         integer          NOT NULL,
    change_failure_rate        double precision,
    failed_attempts            integer          NOT NULL,
    attempts                   integer          NOT NULL,
    recovery_p50_seconds       double precision,
    recovery_p90_seconds       double precision,
    recovery_samples           integer          NOT NULL,
    rework_rate                double precision,
    unplanned                  integer          NOT NULL,
    succeeded                  integer          NOT NULL,
    failed                     integer          NOT NULL,
    aborted                    integer          NOT NULL,
    unexposed                  integer          NOT NULL,
    returned                   integer          NOT NULL,
    unknown                    integer          NOT NULL,
    incidents                  integer          NOT NULL,
    open_failures              integer          NOT NULL,
    frequency_band             text,
    lead_time_band             text,
    change_failure_rate_band   text,
    recovery_band              text,
    band                       text,
    updated_at                 timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (cluster, target, scope, environment, team, service, day)
);

CREATE INDEX IF NOT EXISTS dora_metrics_day_idx ON dora_metrics (scope, environment, day);

COMMENT ON TABLE dora_metrics IS 'The metrics of services, teams and targets as dora-controller shows them: the last of each UTC day.';
COMMENT ON COLUMN dora_metrics.cluster IS 'The name of the cluster that was counted.';
COMMENT ON COLUMN dora_metrics.target IS 'The DoraTarget that counted, as namespace/name.';
COMMENT ON COLUMN dora_metrics.scope IS 'service or team: one, or the services of one, in one environment. target: everything in all environments.';
COMMENT ON COLUMN dora_metrics.environment IS 'The environment; empty for scope target.';
COMMENT ON COLUMN dora_metrics.team IS 'The team; empty for scope target, and for a service without one.';
COMMENT ON COLUMN dora_metrics.service IS 'The service; empty for all but scope service.';
COMMENT ON COLUMN dora_metrics.day IS 'The UTC day of window_to.';
COMMENT ON COLUMN dora_metrics.is_primary IS 'Whether no older DoraTarget counts the same. Queries that take these alone count nothing twice.';
COMMENT ON COLUMN dora_metrics.window_from IS 'Where the window begins.';
COMMENT ON COLUMN dora_metrics.window_to IS 'Where the window ends: when it was counted.';
COMMENT ON COLUMN dora_metrics.services IS 'How many services the row is about.';
COMMENT ON COLUMN dora_metrics.deployments IS 'How many deployments the frequency is of.';
COMMENT ON COLUMN dora_metrics.deployments_per_week IS 'Deployment frequency, per week and service.';
COMMENT ON COLUMN dora_metrics.deployments_per_day IS 'Deployment frequency, per day and service.';
COMMENT ON COLUMN dora_metrics.lead_time_p50_seconds IS 'Lead time for changes, the median.';
COMMENT ON COLUMN dora_metrics.lead_time_p90_seconds IS 'Lead time for changes, the 90th percentile.';
COMMENT ON COLUMN dora_metrics.lead_time_samples IS 'How many deployments these are taken over.';
COMMENT ON COLUMN dora_metrics.lead_time_rejected IS 'How many were left out because their lead time is negative.';
COMMENT ON COLUMN dora_metrics.change_failure_rate IS 'failed_attempts divided by attempts, from 0 to 1.';
COMMENT ON COLUMN dora_metrics.failed_attempts IS 'How many attempts failed.';
COMMENT ON COLUMN dora_metrics.attempts IS 'How many attempts there were.';
COMMENT ON COLUMN dora_metrics.recovery_p50_seconds IS 'Failed deployment recovery time, the median.';
COMMENT ON COLUMN dora_metrics.recovery_p90_seconds IS 'Failed deployment recovery time, the 90th percentile.';
COMMENT ON COLUMN dora_metrics.recovery_samples IS 'How many failures these are taken over.';
COMMENT ON COLUMN dora_metrics.rework_rate IS 'unplanned divided by succeeded, from 0 to 1.';
COMMENT ON COLUMN dora_metrics.unplanned IS 'How many of the succeeded deployments were rework.';
COMMENT ON COLUMN dora_metrics.succeeded IS 'Deployments that succeeded.';
COMMENT ON COLUMN dora_metrics.failed IS 'Deployments that failed.';
COMMENT ON COLUMN dora_metrics.aborted IS 'Deployments that were stopped while users could meet their version.';
COMMENT ON COLUMN dora_metrics.unexposed IS 'Deployments that were stopped before any user could.';
COMMENT ON COLUMN dora_metrics.returned IS 'Operations that brought an earlier version back.';
COMMENT ON COLUMN dora_metrics.unknown IS 'Deployments of which Argo no longer tells how they ended. They are in no metric.';
COMMENT ON COLUMN dora_metrics.incidents IS 'Failures that no counted deployment caused.';
COMMENT ON COLUMN dora_metrics.open_failures IS 'Failures that have not ended.';
COMMENT ON COLUMN dora_metrics.frequency_band IS 'Elite, High, Medium or Low, for deployment frequency. NULL without data, as are the other bands.';
COMMENT ON COLUMN dora_metrics.lead_time_band IS 'That for lead time.';
COMMENT ON COLUMN dora_metrics.change_failure_rate_band IS 'That for the change failure rate.';
COMMENT ON COLUMN dora_metrics.recovery_band IS 'That for recovery time.';
COMMENT ON COLUMN dora_metrics.band IS 'The worst of them.';
COMMENT ON COLUMN dora_metrics.updated_at IS 'When the row was written last.';
