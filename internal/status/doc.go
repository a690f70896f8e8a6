// Package status writes an api.Status as a table, JSON or YAML.
//
// # Guarantees
//
//   - Names of pods and files, annotations and errors are hostile input: the output has
//     no control character but newline, and none that changes the direction of text. In
//     tables they are escaped as in Go, in JSON as in JSON, so that programs get what the
//     runtime reported.
//   - The output is written in one pass, in memory that grows only with the number of
//     containers.
//
// # Blocking and shutdown
//
// Only writes to the writer block.
package status
