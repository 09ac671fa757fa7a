-- Whose events changed when, so that who adds them up reads those again and no others.
--
-- +goose Up

-- One row for each service that events of a subject name. Whatever changes what is read of them sets it to the revision that it makes.
CREATE TABLE histories (
    uid         TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    changed     INTEGER NOT NULL CHECK (changed > 0),
    PRIMARY KEY (uid, service, environment)
) STRICT, WITHOUT ROWID;

INSERT INTO histories (uid, service, environment, changed)
    SELECT DISTINCT uid, service, environment, (SELECT revision FROM ledger) FROM events;

-- Finds the failures of a subject, however many deployments lie between.
CREATE INDEX events_failures ON events (uid, occurred_at) WHERE type <> 'deploy';
