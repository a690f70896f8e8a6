// Package test holds the tests that run the whole daemon against container
// runtimes: one suite (suite_test.go) for the embedded runtime in both its
// behaviours and for real containerds, and what only a real one can show.
package test
