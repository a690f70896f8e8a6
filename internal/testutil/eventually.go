// Package testutil has helpers for tests.
package testutil

import (
	"testing"
	"time"
)

const (
	// maxWait is enough for two busy cores and the race detector.
	maxWait = 2 * time.Minute
	// The pause between two checks grows: a condition that costs a process or an RPC
	// would otherwise slow down what the test waits for.
	minPause, maxPause = 500 * time.Microsecond, 20 * time.Millisecond
)

// Eventually polls done until it returns true, and fails the test after maxWait. what
// describes the condition in the failure.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(maxWait)
	for pause := minPause; !done(); pause = min(maxPause, pause*3/2) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", maxWait, what)
		}
		time.Sleep(pause)
	}
}
