// Package monitoring tests configs/alerts.yaml, configs/grafana-dashboard.json,
// docs/RUNBOOK.md, docs/TROUBLESHOOTING.md and docs/METRICS.md.
//
// promtool runs the rule tests (rules/*.yaml). Rules, panels and docs are compared with
// what a real agent exposes and with the strings in the sources. A real Prometheus
// scrapes an agent under load, evaluates the rules and answers the panels' queries.
//
// # Limitations
//
// Grafana does not run: the tests do not show how it draws the dashboard.
package monitoring
