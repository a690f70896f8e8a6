package pressure

// Limits are what the node's logs are kept to. The zero value is off.
type Limits struct {
	// NodeLogBudget is the most bytes that all logs together may take; 0: no
	// limit.
	NodeLogBudget int64
	// HighPercent is the use of the disk in percent above which logs give, until
	// it is at LowPercent. HighPercent 0: never. LowPercent 0, or above
	// HighPercent: the same as HighPercent.
	HighPercent, LowPercent int
	// InodesHighPercent and InodesLowPercent are the same for inodes.
	InodesHighPercent, InodesLowPercent int
}

// On reports whether there is any limit.
func (l Limits) On() bool { return l.NodeLogBudget > 0 || l.OnDisk() }

// OnDisk reports whether there is one that the disk's numbers are needed for.
func (l Limits) OnDisk() bool { return l.HighPercent > 0 || l.InodesHighPercent > 0 }

// Disk is a file system's size and what is free of it, for those who are not
// root: what a file system reserves counts as used, as kubelet counts. A total
// of 0 is one that the file system does not have, as btrfs has no inodes.
type Disk struct {
	Bytes, BytesFree   int64
	Inodes, InodesFree int64
}

// Over says which limits are exceeded, or were and are not at their low mark yet.
type Over struct {
	Budget, Bytes, Inodes bool
}

// Any reports whether one is.
func (o Over) Any() bool { return o.Budget || o.Bytes || o.Inodes }

// Strings names them, as logs do.
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

// Need is how much there is to free.
type Need struct {
	Bytes, Inodes int64
}

// slack is the part of the node's budget that is freed beyond it, as a divisor.
// Without any, each rotation on a full node would be followed by a look at all
// of its files, to remove one.
const slack = 20

// Need says how much is to be freed, and because of what. usage is what all logs
// take, in bytes; was is what the last look returned: what was over its high
// mark then goes on to its low one.
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

// excess is what used has above low, once it was above high. A high of 0 is no
// limit.
func excess(used, high, low int64, was bool) (int64, bool) {
	if high <= 0 || used <= low || (used <= high && !was) {
		return 0, false
	}
	return used - low, true
}

// marks turns percentages into numbers, rounded down: to free a byte too much
// does no harm.
func marks(total int64, highPercent, lowPercent int) (high, low int64) {
	if lowPercent <= 0 || lowPercent > highPercent {
		lowPercent = highPercent
	}
	// The hundredth first: a total in bytes times 100 overflows at 92 PB.
	part := func(percent int) int64 { return total/100*int64(percent) + total%100*int64(percent)/100 }
	return part(highPercent), part(lowPercent)
}
