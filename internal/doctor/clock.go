package doctor

import (
	"context"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/status"
)

// timeError is what adjtimex(2) returns for a clock that nobody keeps right.
const timeError = 5

func checkClock(_ context.Context, n *node) Check {
	var tx unix.Timex
	state, err := n.sys.adjtimex(&tx) // no mode: it reads alone
	switch {
	case err != nil:
		return skip("the clock's state cannot be read").because("%v", err)
	case state != timeError && tx.Status&unix.STA_UNSYNC == 0:
		return okay("the clock is synchronised")
	}
	c := warn("the clock is not synchronised").
		because("Rotated logs are named by it, kept for an age by it, and found by it (--since). Names stay in order even when it is set back.")
	for _, unit := range []string{"chrony", "chronyd", "ntpsec", "ntpd", "ntp"} {
		if n.unitFile(unit+".service") != "" {
			return c.do(n.ctl("enable --now", unit))
		}
	}
	return c.mend("timedatectl set-ntp true")
}

// aheadAtMost is how far names may be ahead of the clock without a reason to
// wonder: two rotations within a second get two seconds.
const aheadAtMost = time.Hour

func checkStamps(_ context.Context, n *node) Check {
	t := n.tree()
	if t.err != nil {
		return n.missing(t)
	}
	switch ahead := t.ahead(n.sys.now()); {
	case t.newest.Stamp.IsZero():
		return okay("there are no rotated logs yet")
	case ahead > aheadAtMost:
		return warn("a rotated log's name is %s ahead of the clock", status.Age(ahead)).
			because("%s. The clock was set back, or who named it has another time zone.", n.shown(t.newestPath)).
			because("New names go on from there, so that they stay in order; they are ahead until the clock has caught up.").
			mend("date; ls -l --full-time %s", n.shown(t.newestPath))
	}
	return okay("no rotated log's name is ahead of the clock")
}

// checkZone compares the daemon's time zone with kubelet's, for both name logs by
// local time.
func checkZone(_ context.Context, n *node) Check {
	const file = "/etc/localtime"
	w, k := n.worker(), n.kubelet()
	if w.pid == 0 {
		switch _, err := os.Stat(n.path(file)); {
		case err == nil:
			return okay("%s has the node's time zone", file)
		case n.blind(err):
			return n.unseen(file, err)
		default:
			return warn("%s cannot be read: names are in UTC", file).because("%v", err).
				mend("ln -sf /usr/share/zoneinfo/Etc/UTC %s", file)
		}
	}
	daemons, err := n.zone(w.pid)
	if err != nil {
		return n.unseenOr(err, "the daemon's time zone")
	}
	kubelets, err := n.zone(k.pid)
	if err != nil {
		return n.unseenOr(err, "the node's time zone")
	}
	now := n.sys.now()
	if daemons.shows(now) == kubelets.shows(now) {
		return okay("the daemon has the node's time zone, %s", daemons.shows(now).now)
	}
	return warn("the daemon (process %d) has another time zone than the node", w.pid).
		because("Rotated logs are named by local time, kubelet's and logwatch's alike; with two zones their names do not stay in order. The daemon's clock shows %s, and the node's %s.",
			daemons.shows(now).now, kubelets.shows(now).now).
		mend("systemctl show logwatch --property Environment; ls -l %s # in a pod: mount the node's %[1]s at the same path, and set no TZ", file)
}

func (n *node) unseenOr(err error, what string) Check {
	if n.blind(err) {
		return n.unseen(what, err)
	}
	return skip("%s cannot be seen", what).because("%v", err)
}

// offsets tell one time zone from another, as far as names are concerned.
type offsets struct{ now, later string }

// shows is what the zone's clocks show, from UTC, now and half a year from now.
func (z zone) shows(now time.Time) offsets {
	const layout, halfYear = "UTC-07:00", 182 * 24 * time.Hour
	return offsets{now.In(z.Location).Format(layout), now.Add(halfYear).In(z.Location).Format(layout)}
}

// zone is a process's time zone.
type zone struct{ *time.Location }

// zone finds a process's as Go does for its own; of pid 0 it is the node's.
func (n *node) zone(pid int) (z zone, err error) {
	file := n.path("/etc/localtime")
	if pid != 0 {
		for _, p := range n.processes() {
			if p.PID != pid {
				continue
			}
			environment, err := p.Environ()
			if err != nil {
				return z, err
			}
			for _, v := range environment {
				if tz, ok := strings.CutPrefix(v, "TZ="); ok {
					z.Location, err = time.LoadLocation(strings.TrimPrefix(tz, ":"))
					return z, err
				}
			}
		}
		file = n.seenBy(pid, "/etc/localtime")
	}
	data, err := read(file)
	if os.IsNotExist(err) {
		return zone{time.UTC}, nil
	}
	if err == nil {
		z.Location, err = time.LoadLocationFromTZData("local", data)
	}
	return z, err
}
