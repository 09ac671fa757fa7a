-- What delivery_events means: the same verdicts and the same figures as package fourkeys, in SQL. docs/postgres.md explains each of them, and
-- tests hold the two against each other.
--
-- Functions have bodies of the SQL standard (BEGIN ATOMIC, RETURN; PostgreSQL 14), which are resolved here and now, as views are. So a reader
-- whose search_path lacks this schema gets the same answers, and the planner sees through them: who asks dora_deployments for one service
-- reads its rows alone.

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
        a.class IN ('failed', 'aborted') OR a.class = 'succeeded' AND (
            EXISTS (
                SELECT FROM delivery_events f
                WHERE f.event_type = 'incident_open' AND f.caused_by = a.id AND f.service = a.service AND f.environment = a.environment
            ) OR coalesce(a.was_left, false)
        ),
        a.class = 'succeeded' AND coalesce(a.unplanned, false),
        a.commit_sha, a.tag, a.previous_tag, a.basis, a.reason, a.message
    FROM (
        SELECT n.*, t.deployed_at, coalesce(
                extract(epoch FROM t.deployed_at - n.first_commit_ts)::double precision,
                n.known_lead_time + extract(epoch FROM t.deployed_at - n.occurred_at)::double precision
            ) AS lead_time,
            -- Payloads are looked up where they are needed: sorting them all would take most of the time.
            CASE WHEN n.class = 'succeeded' AND n.next_class = 'returned' THEN (
                SELECT dora_images(mine.payload, 'version') = dora_images(next.payload, 'previous')
                FROM delivery_events mine, delivery_events next
                WHERE mine.id = n.id AND mine.occurred_at = n.occurred_at AND next.id = n.next_id AND next.occurred_at = n.next_at
            ) END AS was_left
        FROM (
            SELECT d.id, d.service, d.team, d.environment, d.cluster, d.subject_kind, d.subject_namespace, d.subject_name,
                d.change, d.outcome, c.class, d.started_at, d.occurred_at,
                d.first_commit_ts, d.lead_time_seconds AS known_lead_time, d.lead_time_unknown, d.unplanned,
                d.commit_sha, d.tag, d.previous_tag, d.basis, d.reason, d.message,
                lead(d.id) OVER chain AS next_id, lead(c.class) OVER chain AS next_class, lead(d.occurred_at) OVER chain AS next_at
            FROM delivery_events d
            CROSS JOIN LATERAL (SELECT dora_class(d.outcome, d.success, d.exposed) AS class) c
            WHERE d.event_type = 'deploy' AND d.change = ANY (kinds)
            WINDOW chain AS (
                PARTITION BY d.service, d.environment, d.cluster, d.subject_kind, d.subject_namespace, d.subject_name, c.class = 'unexposed'
                ORDER BY d.occurred_at, d.started_at NULLS FIRST, d.id COLLATE "C"
            )
        ) n
        -- A failed attempt healed when the first of its failures that ended with its own version had nothing deployed before that end.
        CROSS JOIN LATERAL (
            SELECT CASE n.class WHEN 'succeeded' THEN n.occurred_at WHEN 'failed' THEN (
                SELECT r.occurred_at
                FROM delivery_events mine, delivery_events f
                CROSS JOIN LATERAL (
                    SELECT e.occurred_at, dora_images(e.payload, 'running') AS running
                    FROM delivery_events e
                    WHERE e.event_type = 'incident_resolved' AND e.incident_id = f.incident_id AND e.incident_id <> ''
                        AND e.service = f.service AND e.environment = f.environment
                    ORDER BY e.occurred_at DESC, e.started_at DESC NULLS LAST, e.id COLLATE "C" DESC
                    LIMIT 1
                ) r
                WHERE mine.id = n.id AND mine.occurred_at = n.occurred_at
                    AND f.event_type = 'incident_open' AND f.caused_by = n.id AND f.service = n.service AND f.environment = n.environment
                    AND (n.next_at IS NULL OR n.next_at > r.occurred_at)
                    AND (r.running IS NULL OR r.running = dora_images(mine.payload, 'version'))
                ORDER BY f.occurred_at, f.started_at NULLS FIRST, f.id COLLATE "C"
                LIMIT 1
            ) END AS deployed_at
            OFFSET 0 -- so that it is worked out once, and not wherever it is used
        ) t
    ) a;
END;
-- +goose StatementEnd

-- By default every kind that is recorded counts: changes of configuration are recorded only where a DoraTarget counts them.
CREATE VIEW dora_deployments AS SELECT * FROM dora_deployments_of('{image,config}');
CREATE VIEW dora_failures AS SELECT * FROM dora_failures_of('{image,config}');

