-- The ledger's own tables, beside delivery_events, which has migrations of its own. Names stand without a schema, as there.
--
-- Several controllers share them: each row belongs to one ledger, and each cluster has one. But for that column the tables are those of the
-- ledger in SQLite, with the same names after "ledger_" and the same columns, so that a ledger moves from there row by row.
--
-- Every time is a bigint: microseconds since 1970-01-01T00:00:00Z. NULL is the zero time. There is no way down: an older release refuses a
-- newer schema and leaves it alone.

-- +goose Up

-- One row about each ledger. Whoever writes anything of it locks its row first: so writes of one ledger come one after the other, and are
-- numbered without gaps in what readers see, while different ledgers do not wait for each other.
CREATE TABLE ledgers (
    id            integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    cluster       text    NOT NULL UNIQUE CHECK (cluster <> ''),
    token         bigint  NOT NULL DEFAULT 0, -- the fence: of who opened it last, and alone may write
    writes        bigint  NOT NULL DEFAULT 0, -- grows with every transaction: tells whether one whose answer was lost was committed
    revision      bigint  NOT NULL DEFAULT 0 CHECK (revision >= 0), -- grows with every change
    since         bigint, -- when the first record was written
    pinged_at     bigint, -- proves that the database takes writes
    last_event    bigint  NOT NULL DEFAULT 0, -- the numbers that were given last; none is used twice
    last_decision bigint  NOT NULL DEFAULT 0,
    last_delivery bigint  NOT NULL DEFAULT 0,
    moving        text,   -- what is being copied into it, until that is done: nobody opens it meanwhile
    CHECK ((revision = 0) = (since IS NULL))
) WITH (fillfactor = 50);

-- What the decisions rest on. A version is written only over the one before it.
CREATE TABLE ledger_states (
    ledger  integer NOT NULL REFERENCES ledgers (id),
    key     text    NOT NULL CHECK (key <> ''),
    version bigint  NOT NULL CHECK (version > 0),
    data    bytea   NOT NULL,
    PRIMARY KEY (ledger, key)
);

-- What is remembered of followed objects, the deleted ones too.
CREATE TABLE ledger_subjects (
    ledger         integer NOT NULL REFERENCES ledgers (id),
    cluster        text    NOT NULL,
    uid            text    NOT NULL CHECK (uid <> ''),
    kind           text    NOT NULL,
    namespace      text    NOT NULL,
    name           text    NOT NULL,
    labels         text, -- a JSON object, NULL if there are none
    service        text    NOT NULL,
    team           text    NOT NULL,
    environment    text    NOT NULL,
    followed_since bigint,
    deleted_at     bigint,
    gaps           bigint  NOT NULL CHECK (gaps >= 0),
    PRIMARY KEY (ledger, cluster, uid)
);

-- The events, immutable, as they were recorded. delivery_events has each in its newest form.
CREATE TABLE ledger_events (
    ledger      integer NOT NULL REFERENCES ledgers (id),
    seq         bigint  NOT NULL,
    id          text    NOT NULL CHECK (id <> ''),
    cluster     text    NOT NULL,
    uid         text    NOT NULL,
    service     text    NOT NULL,
    environment text    NOT NULL,
    type        text    NOT NULL CHECK (type IN ('deploy', 'degraded', 'recovered')),
    outcome     text    CHECK (outcome IN ('succeeded', 'failed', 'rolled_back', 'unknown')),
    occurred_at bigint  NOT NULL,
    payload     text    NOT NULL, -- JSON
    PRIMARY KEY (ledger, seq),
    UNIQUE (ledger, id),
    CHECK ((type = 'deploy') = (outcome IS NOT NULL))
);

CREATE INDEX ledger_events_by_time ON ledger_events (ledger, occurred_at);
CREATE INDEX ledger_events_by_subject ON ledger_events (ledger, uid, occurred_at);
CREATE INDEX ledger_events_by_service ON ledger_events (ledger, service, occurred_at);

