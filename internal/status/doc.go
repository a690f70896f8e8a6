// Package status shows a control.Status to people and to programs.
//
// # Guarantees
//
//   - Pods' and files' names, annotations and errors are hostile input: whatever
//     is in them, what is written has no control character but newline, and none
//     that turns the direction of text. In tables they are escaped as Go escapes
//     them, in JSON as JSON does, so that programs get what the runtime said.
//   - Thousands of containers are written in one pass, in memory that grows with
//     their number alone.
//
// # Blocking and shutdown
//
// Nothing blocks but the writer that is written to.
package status
