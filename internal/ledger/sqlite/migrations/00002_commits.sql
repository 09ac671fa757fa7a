-- What is found out about the commits of deployments after they were recorded, the queue of those to be looked into, and a cache.
--
-- +goose Up

-- What became of the search for the commits of an event. An event without a row was never queued. A pending row may have facts:
-- those of a search that is made again. They are joined to the event wherever it is read. A pending search keeps no event.
CREATE TABLE commits (
    seq         INTEGER NOT NULL PRIMARY KEY REFERENCES events (seq) ON DELETE CASCADE,
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'resolved', 'unknown')),
    recorded_at INTEGER NOT NULL, -- when it was queued, last
    next_at     INTEGER,
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reason      TEXT    NOT NULL DEFAULT '', -- of the last failed attempt, or why there is no lead time
    message     TEXT    NOT NULL DEFAULT '',
    facts       TEXT    CHECK (json_valid(facts)),
    content     INTEGER NOT NULL DEFAULT 0 CHECK (content >= 0), -- grows when facts change what is read of the event
    CHECK ((state = 'pending') = (next_at IS NOT NULL)),
    CHECK (state = 'pending' OR facts IS NOT NULL AND attempts = 0),
    CHECK (state <> 'resolved' OR reason = ''),
    CHECK (state <> 'unknown' OR reason <> ''),
    CHECK (content = 0 OR facts IS NOT NULL)
) STRICT;

-- The queue, in its order; it also answers when the next is due. Small, since what has ended is not in it.
CREATE INDEX commits_pending ON commits (state, seq, next_at) WHERE state = 'pending';

-- Answers that can be had again. seq is their age: the lowest go first, and a new one gets the greatest.
CREATE TABLE cache (
    seq   INTEGER PRIMARY KEY,
    key   TEXT    NOT NULL UNIQUE CHECK (key <> ''),
    value BLOB    NOT NULL
) STRICT;

-- An event that is owed again stands before those that have been pending for longer: their age is no longer in the order of seq.
DROP INDEX outbox_by_sink;
CREATE INDEX outbox_by_sink ON outbox (sink, parked, seq, service, next_at, recorded_at);
