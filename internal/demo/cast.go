package demo

import (
	"time"

	"github.com/logwatch/logwatch/cri/fake"
)

// cast are the demo's containers. Together they write some 25 MB/s on average,
// batch-import alone 30 MB/s while it is at it. Each writes to both streams often
// enough for the last files to hold lines of both, and now and then a line that
// the runtime has to cut.
func cast() []fake.ContainerSpec {
	return []fake.ContainerSpec{
		// A shop: short bursts, a second apart.
		{Namespace: "shop", Name: "checkout", Writer: &fake.Pattern{
			BytesPerSecond: 6e6, On: 400 * time.Millisecond, Off: 600 * time.Millisecond, StderrEvery: 10, LongEvery: 900,
		}},
		// Steady and slow: fills its log in a second or so.
		{Namespace: "shop", Name: "payments", Writer: &fake.Pattern{
			BytesPerSecond: 1e6, StderrEvery: 6, LongEvery: 700,
		}},
		// Long waves.
		{Namespace: "shop", Name: "search", Writer: &fake.Pattern{
			BytesPerSecond: 4e6, On: 1500 * time.Millisecond, Off: time.Second, StderrEvery: 20, LongEvery: 800,
		}},
		// The noisy neighbour: a 1 MiB log is full in 35 ms.
		{Namespace: "batch", Name: "batch-import", Writer: &fake.Pattern{
			BytesPerSecond: 30e6, On: 2 * time.Second, Off: time.Second, StderrEvery: 20, LongEvery: 2000,
		}},
	}
}
