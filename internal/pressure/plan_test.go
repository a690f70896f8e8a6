package pressure

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// pod returns a container's directory. Each file is "<name> <size> [<age>]".
func pod(t *testing.T, dir, live string, files ...string) Container {
	t.Helper()
	c := Container{Dir: dir, Live: live}
	for _, text := range files {
		fields := strings.Fields(text)
		n, ok := podlogs.ParseName(fields[0])
		f := podlogs.File{Name: n, Regular: true, Changed: now.Add(-time.Hour), Modified: now.Add(-time.Hour)}
		_, err := fmt.Sscan(fields[1], &f.Size)
		if len(fields) > 2 && err == nil {
			var age time.Duration
			age, err = time.ParseDuration(fields[2])
			f.Changed, f.Modified = now.Add(-age), now.Add(-age)
		}
		if !ok || err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		c.Files = append(c.Files, f)
	}
	return c
}

// stamped returns the name of the i-th rotated log of base.
func stamped(base string, i int) string { return fmt.Sprintf("%s.20260101-0000%02d", base, i) }

// text formats a plan.
func (p Plan) text() string {
	var b strings.Builder
	for _, a := range p.Prunes {
		fmt.Fprintf(&b, "prune %s/%s %s %d %d\n", a.Dir, a.Name, a.Reason, a.Bytes, a.Files)
	}
	for _, a := range p.Rotates {
		fmt.Fprintf(&b, "rotate %s/%s %d\n", a.Dir, a.Log, a.Size)
	}
	if p.Short != (Need{}) {
		fmt.Fprintf(&b, "short %d %d\n", p.Short.Bytes, p.Short.Inodes)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestBuild(t *testing.T) {
	const mib = 1 << 20
	r := func(i int) string { return stamped("0.log", i) }
	size := func(name string, mib10 int) string { return fmt.Sprintf("%s %d", name, mib10*mib/10) }
	large := pod(t, "large", "0.log", size(r(1), 10), size(r(2), 10), size(r(3), 10), size("0.log", 5))
	small := pod(t, "small", "0.log", size(r(1), 1), size(r(2), 1), size("0.log", 1))
	limited := large
	limited.Dir, limited.MaxFiles = "limited", 3
	stuck := large
	stuck.Stuck = true
	exited := large // its live log stays
	exited.Live = ""
	aged := pod(t, "aged", "", r(1)+" 100 9h", r(2)+".gz 100 1h", r(3)+" 100 6h", r(4)+" 100 1h")
	aged.MaxAge = 5 * time.Hour
	twice := pod(t, "twice", "", r(1)+" 100", r(1)+".gz 10", r(1)+".tmp 5", r(2)+".gz 10", r(3)+".tmp 7")
	linked := pod(t, "linked", "", r(1)+" 100", r(2)+" 100")
	linked.Files[0].Regular = false
	crashing := pod(t, "crashing", "1.log", r(1)+" 10", "0.log 1000", stamped("1.log", 0)+" 10", "1.log 10")

	for _, c := range []struct {
		name string
		need Need
		in   []Container
		want string
	}{
		{"nothing to do", Need{}, []Container{large}, ""},
		{"the oldest of the container that uses the most", Need{Bytes: mib + 1}, []Container{small, large}, `
prune large/0.log.20260101-000001 share 1048576 1
prune large/0.log.20260101-000002 share 1048576 1`},
		{"what the policy does not keep comes first", Need{Bytes: mib}, []Container{large, limited}, `
prune limited/0.log.20260101-000001 max_files 1048576 1`},
		{"the larger container's live log before the smaller one's files", Need{Bytes: 3*mib + 1}, []Container{small, large}, `
prune large/0.log.20260101-000001 share 1048576 1
prune large/0.log.20260101-000002 share 1048576 1
prune large/0.log.20260101-000003 share 1048576 1
rotate large/0.log 524288`},
		{"files before live logs if all are above their share", Need{Bytes: 36 * mib / 10}, []Container{small, large}, `
prune large/0.log.20260101-000001 share 1048576 1
prune large/0.log.20260101-000002 share 1048576 1
prune large/0.log.20260101-000003 share 1048576 1
prune small/0.log.20260101-000001 share 104857 1
prune small/0.log.20260101-000002 share 104857 1
rotate large/0.log 524288`},
		{"more than there is", Need{Bytes: 10 * mib}, []Container{small, large}, `
prune large/0.log.20260101-000001 share 1048576 1
prune large/0.log.20260101-000002 share 1048576 1
prune large/0.log.20260101-000003 share 1048576 1
prune small/0.log.20260101-000001 share 104857 1
prune small/0.log.20260101-000002 share 104857 1
rotate large/0.log 524288
rotate small/0.log 104857
short 6501173 0`},
		{"a stuck container loses only its live log", Need{Bytes: 6 * mib / 10}, []Container{small, stuck}, `
prune small/0.log.20260101-000001 share 104857 1
rotate large/0.log 524288`},
		{"a live log that nobody writes stays", Need{Bytes: 31 * mib / 10}, []Container{exited}, `
prune large/0.log.20260101-000001 share 1048576 1
prune large/0.log.20260101-000002 share 1048576 1
prune large/0.log.20260101-000003 share 1048576 1
short 104857 0`},
		{"past its age, and what is older", Need{Bytes: 1000}, []Container{aged}, `
prune aged/0.log.20260101-000001 max_age 100 1
prune aged/0.log.20260101-000002.gz max_age 100 1
prune aged/0.log.20260101-000003 max_age 100 1
prune aged/0.log.20260101-000004 share 100 1
short 600 0`},
		{"a generation at a time; a temp alone stays", Need{Bytes: 1000}, []Container{twice}, `
prune twice/0.log.20260101-000001 share 115 3
prune twice/0.log.20260101-000002.gz share 10 1
short 875 0`},
		{"links give nothing", Need{Bytes: 1000}, []Container{linked}, `
prune linked/0.log.20260101-000002 share 100 1
short 900 0`},
		{"over restarts", Need{Bytes: 1 << 40}, []Container{crashing}, `
prune crashing/0.log.20260101-000001 share 10 1
prune crashing/1.log.20260101-000000 share 10 1
short 1099511627756 0`},
		{"inodes: of the container with the most files", Need{Inodes: 2}, []Container{large, aged, small}, `
prune aged/0.log.20260101-000001 max_age 100 1
prune aged/0.log.20260101-000002.gz max_age 100 1`},
		{"a rotation frees no inodes", Need{Inodes: 4}, []Container{large}, `
prune large/0.log.20260101-000001 share 1048576 1
prune large/0.log.20260101-000002 share 1048576 1
prune large/0.log.20260101-000003 share 1048576 1
short 0 1`},
		{"a live log of who is over his share before a larger one", Need{Bytes: 90 << 10}, []Container{
			pod(t, "restarted", "1.log", size("0.log", 10), size("1.log", 1)), pod(t, "small", "0.log", size("0.log", 2)),
		}, `
rotate restarted/1.log 104857`},
		{"a live log that makes no difference stays", Need{Bytes: 1 << 40}, []Container{pod(t, "small", "0.log", size("0.log", 100))}, `
short 1099511627776 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Build(c.in, c.need, now).text(); got != strings.TrimPrefix(c.want, "\n") {
				t.Errorf("got:\n%s\nwant:\n%s", got, strings.TrimPrefix(c.want, "\n"))
			}
		})
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		held   []int64 // and can give all of it
		excess int64
		want   int64
	}{
		{nil, 5, 0},
		{nil, 0, 0},
		{[]int64{10}, 0, 10},
		{[]int64{10}, 4, 6},
		{[]int64{10}, 40, 0},
		{[]int64{10, 1, 1}, 9, 1},
		{[]int64{10, 4, 1}, 6, 4},
		{[]int64{10, 4, 1}, 8, 3},
		{[]int64{10, 4, 1}, 15, 0},
		{[]int64{5, 5, 5}, 6, 3},
	} {
		pl := planner{need: Need{Bytes: c.excess}}
		for _, h := range c.held {
			pl.holders = append(pl.holders, &holder{holds: [2]int64{bytes: h}, give: [2]int64{bytes: h}})
		}
		if got := pl.share(bytes); got != c.want {
			t.Errorf("share of %d, %d to go = %d, want %d", c.held, c.excess, got, c.want)
		}
	}
}
