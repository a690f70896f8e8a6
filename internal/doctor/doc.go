// Package doctor checks a node for problems that keep logwatch from working. Each
// finding has its reason and, if there are any, the commands that fix it.
//
// # Guarantees
//
//   - It changes nothing. Below podLogsDir it reads, takes a file lease that it
//     releases at once, as housekeeping does, and renames a name that does not
//     exist: no file appears or changes there, for kubelet, log shippers and the
//     runtime read what they find. On a file system that is not known to have
//     renameat2's flags, these are tested in a temporary directory next to podLogsDir.
//   - Each check ends within its deadline, whatever hangs: a runtime, a disk, a
//     FIFO. All run at the same time, so all take no longer than one.
//   - The checks come in the same order each time, each once, under names that do
//     not change, so that a program can read them.
//   - What it cannot read is skipped, with the reason, and never counts as OK.
//   - Names of processes, files and containers, file contents and errors are
//     hostile input: they are escaped in text, and quoted in commands. What is
//     read of a file is bounded.
//   - A process counts as the daemon only if it runs as root (or this user) and has a
//     logwatch executable; the control socket's answers count only if such a process
//     listens on it, according to the kernel (SO_PEERCRED).
//   - It uses the running daemon's own configuration unless another is named.
//
// # Blocking and shutdown
//
// [Run] blocks for the deadline at most, or until its context ends. A check that
// hangs in the kernel cannot be stopped: its goroutine stays until the call
// returns, so Run is for a program that ends soon after.
//
// # Adding a check
//
// Write it next to similar ones, and add it to that file's table.
//
// # Limitations
//
// A report without failures does not prove that the node is healthy, and commands may
// not suit a node that is managed by other means, such as an operator or a cloud's image. Commands are for a root shell on the node.
package doctor
