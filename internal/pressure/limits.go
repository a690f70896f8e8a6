package pressure

// Limits are the limits of the node's logs. The zero value disables them.
type Limits struct {
	// NodeLogBudget is the maximum size of all logs together, in bytes; 0: no limit.
	NodeLogBudget int64
	// HighPercent is the disk usage in percent above which logs are pruned, until
	// it is at LowPercent. HighPercent 0: never. LowPercent 0, or above
	// HighPercent: the same as HighPercent.
	HighPercent, LowPercent int
	// InodesHighPercent and InodesLowPercent are the same for inodes.
	InodesHighPercent, InodesLowPercent int
}

// On reports whether any limit is set.
func (l Limits) On() bool { return l.NodeLogBudget > 0 || l.OnDisk() }

// OnDisk reports whether a limit is set that needs the disk usage.
func (l Limits) OnDisk() bool { return l.HighPercent > 0 || l.InodesHighPercent > 0 }

// Disk is the size of a file system and its free space. Space reserved for root
// counts as used, as in kubelet. A total of 0 means that the file system does not
// report it, as btrfs does not report inodes.
type Disk struct {
	Bytes, BytesFree   int64
	Inodes, InodesFree int64
}

// Over says which limits are exceeded, or were and are still above their low mark.
type Over struct {
	Budget, Bytes, Inodes bool
}

// Any reports whether any limit is exceeded.
func (o Over) Any() bool { return o.Budget || o.Bytes || o.Inodes }

// Strings returns the names of the limits, for log messages.
func (o Over) Strings() (names []string) {
	for _, n := range []struct {
		over bool
		name string
	}{{o.Budget, "nodeLogBudget"}, {o.Bytes, "diskPressure"}, {o.Inodes, "diskPressure inodes"}} {
		if n.over {
			names = append(names, n.name)
		}
	}
	return names
}

// Need is how much must be freed.
type Need struct {
	Bytes, Inodes int64
}

// slack is the part of the node's budget that is freed in addition, as a divisor.
// Without it, each rotation on a full node would list all files to remove one.
const slack = 20

// Need returns how much must be freed, and because of which limits. usage is the size
// of all logs in bytes; was is the result of the last check: a limit that was exceeded
// then stays exceeded down to its low mark.
func (l Limits) Need(usage int64, d Disk, was Over) (n Need, now Over) {
	budget := l.NodeLogBudget
	bytes, over := excess(usage, budget, budget-budget/slack, was.Budget)
	n.Bytes, now.Budget = bytes, over

	high, low := marks(d.Bytes, l.HighPercent, l.LowPercent)
	bytes, now.Bytes = excess(d.Bytes-d.BytesFree, high, low, was.Bytes)
	n.Bytes = max(n.Bytes, bytes)

	high, low = marks(d.Inodes, l.InodesHighPercent, l.InodesLowPercent)
	n.Inodes, now.Inodes = excess(d.Inodes-d.InodesFree, high, low, was.Inodes)
	return n, now
}

// excess returns how much used is above low, once it was above high. high 0: no limit.
func excess(used, high, low int64, was bool) (int64, bool) {
	if high <= 0 || used <= low || (used <= high && !was) {
		return 0, false
	}
	return used - low, true
}

// marks converts percentages of total, rounded down: a byte too much does no harm.
func marks(total int64, highPercent, lowPercent int) (high, low int64) {
	if lowPercent <= 0 || lowPercent > highPercent {
		lowPercent = highPercent
	}
	// The hundredth first: a total in bytes times 100 overflows at 92 PB.
	part := func(percent int) int64 { return total/100*int64(percent) + total%100*int64(percent)/100 }
	return part(highPercent), part(lowPercent)
}
