-- What people say about events after they were recorded.
--
-- +goose Up

-- All that was ever said of an event; the greatest n is the newest, and is joined to the event wherever it is read. Each has changed what is
-- read of it, so their number is part of its content.
CREATE TABLE ledger_marks (
    ledger integer NOT NULL,
    seq    bigint  NOT NULL,
    n      bigint  NOT NULL CHECK (n > 0),
    mark   text    NOT NULL, -- JSON
    PRIMARY KEY (ledger, seq, n),
    FOREIGN KEY (ledger, seq) REFERENCES ledger_events (ledger, seq) ON DELETE CASCADE
);
