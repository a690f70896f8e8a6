// Package podlogs knows the layout of kubelet's podLogsDir: pod directories,
// container directories and the log files in them.
//
// It is the one place for file names ([Name], [ParseName]), listings ([List]),
// the file-system seam ([FS]) and the read lease that proves that a file is not
// open for writing ([Handle].OpenForWrite). It decides nothing: what is rotated,
// compressed or removed is up to package rotator.
//
// # Guarantees
//
//   - No link below podLogsDir is followed, and only regular files are opened:
//     each path element is opened by descriptor.
//   - A listing's memory is bounded by the caller, however many foreign files a
//     directory has.
//
// # Blocking and shutdown
//
// Calls block for as long as the file system takes. The package starts no
// goroutines and keeps no state.
package podlogs
