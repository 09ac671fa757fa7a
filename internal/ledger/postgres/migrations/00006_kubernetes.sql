-- Which Kubernetes cluster a ledger is of.

-- +goose Up

-- The uid of its namespace kube-system, from the first controller on that knew it. A controller in another cluster does not open the ledger,
-- though its --cluster is the same: the two would take it from each other for ever.
ALTER TABLE ledgers ADD COLUMN kubernetes text;