-- Why something was, or was not, counted. Its event may be pruned before it.
CREATE TABLE ledger_decisions (
    ledger   integer NOT NULL REFERENCES ledgers (id),
    seq      bigint  NOT NULL,
    cluster  text    NOT NULL,
    uid      text    NOT NULL,
    service  text    NOT NULL,
    at       bigint  NOT NULL,
    attempt  text    NOT NULL,
    reason   text    NOT NULL CHECK (reason <> ''),
    message  text    NOT NULL,
    event_id text    NOT NULL,
    PRIMARY KEY (ledger, seq)
);

CREATE INDEX ledger_decisions_by_subject ON ledger_decisions (ledger, uid, seq);

-- The figures of the sinks that ever had an outbox row. settled is the greatest sequence delivered or parked.
CREATE TABLE ledger_sinks (
    ledger        integer NOT NULL REFERENCES ledgers (id),
    name          text    NOT NULL CHECK (name <> ''),
    delivered     bigint  NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    settled       bigint  NOT NULL DEFAULT 0 CHECK (settled >= 0),
    last_delivery bigint,
    gone_at       bigint, -- since when the object that declares it is gone
    pending       bigint  NOT NULL DEFAULT 0 CHECK (pending >= 0), -- how many rows it has: counting them anew takes the longer the more there are
    parked        bigint  NOT NULL DEFAULT 0 CHECK (parked >= 0),
    PRIMARY KEY (ledger, name)
);

-- Events that sinks are owed, and those set aside. A delivered row is counted in ledger_sinks and removed, so this table stays as small as
-- what is outstanding. No ON DELETE CASCADE: an event that is still owed cannot be removed.
CREATE TABLE ledger_outbox (
    ledger      integer  NOT NULL,
    seq         bigint   NOT NULL,
    sink        text     NOT NULL,
    service     text     NOT NULL, -- of the event: its rows go out in order
    recorded_at bigint   NOT NULL,
    next_at     bigint   NOT NULL,
    attempts    bigint   NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    parked      smallint NOT NULL DEFAULT 0 CHECK (parked IN (0, 1)),
    failed_at   bigint,
    last_error  text     NOT NULL DEFAULT '',
    PRIMARY KEY (ledger, seq, sink),
    FOREIGN KEY (ledger, seq) REFERENCES ledger_events (ledger, seq),
    FOREIGN KEY (ledger, sink) REFERENCES ledger_sinks (ledger, name),
    CHECK ((attempts = 0) = (failed_at IS NULL)),
    CHECK (parked = 0 OR attempts > 0)
);

CREATE INDEX ledger_outbox_by_sink ON ledger_outbox (ledger, sink, parked, seq) INCLUDE (service, next_at, attempts);
CREATE INDEX ledger_outbox_failed ON ledger_outbox (ledger, sink, failed_at, seq) WHERE failed_at IS NOT NULL;
CREATE INDEX ledger_outbox_oldest ON ledger_outbox (ledger, sink, recorded_at) WHERE parked = 0;

-- Whatever changes the outbox changes the figures with it, once for each statement. What leaves the pending rows has moved the cursor.
-- +goose StatementBegin
CREATE FUNCTION ledger_outbox_added() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE ledger_sinks s SET pending = s.pending + n.pending, parked = s.parked + n.parked
    FROM (SELECT ledger, sink, sum(1 - parked) AS pending, sum(parked) AS parked FROM added GROUP BY 1, 2) n
    WHERE s.ledger = n.ledger AND s.name = n.sink;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION ledger_outbox_removed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE ledger_sinks s SET pending = s.pending - n.pending, parked = s.parked - n.parked, settled = greatest(s.settled, n.seq)
    FROM (SELECT ledger, sink, sum(1 - parked) AS pending, sum(parked) AS parked, max(seq) AS seq FROM removed GROUP BY 1, 2) n
    WHERE s.ledger = n.ledger AND s.name = n.sink;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION ledger_outbox_moved() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE ledger_sinks s SET pending = s.pending - n.parked, parked = s.parked + n.parked, settled = greatest(s.settled, n.seq)
    FROM (
        SELECT ledger, sink, sum(is_now.parked - was.parked) AS parked, max(seq) AS seq
        FROM was JOIN is_now USING (ledger, seq, sink) WHERE is_now.parked <> was.parked GROUP BY 1, 2
    ) n
    WHERE s.ledger = n.ledger AND s.name = n.sink;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER added AFTER INSERT ON ledger_outbox REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_outbox_added();
