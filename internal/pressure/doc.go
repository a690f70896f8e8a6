// Package budget plans what a node's logs give when they take too much: more
// than the node's budget for them, or when the disk runs out of bytes or inodes.
// It plans purely: listings, limits and the time go in, a [Plan] comes out.
//
// # What gives, and in which order
//
//  1. Rotated logs that their own container's policy does not keep: beyond its
//     count, or past its age.
//  2. The oldest rotated logs of the containers over their fair share, each time
//     of the one that holds the most at that moment. Their grace periods are
//     not heeded.
//  3. The live logs of the running containers over their fair share, the largest
//     first: they are rotated early, and what that makes is what 2 takes next
//     time.
//
// # The fair share
//
// It is the level at which water stands: the highest one at which there is
// enough when all who hold more are cut to it. Who holds less keeps all, and
// what he does not need is for the others; who holds more is cut to the level,
// as far as whole files allow. What somebody cannot give (an exited container's
// live log, what is being written still) lowers the level for the others. So the
// loud pay for what the loud wrote: a container's loss depends on what it holds
// itself, and a quiet one's share grows with the quiet ones beside it. An equal
// part each (the budget ÷ the number of containers) would cut a container on a
// node with hundreds of idle ones for no one's good. Shares in proportion to the
// containers' own limits would let a pod buy a larger share by an annotation.
//
// Taking from whoever holds the most, file by file, ends at just that level, and
// needs no state: a plan that is made again after half of it was done goes on
// where that one stopped.
//
// # Guarantees
//
//   - No live log is ever removed, nor what is not a log, nor a link.
//   - A container at or below the fair share loses nothing that its policy keeps:
//     those above it have enough to give, in rotated logs or in live logs that can
//     be rotated. Where they have not, the share is lower.
//   - Of one live log's generations the oldest goes first, so that no hole comes
//     into its lines; the newest goes last.
//   - No more goes than is needed, but for the rest of the last file.
//   - The same input gives the same plan. Planned again on what a plan left, with
//     nothing written meanwhile, nothing more is removed unless the plan could
//     not free enough.
//
// # Not promised
//
// Live logs grow between two looks, and nothing is known of what else fills the
// disk: a disk that is full of other things takes the rotated logs with it, and
// the live logs that are large enough to make a difference.
package pressure
