// Package numbered makes test lines that carry their own number, and checks
// afterwards that each of them is there once, in order and undamaged.
//
//	stdout 0000000012 level=info msg="request served" path=/api/v1/orders.
//
// A line follows from its stream, number and width alone, so a checker needs no
// copy of what was written. The filler depends on the width and the line ends in a
// full stop: a line that was cut short is not a valid shorter one.
//
// # Guarantees
//
//   - Lines count from 1 in each stream.
//   - Checker's memory is flat: a fixed size a stream, and at most maxGaps gaps.
//   - A gap that is filled later is counted as out of order, not as missing.
//   - What is missing before the first line seen is not counted as missing: old
//     generations may have been pruned. StreamReport.First tells.
//
// # Blocking
//
// Nothing blocks and no goroutines are started. A Checker belongs to one goroutine.
//
// # Not promised
//
// When more than maxGaps gaps are open at once the oldest are forgotten: their
// lines stay counted as missing, and one that comes still counts as doubled. A report is
// bad either way.
package linecheck
