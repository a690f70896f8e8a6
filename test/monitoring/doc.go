// Package monitoring holds the tests of what watches over logwatch:
// configs/alerts.yaml, configs/grafana-dashboard.json and docs/RUNBOOK.md. The
// rules are tried with promtool's own tests (rules/*.yaml); rules and panels are
// compared with what a real daemon exposes, and a real Prometheus scrapes one under
// load and evaluates them.
//
// # Not promised
//
// That Grafana draws the dashboard as it is meant: Grafana is not run. The picture in
// docs/img is drawn by draw_test.go, from the panels' own queries.
package monitoring
