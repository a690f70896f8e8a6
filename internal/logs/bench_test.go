package logs

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/numbered"
)

// BenchmarkRun reads 64 MB of plain log.
func BenchmarkRun(b *testing.B) {
	root := b.TempDir()
	dir := filepath.Join(root, "shop_web_u1", "app")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	var text, line []byte
	at := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	for seq := uint64(1); len(text) < 64<<20; seq++ {
		line = at.Add(time.Duration(seq)*12345).AppendFormat(line[:0], "2006-01-02T15:04:05.000000000Z")
		text = append(append(text, line...), " stdout F "...)
		text = append(numbered.AppendLine(text, "stdout", seq, 120), '\n')
	}
	if err := os.WriteFile(filepath.Join(dir, "0.log"), text, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		o := Options{PodLogsDir: root, Namespace: "shop", Pod: "web", Container: "app", Tail: -1, Out: io.Discard, Notes: os.Stderr}
		if err := Run(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}
