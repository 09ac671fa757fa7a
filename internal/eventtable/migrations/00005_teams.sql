-- Teams as the status of a DoraTarget shows them: their figures, what these were over the window before, how many of their services are in which
-- band, and which services keep them down.

-- +goose Up

-- How a figure stands against what it was: Same if it differs by less than a tenth of that, Unknown if one of the two is.
-- +goose StatementBegin
CREATE FUNCTION dora_trend(was double precision, now_is double precision, less_is_better boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN was IS NULL OR now_is IS NULL THEN 'Unknown'
        WHEN now_is = was OR abs(now_is - was) < 0.1::double precision * was THEN 'Same'
        WHEN (now_is < was) = less_is_better THEN 'Better'
        ELSE 'Worse'
    END;
-- +goose StatementEnd

-- The services below Elite, with the metric that has their band: of several, the one that misses the next better band by most times over. place
-- counts those of a team in an environment, worst first: by band, then by that factor, then by name.
-- +goose StatementBegin
CREATE FUNCTION dora_drags_between(
    since timestamptz,
    until timestamptz,
    only_services text[] DEFAULT NULL,
    only_environments text[] DEFAULT NULL,
    only_teams text[] DEFAULT NULL,
    kinds text[] DEFAULT '{image,config}',
    all_followed_since timestamptz DEFAULT NULL,
    preset text DEFAULT 'Port'
)
    RETURNS TABLE (team text, environment text, place integer, service text, band text, metric text, misses double precision)
    LANGUAGE sql STABLE PARALLEL SAFE SET jit = off
BEGIN ATOMIC
    WITH edge (preset, metric, elite, high, medium) AS (
        VALUES ('Port', 'DeploymentFrequency', 7::double precision, 1::double precision, 0.25::double precision), ('Port', 'LeadTime', 86400, 604800, 2592000),
            ('Port', 'ChangeFailureRate', 0.05, 0.20, 0.30), ('Port', 'Recovery', 3600, 86400, 2592000),
            ('Guide', 'DeploymentFrequency', 7, 0.23, 0.038), ('Guide', 'LeadTime', 86400, 604800, 2592000),
            ('Guide', 'ChangeFailureRate', 0.05, 0.10, 0.15), ('Guide', 'Recovery', 3600, 86400, 604800)
    ),
    missed AS (
        SELECT m.team, m.environment, m.service, m.band, v.metric, v.n,
            CASE WHEN v.is_worse = v.than THEN 1 WHEN v.than = 0 THEN 'Infinity' ELSE v.is_worse / v.than END AS misses
        FROM dora_metrics_by(ARRAY[since, until], 'service', only_services, only_environments, only_teams, kinds, all_followed_since, preset) m
        CROSS JOIN LATERAL (
            SELECT f.n, f.metric, CASE WHEN f.less THEN f.value ELSE x.next END AS is_worse, CASE WHEN f.less THEN x.next ELSE f.value END AS than
            FROM (
                VALUES (1, 'DeploymentFrequency', m.frequency_band, m.deployments_per_week, false), (2, 'LeadTime', m.lead_time_band, m.lead_time_p50_seconds, true),
                    (3, 'ChangeFailureRate', m.change_failure_rate_band, m.change_failure_rate, true), (4, 'Recovery', m.recovery_band, m.recovery_p50_seconds, true)
            ) f (n, metric, band, value, less)
            JOIN edge e ON e.preset = dora_drags_between.preset AND e.metric = f.metric
            CROSS JOIN LATERAL (SELECT CASE m.band WHEN 'Low' THEN e.medium WHEN 'Medium' THEN e.high ELSE e.elite END AS next) x
            WHERE f.band = m.band
        ) v
        WHERE m.band <> 'Elite'
    ),
    worst AS (
        SELECT DISTINCT ON (w.team, w.environment, w.service) w.* FROM missed w ORDER BY w.team, w.environment, w.service, w.misses DESC, w.n
    )
    SELECT w.team, w.environment,
        (row_number() OVER (
            PARTITION BY w.team, w.environment
            ORDER BY array_position('{Low,Medium,High}', w.band), w.misses DESC, w.service COLLATE "C"
        ))::integer,
        w.service, w.band, w.metric, w.misses
    FROM worst w;
END;
-- +goose StatementEnd

-- The teams, each in each environment, from since until just before until; before is the window that is as long and ends at since, of the same
-- services. A rate per week is NULL until its services were followed for a day on average.
-- +goose StatementBegin
CREATE FUNCTION dora_teams_between(
    since timestamptz,
    until timestamptz,
    only_services text[] DEFAULT NULL,
    only_environments text[] DEFAULT NULL,
    only_teams text[] DEFAULT NULL,
    kinds text[] DEFAULT '{image,config}',
    all_followed_since timestamptz DEFAULT NULL,
    preset text DEFAULT 'Port'
)
    RETURNS TABLE (
        team text, environment text, services integer, band text,
        deployments integer, deployments_per_week double precision, deployments_per_week_before double precision, deployments_trend text,
        lead_time_p50_seconds double precision, lead_time_p50_seconds_before double precision, lead_time_trend text,
        change_failure_rate double precision, change_failure_rate_before double precision, change_failure_rate_trend text,
        recovery_p50_seconds double precision, recovery_p50_seconds_before double precision, recovery_trend text,
        elite integer, high integer, medium integer, low integer, no_data integer, drags text[]
    )
    LANGUAGE sql STABLE PARALLEL SAFE SET jit = off
BEGIN ATOMIC
    WITH own AS (
        SELECT m.* FROM dora_metrics_by(ARRAY[since, until], 'service', only_services, only_environments, only_teams, kinds, all_followed_since, preset) m
    ),
    spread AS (
        SELECT o.team, o.environment,
            (count(*) FILTER (WHERE o.band = 'Elite'))::integer AS elite, (count(*) FILTER (WHERE o.band = 'High'))::integer AS high,
            (count(*) FILTER (WHERE o.band = 'Medium'))::integer AS medium, (count(*) FILTER (WHERE o.band = 'Low'))::integer AS low,
            (count(*) FILTER (WHERE o.band IS NULL))::integer AS no_data
        FROM own o
        GROUP BY o.team, o.environment
    ),
    before AS (
        -- A service of one environment is of one team, so what is asked of an environment is of the same services. The difference is taken from a
        -- time without a zone, where a day has 24 hours in every season.
        SELECT b.* FROM (SELECT o.environment, array_agg(o.service) AS names FROM own o GROUP BY o.environment) e
        CROSS JOIN LATERAL dora_metrics_by(
            ARRAY[((since AT TIME ZONE 'UTC') - (until - since)) AT TIME ZONE 'UTC', since], 'team', e.names, ARRAY[e.environment], only_teams, kinds,
            all_followed_since, preset
        ) b
    ),
    dragging AS (
        SELECT d.team, d.environment, array_agg(d.service ORDER BY d.place) AS names
        FROM dora_drags_between(since, until, only_services, only_environments, only_teams, kinds, all_followed_since, preset) d
        GROUP BY d.team, d.environment
    ),
    compared AS (
        SELECT n.*, s.elite, s.high, s.medium, s.low, s.no_data, coalesce(d.names, '{}') AS drags,
            CASE WHEN n.followed_seconds >= 86400 * n.services THEN n.deployments_per_week END AS per_week,
            CASE WHEN b.followed_seconds >= 86400 * n.services THEN b.deployments_per_week END AS per_week_before,
            b.lead_time_p50_seconds AS lead_time_before, b.change_failure_rate AS rate_before, b.recovery_p50_seconds AS recovery_before
        FROM dora_metrics_by(ARRAY[since, until], 'team', only_services, only_environments, only_teams, kinds, all_followed_since, preset) n
        JOIN spread s ON s.team = n.team AND s.environment = n.environment
        LEFT JOIN before b ON b.team = n.team AND b.environment = n.environment
        LEFT JOIN dragging d ON d.team = n.team AND d.environment = n.environment
    )
    SELECT c.team, c.environment, c.services, c.band,
        c.deployments, c.per_week, c.per_week_before, dora_trend(c.per_week_before, c.per_week, false),
        c.lead_time_p50_seconds, c.lead_time_before, dora_trend(c.lead_time_before, c.lead_time_p50_seconds, true),
        c.change_failure_rate, c.rate_before, dora_trend(c.rate_before, c.change_failure_rate, true),
        c.recovery_p50_seconds, c.recovery_before, dora_trend(c.recovery_before, c.recovery_p50_seconds, true),
        c.elite, c.high, c.medium, c.low, c.no_data, c.drags
    FROM compared c;
END;
-- +goose StatementEnd

COMMENT ON FUNCTION dora_trend IS 'Better, Worse, Same (by less than a tenth of what it was) or Unknown.';
COMMENT ON FUNCTION dora_drags_between IS 'The services below Elite from since until just before until, of each team worst first, with the metric that has their band.';
COMMENT ON FUNCTION dora_teams_between IS 'Each team from since until just before until, against the window before: figures, trends, services by band, and those that drag.';

-- +goose Down
DROP FUNCTION dora_teams_between, dora_drags_between, dora_trend;