-- The services that are known: their team, since when they were followed as far as the tables tell, and until when. As in all figures, one name
-- in one environment is one service, in however many clusters it runs.
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

-- The five metrics in each of the windows between neighbouring edges, which ascend. scope says what a row is about: service, one service in one
-- environment; team, those of one team in one environment; environment; or all. Columns that do not tell what a row is about are NULL.
-- +goose StatementBegin
CREATE FUNCTION dora_metrics_by(
    edges timestamptz[],
    scope text DEFAULT 'service',
    only_services text[] DEFAULT NULL,
    only_environments text[] DEFAULT NULL,
    only_teams text[] DEFAULT NULL,
    kinds text[] DEFAULT '{image,config}',
    all_followed_since timestamptz DEFAULT NULL,
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
    -- To compile so large a query takes longer than to run it.
    LANGUAGE sql STABLE PARALLEL SAFE SET jit = off
BEGIN ATOMIC
    WITH span AS (
        -- What is known of a service in a window, and the group (about) whose row it belongs to.
        SELECT w.i, w.starts, w.ends, s.service, s.environment, coalesce(all_followed_since, s.followed_since) AS since,
            CASE WHEN scope = 'service' THEN s.service END AS about_service,
            CASE WHEN scope IN ('service', 'team', 'environment') THEN s.environment END AS about_environment,
            CASE WHEN scope IN ('service', 'team') THEN s.team END AS about_team,
            CASE scope
                WHEN 'service' THEN ARRAY[s.service, s.environment]
                WHEN 'team' THEN ARRAY[s.team, s.environment]
                WHEN 'environment' THEN ARRAY[s.environment]
                ELSE '{}'
            END AS about
        FROM (SELECT i, edges[i] AS starts, edges[i + 1] AS ends FROM generate_series(1, cardinality(edges) - 1) AS i) w
        JOIN dora_services s ON s.followed_since < w.ends AND s.followed_until >= w.starts
        WHERE scope IN ('service', 'team', 'environment', 'all')
            AND (only_services IS NULL OR s.service = ANY (only_services))
            AND (only_environments IS NULL OR s.environment = ANY (only_environments))
            AND (only_teams IS NULL OR s.team = ANY (only_teams))
    ),
    attempt AS (
        SELECT d.service, d.environment, d.class, d.failed, d.unplanned, d.deployed_at, d.lead_time_seconds, d.lead_time_rejected,
            width_bucket(d.occurred_at, edges) AS i, width_bucket(d.deployed_at, edges) AS deployed_i
        FROM dora_deployments_of(kinds) d
        WHERE (only_services IS NULL OR d.service = ANY (only_services))
            AND (only_environments IS NULL OR d.environment = ANY (only_environments))
    ),
    failure AS (
        SELECT f.service, f.environment, f.began, f.open, f.incident, f.cause_class, f.automatic_abort, f.recovery_seconds, f.recovery_rejected,
            width_bucket(f.began, edges) AS began_i, width_bucket(f.cause_occurred_at, edges) AS cause_i
        FROM dora_failures_of(kinds) f
        WHERE (only_services IS NULL OR f.service = ANY (only_services))
            AND (only_environments IS NULL OR f.environment = ANY (only_environments))
    ),
    followed AS (
        -- The shorter of the window and the time followed; a deployment before that time proves that it was covered since then.
        SELECT s.i, s.about, min(s.starts) AS starts, min(s.ends) AS ends,
            min(s.about_service) AS service, min(s.about_environment) AS environment, min(s.about_team) AS team,
            count(*)::integer AS services, bool_or(s.since <= s.starts) AS throughout,
            sum(greatest(0, extract(epoch FROM s.ends - greatest(least(s.since, d.first), s.starts))))::double precision AS seconds
        FROM span s
        LEFT JOIN (
            SELECT a.deployed_i, a.service, a.environment, min(a.deployed_at) AS first FROM attempt a GROUP BY 1, 2, 3
        ) d ON d.deployed_i = s.i AND d.service = s.service AND d.environment = s.environment
        GROUP BY s.i, s.about
    ),
    tried AS (
        SELECT s.i, s.about,
            (count(*) FILTER (WHERE a.class = 'succeeded'))::integer AS succeeded, (count(*) FILTER (WHERE a.class = 'failed'))::integer AS failed,
            (count(*) FILTER (WHERE a.class = 'aborted'))::integer AS aborted, (count(*) FILTER (WHERE a.class = 'unexposed'))::integer AS unexposed,
            (count(*) FILTER (WHERE a.class = 'returned'))::integer AS returned, (count(*) FILTER (WHERE a.class = 'unknown'))::integer AS unknown,
            (count(*) FILTER (WHERE a.failed))::integer AS failed_attempts, (count(*) FILTER (WHERE a.unplanned))::integer AS unplanned
        FROM span s
        JOIN attempt a ON a.i = s.i AND a.service = s.service AND a.environment = s.environment
        GROUP BY s.i, s.about
    ),
    delivered AS (
        SELECT s.i, s.about, count(*)::integer AS deployments,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY a.lead_time_seconds) AS p50,
            percentile_cont(0.9) WITHIN GROUP (ORDER BY a.lead_time_seconds) AS p90,
            count(a.lead_time_seconds)::integer AS samples, (count(*) FILTER (WHERE a.lead_time_rejected))::integer AS rejected
        FROM span s
        JOIN attempt a ON a.deployed_i = s.i AND a.service = s.service AND a.environment = s.environment
        GROUP BY s.i, s.about
    ),
    recovered AS (
        SELECT s.i, s.about, count(*)::integer AS failures,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY f.recovery_seconds) AS p50,
            percentile_cont(0.9) WITHIN GROUP (ORDER BY f.recovery_seconds) AS p90,
            count(f.recovery_seconds)::integer AS samples, (count(*) FILTER (WHERE f.recovery_rejected))::integer AS rejected,
            (count(*) FILTER (WHERE f.automatic_abort))::integer AS aborts, (count(*) FILTER (WHERE f.open))::integer AS open
        FROM span s
        JOIN failure f ON f.cause_i = s.i AND f.service = s.service AND f.environment = s.environment
        WHERE f.cause_class <> 'unknown'
        GROUP BY s.i, s.about
    ),
    happened AS (
        SELECT s.i, s.about, count(*)::integer AS incidents
        FROM span s
        JOIN failure f ON f.began_i = s.i AND f.service = s.service AND f.environment = s.environment
        WHERE f.incident
        GROUP BY s.i, s.about
    ),
    lasting AS (
        SELECT s.i, s.about, count(*)::integer AS open
        FROM span s
        JOIN failure f ON f.began < s.ends AND f.service = s.service AND f.environment = s.environment
        WHERE f.open
        GROUP BY s.i, s.about
    ),
    figures AS (
        SELECT f.*, coalesce(d.deployments, 0) AS deployments,
            -- It multiplies before it divides, so that 30 deployments in 30 days are exactly 7 a week.
            CASE WHEN f.seconds > 0 AND (d.deployments > 0 OR f.throughout)
                THEN coalesce(d.deployments, 0) * 604800::double precision / f.seconds END AS per_week,
            CASE WHEN f.seconds > 0 AND (d.deployments > 0 OR f.throughout)
                THEN coalesce(d.deployments, 0) * 86400::double precision / f.seconds END AS per_day,
            d.p50 AS lead_time_p50, d.p90 AS lead_time_p90, coalesce(d.samples, 0) AS lead_time_samples, coalesce(d.rejected, 0) AS lead_time_rejected,
            coalesce(t.succeeded, 0) AS succeeded, coalesce(t.failed, 0) AS failed, coalesce(t.aborted, 0) AS aborted,
            coalesce(t.unexposed, 0) AS unexposed, coalesce(t.returned, 0) AS returned, coalesce(t.unknown, 0) AS unknown,
            coalesce(t.failed_attempts, 0) AS failed_attempts, coalesce(t.unplanned, 0) AS unplanned,
            coalesce(t.succeeded + t.failed + t.aborted, 0) AS attempts,
            r.p50 AS recovery_p50, r.p90 AS recovery_p90, coalesce(r.samples, 0) AS recovery_samples, coalesce(r.rejected, 0) AS recovery_rejected,
            coalesce(r.failures, 0) AS failures, coalesce(r.aborts, 0) AS aborts, coalesce(r.open, 0) AS recovery_open,
            coalesce(h.incidents, 0) AS incidents, coalesce(o.open, 0) AS open_failures
        FROM followed f
        LEFT JOIN tried t ON t.i = f.i AND t.about = f.about
        LEFT JOIN delivered d ON d.i = f.i AND d.about = f.about
        LEFT JOIN recovered r ON r.i = f.i AND r.about = f.about
        LEFT JOIN happened h ON h.i = f.i AND h.about = f.about
        LEFT JOIN lasting o ON o.i = f.i AND o.about = f.about
    ),
    judged AS (
        -- A rate per week says nothing until its services were followed for a day, on average.
        SELECT f.*, f.failed_attempts::double precision / nullif(f.attempts, 0) AS failure_rate,
            dora_band_frequency(CASE WHEN f.seconds >= 86400 * f.services THEN f.per_week END, preset) AS frequency_band,
            dora_band_lead_time(f.lead_time_p50, preset) AS lead_time_band,
            dora_band_change_failure_rate(f.failed_attempts::double precision / nullif(f.attempts, 0), preset) AS change_failure_rate_band,
            dora_band_recovery(f.recovery_p50, preset) AS recovery_band
        FROM figures f
    )
    SELECT j.starts, j.ends, j.service, j.environment, j.team, j.services,
        j.deployments, j.seconds, j.per_week, j.per_day,
        j.lead_time_p50, j.lead_time_p90, j.lead_time_samples, j.lead_time_rejected,
        j.failure_rate, j.failed_attempts, j.attempts,
        j.recovery_p50, j.recovery_p90, j.recovery_samples, j.recovery_rejected, j.failures, j.aborts, j.recovery_open,
        j.unplanned::double precision / nullif(j.succeeded, 0), j.unplanned,
        j.succeeded, j.failed, j.aborted, j.unexposed, j.returned, j.unknown,
        j.incidents, j.open_failures,
        j.frequency_band, j.lead_time_band, j.change_failure_rate_band, j.recovery_band,
        dora_band_overall(j.frequency_band, j.lead_time_band, j.change_failure_rate_band, j.recovery_band)
    FROM judged j;
