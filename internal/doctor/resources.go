package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
)

var inotifyChecks = []check{
	{"inotify-watches", checkWatches, []need{needConfig, needTree, needInotify}},
	{"inotify-instances", checkInstances, []need{needInotify}},
	{"inotify-queue", checkQueue, []need{needInotify}},
}

const (
	watchesKey   = "fs.inotify.max_user_watches"
	instancesKey = "fs.inotify.max_user_instances"
	queueKey     = "fs.inotify.max_queued_events"
)

// needInotify skips a check without the kernel's limits.
func needInotify(n *node) Check {
	var errs error
	for _, key := range []string{watchesKey, instancesKey, queueKey} {
		_, err := n.sysctl(key)
		errs = errors.Join(errs, err)
	}
	if errs != nil {
		return skipUnreadable("/proc/sys/fs/inotify", errs)
	}
	return Check{}
}

// setSysctl is what sets a kernel parameter now and at the node's next start.
func setSysctl(key string, value int) command {
	file := "/etc/sysctl.d/90-logwatch-" + key[strings.LastIndexByte(key, '.')+1:] + ".conf"
	return command(fmt.Sprintf("echo '%s = %d' > %s && sysctl -p %[3]s", key, value, file))
}

// inotifyUse counts the inotify instances and watches of the daemon's user,
// without the daemon's own. A descriptor that two processes share counts twice, which
// errs on the safe side.
type inotifyUse struct {
	instances, watches int
	hidden             bool   // some processes cannot be searched
	top                string // the program that holds the most instances
}

func (n *node) countInotify() (u inotifyUse) {
	daemon, user := n.daemon().pid, 0
	if p, err := n.proc.Proc(daemon); err == nil && daemon != 0 {
		user = process{Proc: p}.uid()
	}
	u.hidden = n.isolated()
	top := 0
	for _, p := range n.processes() {
		if p.PID == daemon || p.PID == os.Getpid() || p.uid() != user {
			continue
		}
		dir := n.path("proc", strconv.Itoa(p.PID), "fd")
		fds, err := os.ReadDir(dir)
		u.hidden = u.hidden || n.noPermission(err)
		own := 0
		for _, fd := range fds {
			if target, err := os.Readlink(dir + "/" + fd.Name()); err != nil || target != "anon_inode:inotify" {
				continue
			}
			own++
			if info, err := p.FDInfo(fd.Name()); err == nil {
				u.watches += len(info.InotifyInfos)
			}
		}
		if u.instances += own; own > top {
			top, u.top = own, p.program()
		}
	}
	return u
}

func checkWatches(_ context.Context, n *node) Check {
	limit, _ := n.sysctl(watchesKey)
	t, u := n.tree(), n.inotify()
	need := 1 + t.pods + 2*len(t.containers)
	left := max(0, limit-u.watches)
	if u.hidden && left >= 2*need {
		return found(OK, "there are %d inotify watches, and %d are needed", limit, need).detail("The use by other processes cannot be read.")
	}
	c := found(OK, "%d inotify watches are left of %d, and %d are needed", left, limit, need)
	if left >= 2*need {
		return c
	}
	c = c.detail("One watch for podLogsDir, one for each of its %s, and up to two for each of its %s; other processes of the same user hold %d.",
		display.Plural(t.pods, "pod"), display.Plural(len(t.containers), "container"), u.watches).
		run(setSysctl(watchesKey, max(65536, u.watches+4*need)))
	if left < need {
		c.Status = Fail
		return c.detail("A directory without a watch is only checked by the sweep, and its log grows past its limit in the meantime.")
	}
	c.Status = Warn
	return c.detail("That is not enough for twice as many containers.")
}

// spareInstances should be left for other programs: `kubectl logs -f` takes one
// of kubelet's each.
const spareInstances = 16

func checkInstances(_ context.Context, n *node) Check {
	limit, _ := n.sysctl(instancesKey)
	u := n.inotify()
	left := max(0, limit-u.instances)
	c := found(OK, "%d inotify instances are left of %d; one is needed, without CAP_SYS_PTRACE two", left, limit)
	switch {
	case left < spareInstances:
		c.Status = Warn
		if left == 0 {
			c.Status = Fail
		}
		return c.detail("Without one, logwatch finds due logs by its sweep only; each `kubectl logs -f` takes one, too. Most are held by %s.", cmp.Or(u.top, "hidden processes")).
			run(setSysctl(instancesKey, max(1024, 2*u.instances)))
	case u.hidden:
		return found(OK, "there are %d inotify instances; one is needed, without CAP_SYS_PTRACE two", limit).detail("The use by other processes cannot be read.")
	}
	return c
}

func checkQueue(_ context.Context, n *node) Check {
	const minEvents, byDefault = 4096, 16384
	limit, _ := n.sysctl(queueKey)
	c := found(OK, "an inotify queue holds %d events", limit)
	if limit < minEvents {
		c.Status = Warn
		return c.detail("When it overflows, events are lost, and a sweep checks all logs. The kernel's default is %d.", byDefault).run(setSysctl(queueKey, byDefault))
	}
	return c
}

