package doctor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const inotify = "proc/sys/fs/inotify/"

// sysctl sets a kernel's value now and for the next start of the node.
func sysctl(key string, value int64) command {
	file := "/etc/sysctl.d/90-logwatch-" + key[strings.LastIndexByte(key, '.')+1:] + ".conf"
	return command(fmt.Sprintf("echo '%s = %d' > %s && sysctl -p %[3]s", key, value, file))
}

// inUse counts the inotify instances and watches of the daemon's user, without
// the daemon's own. A descriptor that two processes share counts twice, which
// errs on the safe side.
type inUse struct {
	instances, watches int64
	unseen             int // processes that could not be looked into, at least
	most               string
}

// countInotify looks at each process's descriptors.
func (n *node) countInotify() (u inUse) {
	daemon, user := n.worker().pid, 0
	if n.isolated() {
		u.unseen++
	}
	var most int64
	for _, p := range n.processes() {
		if p.PID == daemon {
			user = p.uid()
		}
	}
	for _, p := range n.processes() {
		if p.PID == daemon || p.PID == os.Getpid() || p.uid() != user {
			continue
		}
		dir := n.path("proc", strconv.Itoa(p.PID))
		fds, err := os.ReadDir(dir + "/fd")
		if n.blind(err) {
			u.unseen++
		}
		own := int64(0)
		for _, fd := range fds {
			if target, err := os.Readlink(dir + "/fd/" + fd.Name()); err != nil || target != "anon_inode:inotify" {
				continue
			}
			own++
			if info, err := p.FDInfo(fd.Name()); err == nil {
				u.watches += int64(len(info.InotifyInfos))
			}
		}
		if u.instances += own; own > most {
			most, u.most = own, p.program()
		}
	}
	return u
}

func checkWatches(_ context.Context, n *node) Check {
	const key = "fs.inotify.max_user_watches"
	limit, err := n.number(inotify + "max_user_watches")
	if err != nil {
		return skip("%s cannot be read", key).because("%v", err)
	}
	t, u := n.tree(), n.inotify()
	if t.err != nil {
		return n.missing(t)
	}
	need := int64(1 + t.pods + len(t.containers))
	left := limit - u.watches
	if u.unseen > 0 && left >= 2*need {
		return okay("there are %d inotify watches, and %d are needed", limit, need).because("Who else has some cannot be seen from here.")
	}
	counts := text("One watch for podLogsDir, each of its %s and each of its %s; others of the same user hold %s.",
		plural(t.pods, "pod"), plural(len(t.containers), "container"), plural(u.watches, "watch", "watches"))
	enough := int64(65536)
	for enough < u.watches+4*need {
		enough *= 2
	}
	switch {
	case left < need:
		return fail("%d inotify watches are left of %d, and %d are needed", max(0, left), limit, need).because("%s", counts).
			because("A directory without a watch is looked at by the sweep alone, and its log grows past its limit meanwhile.").do(sysctl(key, enough))
	case left < 2*need:
		return warn("%d inotify watches are left of %d: %d are needed now, and there is no room for twice as many", left, limit, need).
			because("%s", counts).do(sysctl(key, enough))
	}
	return okay("%d inotify watches are left of %d, and %d are needed", left, limit, need)
}

// sparing are the instances that should be left for others: `kubectl logs -f`
// takes one of kubelet's each.
const sparing = 16

func checkInstances(_ context.Context, n *node) Check {
	const key = "fs.inotify.max_user_instances"
	limit, err := n.number(inotify + "max_user_instances")
	if err != nil {
		return skip("%s cannot be read", key).because("%v", err)
	}
	u := n.inotify()
	left := limit - u.instances
	enough := int64(1024)
	for enough < 2*u.instances {
		enough *= 2
	}
	switch {
	case left < 1:
		return fail("all %d inotify instances of the user are taken", limit).
			because("logwatch needs one; without it the sweep alone finds what is due. Most are held by %s.", u.most).do(sysctl(key, enough))
	case left < sparing:
		return warn("%d inotify instances are left of %d", left, limit).
			because("logwatch needs one, and each `kubectl logs -f` takes one. Most are held by %s.", u.most).do(sysctl(key, enough))
	case u.unseen > 0:
		return okay("there are %d inotify instances, and one is needed", limit).
			because("Who has how many cannot be seen as user %d.", n.sys.euid)
	}
	return okay("%d inotify instances are left of %d; one is needed", left, limit)
}

func checkQueue(_ context.Context, n *node) Check {
	const key, least = "fs.inotify.max_queued_events", 4096
	limit, err := n.number(inotify + "max_queued_events")
	if err != nil {
		return skip("%s cannot be read", key).because("%v", err)
	}
	if limit < least {
		return warn("an inotify queue holds %d events", limit).
			because("When it overflows, events are lost and the whole tree is gone through instead. The kernel's default is 16384.").do(sysctl(key, 16384))
	}
	return okay("an inotify queue holds %d events", limit)
}
