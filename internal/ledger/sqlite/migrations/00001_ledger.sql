-- The first schema. Its invariants are constraints, so that no bug above them can break them unseen.
--
-- Every time is an INTEGER: microseconds since 1970-01-01T00:00:00Z. NULL is the zero time.
-- There is no way down: an older release refuses a newer file and leaves it alone.

-- +goose Up

-- "dora" in ASCII: tells a ledger from any other SQLite file.
PRAGMA application_id = 1685025377;

-- One row about the ledger itself.
CREATE TABLE ledger (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    revision  INTEGER NOT NULL CHECK (revision >= 0), -- grows with every change
    since     INTEGER,                                -- when the first record was written
    pinged_at INTEGER,                                -- proves that the disk takes writes
    CHECK ((revision = 0) = (since IS NULL))
) STRICT;

INSERT INTO ledger (id, revision) VALUES (1, 0);

-- What the decisions rest on. A version is written only over the one before it.
CREATE TABLE states (
    key     TEXT    NOT NULL PRIMARY KEY CHECK (key <> ''),
    version INTEGER NOT NULL CHECK (version > 0),
    data    BLOB    NOT NULL
) STRICT;

-- What is remembered of followed objects, the deleted ones too.
CREATE TABLE subjects (
    cluster        TEXT    NOT NULL,
    uid            TEXT    NOT NULL CHECK (uid <> ''),
    kind           TEXT    NOT NULL,
    namespace      TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    labels         TEXT    CHECK (json_valid(labels)), -- a JSON object, NULL if there are none
    service        TEXT    NOT NULL,
    team           TEXT    NOT NULL,
    environment    TEXT    NOT NULL,
    followed_since INTEGER,
    deleted_at     INTEGER,
    gaps           INTEGER NOT NULL CHECK (gaps >= 0),
    PRIMARY KEY (cluster, uid)
) STRICT;

-- The events, immutable. The payload is the whole event; the columns beside it are what queries select by.
-- AUTOINCREMENT: a sequence is never used twice, even after the newest row was pruned.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE CHECK (id <> ''),
    cluster     TEXT    NOT NULL,
    uid         TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    type        TEXT    NOT NULL CHECK (type IN ('deploy', 'degraded', 'recovered')),
    outcome     TEXT    CHECK (outcome IN ('succeeded', 'failed', 'rolled_back', 'unknown')),
    occurred_at INTEGER NOT NULL,
    payload     TEXT    NOT NULL CHECK (json_valid(payload)),
    CHECK ((type = 'deploy') = (outcome IS NOT NULL))
) STRICT;

CREATE INDEX events_by_time    ON events (occurred_at);
CREATE INDEX events_by_subject ON events (uid, occurred_at);
CREATE INDEX events_by_service ON events (service, occurred_at);

-- Why something was, or was not, counted. Its event may be pruned before it.
CREATE TABLE decisions (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster  TEXT    NOT NULL,
    uid      TEXT    NOT NULL,
    service  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    attempt  TEXT    NOT NULL,
    reason   TEXT    NOT NULL CHECK (reason <> ''),
    message  TEXT    NOT NULL,
    event_id TEXT    NOT NULL
) STRICT;

CREATE INDEX decisions_by_subject ON decisions (uid, seq);

-- The figures of the sinks that ever had an outbox row. settled is the greatest sequence delivered or parked.
CREATE TABLE sinks (
    name          TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    delivered     INTEGER NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    settled       INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    last_delivery INTEGER
) STRICT, WITHOUT ROWID;

-- Events that sinks are owed, and those set aside. A delivered row is counted in sinks and removed, so this table
-- stays as small as what is outstanding. No ON DELETE CASCADE: an event that is still owed cannot be removed.
CREATE TABLE outbox (
    seq         INTEGER NOT NULL REFERENCES events (seq),
    sink        TEXT    NOT NULL REFERENCES sinks (name),
    service     TEXT    NOT NULL, -- of the event: its rows go out in order
    recorded_at INTEGER NOT NULL,
    next_at     INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    parked      INTEGER NOT NULL DEFAULT 0 CHECK (parked IN (0, 1)),
    failed_at   INTEGER,
    last_error  TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (seq, sink),
    CHECK ((attempts = 0) = (failed_at IS NULL)),
    CHECK (parked = 0 OR attempts > 0)
) STRICT, WITHOUT ROWID;

-- Covers the search for due rows, and the figures.
CREATE INDEX outbox_by_sink ON outbox (sink, parked, seq, service, next_at);
-- Finds the newest failure of a sink.
CREATE INDEX outbox_failed ON outbox (sink, failed_at, seq) WHERE failed_at IS NOT NULL;
