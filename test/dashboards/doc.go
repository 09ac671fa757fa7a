// Package dashboards proves the dashboards of the chart without a Grafana: every query of every panel, variable and annotation is run against
// a real PostgreSQL, with the macros expanded as Grafana's documentation says, on events whose figures were worked out by hand. What a panel
// shows is asserted, not only that it runs. Queries for Prometheus are held against the metrics that the code registers.
package dashboards