END;
-- +goose StatementEnd

-- The same for one window: from since until just before until.
-- +goose StatementBegin
CREATE FUNCTION dora_metrics_between(
    since timestamptz,
    until timestamptz,
    scope text DEFAULT 'service',
    only_services text[] DEFAULT NULL,
    only_environments text[] DEFAULT NULL,
    only_teams text[] DEFAULT NULL,
    kinds text[] DEFAULT '{image,config}',
    all_followed_since timestamptz DEFAULT NULL,
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
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT m.* FROM dora_metrics_by(
        ARRAY[since, until], scope, only_services, only_environments, only_teams, kinds, all_followed_since, preset
    ) m;
END;
-- +goose StatementEnd

-- The ISO weeks since the first event. The last one ends now, or after the newest event if its clock is ahead. An event of longer ago than ten
-- years, or of a clock that is more than a year ahead, adds no weeks: otherwise a single wrong time would add hundreds of thousands.
CREATE VIEW dora_weekly_service AS
SELECT m.window_from AS week, m.* FROM (
    SELECT dora_weeks(min(occurred_at), greatest(now(), max(occurred_at) + interval '1 microsecond')) AS edges FROM delivery_events
    WHERE occurred_at BETWEEN now() - interval '10 years' AND now() + interval '1 year'
) w CROSS JOIN LATERAL dora_metrics_by(w.edges, 'service') m;

CREATE VIEW dora_weekly_team AS
SELECT m.window_from AS week, m.* FROM (
    SELECT dora_weeks(min(occurred_at), greatest(now(), max(occurred_at) + interval '1 microsecond')) AS edges FROM delivery_events
    WHERE occurred_at BETWEEN now() - interval '10 years' AND now() + interval '1 year'
) w CROSS JOIN LATERAL dora_metrics_by(w.edges, 'team') m;

COMMENT ON VIEW dora_deployments IS 'One row for each attempt to deploy, with what it means to the metrics. It counts each change once.';
COMMENT ON VIEW dora_failures IS 'One row for each failure of production, from its beginning to its end.';
COMMENT ON VIEW dora_services IS 'The services that are known: their team, since when they were followed, and until when.';
COMMENT ON VIEW dora_weekly_service IS 'The five metrics of each service, environment and ISO week, of ten years at most. The last week ends now.';
COMMENT ON VIEW dora_weekly_team IS 'The five metrics of each team, environment and ISO week, of ten years at most. The last week ends now.';
COMMENT ON FUNCTION dora_deployments_of IS 'As the view dora_deployments, given the kinds of change that count.';
COMMENT ON FUNCTION dora_failures_of IS 'As the view dora_failures, given the kinds of change that count.';
COMMENT ON FUNCTION dora_metrics_between IS 'The five metrics from since until just before until: of each service, team or environment, or of all.';
COMMENT ON FUNCTION dora_metrics_by IS 'The five metrics in each of the windows between neighbouring edges.';
COMMENT ON FUNCTION dora_weeks IS 'The ISO weeks between two times, by UTC, as the edges that dora_metrics_by takes.';

-- +goose Down
DROP VIEW dora_weekly_team, dora_weekly_service;
DROP FUNCTION dora_metrics_between, dora_metrics_by, dora_weeks;
DROP FUNCTION dora_band_overall, dora_band_recovery, dora_band_change_failure_rate, dora_band_lead_time, dora_band_frequency;
DROP VIEW dora_services, dora_failures, dora_deployments;
DROP FUNCTION dora_deployments_of, dora_failures_of, dora_images, dora_class;
