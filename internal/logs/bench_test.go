package logs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/linecheck"
)

// text is about so many bytes of a usual log.
func text(size int) string {
	var b strings.Builder
	var line []byte
	at := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	for seq := uint64(1); b.Len() < size; seq++ {
		line = at.Add(time.Duration(seq)*12345).AppendFormat(line[:0], time.RFC3339Nano)
		line = append(line, " stdout F "...)
		b.Write(append(linecheck.AppendLine(line, "stdout", seq, 120), '\n'))
	}
	return b.String()
}

// fill writes 8 logs of so many bytes.
func (tr *tree) fill(container, suffix string, each int) (size int64) {
	part := text(each)
	tr.write(container, "0.log", part)
	name := func(i int) string { return fmt.Sprintf("0.log.20260101-00000%d%s", i, suffix) }
	tr.write(container, name(0), part)
	packed, err := os.ReadFile(filepath.Join(tr.dir(container), name(0)))
	for i := 1; i < 7; i++ {
		err = errors.Join(err, os.WriteFile(filepath.Join(tr.dir(container), name(i)), packed, 0o600))
	}
	if err != nil {
		tr.t.Fatal(err)
	}
	return int64(8 * len(part))
}

func BenchmarkRun(b *testing.B) {
	for _, suffix := range suffixes {
		b.Run("all"+suffix, func(b *testing.B) {
			tr := newTree(b)
			b.SetBytes(tr.fill("app", suffix, 25<<20))
			o := tr.options()
			o.Out, o.Warnings = io.Discard, io.Discard
			for b.Loop() {
				if err := Run(b.Context(), o); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("tail"+suffix, func(b *testing.B) {
			tr := newTree(b)
			tr.fill("app", suffix, 25<<20)
			o := tr.options()
			o.Tail, o.Out, o.Warnings = 100, io.Discard, io.Discard
			for b.Loop() {
				if err := Run(b.Context(), o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestFlatMemory: what 100 MB need at a time.
func TestFlatMemory(t *testing.T) {
	tr := newTree(t)
	tr.fill("app", ".zst", 6<<20)
	tr.fill("side", ".gz", 6<<20)
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for name, with := range map[string]func(*Options){
		"text": func(*Options) {}, "json": func(o *Options) { o.JSON = true }, "tail": func(o *Options) { o.Tail = 1e5 },
	} {
		before, most, written := live(), uint64(0), 0
		o := tr.options()
		o.Container, o.Warnings = "", io.Discard
		o.Out = writerFunc(func(p []byte) (int, error) {
			if written += len(p); written > 8<<20 {
				most, written = max(most, live()), 0
			}
			return len(p), nil
		})
		with(&o)
		if err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if most -= min(most, before); most == 0 || most > 64<<20 {
			t.Errorf("%s: %d MiB", name, most>>20)
		} else {
			t.Logf("%s: %d MiB", name, most>>20)
		}
	}
}
