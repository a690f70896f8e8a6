package rotator

import (
	"fmt"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

func BenchmarkParseName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := podlogs.ParseName("0.log.20261120-123456.gz"); !ok {
			b.Fatal("not parsed")
		}
	}
}

// BenchmarkPlan plans for a directory within its policy, as after each rotation,
// and for one with 10,000 rotated logs of before.
func BenchmarkPlan(b *testing.B) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, n := range []int{4, 10_000} {
		files := []podlogs.File{{Name: podlogs.Name{Base: "0.log", Kind: podlogs.Live}, Size: 1 << 20, Changed: now, Modified: now, Regular: true}}
		for i := range n {
			at := now.Add(time.Duration(i-n) * time.Second)
			kind := podlogs.Gzip.Kind()
			if i == n-1 {
				kind = podlogs.Rotated
			}
			files = append(files, podlogs.File{
				Name: podlogs.Name{Base: "0.log", Kind: kind, Stamp: at}, Size: 1 << 20, Changed: at, Modified: at, Regular: true,
			})
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Plan(files, Policy{MaxFiles: 5, MaxTotalSize: 50 << 20, Limit: 10 << 20, Codec: podlogs.Gzip}, now)
			}
		})
	}
}
