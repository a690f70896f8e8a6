// Package workerpool runs jobs under keys: at most so many at once, and never
// two of one key.
//
// # Guarantees
//
//   - At most limit jobs run at once.
//   - A key never runs twice at once.
//   - Submits of a key that is queued collapse into one run; the newest job wins.
//   - Any number of submits of a key while it runs make exactly one more run, of
//     the newest job. So each submit is followed by a run that starts after it,
//     and that sees what the submitter saw.
//   - Keys start in the order in which they were queued. A key that was submitted
//     while it ran goes to the back, so a busy key does not starve the others.
//   - A pool with nothing to do has no goroutine.
//
// # Blocking
//
// Submit and Stats never wait for a job. They take a lock that is never held
// while a job runs. All methods may be called from any goroutine, Submit from
// inside a job too.
//
// # Shutdown
//
// Stop drops queued jobs, cancels the context that the jobs were given and waits
// for those that run, for as long as its own context allows. A pool that was
// stopped stays stopped. Stop must not be called from inside a job: it would
// wait for its caller.
//
// # Not promised
//
// The queue has no limit other than the number of distinct keys. Work that was
// queued is lost at Stop: the caller must be able to find it again. A job has no
// deadline but its own, and one that ignores its context holds its worker and
// its key. A job that panics ends the process: its key is in an unknown state,
// and going on without that key would be a silent loss. A job that leaves through
// runtime.Goexit (testing's FailNow does) keeps its worker and its key for ever.
package workerpool
