package doctor

import (
	"context"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
	"github.com/logwatch/logwatch/internal/status"
)

// Free space, in per cent, below which kubelet evicts pods by default, and below
// which next to nothing can be written.
const (
	evictSpace  = 10
	evictInodes = 5
	fullPercent = 1
)

// disk is the file system that podLogsDir is on, in bytes and inodes; free as
// for those who are not root, as the daemon and kubelet count.
type disk struct{ bytes, free, inodes, inodesFree int64 }

func (n *node) disk() (d disk, err error) {
	var st unix.Statfs_t
	if err := n.sys.statfs(n.path(n.settings().PodLogsDir), &st); err != nil {
		return d, err
	}
	unit := int64(st.Frsize) //nolint:unconvert // its type differs between architectures
	return disk{int64(st.Blocks) * unit, int64(st.Bavail) * unit, int64(st.Files), int64(st.Ffree)}, nil
}

// promised is what all containers that have a directory may take together, in
// bytes, and how many of them have no limit. Labels and annotations are not
// looked at.
func (n *node) promised(t tree) (bytes int64, endless int) {
	resolver, err := policy.New(n.settings().Rules)
	if err != nil {
		return 0, 0
	}
	for dir, held := range t.containers {
		pod, container, _ := strings.Cut(dir, "/")
		namespace, rest, _ := strings.Cut(pod, "_")
		name, _, _ := strings.Cut(rest, "_")
		total := resolver.For(policy.Subject{Namespace: namespace, Pod: name, Container: container}).MaxTotalSize
		if total == 0 {
			endless++
		}
		bytes += max(total, held)
	}
	return bytes, endless
}

func checkSpace(_ context.Context, n *node) Check {
	s := n.settings()
	d, err := n.disk()
	t := n.tree()
	switch {
	case err != nil:
		return skip("podLogsDir's disk cannot be looked at: see pod-logs-dir")
	case t.err != nil:
		return n.missing(t)
	}
	held := t.held()
	most, endless := n.promised(t)
	promise := text("%s hold %s, and may hold %s by their limits.", plural(len(t.containers), "container"), status.Size(held), status.Size(most))
	if endless > 0 {
		promise += text(" %d of them have no limit.", endless)
	}
	if b := s.NodeLogBudget; b > 0 {
		most = min(most, max(held, b))
		promise += text(" nodeLogBudget is %s.", setting.FormatSize(b))
	}
	freePercent := percent(d.free, d.bytes)
	summary := text("%s (%d %%) of podLogsDir's disk are free", status.Size(d.free), freePercent)
	room := n.set("nodeLogBudget", rounded((held+d.free)/10*8))
	switch high := int64(s.DiskPressure.HighThresholdPercent); {
	case d.free*100 < d.bytes*fullPercent:
		return fail("%s", summary).because("What is written is lost when there is no room. %s", promise).
			mend("du --one-file-system --human-readable --max-depth=2 \"$(findmnt --noheadings --output TARGET --target %s)\" | sort --human-numeric-sort | tail -n 20", s.PodLogsDir)
	case high > 0 && 100-freePercent > high:
		return warn("%s: more than diskPressure.highThresholdPercent (%d) is used", summary, high).
			because("Rotated logs go before their time. %s", promise).
			mend("du --human-readable --max-depth=1 %s | sort --human-numeric-sort | tail -n 20", s.PodLogsDir)
	case freePercent < evictSpace:
		return warn("%s", summary).because("kubelet evicts pods below %d %%. %s", evictSpace, promise).
			mend("du --human-readable --max-depth=1 %s | sort --human-numeric-sort | tail -n 20", s.PodLogsDir)
	case most-held > d.free && high == 0:
		return warn("%s, and logs may take %s more", summary, status.Size(most-held)).
			because("%s Neither nodeLogBudget nor diskPressure keeps them within the disk.", promise).do(room)
	}
	return okay("%s", summary).because("%s", promise)
}

func percent(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return int64(float64(part) / float64(whole) * 100)
}

// rounded is a size that people would write: whole Gi or Mi, rounded down.
func rounded(bytes int64) string {
	for _, unit := range []int64{1 << 30, 1 << 20} {
		if bytes >= 4*unit {
			return setting.FormatSize(bytes / unit * unit)
		}
	}
	return setting.FormatSize(max(bytes, 1<<20))
}

func checkInodes(_ context.Context, n *node) Check {
	s := n.settings()
	d, err := n.disk()
	switch {
	case err != nil:
		return skip("podLogsDir's disk cannot be looked at: see pod-logs-dir")
	case d.inodes == 0:
		return okay("podLogsDir's file system has no fixed number of inodes")
	}
	free := percent(d.inodesFree, d.inodes)
	summary := text("%d inodes (%d %%) of podLogsDir's disk are free", d.inodesFree, free)
	find := "find \"$(findmnt --noheadings --output TARGET --target %s)\" -xdev -printf '%%h\\n' | sort | uniq --count | sort --numeric-sort | tail -n 20"
	switch high := int64(s.DiskPressure.InodesHighThresholdPercent); {
	case d.inodesFree*100 < d.inodes*fullPercent:
		return fail("%s", summary).because("Without an inode no new log can be made, and none can be compressed.").mend(find, s.PodLogsDir)
	case high > 0 && 100-free > high:
		return warn("%s: more than diskPressure.inodesHighThresholdPercent (%d) are used", summary, high).
			because("Rotated logs go before their time.").mend(find, s.PodLogsDir)
	case free < evictInodes:
		return warn("%s", summary).because("kubelet evicts pods below %d %%.", evictInodes).mend(find, s.PodLogsDir)
	}
	return okay("%s", summary)
}
