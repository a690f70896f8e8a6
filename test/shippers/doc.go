// Package shippers tests what real log shippers make of a rotation: each reads the logs
// of real containers, with the settings of its own documentation for Kubernetes and
// before any tuning, while logwatch or kubelet's own manager rotates them. The containers
// write numbered lines, and what arrives at the shipper's output is compared with them
// line by line.
//
// TestShippers is the short form for CI. TestMatrix measures each shipper beside each
// rotator under each load, and prints a table as in docs/SHIPPERS.md.
package shippers
