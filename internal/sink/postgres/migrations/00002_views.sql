-- What delivery_events means: the same verdicts and the same figures as package fourkeys, in SQL. docs/postgres.md explains each of them, and
-- tests hold the two against each other.
--
-- Functions have bodies of the SQL standard (BEGIN ATOMIC, RETURN), which PostgreSQL resolves here and now, as it does views. So a reader
-- whose search_path lacks this schema gets the same answers, and the planner sees through them: who asks for one service reads its rows alone.

-- +goose Up

-- What a deploy event means to the figures. Only exposed = false is a reason to leave a stopped attempt out.
-- +goose StatementBegin
CREATE FUNCTION dora_class(outcome text, success boolean, exposed boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN outcome IN ('succeeded', 'failed') THEN outcome
        WHEN outcome = 'rolled_back' AND success THEN 'returned'
        WHEN outcome = 'rolled_back' AND NOT exposed THEN 'unexposed'
        WHEN outcome = 'rolled_back' THEN 'aborted'
        ELSE 'unknown'
    END;
-- +goose StatementEnd

-- The images of a version in an event's payload; NULL if they are not known.
-- +goose StatementBegin
CREATE FUNCTION dora_images(payload jsonb, version text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN nullif(nullif(payload -> version -> 'images', '[]'), 'null');
-- +goose StatementEnd

-- One row for each failure, given the kinds of change that count.
-- +goose StatementBegin
CREATE FUNCTION dora_failures_of(kinds text[])
    RETURNS TABLE (
        id text, incident_id text, service text, team text, environment text, cluster text,
        subject_kind text, subject_namespace text, subject_name text,
        began timestamptz, ended timestamptz, open boolean, recovery_seconds double precision, recovery_rejected boolean,
        caused_by text, cause_class text, cause_occurred_at timestamptz, incident boolean, automatic_abort boolean
    )
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT d.id, d.incident_id, d.service, d.team, d.environment, d.cluster, d.subject_kind, d.subject_namespace, d.subject_name,
        d.occurred_at, r.ended, r.ended IS NULL,
        CASE WHEN r.ended >= d.occurred_at THEN extract(epoch FROM r.ended - d.occurred_at)::double precision END,
        coalesce(r.ended < d.occurred_at, false),
        nullif(d.caused_by, ''), c.class, c.occurred_at,
        -- A cause that is named and is not in the table is no incident: somebody knows better.
        nullif(d.caused_by, '') IS NULL OR c.id IS NOT NULL AND c.class IS NULL,
        coalesce(c.class = 'aborted', false)
    FROM delivery_events d
    LEFT JOIN (
        SELECT e.service, e.environment, e.incident_id, max(e.occurred_at) AS ended
        FROM delivery_events e
        WHERE e.event_type = 'incident_resolved' AND e.incident_id <> ''
        GROUP BY e.service, e.environment, e.incident_id
    ) r ON r.service = d.service AND r.environment = d.environment AND r.incident_id = d.incident_id
    LEFT JOIN (
        SELECT e.id, e.service, e.environment, e.occurred_at,
            CASE WHEN e.change = ANY (kinds) THEN dora_class(e.outcome, e.success, e.exposed) END AS class
        FROM delivery_events e
        WHERE e.event_type = 'deploy'
    ) c ON c.id = d.caused_by AND c.service = d.service AND c.environment = d.environment
    WHERE d.event_type = 'incident_open';
END;
-- +goose StatementEnd

-- One row for each attempt of a kind that counts. Its neighbours are those attempts of its subject that put something before users;
-- a subject that was recreated in its place goes on with the history, so its uid is no part of it.
-- +goose StatementBegin
CREATE FUNCTION dora_deployments_of(kinds text[])
    RETURNS TABLE (
        id text, service text, team text, environment text, cluster text,
        subject_kind text, subject_namespace text, subject_name text,
        change text, outcome text, class text, started_at timestamptz, occurred_at timestamptz, deployed_at timestamptz,
        lead_time_seconds double precision, lead_time_rejected boolean, lead_time_unknown text,
        in_change_failure_rate boolean, failed boolean, unplanned boolean,
        commit_sha text, tag text, previous_tag text, basis text, reason text, message text
    )
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT a.id, a.service, a.team, a.environment, a.cluster, a.subject_kind, a.subject_namespace, a.subject_name,
        a.change, a.outcome, a.class, a.started_at, a.occurred_at, a.deployed_at,
        CASE WHEN a.lead_time >= 0 THEN a.lead_time END, coalesce(a.lead_time < 0, false), a.lead_time_unknown,
        a.class IN ('succeeded', 'failed', 'aborted'),
        a.class IN ('failed', 'aborted') OR a.class = 'succeeded' AND (a.caused_failure OR a.was_left),
        a.class = 'succeeded' AND coalesce(a.unplanned, false),
        a.commit_sha, a.tag, a.previous_tag, a.basis, a.reason, a.message
    FROM (
        SELECT j.*, coalesce(
                extract(epoch FROM j.deployed_at - j.first_commit_ts)::double precision,
                j.known_lead_time + extract(epoch FROM j.deployed_at - j.occurred_at)::double precision
            ) AS lead_time
        FROM (
            SELECT n.*, CASE WHEN n.class = 'succeeded' THEN n.occurred_at ELSE h.healed_at END AS deployed_at,
                b.caused_by IS NOT NULL AS caused_failure,
                coalesce(n.images = n.left_images, false) AS was_left
            FROM (
                SELECT e.id, e.service, e.team, e.environment, e.cluster, e.subject_kind, e.subject_namespace, e.subject_name,
                    e.change, e.outcome, e.class, e.started_at, e.occurred_at,
                    e.first_commit_ts, e.lead_time_seconds AS known_lead_time, e.lead_time_unknown, e.unplanned,
                    e.commit_sha, e.tag, e.previous_tag, e.basis, e.reason, e.message, e.images,
                    lead(e.occurred_at) OVER chain AS next_at,
                    lead(e.left_images) OVER chain AS left_images
                FROM (
                    SELECT d.*, c.class, dora_images(d.payload, 'version') AS images,
                        CASE WHEN c.class = 'returned' THEN dora_images(d.payload, 'previous') END AS left_images
                    FROM delivery_events d
                    CROSS JOIN LATERAL (SELECT dora_class(d.outcome, d.success, d.exposed) AS class) c
                    WHERE d.event_type = 'deploy' AND d.change = ANY (kinds)
                ) e
                WINDOW chain AS (
                    PARTITION BY e.service, e.environment, e.cluster, e.subject_kind, e.subject_namespace, e.subject_name, e.class = 'unexposed'
                    ORDER BY e.occurred_at, e.started_at NULLS FIRST, e.id COLLATE "C"
                )
            ) n
            LEFT JOIN (
                SELECT DISTINCT f.service, f.environment, f.caused_by FROM delivery_events f
                WHERE f.event_type = 'incident_open' AND f.caused_by <> ''
            ) b ON b.caused_by = n.id AND b.service = n.service AND b.environment = n.environment
            -- A failed attempt healed when the first of its failures that ended with its own version had nothing deployed before that end.
            LEFT JOIN LATERAL (
                SELECT r.occurred_at AS healed_at
                FROM delivery_events f
                CROSS JOIN LATERAL (
                    SELECT e.occurred_at, dora_images(e.payload, 'running') AS running
                    FROM delivery_events e
                    WHERE e.event_type = 'incident_resolved' AND e.incident_id = f.incident_id AND e.incident_id <> ''
                        AND e.service = f.service AND e.environment = f.environment
                    ORDER BY e.occurred_at DESC, e.started_at DESC NULLS LAST, e.id COLLATE "C" DESC
                    LIMIT 1
                ) r
                WHERE n.class = 'failed' AND f.event_type = 'incident_open' AND f.caused_by = n.id
                    AND f.service = n.service AND f.environment = n.environment
                    AND (n.next_at IS NULL OR n.next_at > r.occurred_at)
                    AND (r.running IS NULL OR r.running = n.images)
                ORDER BY f.occurred_at, f.started_at NULLS FIRST, f.id COLLATE "C"
                LIMIT 1
            ) h ON true
        ) j
    ) a;
END;
-- +goose StatementEnd

-- By default every kind that is recorded counts: changes of configuration are recorded only where a DoraTarget counts them.
CREATE VIEW dora_deployments AS SELECT * FROM dora_deployments_of('{image,config}');
CREATE VIEW dora_failures AS SELECT * FROM dora_failures_of('{image,config}');

-- The services that are known: their team, since when they were followed as far as the tables tell, and until when.
CREATE VIEW dora_services AS
SELECT s.service, s.environment, t.team, s.followed_since, s.followed_until
FROM (
    SELECT coalesce(e.service, m.service) AS service, coalesce(e.environment, m.environment) AS environment,
        least(e.first, m.first) AS followed_since,
        -- Without figures nobody tells that a service is followed no more.
        CASE WHEN m.last IS NULL THEN 'infinity' ELSE greatest(e.last, m.last) END AS followed_until,
        e.last AS last_event, m.last AS last_figures
    FROM (
        SELECT service, environment, min(occurred_at) AS first, max(occurred_at) AS last
        FROM delivery_events WHERE event_type <> 'change' GROUP BY service, environment
    ) e
    FULL JOIN (
        SELECT service, environment, min(window_to) AS first, max(window_to) AS last
        FROM dora_metrics WHERE scope = 'service' GROUP BY service, environment
    ) m ON m.service = e.service AND m.environment = e.environment
) s
CROSS JOIN LATERAL (
    SELECT l.team FROM (
        (SELECT e.team, e.occurred_at AS at, e.id FROM delivery_events e
         WHERE e.service = s.service AND e.environment = s.environment AND e.occurred_at = s.last_event AND e.event_type <> 'change')
        UNION ALL
        (SELECT m.team, m.window_to, m.target FROM dora_metrics m
         WHERE m.scope = 'service' AND m.environment = s.environment AND m.service = s.service AND m.window_to = s.last_figures)
    ) l
    ORDER BY l.at DESC, l.id COLLATE "C" DESC LIMIT 1
) t;

-- The bands. Presets are Port and Guide; an unknown one has no thresholds, so there is no band, as there is none without a value.
-- +goose StatementBegin
CREATE FUNCTION dora_band_frequency(per_week double precision, preset text DEFAULT 'Port') RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE preset
        WHEN 'Port' THEN CASE WHEN per_week >= 7 THEN 'Elite' WHEN per_week >= 1 THEN 'High' WHEN per_week >= 0.25 THEN 'Medium'
            WHEN per_week IS NOT NULL THEN 'Low' END
        WHEN 'Guide' THEN CASE WHEN per_week > 7 THEN 'Elite' WHEN per_week >= 0.23 THEN 'High' WHEN per_week >= 0.038 THEN 'Medium'
            WHEN per_week IS NOT NULL THEN 'Low' END
    END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION dora_band_lead_time(seconds double precision, preset text DEFAULT 'Port') RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE preset
        WHEN 'Port' THEN CASE WHEN seconds <= 24 * 3600 THEN 'Elite' WHEN seconds <= 168 * 3600 THEN 'High' WHEN seconds <= 720 * 3600 THEN 'Medium'
            WHEN seconds IS NOT NULL THEN 'Low' END
        WHEN 'Guide' THEN CASE WHEN seconds < 24 * 3600 THEN 'Elite' WHEN seconds < 168 * 3600 THEN 'High' WHEN seconds < 720 * 3600 THEN 'Medium'
            WHEN seconds IS NOT NULL THEN 'Low' END
    END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION dora_band_change_failure_rate(rate double precision, preset text DEFAULT 'Port') RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE preset
        WHEN 'Port' THEN CASE WHEN rate <= 0.05 THEN 'Elite' WHEN rate <= 0.20 THEN 'High' WHEN rate <= 0.30 THEN 'Medium'
            WHEN rate IS NOT NULL THEN 'Low' END
        WHEN 'Guide' THEN CASE WHEN rate <= 0.05 THEN 'Elite' WHEN rate <= 0.10 THEN 'High' WHEN rate <= 0.15 THEN 'Medium'
            WHEN rate IS NOT NULL THEN 'Low' END
    END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION dora_band_recovery(seconds double precision, preset text DEFAULT 'Port') RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE preset
        WHEN 'Port' THEN CASE WHEN seconds <= 3600 THEN 'Elite' WHEN seconds <= 24 * 3600 THEN 'High' WHEN seconds <= 720 * 3600 THEN 'Medium'
            WHEN seconds IS NOT NULL THEN 'Low' END
        WHEN 'Guide' THEN CASE WHEN seconds < 3600 THEN 'Elite' WHEN seconds < 24 * 3600 THEN 'High' WHEN seconds < 168 * 3600 THEN 'Medium'
            WHEN seconds IS NOT NULL THEN 'Low' END
    END;
-- +goose StatementEnd

-- The worst of the bands that have data.
-- +goose StatementBegin
CREATE FUNCTION dora_band_overall(frequency text, lead_time text, change_failure_rate text, recovery text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN 'Low' IN (frequency, lead_time, change_failure_rate, recovery) THEN 'Low'
        WHEN 'Medium' IN (frequency, lead_time, change_failure_rate, recovery) THEN 'Medium'
        WHEN 'High' IN (frequency, lead_time, change_failure_rate, recovery) THEN 'High'
        WHEN 'Elite' IN (frequency, lead_time, change_failure_rate, recovery) THEN 'Elite'
    END;
-- +goose StatementEnd

-- The ISO weeks (from Monday, UTC) between two times, as the edges that dora_metrics_by takes. The first week is whole; the last ends at window_to.
-- +goose StatementBegin
CREATE FUNCTION dora_weeks(window_from timestamptz, window_to timestamptz) RETURNS timestamptz[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY(
        SELECT (date_trunc('week', window_from AT TIME ZONE 'UTC') + i * interval '7 days') AT TIME ZONE 'UTC'
        FROM generate_series(0, floor(extract(epoch FROM window_to - window_from) / 604800)::integer + 1) AS i
        WHERE (date_trunc('week', window_from AT TIME ZONE 'UTC') + i * interval '7 days') AT TIME ZONE 'UTC' < window_to
        ORDER BY i
    ) || window_to;
-- +goose StatementEnd

-- The five metrics in each of the windows between neighbouring edges, which ascend: of each service, or pooled.
-- +goose StatementBegin
CREATE FUNCTION dora_metrics_by(
    edges timestamptz[],
    scope text DEFAULT 'service',
    services text[] DEFAULT NULL,
    environments text[] DEFAULT NULL,
    teams text[] DEFAULT NULL,
    kinds text[] DEFAULT '{image,config}',
    followed_since timestamptz DEFAULT NULL,
    preset text DEFAULT 'Port'
)
    RETURNS TABLE (
        window_from timestamptz, window_to timestamptz, service text, environment text, team text, services integer,
        deployments integer, followed_seconds double precision, deployments_per_week double precision, deployments_per_day double precision,
        lead_time_p50_seconds double precision, lead_time_p90_seconds double precision, lead_time_samples integer, lead_time_rejected integer,
        change_failure_rate double precision, failed_attempts integer, attempts integer,
        recovery_p50_seconds double precision, recovery_p90_seconds double precision, recovery_samples integer, recovery_rejected integer,
        recovery_failures integer, recovery_automatic_aborts integer, recovery_open integer,
        rework_rate double precision, unplanned integer,
        succeeded integer, failed integer, aborted integer, unexposed integer, returned integer, unknown integer,
        incidents integer, open_failures integer,
        frequency_band text, lead_time_band text, change_failure_rate_band text, recovery_band text, band text
    )
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 1;
END;
-- +goose StatementEnd
