-- What is reported from outside: failures of a service that overlap are one outage, and versions without images are compared by commit or tag.
-- Both functions keep their form, so that what is built on them stays.

-- +goose Up

-- What tells a version in an event's payload from others: its images; where nobody knows those its commit, and where nobody knows that its tag.
-- NULL if it is not known.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION dora_images(payload jsonb, version text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN nullif(nullif(payload -> version -> 'images', '[]'), 'null') IS NOT NULL THEN payload -> version -> 'images'
        WHEN nullif(payload -> version ->> 'commit', '') IS NOT NULL THEN jsonb_set('{}', '{commit}', payload -> version -> 'commit')
        WHEN nullif(payload -> version ->> 'tag', '') IS NOT NULL THEN jsonb_set('{}', '{tag}', payload -> version -> 'tag')
    END;
-- +goose StatementEnd

-- One row for each outage, given the kinds of change that count: the failures of a service that overlap, from the beginning of the first to the
-- end of the last. One that begins when another ends is another; one that nobody told the end of takes in what begins within a week. What is told
-- is what the first of them tells, and the first cause of which the verdict is known.
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
    WITH failure AS (
        SELECT d.id, d.incident_id, d.service, d.team, d.environment, d.cluster, d.subject_kind, d.subject_namespace, d.subject_name,
            d.occurred_at AS began, r.ended, coalesce(r.ended, d.occurred_at + interval '7 days') AS reach, d.started_at,
            nullif(d.caused_by, '') AS caused_by, c.class, c.occurred_at AS caused_at,
            -- A cause that is named and is not in the table, or that people ignore, is no incident: somebody knows better. One that was no failure is.
            nullif(d.caused_by, '') IS NULL OR c.id IS NOT NULL AND c.class IS NULL AS incident,
            c.class <> 'unknown' AS known
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
        WHERE d.event_type = 'incident_open'
    ),
    ordered AS (
        SELECT f.*, row_number() OVER line AS n,
            coalesce(f.began >= max(f.reach) OVER (line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS first
        FROM failure f
        WINDOW line AS (PARTITION BY f.service, f.environment ORDER BY f.began, f.reach DESC, f.started_at NULLS FIRST, f.id COLLATE "C")
    ),
    numbered AS (
        SELECT o.*, count(*) FILTER (WHERE o.first) OVER (PARTITION BY o.service, o.environment ORDER BY o.n) AS outage FROM ordered o
    ),
    joined AS (
        SELECT n.service, n.environment, n.outage,
            CASE WHEN bool_and(n.ended IS NOT NULL) THEN max(n.ended) END AS ended, bool_and(n.incident) AS incident,
            coalesce(min(n.n) FILTER (WHERE n.known), min(n.n) FILTER (WHERE n.caused_by IS NOT NULL)) AS by_n
        FROM numbered n
        GROUP BY n.service, n.environment, n.outage
    )
    SELECT f.id, f.incident_id, f.service, f.team, f.environment, f.cluster, f.subject_kind, f.subject_namespace, f.subject_name,
        f.began, j.ended, j.ended IS NULL,
        CASE WHEN j.ended >= f.began THEN extract(epoch FROM j.ended - f.began)::double precision END, coalesce(j.ended < f.began, false),
        c.caused_by, c.class, c.caused_at, j.incident, coalesce(c.class = 'aborted', false)
    FROM numbered f
    JOIN joined j ON j.service = f.service AND j.environment = f.environment AND j.outage = f.outage
    LEFT JOIN numbered c ON c.service = j.service AND c.environment = j.environment AND c.n = j.by_n
    WHERE f.first;
END;
-- +goose StatementEnd

COMMENT ON VIEW dora_failures IS 'One row for each outage: the failures of a service that overlap, from the beginning of the first to the end of the last.';
COMMENT ON COLUMN delivery_events.event_type IS
    'deploy, incident_open (a failure of production began), incident_resolved (it ended), change (code came to its default branch), or ignored: in no figure, since people say so.';
COMMENT ON COLUMN delivery_events.commit_sha IS 'The commit that was deployed, or that came, as it was told: it may be abbreviated.';
COMMENT ON COLUMN delivery_events.occurred_at IS 'When it happened, by the clock of Argo CD or Argo Rollouts, or as it was reported.';
COMMENT ON COLUMN delivery_events.source IS 'Who tells it: argocd, or the product that reported it, such as api, github or pagerduty.';
COMMENT ON COLUMN delivery_events.type IS 'deploy, degraded, recovered or change: what dora-controller calls event_type. Empty in rows of others.';
COMMENT ON COLUMN delivery_events.subject_kind IS 'The kind of the object whose deployments are followed: Application or Rollout; or Reported.';

-- +goose Down
-- Both functions stay as they are: what is built on them works with either form.
SELECT 1;