var diskChecks = []check{
	{"disk-space", checkSpace, []need{needConfig, needTree, needDisk}},
	{"disk-inodes", checkInodes, []need{needConfig, needDisk}},
}

// Percentages of free space and inodes below which kubelet evicts pods by default,
// and below which hardly anything can be written.
const (
	evictSpace  = 10
	evictInodes = 5
	fullPercent = 1
)

// scarce returns the Check for space or inodes of which too little is left.
func scarce(summary string, free, total, evict int64, key string, threshold int, full string) (Check, bool) {
	left := percent(free, total)
	c := found(Warn, "%s", summary)
	switch {
	case left < fullPercent:
		c.Status = Fail
		return c.detail("%s", full), true
	case threshold > 0 && 100-left > int64(threshold):
		return c.detail("More than %s (%d) is in use: rotated logs are pruned early.", key, threshold), true
	case left < evict:
		return c.detail("kubelet evicts pods below %d%%.", evict), true
	}
	return found(OK, "%s", summary), false
}

// disk is podLogsDir's file system.
type disk struct {
	unix.Statfs_t
	err error
}

func (n *node) readDisk() (d disk) {
	d.err = n.sys.statfs(n.path(n.settings().PodLogsDir), &d.Statfs_t)
	return d
}

// needDisk skips a check while the file system cannot be read.
func needDisk(n *node) Check {
	if n.disk().err != nil {
		return found(Skip, "podLogsDir's disk cannot be read: see pod-logs-dir")
	}
	return Check{}
}

func percent(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return int64(float64(part) / float64(whole) * 100)
}

// maxHeld returns how much all containers that have a directory may hold by their
// limits, in bytes, and how many have none. Labels and annotations are not considered.
func (n *node) maxHeld() (bytes int64, unlimited int) {
	resolver, err := policy.New(n.settings().Rules)
	if err != nil {
		return 0, 0
	}
	for _, c := range n.tree().containers {
		o := podlogs.OwnerOf(c.dir)
		total := resolver.For(policy.Subject{Namespace: o.Namespace, Pod: o.Pod, Container: o.Container}).MaxTotalSize
		if total == 0 {
			unlimited++
		}
		bytes += max(total, c.size())
	}
	return bytes, unlimited
}

func checkSpace(_ context.Context, n *node) Check {
	s, st := n.settings(), n.disk()
	unit := int64(st.Frsize) //nolint:unconvert // its type differs between architectures
	total, free, held := int64(st.Blocks)*unit, int64(st.Bavail)*unit, int64(0)
	for _, c := range n.tree().containers {
		held += c.size()
	}
	limit, unlimited := n.maxHeld()
	use := text("%s hold %s, and may hold %s by their limits.", display.Plural(len(n.tree().containers), "container"), display.Bytes(held), display.Bytes(limit))
	if unlimited > 0 {
		use += text(" %d of them have no limit.", unlimited)
	}
	if b := s.NodeLogBudget; b > 0 {
		limit = min(limit, max(held, b))
		use += text(" nodeLogBudget is %s.", setting.FormatSize(b))
	}
	threshold := s.DiskPressure.HighThresholdPercent
	c, low := scarce(text("%s (%d%%) of podLogsDir's disk is free", display.Bytes(free), percent(free, total)), free, total, evictSpace,
		"diskPressure.highThresholdPercent", threshold, "Lines are lost when there is no space left.")
	switch {
	case low:
		return c.detail("%s", use).
			fix(`du --one-file-system --human-readable --max-depth=2 "$(findmnt --noheadings --output TARGET --target %s)" | sort --human-numeric-sort | tail -n 20`, s.PodLogsDir)
	case limit-held > free && threshold == 0:
		return found(Warn, "%s, and logs may take %s more", c.Summary, display.Bytes(limit-held)).
			detail("%s Neither nodeLogBudget nor diskPressure limits them.", use).
			run(n.set("nodeLogBudget: " + setting.FormatSize(max((held+free)/10*8>>20, 1)<<20)))
	}
	return c.detail("%s", use)
}

func checkInodes(_ context.Context, n *node) Check {
	s, st := n.settings(), n.disk()
	if st.Files == 0 {
		return found(OK, "podLogsDir's file system has no fixed number of inodes")
	}
	total, free := int64(st.Files), int64(st.Ffree)
	c, low := scarce(text("%d inodes (%d%%) of podLogsDir's disk are free", free, percent(free, total)), free, total, evictInodes,
		"diskPressure.inodesHighThresholdPercent", s.DiskPressure.InodesHighThresholdPercent, "Without an inode no log can be created or compressed.")
	if low {
		c = c.fix(`find "$(findmnt --noheadings --output TARGET --target %s)" -xdev -printf '%%h\n' | sort | uniq --count | sort --numeric-sort | tail -n 20`, s.PodLogsDir)
	}
	return c
}
