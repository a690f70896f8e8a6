package health

import (
	"slices"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

// TestReaders: the reader that is the furthest behind comes first, and others are
// counted; the status is unchanged.
func TestReaders(t *testing.T) {
	var n api.Node
	for i := range maxReaders + 2 {
		n.Readers = append(n.Readers, api.Reader{PID: i, Command: "reader", Containers: 2, Lag: int64(i) << 10})
	}
	before := slices.Clone(n.Readers)
	got := Readers(n)
	if len(got) != maxReaders+1 || got[0] != "reader, process 6: 2 containers, 6Ki unread" || got[maxReaders] != "and 2 more" || !slices.Equal(before, n.Readers) {
		t.Errorf("%q", got)
	}
}

// TestWaiting: a reader that cannot be seen has no process ID.
func TestWaiting(t *testing.T) {
	now := time.Now()
	since := now.Add(-time.Minute)
	for want, w := range map[string]*api.Waiting{
		"": nil,
		"fluent-bit, process 7, for 60s: 2Ki unread": {PID: 7, Command: "fluent-bit", Since: since, Unread: 2 << 10},
		"a process that cannot be seen, for 60s":     {Command: "unknown", Since: since},
	} {
		if got := Waiting(api.Container{Waiting: w}, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
