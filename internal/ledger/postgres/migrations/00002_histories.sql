-- Whose events changed when, so that who adds them up reads those again and no others.
--
-- +goose Up

-- One row for each service that events of a subject name. Whatever changes what is read of them sets it to the revision that it makes.
CREATE TABLE ledger_histories (
    ledger      integer NOT NULL REFERENCES ledgers (id),
    uid         text    NOT NULL,
    service     text    NOT NULL,
    environment text    NOT NULL,
    changed     bigint  NOT NULL CHECK (changed > 0),
    PRIMARY KEY (ledger, uid, service, environment)
) WITH (fillfactor = 50);

INSERT INTO ledger_histories (ledger, uid, service, environment, changed)
    SELECT DISTINCT e.ledger, e.uid, e.service, e.environment, l.revision FROM ledger_events e JOIN ledgers l ON l.id = e.ledger;

-- Finds the failures of a subject, however many deployments lie between.
CREATE INDEX ledger_events_failures ON ledger_events (ledger, uid, occurred_at) WHERE type <> 'deploy';
