-- A failure that others report makes rework too: of what is reported, and of Argo's deployments, which are decided without it. The function of the
-- deployments keeps its form, so that what is built on it stays.

-- +goose Up

CREATE INDEX IF NOT EXISTS delivery_events_reported_idx ON delivery_events (service, environment, occurred_at) WHERE source <> 'argocd';

-- Whether a deployment is rework. Reasons are an attempt that failed or went back, and a failure that a deployment had caused, since the latest
-- success; and a failure that was open when it began. One that was recorded as rework is, unless there are reasons among the events, and all of them
-- were taken out. One that was not is nevertheless, if it was reported, or a reason was that counts by itself: not because people call it a failure,
-- nor a failure of which nobody told the end for a week. A failure that was before its cause was over counts from then on.
-- +goose StatementBegin
CREATE FUNCTION dora_reworked(
    of_id text, of_service text, of_environment text, of_started timestamptz, of_occurred timestamptz, of_unplanned boolean, of_source text
) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH latest AS (
        SELECT e.occurred_at, coalesce(e.started_at, '-infinity') AS started_at, e.id COLLATE "C" AS id
        FROM delivery_events e
        WHERE e.event_type = 'deploy' AND e.service = of_service AND e.environment = of_environment
            AND dora_judged(e.outcome, e.success, e.exposed, e.mark) = 'succeeded' AND e.occurred_at <= of_occurred
            AND (e.occurred_at, coalesce(e.started_at, '-infinity'), e.id COLLATE "C") < (of_occurred, coalesce(of_started, '-infinity'), of_id COLLATE "C")
        ORDER BY e.occurred_at DESC, e.started_at DESC NULLS LAST, e.id COLLATE "C" DESC
        LIMIT 1
    ),
    failure AS (
        SELECT CASE WHEN k.early THEN c.id ELSE f.id END AS id, CASE WHEN k.early THEN c.occurred_at ELSE f.occurred_at END AS occurred_at,
            CASE WHEN k.early THEN c.started_at ELSE f.started_at END AS started_at, f.source, f.caused_by <> '' AS caused, c.id IS NOT NULL AS known,
            f.event_type = 'ignored' OR coalesce(c.event_type = 'ignored', false) AS ignored, coalesce(c.mark = 'not-a-failure', false) AS excused,
            f.caused_by IS DISTINCT FROM of_id AND f.occurred_at <= coalesce(of_started, of_occurred)
                AND (r.ended IS NULL OR r.ended > coalesce(of_started, of_occurred)) AS during,
            r.ended IS NOT NULL OR f.occurred_at + interval '7 days' > coalesce(of_started, of_occurred) AS lasting
        FROM delivery_events f
        LEFT JOIN delivery_events c ON c.id = f.caused_by AND c.service = of_service AND c.environment = of_environment
            AND (c.event_type = 'deploy' OR c.event_type = 'ignored' AND c.type = 'deploy')
        CROSS JOIN LATERAL (
            SELECT coalesce((c.occurred_at, coalesce(c.started_at, '-infinity'), c.id COLLATE "C")
                > (f.occurred_at, coalesce(f.started_at, '-infinity'), f.id COLLATE "C"), false) AS early
        ) k
        LEFT JOIN LATERAL (
            SELECT max(e.occurred_at) AS ended
            FROM delivery_events e
            WHERE e.event_type = 'incident_resolved' AND e.incident_id = f.incident_id AND e.incident_id <> ''
                AND e.service = of_service AND e.environment = of_environment
        ) r ON true
        WHERE f.service = of_service AND f.environment = of_environment AND f.occurred_at <= of_occurred
            AND (f.event_type = 'incident_open' OR f.event_type = 'ignored' AND f.type = 'degraded')
    ),
    reason AS (
        SELECT d.occurred_at, d.started_at, d.id, d.source, false AS during, d.event_type = 'deploy' AND d.mark IS DISTINCT FROM 'not-a-failure' AS stands,
            d.event_type = 'deploy' AND d.mark IS DISTINCT FROM 'not-a-failure' AND d.outcome IN ('failed', 'rolled_back') AS seen, false AS seen_during
        FROM delivery_events d
        WHERE d.service = of_service AND d.environment = of_environment AND d.occurred_at <= of_occurred
            AND d.occurred_at >= coalesce((SELECT l.occurred_at FROM latest l), '-infinity')
            AND (d.event_type = 'deploy' OR d.event_type = 'ignored' AND d.type = 'deploy')
            AND (d.outcome IN ('failed', 'rolled_back') OR d.mark = 'failure')
        UNION ALL
        SELECT f.occurred_at, f.started_at, f.id, f.source, f.during, NOT f.ignored AND (f.during OR NOT f.excused),
            NOT f.ignored AND f.known AND NOT f.excused, NOT f.ignored AND f.during AND f.lasting
        FROM failure f
        WHERE f.caused OR f.during
    )
    SELECT coalesce(bool_or((r.seen AND s.since OR r.seen_during) AND (r.source <> 'argocd' OR of_source <> 'argocd')), false)
        OR coalesce(of_unplanned, false) AND coalesce(bool_or(r.stands), true)
    FROM reason r
    LEFT JOIN latest l ON true
    CROSS JOIN LATERAL (
        SELECT (r.occurred_at, coalesce(r.started_at, '-infinity'), r.id COLLATE "C") < (of_occurred, coalesce(of_started, '-infinity'), of_id COLLATE "C")
            AND (l.id IS NULL OR (r.occurred_at, coalesce(r.started_at, '-infinity'), r.id COLLATE "C") >= (l.occurred_at, l.started_at, l.id)) AS since
    ) s
    WHERE r.during OR s.since;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION dora_deployments_of(kinds text[])
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
        a.class IN ('failed', 'aborted') OR a.class = 'succeeded' AND a.mark IS DISTINCT FROM 'not-a-failure' AND (
            a.mark IS NOT DISTINCT FROM 'failure' OR EXISTS (
                SELECT FROM delivery_events f
                WHERE f.event_type = 'incident_open' AND f.caused_by = a.id AND f.service = a.service AND f.environment = a.environment
            ) OR coalesce(a.was_left, false)
        ),
        -- Where nobody said or reported anything, nothing has to be looked for.
        a.class = 'succeeded' AND CASE WHEN a.source <> 'argocd' OR EXISTS (
                SELECT FROM delivery_events m
                WHERE m.source <> 'argocd' AND (m.event_type = 'incident_open' OR m.event_type = 'deploy')
                    AND m.service = a.service AND m.environment = a.environment AND m.occurred_at <= a.occurred_at
            ) OR a.unplanned AND EXISTS (
                SELECT FROM delivery_events m
                WHERE m.mark IS NOT NULL AND m.service = a.service AND m.environment = a.environment AND m.occurred_at <= a.occurred_at
            ) THEN dora_reworked(a.id, a.service, a.environment, a.started_at, a.occurred_at, a.unplanned, a.source)
            ELSE coalesce(a.unplanned, false)
        END,
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
                d.commit_sha, d.tag, d.previous_tag, d.basis, d.reason, d.message, d.mark, d.source,
                lead(d.id) OVER chain AS next_id, lead(c.class) OVER chain AS next_class, lead(d.occurred_at) OVER chain AS next_at
            FROM delivery_events d
            CROSS JOIN LATERAL (SELECT dora_judged(d.outcome, d.success, d.exposed, d.mark) AS class) c
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

