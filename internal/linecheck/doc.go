// Package linecheck generates log lines that contain their own number, and checks
// that each of them is there once, in order and undamaged.
//
//	stdout 0000000012 level=info msg="request served" path=/api/v1/orders.
//
// A line follows from its stream, number and width, so that a check needs no copy of
// what was written. The filler depends on the width and the line ends in a full stop:
// a line that was cut short is not a valid shorter one.
//
// # Guarantees
//
//   - Numbers begin at 1 in each stream.
//   - A Checker's memory is flat: a fixed size for each stream, and at most maxGaps
//     gaps.
//   - A gap that is filled later counts as out of order, not as missing.
//   - Lines before the first one seen do not count as missing: they may have been
//     pruned. StreamReport.First is where the lines begin.
//
// # Blocking
//
// Nothing blocks but reading files, and no goroutines are started. A Checker is for
// one goroutine.
//
// # Limitations
//
// With more than maxGaps gaps open, the oldest are forgotten: their lines stay
// counted as missing, and one that still comes counts as doubled. The report is bad
// either way.
//
// Container checks one run of a container; the numbers of a restarted one begin at 1
// again.
package linecheck
