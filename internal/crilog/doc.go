// Package crilog reads container logs in the format that CRI runtimes write:
//
//	<RFC3339Nano time> <stdout|stderr> <P|F>[:more tags] <content>\n
//
// P marks a part of a line that continues in the next record of the same stream,
// F the last (or only) part.
//
// # Guarantees
//
//   - Parse never panics; its result refers only to its argument.
//   - Reader keeps at most one line, and at most MaxLine bytes of it; a malformed
//     line is reported and reading continues after it.
//   - Joiner joins each stream separately and keeps its state from file to file, so a
//     line that a rotation has split is joined.
//
// # Blocking
//
// Only Reader.Next blocks, and only in the Read of the reader given to it. The
// package starts no goroutines. A Reader and a Joiner are for one goroutine.
//
// # Limitations
//
// Times need not ascend from line to line: a runtime may write the rest of an old
// file after the first lines of the new one.
package crilog