DROP FUNCTION dora_reworked(text, text, text, timestamptz, timestamptz);

COMMENT ON FUNCTION dora_reworked IS 'Whether a deployment is rework, with what others reported and once people were heard.';
COMMENT ON COLUMN delivery_events.unplanned IS 'Whether a deployment was recorded as made because production was, or had been, broken; dora_deployments says what is rework.';

-- +goose Down
-- Whether a deployment that was recorded as rework is: not if there are reasons among the events, and all of them were taken out. Reasons are an
-- attempt that failed or went back, and a failure that a deployment had caused, since the latest success; and a failure that was open when it began.
-- +goose StatementBegin
CREATE FUNCTION dora_reworked(of_id text, of_service text, of_environment text, of_started timestamptz, of_occurred timestamptz) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH latest AS (
        SELECT e.occurred_at, coalesce(e.started_at, '-infinity') AS started_at, e.id COLLATE "C" AS id
        FROM delivery_events e
        WHERE e.event_type = 'deploy' AND e.service = of_service AND e.environment = of_environment
            AND dora_judged(e.outcome, e.success, e.exposed, e.mark) = 'succeeded' AND e.occurred_at <= of_occurred
            AND (e.occurred_at, coalesce(e.started_at, '-infinity'), e.id COLLATE "C") < (of_occurred, coalesce(of_started, '-infinity'), of_id COLLATE "C")
        ORDER BY e.occurred_at DESC, e.started_at DESC NULLS LAST, e.id COLLATE "C" DESC
        LIMIT 1
    ),
    failure AS (
        SELECT f.id, f.occurred_at, f.started_at, f.caused_by <> '' AS caused,
            f.event_type = 'ignored' OR coalesce(c.event_type = 'ignored', false) AS ignored, coalesce(c.mark = 'not-a-failure', false) AS excused,
            f.occurred_at <= coalesce(of_started, of_occurred) AND (r.ended IS NULL OR r.ended > coalesce(of_started, of_occurred)) AS during
        FROM delivery_events f
        LEFT JOIN delivery_events c ON c.id = f.caused_by AND c.service = of_service AND c.environment = of_environment
            AND (c.event_type = 'deploy' OR c.event_type = 'ignored' AND c.type = 'deploy')
        LEFT JOIN LATERAL (
            SELECT max(e.occurred_at) AS ended
            FROM delivery_events e
            WHERE e.event_type = 'incident_resolved' AND e.incident_id = f.incident_id AND e.incident_id <> ''
                AND e.service = of_service AND e.environment = of_environment
        ) r ON true
        WHERE f.service = of_service AND f.environment = of_environment AND f.occurred_at <= of_occurred
            AND (f.event_type = 'incident_open' OR f.event_type = 'ignored' AND f.type = 'degraded')
    ),
    reason AS (
        SELECT d.occurred_at, d.started_at, d.id, false AS during, d.event_type = 'deploy' AND d.mark IS DISTINCT FROM 'not-a-failure' AS stands
        FROM delivery_events d
        WHERE d.service = of_service AND d.environment = of_environment AND d.occurred_at <= of_occurred
            AND d.occurred_at >= coalesce((SELECT l.occurred_at FROM latest l), '-infinity')
            AND (d.event_type = 'deploy' OR d.event_type = 'ignored' AND d.type = 'deploy')
            AND (d.outcome IN ('failed', 'rolled_back') OR d.mark = 'failure')
        UNION ALL
        SELECT f.occurred_at, f.started_at, f.id, f.during, NOT f.ignored AND (f.during OR NOT f.excused)
        FROM failure f
        WHERE f.caused OR f.during
    )
    SELECT coalesce(bool_or(r.stands), true)
    FROM reason r
    LEFT JOIN latest l ON true
    WHERE r.during OR (
        (r.occurred_at, coalesce(r.started_at, '-infinity'), r.id COLLATE "C") < (of_occurred, coalesce(of_started, '-infinity'), of_id COLLATE "C")
        AND (l.id IS NULL OR (r.occurred_at, coalesce(r.started_at, '-infinity'), r.id COLLATE "C") >= (l.occurred_at, l.started_at, l.id))
    );
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION dora_deployments_of(kinds text[])
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
        a.class IN ('failed', 'aborted') OR a.class = 'succeeded' AND a.mark IS DISTINCT FROM 'not-a-failure' AND (
            a.mark IS NOT DISTINCT FROM 'failure' OR EXISTS (
                SELECT FROM delivery_events f
                WHERE f.event_type = 'incident_open' AND f.caused_by = a.id AND f.service = a.service AND f.environment = a.environment
            ) OR coalesce(a.was_left, false)
        ),
        -- Where nobody said anything, nothing has to be looked for.
        CASE WHEN a.class = 'succeeded' AND a.unplanned THEN NOT EXISTS (
                SELECT FROM delivery_events m
                WHERE m.mark IS NOT NULL AND m.service = a.service AND m.environment = a.environment AND m.occurred_at <= a.occurred_at
            ) OR dora_reworked(a.id, a.service, a.environment, a.started_at, a.occurred_at)
            ELSE false
        END,
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
                d.commit_sha, d.tag, d.previous_tag, d.basis, d.reason, d.message, d.mark,
                lead(d.id) OVER chain AS next_id, lead(c.class) OVER chain AS next_class, lead(d.occurred_at) OVER chain AS next_at
            FROM delivery_events d
            CROSS JOIN LATERAL (SELECT dora_judged(d.outcome, d.success, d.exposed, d.mark) AS class) c
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

DROP FUNCTION dora_reworked(text, text, text, timestamptz, timestamptz, boolean, text);
COMMENT ON FUNCTION dora_reworked IS 'Whether a deployment that was recorded as rework is, once people were heard.';
COMMENT ON COLUMN delivery_events.unplanned IS 'Whether a deployment was made because production was, or had been, broken: rework.';
DROP INDEX delivery_events_reported_idx;
