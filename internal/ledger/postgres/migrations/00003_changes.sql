-- Events of a fourth type: changes of code.

-- +goose Up

ALTER TABLE ledger_events
    DROP CONSTRAINT ledger_events_type_check,
    ADD CONSTRAINT ledger_events_type_check CHECK (type IN ('deploy', 'degraded', 'recovered', 'change')) NOT VALID;
ALTER TABLE ledger_events VALIDATE CONSTRAINT ledger_events_type_check;
