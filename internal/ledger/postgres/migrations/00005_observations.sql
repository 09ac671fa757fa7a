-- What decisions rest on: the looks at subjects that changed something.

-- +goose Up

-- The newest of each subject, numbered as they were made; whoever adds one drops those that are too many. The data is what package evidence
-- makes, compressed. The events that came of it may be pruned before it, or after it.
CREATE TABLE ledger_observations (
    ledger integer NOT NULL REFERENCES ledgers (id),
    uid    text    NOT NULL CHECK (uid <> ''),
    n      bigint  NOT NULL CHECK (n > 0),
    at     bigint  NOT NULL,
    events text    NOT NULL, -- JSON: the ids of those that came of it
    data   bytea   NOT NULL,
    PRIMARY KEY (ledger, uid, n)
);

CREATE INDEX ledger_observations_by_time ON ledger_observations (ledger, at);
