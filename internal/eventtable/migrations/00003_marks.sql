-- What people say about events, beside what Argo told; docs/marks.md says what each mark means.
--
-- An event that people take out of all figures has the event_type 'ignored', so that no query that asks for one of the others finds it: not the
-- published ones, and not the views.

-- +goose Up

ALTER TABLE delivery_events
    ADD COLUMN IF NOT EXISTS mark        text,
    ADD COLUMN IF NOT EXISTS mark_reason text,
    ADD COLUMN IF NOT EXISTS marked_by   text;

-- Whatever words are allowed by a constraint, ours or one of others, this one is too. Rows that are there were looked at already: NOT VALID.
-- +goose StatementBegin
DO $words$
DECLARE
    words record;
BEGIN
    FOR words IN
        SELECT c.conname, pg_get_expr(c.conbin, c.conrelid) AS expression
        FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attname = 'event_type'
        WHERE c.conrelid = 'delivery_events'::regclass AND c.contype = 'c' AND c.conkey = ARRAY[a.attnum]
            AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND c.coninhcount = 0
    LOOP
        EXECUTE format('ALTER TABLE delivery_events DROP CONSTRAINT %I', words.conname);
        EXECUTE format('ALTER TABLE delivery_events ADD CONSTRAINT %I CHECK ((%s) OR event_type = ''ignored'') NOT VALID', words.conname, words.expression);
    END LOOP;
END
$words$;
-- +goose StatementEnd

COMMENT ON COLUMN delivery_events.event_type IS
    'deploy, incident_open (a failure of production began), incident_resolved (it ended), or ignored: in no figure, since people say so. No change is written.';
COMMENT ON COLUMN delivery_events.success IS
    'Whether production ended up healthy, or what people say of it. NULL for an unknown outcome, for failures and recoveries, and for what is ignored.';
COMMENT ON COLUMN delivery_events.mark IS 'What people say of the event: failure, not-a-failure or ignore. NULL if nobody says anything.';
COMMENT ON COLUMN delivery_events.mark_reason IS 'Why they say so.';
COMMENT ON COLUMN delivery_events.marked_by IS 'Who says so.';

-- What a deploy event means to the figures once people were heard. What became healthy was deployed, also if it was a failure; what was stopped
-- or went back, and was a failure, is a change that users met.
-- +goose StatementBegin
CREATE FUNCTION dora_judged(outcome text, success boolean, exposed boolean, mark text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN mark = 'not-a-failure' THEN 'succeeded'
        WHEN mark = 'failure' AND outcome = 'rolled_back' THEN 'aborted'
        WHEN mark = 'failure' AND outcome = 'succeeded' THEN 'succeeded'
        WHEN mark = 'failure' THEN 'failed'
        ELSE dora_class(outcome, success, exposed)
    END;
-- +goose StatementEnd

-- The functions below keep their names, arguments and rows, so that what others have built on them stays.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION dora_failures_of(kinds text[])
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
        -- A cause that is named and is not in the table, or that people ignore, is no incident: somebody knows better. One that was no failure is.
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
            CASE WHEN e.change = ANY (kinds) AND e.mark IS DISTINCT FROM 'not-a-failure' THEN dora_judged(e.outcome, e.success, e.exposed, e.mark) END AS class
        FROM delivery_events e
        WHERE e.event_type = 'deploy'
    ) c ON c.id = d.caused_by AND c.service = d.service AND c.environment = d.environment
    WHERE d.event_type = 'incident_open';
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

COMMENT ON FUNCTION dora_judged IS 'What a deploy event means to the figures: succeeded, failed, aborted, unexposed, returned or unknown.';

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION dora_failures_of(kinds text[])
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
DROP FUNCTION dora_judged;
