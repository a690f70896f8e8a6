// Package crilog reads container logs in the format that CRI runtimes write:
//
//	<RFC3339Nano time> <stdout|stderr> <P|F>[:more tags] <content>\n
//
// P marks a part of a line that goes on in the next record of the same stream,
// F the last (or only) part.
//
// # Guarantees
//
//   - Parse never panics and keeps no reference but slices of its argument.
//   - Reader holds one line at most, and never more than MaxLine bytes of it; a bad
//     line is reported and reading goes on behind it.
//   - Joiner joins each stream by itself and keeps its state from file to file, so a
//     line that was split by a rotation comes out whole.
//
// # Blocking
//
// Only Reader.Next blocks, and only in the Read of the reader given to it. The
// package starts no goroutines. Reader and Joiner belong to one goroutine.
//
// # Not promised
//
// Times need not ascend from line to line: a runtime may write the rest of an old
// file after the first lines of the new one.
package crilog
