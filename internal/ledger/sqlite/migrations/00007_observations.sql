-- What decisions rest on: the looks at subjects that changed something.
--
-- +goose Up

-- The newest of each subject, numbered as they were made; whoever adds one drops those that are too many. The data is what package evidence
-- makes, compressed. The events that came of it may be pruned before it, or after it.
CREATE TABLE observations (
    uid    TEXT    NOT NULL CHECK (uid <> ''),
    n      INTEGER NOT NULL CHECK (n > 0),
    at     INTEGER NOT NULL,
    events TEXT    NOT NULL CHECK (json_valid(events)), -- the ids of those that came of it
    data   BLOB    NOT NULL,
    PRIMARY KEY (uid, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX observations_by_time ON observations (at);