CREATE TRIGGER removed AFTER DELETE ON ledger_outbox REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION ledger_outbox_removed();
CREATE TRIGGER moved AFTER UPDATE ON ledger_outbox REFERENCING OLD TABLE AS was NEW TABLE AS is_now
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_outbox_moved();

-- What became of the search for the commits of an event. An event without a row was never queued. A pending row may have facts:
-- those of a search that is made again. They are joined to the event wherever it is read. A pending search keeps no event.
CREATE TABLE ledger_commits (
    ledger      integer NOT NULL,
    seq         bigint  NOT NULL,
    state       text    NOT NULL CHECK (state IN ('pending', 'resolved', 'unknown')),
    recorded_at bigint  NOT NULL, -- when it was queued, last
    next_at     bigint,
    attempts    bigint  NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reason      text    NOT NULL DEFAULT '', -- of the last failed attempt, or why there is no lead time
    message     text    NOT NULL DEFAULT '',
    facts       text, -- JSON
    content     bigint  NOT NULL DEFAULT 0 CHECK (content >= 0), -- grows when facts change what is read of the event
    PRIMARY KEY (ledger, seq),
    FOREIGN KEY (ledger, seq) REFERENCES ledger_events (ledger, seq) ON DELETE CASCADE,
    CHECK ((state = 'pending') = (next_at IS NOT NULL)),
    CHECK (state = 'pending' OR facts IS NOT NULL AND attempts = 0),
    CHECK (state <> 'resolved' OR reason = ''),
    CHECK (state <> 'unknown' OR reason <> ''),
    CHECK (content = 0 OR facts IS NOT NULL)
);

CREATE INDEX ledger_commits_pending ON ledger_commits (ledger, seq) INCLUDE (next_at) WHERE state = 'pending';

-- Answers that can be had again. seq is their age: the lowest go first, and a new one gets the greatest.
CREATE TABLE ledger_cache (
    ledger integer NOT NULL REFERENCES ledgers (id),
    seq    bigint  NOT NULL,
    key    text    NOT NULL CHECK (key <> ''),
    value  bytea   NOT NULL,
    PRIMARY KEY (ledger, key),
    UNIQUE (ledger, seq)
);

-- The log: one record for each attempt to deliver a row. It refers to no event, since it outlives them.
CREATE TABLE ledger_deliveries (
    ledger    integer NOT NULL,
    seq       bigint  NOT NULL,
    sink      text    NOT NULL,
    event_seq bigint  NOT NULL,
    event_id  text    NOT NULL,
    service   text    NOT NULL,
    type      text    NOT NULL,
    outcome   text,
    fate      text    NOT NULL CHECK (fate IN ('delivered', 'retried', 'parked')),
    content   bigint  NOT NULL,
    at        bigint  NOT NULL,
    took      bigint  NOT NULL, -- microseconds
    answer    text    NOT NULL,
    PRIMARY KEY (ledger, seq),
    FOREIGN KEY (ledger, sink) REFERENCES ledger_sinks (ledger, name)
);

CREATE INDEX ledger_deliveries_by_sink ON ledger_deliveries (ledger, sink, seq);
CREATE INDEX ledger_deliveries_by_event ON ledger_deliveries (ledger, event_id);

COMMENT ON TABLE ledgers IS 'The ledgers of dora-controllers, one for each cluster. The tables ledger_… are theirs alone: read delivery_events instead.';
