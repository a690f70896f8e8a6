package watcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// tree makes a podLogsDir with so many pods of one container each.
func tree(b *testing.B, dirs int) string {
	b.Helper()
	root := b.TempDir()
	for i := range dirs {
		dir := filepath.Join(root, fmt.Sprintf("namespace_some-deployment-5d4f8c7b9-%05d_0a1b2c3d-0000-1111-2222-333344445555/container", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "0.log"), make([]byte, 100), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return root
}

// started runs a watcher over root to the end of its first sweep.
func started(b *testing.B, root string) (w *Watcher, swept chan Cause, stop func()) {
	b.Helper()
	swept = make(chan Cause)
	w = New(Config{
		PodLogsDir: root,
		Limits:     func(string) Limits { return Limits{MaxSize: 10 << 20} },
		Due:        func(d Due) { b.Errorf("reported %+v", d) },
		Changed:    func(string) {},
		Swept:      func(c Cause) { swept <- c },
		Log:        zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.Sweep(CauseStartup)
	<-swept
	return w, swept, func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkCheck is one check of a log: cold, for an event; hot, while it grows;
// and hot, while it does not, which stats the directory too.
func BenchmarkCheck(b *testing.B) {
	root := tree(b, 1)
	in, err := openInotify()
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // a test's
	s := &scanner{root: root}
	l := newLoop(New(Config{PodLogsDir: root, Limits: func(string) Limits { return Limits{MaxSize: 10 << 20} }, Changed: func(string) {}}), s)
	l.notify = in
	pods, err := s.subdirs("")
	if err != nil {
		b.Fatal(err)
	}
	d := newLogDir(pods[0]+"/container", s.path(pods[0]+"/container"))
	list, err := s.logs(d.rel)
	if err != nil {
		b.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.path(d.rel), old, old); err != nil {
		b.Fatal(err)
	}
	list.stamp = s.stamp(d.rel)
	l.update(d, list)
	d.watch.on = true // a cold one would become hot
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.check(d, CauseWrite)
		}
	})
	l.setHot(d, time.Now())
	b.Run("growing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.log.size--
			l.check(d, CauseWrite)
		}
	})
	b.Run("quiet", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.quiet = 0
			l.check(d, CauseWrite)
		}
	})
}

func BenchmarkSweep(b *testing.B) {
	for _, dirs := range []int{1000, 5000} {
		b.Run(fmt.Sprint(dirs), func(b *testing.B) {
			w, swept, stop := started(b, tree(b, dirs))
			defer stop()
			b.ReportAllocs()
			for b.Loop() {
				w.Sweep(CauseSweep)
				<-swept
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*dirs), "µs/dir")
		})
	}
}

func BenchmarkStartup(b *testing.B) {
	root := tree(b, 5000)
	b.ReportAllocs()
	for b.Loop() {
		_, _, stop := started(b, root)
		b.StopTimer()
		stop()
		b.StartTimer()
	}
}
