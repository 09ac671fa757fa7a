-- What destinations answered, sinks that are gone, and figures that cost the same however much is owed.
--
-- +goose Up

-- The log: one record for each attempt to deliver a row. It refers to no event, since it outlives them.
-- AUTOINCREMENT: a sequence is never used twice, even after the newest record was dropped.
CREATE TABLE deliveries (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    sink      TEXT    NOT NULL REFERENCES sinks (name),
    event_seq INTEGER NOT NULL,
    event_id  TEXT    NOT NULL,
    service   TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    outcome   TEXT,
    fate      TEXT    NOT NULL CHECK (fate IN ('delivered', 'retried', 'parked')),
    content   INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    took      INTEGER NOT NULL, -- microseconds
    answer    TEXT    NOT NULL
) STRICT;

-- Both end with seq, as every index does with its row's key.
CREATE INDEX deliveries_by_sink  ON deliveries (sink);
CREATE INDEX deliveries_by_event ON deliveries (event_id);

-- Since when the object that declares a sink is gone, and how many rows it has. Counting them anew takes the longer the more there are.
ALTER TABLE sinks ADD COLUMN gone_at INTEGER;
ALTER TABLE sinks ADD COLUMN pending INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0);
ALTER TABLE sinks ADD COLUMN parked  INTEGER NOT NULL DEFAULT 0 CHECK (parked >= 0);

UPDATE sinks SET
    pending = (SELECT COUNT(*) FROM outbox WHERE sink = name AND outbox.parked = 0),
    parked  = (SELECT COUNT(*) FROM outbox WHERE sink = name AND outbox.parked = 1);

-- Whatever changes the outbox changes the figures with it. What leaves the pending rows has moved the cursor.
-- +goose StatementBegin
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    UPDATE sinks SET pending = pending + 1 - NEW.parked, parked = parked + NEW.parked WHERE name = NEW.sink;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox BEGIN
    UPDATE sinks SET pending = pending - 1 + OLD.parked, parked = parked - OLD.parked, settled = MAX(settled, OLD.seq) WHERE name = OLD.sink;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outbox_moved AFTER UPDATE OF parked ON outbox WHEN NEW.parked <> OLD.parked BEGIN
    UPDATE sinks SET pending = pending + OLD.parked - NEW.parked, parked = parked + NEW.parked - OLD.parked, settled = MAX(settled, NEW.seq)
    WHERE name = NEW.sink;
END;
-- +goose StatementEnd

-- Finds the row that has been pending longest. The search for due rows no longer needs to know it.
CREATE INDEX outbox_oldest ON outbox (sink, recorded_at) WHERE parked = 0;
DROP INDEX outbox_by_sink;
CREATE INDEX outbox_by_sink ON outbox (sink, parked, seq, service, next_at, attempts);
