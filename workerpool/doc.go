// Package workerpool runs a function for keys: at most so many at once, and never
// one key twice at once. It is a bounded errgroup with the semantics of client-go's
// workqueue.
//
// # Guarantees
//
//   - At most Workers runs occupy a worker at once.
//   - A key never runs twice at once.
//   - Calls of Add for a key that is queued collapse into one run.
//   - Any number of calls of Add for a key while it runs make exactly one more run.
//     So each Add is followed by a run that starts after it.
//   - Keys start in the order in which they were queued. A key that was added
//     while it ran goes to the back, so that a busy key does not starve the others.
//   - With MaxSlow, runs that take longer than SlowAfter give their worker up, and
//     keys whose last run was slow never occupy one: keys that hang do not starve
//     the others.
//   - An idle pool has no goroutine.
//
// # Blocking
//
// Add, AddAfter and Stats never wait for a run. All methods may be called from any
// goroutine, Add and AddAfter from inside a run as well.
//
// # Shutdown
//
// Stop drops queued and delayed keys, cancels the context of the runs and waits
// for them for as long as its own context allows. A stopped pool stays stopped.
// Stop must not be called from inside a run: it would wait for its caller.
//
// # Limitations
//
// The queue is bounded only by the number of distinct keys. Keys that are queued
// are lost at Stop: the caller must be able to find the work again. A run that
// ignores its context holds its key, and its worker once MaxSlow runs are slow. A
// panic in a run ends the process: the key's state is unknown. A run that ends
// through runtime.Goexit (testing's FailNow) keeps its worker and key for ever.
package workerpool
