package shippers

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var measure = flag.Bool("measure", false, "run TestMatrix: about 90 s for each of its rows; choose some with -run TestMatrix/SHIPPER/ROTATOR/LOAD")

// load is what containers write, and what happens to the shipper in the meantime.
type load struct {
	name       string
	containers int
	rate       int    // bytes/s each
	lines      uint64 // each
	width      int    // bytes of a line
	during     func(shipper *process)
}

// seconds returns a load of 121 bytes a line for so long.
func seconds(name string, containers, rate, seconds int, during func(*process)) load {
	const width = 121
	return load{name, containers, rate, uint64(seconds * rate / width), width, during}
}

// pause is how long a shipper is stopped, and what is written before.
const pauseBefore, paused = 15 * time.Second, 30 * time.Second

// settled is how long rotator and shipper run before the load: on a node, they have run
// for days.
const settled = 15 * time.Second

// away is how long a shipper that is restarted is not there, as a DaemonSet's pod.
const away = 5 * time.Second

var loads = []load{
	seconds("4 × 2 MB/s, 60 s", 4, 2e6, 60, nil),
	seconds("2 × 8 MB/s, 40 s", 2, 8e6, 40, nil),
	{"200 MB at 40 MB/s", 1, 40e6, 200_000, 1000, nil},
	seconds("2 × 4 MB/s, 60 s, stopped for 30 s", 2, 4e6, 60, func(p *process) {
		time.Sleep(pauseBefore)
		p.signal(unix.SIGSTOP)
		time.Sleep(paused)
		p.signal(unix.SIGCONT)
	}),
	seconds("2 × 4 MB/s, 60 s, restarted", 2, 4e6, 60, func(p *process) {
		time.Sleep(pauseBefore)
		p.stop()
		time.Sleep(away)
		p.start("")
	}),
}

// TestMatrix measures each shipper beside each rotator under each load. It asserts
// nothing but that the measurement worked.
func TestMatrix(t *testing.T) {
	needRoot(t)
	if !*measure {
		t.Skip("this is a measurement: -measure")
	}
	table := []string{
		row("shipper", "rotator", "load", "rotations", "lines written", "missing", "doubled", "most on disk"),
		row("---", "---", "---", "---", "---", "---", "---", "---"),
	}
	for _, s := range shippers {
		t.Run(s.name, func(t *testing.T) {
			for _, r := range rotators {
				t.Run(r.name, func(t *testing.T) {
					for _, l := range loads {
						// In a temporary directory's name, Filebeat takes a comma for the end of a list's entry.
						t.Run(strings.NewReplacer("/", "p", ",", "").Replace(l.name), func(t *testing.T) {
							table = append(table, ship(t, s, r, l))
							t.Log(table[len(table)-1])
						})
					}
				})
			}
		})
	}
	fmt.Println(strings.Join(table, "\n"))
}

// ship runs a load, and returns its row of the table.
func ship(t *testing.T, s shipper, r rotator, l load) string {
	n := newContainerd(t)
	p, out := startShipper(t, n, s)
	rotating := r.start(t, n, t.TempDir())
	time.Sleep(settled)
	disk := n.watchDisk(p)
	var ws []writer
	for i := range l.containers {
		ws = append(ws, n.run(fmt.Sprintf("writer-%d", i), l.lines, l.width, l.rate))
	}
	if l.during != nil {
		l.during(p)
	}
	for _, w := range ws {
		n.wait(w)
	}
	sum := out.wait(ws)
	d := disk()
	for line := range strings.Lines(rotating.text()) {
		if strings.Contains(line, `"level":"warn"`) {
			t.Log(line)
		}
	}
	if sum.Found == 0 {
		t.Error("nothing has arrived")
	}
	return row(s.name, r.name, l.name, d.rotations, sum.Written, missing(sum), sum.Doubled, fmt.Sprintf("%d MB", d.most/1e6))
}
