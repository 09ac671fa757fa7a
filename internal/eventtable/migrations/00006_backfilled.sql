-- Frequency is not higher than it was for a service whose earlier deployments became known later: one from before a window tells that all of it was
-- followed. The function keeps its form, so that what is built on it stays.

-- +goose Up

-- The five metrics in each of the windows between neighbouring edges, which ascend. scope says what a row is about: service, one service in one
-- environment; team, those of one team in one environment; environment; or all. Columns that do not tell what a row is about are NULL.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION dora_metrics_by(
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
        -- The shorter of the window and the time followed; a deployment before that time proves that it was covered since then, be it from before
        -- the window.
        SELECT s.i, s.about, min(s.starts) AS starts, min(s.ends) AS ends,
            min(s.about_service) AS service, min(s.about_environment) AS environment, min(s.about_team) AS team,
            count(*)::integer AS services, bool_or(least(s.since, d.first) <= s.starts) AS throughout,
            sum(greatest(0, extract(epoch FROM s.ends - greatest(least(s.since, d.first), s.starts))))::double precision AS seconds
        FROM span s
        LEFT JOIN (
            SELECT a.service, a.environment, min(a.deployed_at) AS first FROM attempt a GROUP BY 1, 2
        ) d ON d.service = s.service AND d.environment = s.environment
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

-- +goose Down
-- The function stays as it is: what is built on it works with either form.
SELECT 1;
