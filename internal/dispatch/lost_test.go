package dispatch

import (
	"testing"
	"time"

	"github.com/logwatch/logwatch/rotator"
)

func TestLostText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, tt := range []struct {
		lost          rotator.Lost
		readers, want string
	}{
		{rotator.Lost{Bytes: 9, Lines: 12, From: at, To: at.Add(time.Minute)}, "fluent-bit, vector", "pruned 12 lines, of 2026-01-02T03:04:05Z to 2026-01-02T03:05:05Z, not read by fluent-bit, vector"},
		{rotator.Lost{Bytes: 9, Lines: 1}, "", "pruned 1 line not read by a log reader"},
	} {
		if got := lostText(tt.lost, tt.readers); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
