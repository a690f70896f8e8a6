package readers

import "testing"

func BenchmarkRealProc(b *testing.B) {
	tr := New(Options{PodLogsDir: b.TempDir(), Proc: "/proc", Timeout: timeout})
	for b.Loop() {
		tr.idle = map[int]idle{}
		if err := tr.Discover(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.Log(tr.Stats(), len(tr.idle))
}
