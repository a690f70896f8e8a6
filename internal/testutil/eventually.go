// Package await is for tests that wait for something that nothing tells of.
//
// # Blocking and shutdown
//
// That returns when the condition holds, or fails the test after atMost. There are
// no goroutines.
package testutil

import (
	"testing"
	"time"
)

const (
	// atMost is for two busy cores and the race detector: what takes longer does not
	// happen.
	atMost = 2 * time.Minute
	// The pause between two looks grows, since a condition that costs a process or an
	// RPC would else slow down what it waits for.
	firstPause, longestPause = 500 * time.Microsecond, 20 * time.Millisecond
)

// That looks again and again whether done is so. what is for the message.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(atMost)
	for pause := firstPause; !done(); pause = min(longestPause, pause*3/2) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", atMost, what)
		}
		time.Sleep(pause)
	}
}
