package doctor

import (
	"context"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
)

var clockChecks = []check{
	{"clock", checkClock, nil},
	{"clock-stamps", checkStamps, []need{needConfig, needTree}},
	{"time-zone", checkZone, []need{needConfig}},
}

// timeError is adjtimex's state of a clock that is not synchronized.
const timeError = 5

func checkClock(_ context.Context, n *node) Check {
	var tx unix.Timex // without modes adjtimex(2) only reads
	state, err := n.sys.adjtimex(&tx)
	switch {
	case err != nil:
		return skipUnreadable("the clock's state", err)
	case state != timeError && tx.Status&unix.STA_UNSYNC == 0:
		return found(OK, "the clock is synchronized")
	}
	c := found(Warn, "the clock is not synchronized").
		detail("Names of rotated logs and their ages (containerLogMaxAge, --since) depend on it. Names stay in order even if it is set back.")
	for _, unit := range []string{"chrony", "chronyd", "ntpsec", "ntpd", "ntp"} {
		if n.unitFile(unit+".service") != "" {
			return c.run(systemctl("enable --now", unit))
		}
	}
	return c.fix("timedatectl set-ntp true")
}

// maxAhead is how far names may be ahead of the clock without a warning: two
// rotations within a second get two stamps.
const maxAhead = time.Hour

func checkStamps(_ context.Context, n *node) Check {
	var newest podlogs.File
	var path string
	for _, c := range n.tree().containers {
		for _, f := range c.files {
			if f.Stamp.After(newest.Stamp) {
				newest, path = f, n.logPath(c.dir, f)
			}
		}
	}
	if newest.Stamp.IsZero() {
		return found(OK, "there are no rotated logs yet")
	}
	if ahead := newest.Stamp.Sub(podlogs.WallClock(n.sys.now())); ahead > maxAhead {
		return found(Warn, "a rotated log's name is %s ahead of the clock", display.Age(ahead)).
			detail("%s. The clock was set back, or another time zone was used.", path).
			detail("New names continue from there to stay in order, until the clock has caught up.").
			fix("date; ls -l --full-time %s", path)
	}
	return found(OK, "no rotated log's name is ahead of the clock")
}

// checkZone compares the daemon's time zone with kubelet's: both name logs by
// local time.
func checkZone(_ context.Context, n *node) Check {
	const file = "/etc/localtime"
	d, k := n.daemon(), n.kubelet()
	if d.pid == 0 {
		_, err := os.Stat(n.path(file))
		if err == nil {
			return found(OK, "%s has the node's time zone", file)
		}
		return found(Warn, "%s cannot be read: names are in UTC", file).cause(err).
			fix("ln -sf /usr/share/zoneinfo/Etc/UTC %s", file)
	}
	daemons, err := n.offsets(d.pid)
	if err != nil {
		return skipUnreadable("the daemon's time zone", err)
	}
	kubelets, err := n.offsets(k.pid)
	if err != nil {
		return skipUnreadable("the node's time zone", err)
	}
	if daemons == kubelets {
		return found(OK, "the daemon has the node's time zone, %s", daemons[0])
	}
	return found(Warn, "the daemon (process %d) has another time zone than the node", d.pid).
		detail("kubelet and logwatch name rotated logs by local time; with two zones the names do not stay in order. The daemon has %s, and the node %s.", daemons[0], kubelets[0]).
		fix("systemctl show logwatch --property Environment; ls -l %s # in a pod: mount the node's %[1]s at the same path, and set no TZ", file)
}

// offsets returns a process's offset from UTC now and in half a year, which is
// what names depend on; of pid 0 it is the node's.
func (n *node) offsets(pid int) (o [2]string, err error) {
	zone, err := n.zone(pid)
	if err == nil {
		for i := range o {
			o[i] = n.sys.now().AddDate(0, 6*i, 0).In(zone).Format("UTC-07:00")
		}
	}
	return o, err
}

// zone finds a process's time zone as Go does for its own.
func (n *node) zone(pid int) (*time.Location, error) {
	file := n.path("/etc/localtime")
	if pid != 0 {
		file = n.seenBy(pid, "/etc/localtime")
		p, err := n.proc.Proc(pid)
		if err != nil {
			return nil, err
		}
		environment, err := p.Environ()
		if err != nil {
			return nil, err
		}
		for _, v := range environment {
			if tz, ok := strings.CutPrefix(v, "TZ="); ok {
				return time.LoadLocation(strings.TrimPrefix(tz, ":"))
			}
		}
	}
	data, err := read(file)
	if os.IsNotExist(err) {
		return time.UTC, nil
	}
	if err != nil {
		return nil, err
	}
	return time.LoadLocationFromTZData("local", data)
}
