// Package doctor looks at a node and says what keeps logwatch from doing its
// work there, why, and which command mends it.
//
// # Guarantees
//
//   - It changes nothing. What it tries, it tries where nobody looks: a file
//     lease on a file that never has a name (O_TMPFILE), a rename of a name that
//     does not exist. No file appears below podLogsDir: kubelet reads restart
//     counts from the names there, samples their sizes, and removes what it does
//     not know, and log shippers read what they find. On a file system that is
//     not known to have RENAME_NOREPLACE a rename is tried in the directory that
//     podLogsDir is in, in a folder of its own, which is gone afterwards.
//   - Each check ends within its deadline, whatever hangs: a runtime, a disk, a
//     file that is a pipe. All run at once, so all of them take no longer than one.
//   - The checks come in the same order each time, each once, under names that do
//     not change, so that a program can read them.
//   - It says what it could not see, and does not take it for good: a check that
//     could not be made is skipped, with the reason.
//   - Names of processes, files and containers, what files say, and errors are
//     hostile input: they are escaped in text, and quoted in commands. What is
//     read of a file is bounded.
//   - It asks a running daemon, and reads that one's own configuration unless
//     another is named: what it looks at is what runs.
//
// # Blocking and shutdown
//
// [Run] blocks for the deadline at most, or until its context ends. A check that
// hangs in the kernel cannot be stopped: its goroutine stays until what it waits
// for answers, so Run is for a program that ends soon after.
//
// # Not promised
//
// That a node is well because no check failed; that a command suits a node which
// is managed by something else, such as an operator or a cloud's image. Commands
// are for a root shell on the node.
package doctor
