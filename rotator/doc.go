// Package rotator rotates the logs of one container at a time and keeps its
// rotated logs within a policy.
//
// # Names
//
// A live log is N.log, a rotated log N.log.YYYYMMDD-HHMMSS (the host's local
// time, kubelet's format), a compressed one has .gz behind that, and a file in
// the making .tmp. Every other name in a container's directory is foreign and
// never touched; nor is a directory, whatever its name.
//
// # Guarantees
//
//   - [Rotator.Rotate] renames the live log and asks the runtime to reopen it,
//     and does nothing else: no compression, no removal. Nothing cancels it
//     between the two. It counts as done only once the path, seen absent, is
//     there again.
//   - No rename ever replaces a file (RENAME_NOREPLACE), and the runtime is
//     asked to reopen a log only while its path is absent: CRI-O's conmon
//     truncates what it finds there.
//   - [Rotator.Housekeep] touches rotated logs alone, never a live one. Nothing
//     is compressed or removed while somebody has it open for writing.
//   - A source is removed only after its .gz and the directory are synced.
//   - No link is followed, only regular files are opened, and none is read
//     that has a second name: that may be anywhere.
//   - A run's memory is bounded, however many files a directory has.
//   - No state is kept that a listing cannot rebuild: recovery after a crash is
//     the same plan, made again from what is on disk.
//
// # Concurrency and shutdown
//
// Every call blocks until it is done. The caller keeps two Rotate calls for one
// directory from overlapping, and two Housekeep calls likewise; a Rotate and a
// Housekeep may overlap. Housekeep stops at the next file, or in the middle of
// a compression, when its context ends; it leaves nothing that the next run
// does not put right.
//
// # Not promised
//
// Nobody else may rotate the same logs: two rotators on CRI-O lose lines.
// Where file leases are not to be had (see fcntl(2), F_SETLEASE), "nobody
// writes any more" is concluded from the file's age, and from the live log being
// there: without one, rotated logs stay.
package rotator
