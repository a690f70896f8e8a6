package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/observe"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
)

// killEvery is the torture test's interval.
const killEvery = 350 * time.Millisecond

// s6log feeds s6-log, which rotates what it writes itself, the lines of a runtime.
func s6log(ctx context.Context, e *Env, m *report.Measure) error {
	bytes, d := pick(e, 2.5e9, 0.45e9), pick(e, 20*time.Second, 6*time.Second)
	const rate = 8 * mb
	m.How = fmt.Sprintf("`s6-log -b n… s%d`, fed a runtime's lines through a pipe: %.1f GB without a rate limit, 5 files; and %.0f MB/s for %v, all files kept, "+
		"with SIGKILL every %v: it is started again at once, and the pipe stays open. Nothing is compressed. Its CPU is that of copying and rotating; "+
		"with a container runtime, the runtime copies, and that is in none of the tables", limit10, bytes/gb, rate/mb, d, killEvery)
	m.Columns = slices.DeleteFunc(overshootColumns(), func(c report.Column) bool {
		return slices.Contains([]string{"renamedP99", "largestLive", "largestTotal"}, c.Key)
	})
	m.Columns = slices.Insert(m.Columns, 1, report.Column{Key: "rate", Title: "MB/s", Scale: mb, Digits: 1},
		report.Column{Key: "perCore", Title: "MB/s a core", Scale: mb, Digits: 0})
	for _, run := range []struct {
		row   string
		bytes float64
		files int
		rate  float64
		kill  time.Duration
	}{
		{"s6-log", bytes, 5, 0, 0},
		{"s6-log, killed", rate * d.Seconds(), 1000, rate, killEvery},
	} {
		e.Log("%s: %s", m.Name, run.row)
		row := m.Row(run.row)
		if e.Tools.S6Log == "" {
			row.LeftOut = subject.NotInstalled("s6-log", "s6").Error()
			continue
		}
		s := s6{binary: e.Tools.S6Log, dir: e.scratch("s6"), files: run.files}
		if err := s.run(ctx, uint64(run.bytes/node.RecordBytes), run.rate, run.kill); err != nil {
			return err
		}
		if err := s.fill(row); err != nil {
			return err
		}
		e.Log("  %s", m.Brief(row))
		if err := os.RemoveAll(s.dir); err != nil {
			return err
		}
	}
	return nil
}

// s6 is one run of s6-log.
type s6 struct {
	binary, dir string
	files       int

	in      *os.File // the end of the pipe that it reads
	cmd     *exec.Cmd
	kills   int
	lines   uint64
	writing time.Duration
	cpu     time.Duration
	peak    int64
}

func (s *s6) start() error {
	s.cmd = exec.Command(s.binary, "-b", "n"+strconv.Itoa(s.files-1), "s"+strconv.Itoa(limit10), s.dir)
	s.cmd.Stdin, s.cmd.Stderr = s.in, os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return s.cmd.Start()
}

// wait waits for its end, and adds up what it used.
func (s *s6) wait() error {
	err := s.cmd.Wait()
	if u, ok := s.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.cpu += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		s.peak = max(s.peak, u.Maxrss<<10)
	}
	return err
}

// run writes lines at a rate in bytes/s, 0: without a limit, and kills the reader each
// time that kill has passed, 0: never.
func (s *s6) run(ctx context.Context, lines uint64, rate float64, kill time.Duration) error {
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	s.in, s.lines = in, lines
	if err := s.start(); err != nil {
		return errors.Join(err, out.Close())
	}
	began := time.Now()
	written := make(chan error, 1)
	go func() { written <- errors.Join(feed(ctx, out, lines, rate), out.Close()) }()
	for done := false; !done; {
		var again <-chan time.Time
		if kill > 0 {
			again = time.After(kill)
		}
		select {
		case err = <-written:
			done = true
		case <-again:
			s.kills++
			_ = s.cmd.Process.Kill() // it has not been waited for
			_ = s.wait()             // "signal: killed"
			if err := s.start(); err != nil {
				return err
			}
		}
	}
	err = errors.Join(err, s.wait())
	s.writing = time.Since(began)
	return err
}

// feed writes numbered lines as a runtime does.
func feed(ctx context.Context, to io.Writer, lines uint64, rate float64) error {
	const batch = 400 // lines; 64 KB
	began := time.Now()
	var buf, content []byte
	for n := uint64(0); n < lines && ctx.Err() == nil; {
		buf = buf[:0]
		stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z")
		for range min(batch, lines-n) {
			n++
			content = linecheck.AppendLine(content[:0], crilog.Stdout, n, node.ContentBytes)
			buf = append(append(append(append(buf, stamp...), " stdout F "...), content...), '\n')
		}
		if _, err := to.Write(buf); err != nil {
			return err
		}
		if rate > 0 {
			time.Sleep(time.Duration(float64(n*node.RecordBytes)/rate*float64(time.Second)) - time.Since(began))
		}
	}
	return ctx.Err()
}

// fill reads what is left and sets the figures.
func (s *s6) fill(row *report.Row) error {
	names, err := filepath.Glob(filepath.Join(s.dir, "@*")) // TAI64N: in order
	if err != nil {
		return err
	}
	var rotations []observe.Rotation
	var checker linecheck.Checker
	damaged := uint64(0)
	for _, name := range append(names, filepath.Join(s.dir, "previous"), filepath.Join(s.dir, "current")) {
		f, err := os.Open(name)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return err
		}
		st, err := f.Stat()
		if err == nil && filepath.Base(name)[0] == '@' {
			rotations = append(rotations, observe.Rotation{Size: st.Size(), Final: st.Size()})
		}
		n, readErr := readTolerant(f, &checker)
		damaged += n
		if err := errors.Join(err, readErr, f.Close()); err != nil {
			return err
		}
	}
	overshoot(row, rotations, limit10)
	res := checker.Report().Streams[crilog.Stdout]
	missing := s.lines - min(s.lines, res.Lines-res.Doubled)
	pruned := uint64(0)
	if len(names) >= s.files-1 { // what is missing in front was pruned
		pruned = min(missing, res.First-1)
	}
	bytes := float64(s.lines * node.RecordBytes)
	for key, v := range map[string]float64{
		"rotations": float64(len(rotations)), "rate": bytes / s.writing.Seconds(), "perCore": bytes / s.cpu.Seconds(),
		"written": float64(s.lines), "pruned": float64(pruned), "lost": float64(missing - pruned), "doubled": float64(res.Doubled),
		"corrupt": float64(res.Corrupt + damaged), "kills": float64(s.kills),
		"cpuPerGB": s.cpu.Seconds() / (bytes / gb), "peakRSS": float64(s.peak),
	} {
		row.Set(key, v)
	}
	return nil
}
