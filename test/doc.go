// Package test has the tests that run the whole daemon on container runtimes: one
// suite (suite_test.go) for the embedded runtime in both behaviors and for real
// containerds, and tests that need a real one.
package test
