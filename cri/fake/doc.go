// Package fake is a container runtime in the process: a real gRPC CRI server on a unix
// socket, whose containers are goroutines that write logs as a real runtime does. The
// demo and the tests run on it.
//
// It serves what logwatch calls (Version, ListContainers, StreamContainers, ContainerStatus,
// ListPodSandbox, ReopenContainerLog), without filters; every other method answers
// Unimplemented. It imitates two runtimes in how they reopen a log:
//
//   - Containerd opens the path for appending, creating it (0640) if it is absent, and
//     answers. What was in flight, up to about 4 KiB a stream, still reaches the old
//     file afterwards, and a line that was cut by it ends in the new file.
//   - CRIO (conmon) creates <log>.tmp (0600) and renames it over the log: a reopen
//     while there are lines under the log's name destroys them.
//
// A Failure imitates the ways in which calls of real runtimes fail.
//
// # Guarantees
//
//   - When Exit has returned, each line that Container.Written counts is in the log's
//     files once, and in order within its stream from old file to new, provided that
//     no reopen came while there were lines under the log's name and Container.Err is
//     nil.
//   - Lines are written to the file by write(2) without a buffer in between.
//   - Close ends every goroutine and closes every file; the logs stay.
//   - Only paths in Options.Dir are opened for writing.
//
// # Blocking and shutdown
//
// All methods are safe for concurrent use. Exit waits for the container's writer and
// writes what is in flight at once, whatever TailDelay is; Remove does what Exit does;
// Stop cancels the calls being served and waits for them; Close does all of it.
// Nothing else blocks for longer than a write to the disk.
//
// # Limitations
//
// Timings other than TailDelay are not imitated, and there is no process behind a
// container. Stop loses no lines, as a containerd that is killed would.
package fake
