package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree is a podLogsDir with the pod shop/web.
type tree struct {
	t    testing.TB
	root string
}

func newTree(t testing.TB) *tree { return &tree{t, t.TempDir()} }

// dir is the directory of one of the pod's containers.
func (tr *tree) dir(container string) string { return filepath.Join(tr.root, "shop_web_u1", container) }

// suffixes are those of a rotated log, uncompressed and with each codec.
var suffixes = func() []string {
	all := []string{""}
	for _, c := range podlogs.Codecs {
		all = append(all, c.Suffix)
	}
	return all
}()

// write writes a log, compressed as its name says.
func (tr *tree) write(container, name, text string) {
	tr.t.Helper()
	if n, _ := podlogs.ParseName(name); n.Compressed() {
		var packed bytes.Buffer
		w, release, err := n.Codec().NewEncoder(&packed, 0)
		if err != nil {
			tr.t.Fatal(err)
		}
		defer release()
		if _, err := io.WriteString(w, text); errors.Join(err, w.Close()) != nil {
			tr.t.Fatal(err)
		}
		text = packed.String()
	}
	path := filepath.Join(tr.dir(container), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		tr.t.Fatal(err)
	}
}

// options select all of one container.
func (tr *tree) options() Options {
	return Options{PodLogsDir: tr.root, Namespace: "shop", Pod: "web", Container: "app", Tail: -1}
}

// read runs with options and returns what was written.
func (tr *tree) read(o Options) (out, warnings string, err error) {
	tr.t.Helper()
	var stdout, stderr bytes.Buffer
	o.Out, o.Warnings = &stdout, &stderr
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = Run(ctx, o)
	if ctx.Err() != nil {
		tr.t.Fatal("it did not end")
	}
	return stdout.String(), stderr.String(), err
}

// must fails on an error or a warning.
func (tr *tree) must(o Options) string {
	tr.t.Helper()
	out, warnings, err := tr.read(o)
	if err != nil || warnings != "" {
		tr.t.Fatalf("%v\n%s", err, warnings)
	}
	return out
}

// stamped is the time and the stream of a line that is logged second seconds after
// midnight, by stdout.
func stamped(second int) string {
	return time.Date(2026, 3, 29, 0, 0, second, 1, time.UTC).Format(time.RFC3339Nano) + " stdout F "
}

// random is a log as random runtimes and rotators leave it: cut into parts, streams
// and files, and what a reader must print.
type random struct {
	r     *rand.Rand
	names []string // of the files, oldest first
	files []string
	lines []crilog.Line // joined, in the order in which they end
	// unended: the last of them have no end. A tail may begin behind all there is of
	// such a line, and cannot know of it.
	unended bool
}

func newRandom(seed uint64) *random {
	g := &random{r: rand.New(rand.NewPCG(seed, 1))}
	second, records := 0, make([]string, 0, 100)
	var open [2]string // what has been written of a line of each stream
	var began [2]time.Time
	for restart := range 1 + g.r.IntN(2) {
		for n := g.r.IntN(6); n >= 0; n-- {
			records = records[:0]
			for range g.r.IntN(40) {
				s := g.r.IntN(2) * g.r.IntN(2) // stderr is rarer
				at := time.Date(2026, 3, 29, 0, 0, second, g.r.IntN(1e9)*g.r.IntN(2), time.UTC)
				second += g.r.IntN(2)
				text := strings.Repeat("x", g.r.IntN(3)*g.r.IntN(40)) + [...]string{"", "", "needle", "ä"}[g.r.IntN(4)]
				if open[s] == "" {
					began[s] = at
				}
				stream, tag := [...]string{crilog.Stdout, crilog.Stderr}[s], "F"
				if g.r.IntN(5) == 0 && text != "" {
					tag = "P"
				}
				records = append(records, at.Format(time.RFC3339Nano)+" "+stream+" "+tag+" "+text+"\n")
				if open[s] += text; tag == "F" {
					g.lines = append(g.lines, crilog.Line{Time: began[s], Stream: stream, Content: []byte(open[s])})
					open[s] = ""
				}
			}
			name := string(rune('0'+restart)) + ".log"
			if n > 0 {
				// Stamps are ahead of and behind the lines' times: only their order counts.
				name += time.Date(2026, 1, 2, 0, 0, len(g.files), 0, time.UTC).Format(".20060102-150405") +
					suffixes[g.r.IntN(len(suffixes))]
			}
			g.names, g.files = append(g.names, name), append(g.files, strings.Join(records, ""))
		}
		g.unended = open[0]+open[1] != ""
		for s, stream := range []string{crilog.Stdout, crilog.Stderr} { // a restart ends what has begun
			if open[s] != "" {
				g.lines = append(g.lines, crilog.Line{Time: began[s], Stream: stream, Content: []byte(open[s])})
				open[s] = ""
			}
		}
	}
	return g
}

// want is what Run is to print of it.
func (g *random) want(o Options) string {
	var all []string
	for _, l := range g.lines {
		if (o.Stream == "" || o.Stream == l.Stream) && !l.Time.Before(o.Since) && (o.Grep == nil || o.Grep.Match(l.Content)) {
			text := string(l.Content) + "\n"
			if o.Timestamps {
				text = l.Time.Format(time.RFC3339Nano) + " " + text
			}
			all = append(all, text)
		}
	}
	if o.Tail >= 0 {
		all = all[max(0, len(all)-int(o.Tail)):]
	}
	return strings.Join(all, "")
}

// TestReadsWhatWasWritten: whatever the cuts, and whatever of it is wanted.
func TestReadsWhatWasWritten(t *testing.T) {
	for seed := range uint64(80) {
		g := newRandom(seed)
		tr := newTree(t)
		for i, name := range g.names {
			tr.write("app", name, g.files[i])
		}
		for _, with := range []func(*Options){
			func(*Options) {},
			func(o *Options) { o.Timestamps = true },
			func(o *Options) { o.Stream = crilog.Stderr },
			func(o *Options) { o.Grep = regexp.MustCompile("needlex*n?|^x{20}") },
			func(o *Options) {
				o.Since, o.Timestamps = time.Date(2026, 3, 29, 0, 0, g.r.IntN(200), 0, time.UTC), true
			},
			func(o *Options) { o.Stream, o.Grep = crilog.Stdout, regexp.MustCompile("ä") },
		} {
			o := tr.options()
			with(&o)
			all := strings.Count(g.want(o), "\n")
			for _, o.Tail = range []int64{-1, 0, 1, 2, int64(g.r.IntN(all + 1)), int64(g.r.IntN(all + 1)), int64(all), int64(all + 1)} {
				if g.unended && o.Tail > 0 {
					continue
				}
				if got, want := tr.must(o), g.want(o); got != want {
					t.Fatalf("seed %d, %+v:\n%q\nwant\n%q\nfiles %q\n%q", seed, o, got, want, g.names, g.files)
				}
			}
		}
	}
}
