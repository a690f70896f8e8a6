package health

import (
	"slices"
	"testing"

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
