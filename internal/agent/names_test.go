package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/watcher"
)

// TestWatcherAndRotatorAgreeOnLiveLogs has the watcher say of each name whether
// it is a live log's: what it reports and the rotator refuses would be reported
// for ever, and what only the rotator knows would never be rotated.
func TestWatcherAndRotatorAgreeOnLiveLogs(t *testing.T) {
	for _, name := range []string{
		"0.log", "1.log", "10.log", "00.log", "007.log", "9223372036854775807.log",
		"9223372036854775808.log", "99999999999999999999.log",
		".log", "log", "0", "0.lo", "0.logs", "0.log.", "0.log0", "0log", "0..log", "0.log.log", "0.LOG",
		"-1.log", "+1.log", "1_0.log", "0x1.log", "1e3.log", "1.5.log", " 1.log", "1 .log", "1.log ", "١.log",
		"app.log", "a0.log", "0a.log", "0.log.tmp", "0.log.gz", "0.log.20260101-000000", "0.log.20260101-000000.gz",
		"0.log.20260101-000000.tmp", "0.log\n", "0\n.log",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "pod/c")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			got := reportsOnStart(t, root)
			if want := podlogs.IsLive(name); (len(got) == 1 && got[0] == name) != want {
				t.Errorf("the watcher reports %q; the rotator says live: %t", got, want)
			}
		})
	}
}

// reportsOnStart returns the logs that a first sweep finds due, at a limit of
// one byte.
func reportsOnStart(t *testing.T, root string) (logs []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := watcher.New(watcher.Config{
		PodLogsDir: root,
		Limits:     func(string) watcher.Limits { return watcher.Limits{MaxSize: 1} },
		Due:        func(d watcher.Due) { logs = append(logs, d.Log) },
		Changed:    func(string) {},
		Swept:      func(watcher.Cause) { cancel() },
		Log:        zerolog.Nop(),
	})
	w.Sweep(watcher.CauseStartup)
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return logs
}
