// Package pressure keeps the logs of a node within its budget, and its disk below a
// threshold. [Build] plans what to prune and what to rotate early; it is a pure
// function of listings, limits and the time. [Controller] carries plans out.
//
// # Order
//
//  1. Rotated logs that their own container's policy does not keep: beyond its
//     number of files, or past its age.
//  2. The oldest rotated logs of containers above their fair share, each time of the
//     container that uses the most at that point. Grace periods are ignored.
//  3. The live logs of running containers above their fair share, the largest first.
//     They are rotated early, and the next pass prunes the result as in 2.
//
// # Fair share
//
// The share is max-min fair: the highest level at which enough is freed when every
// container above it is cut to it. A container below the level keeps all its logs, and
// what it does not use is available to others. A container above is cut to the level,
// as far as whole files allow. What cannot be removed (an exited container's live log,
// a file that is open for writing) lowers the level for the others. So high-volume
// containers pay for their own volume.
//
// An equal part for each (the budget ÷ the number of containers) would cut containers
// on a node with hundreds of idle ones, to no benefit. Shares in proportion to the
// containers' limits would let a pod get a larger share by an annotation.
//
// Pruning file by file from the container that uses the most ends at exactly that
// level, and needs no state: a plan that is made after half of another was carried out
// continues where that one stopped.
//
// # Guarantees
//
//   - A live log is never removed, nor is a link, or a file that is not a log.
//   - A container at or below the fair share loses nothing that its policy keeps:
//     those above it have enough rotated logs, or live logs that can be rotated. If
//     they have not, the share is lower.
//   - The oldest generation of a live log is removed first, so that its lines have no
//     gap; the newest is removed last.
//   - No more is removed than needed, except for the rest of the last file.
//   - The same input gives the same plan. A plan for what another plan left, with
//     nothing written in the meantime, removes nothing, unless the first could not free
//     enough.
//
// # Limitations
//
// Live logs grow between two checks. What else fills the disk is unknown: if other
// data fills it, rotated logs are pruned, and live logs that are large enough to make
// a difference are rotated.
package pressure
