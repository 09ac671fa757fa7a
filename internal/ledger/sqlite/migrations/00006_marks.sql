-- What people say about events after they were recorded.
--
-- +goose Up

-- All that was ever said of an event; the greatest n is the newest, and is joined to the event wherever it is read. Each has changed what is
-- read of it, so their number is part of its content.
CREATE TABLE marks (
    seq  INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    n    INTEGER NOT NULL CHECK (n > 0),
    mark TEXT    NOT NULL CHECK (json_valid(mark)),
    PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
